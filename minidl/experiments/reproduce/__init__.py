"""The paper's experiments again, with fair controls: `minidl reproduce`, from the plan of runs to the report."""
