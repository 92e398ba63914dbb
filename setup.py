"""Everything is in pyproject.toml but one thing: the tutorials' sources, which lie beside the package, go into it.

`minidl tutorials` reads them there. An editable install leaves them where they are, and finds them.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
INTO = Path("minidl", "classroom", "sources")


class WithTutorials(build_py):
    """Copies tutorials/NN_name.py and the pages that they link to."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for source, target in self.tutorials():
                self.mkpath(str(target.parent))
                self.copy_file(str(source), str(target))

    def tutorials(self) -> list[tuple[Path, Path]]:
        """Where each file is, and where it goes."""
        found = sorted([*HERE.glob("tutorials/[0-9]*.py"), *HERE.glob("tutorials/pages/*.html")])
        return [(path, self.build_lib / INTO / path.relative_to(HERE / "tutorials")) for path in found]

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        return [*super().get_outputs(include_bytecode), *(str(target) for _, target in self.tutorials())]


setup(cmdclass={"build_py": WithTutorials})
