"""What the commands run: the comparison of layer rates, from its protocol to its report."""
