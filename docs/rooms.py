"""Check the imports between cryobench's rooms by the contracts in pyproject.toml, then draw them into architecture.md:

python docs/rooms.py            exit status 1 if an import points the wrong way
python docs/rooms.py --check    draws nothing; 1 also if the picture is not that of today's imports
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
from importlinter.cli import lint_imports

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
EVERYWHERE = "errors"  # which nearly all rooms import: its arrows would hide the others
PICTURE = re.compile(r"(?<=```mermaid\n).*?(?=```)", re.S)


def lay_out(folder: Path) -> None:
    """The package as it is installed, in `folder`/cryobench: baselines/, experiments/ and conf/ are parts of it."""
    for name in ("cryobench", "cryobench/baselines", "cryobench/experiments", "cryobench/conf"):
        shutil.copytree(ROOT / Path(name).name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))


def room(module: str) -> str:
    """cryobench.data.io.star → data: a folder or a file that stands directly in cryobench/."""
    return module.split(".")[1]


def arrows() -> dict[str, set[str]]:
    """Each room and those that it imports."""
    graph = grimp.build_graph("cryobench", cache_dir=None)
    imports: dict[str, set[str]] = {}
    for module in graph.modules - {"cryobench"}:
        known = imports.setdefault(room(module), set())
        imported = (name for name in graph.find_modules_directly_imported_by(module) if "." in name)  # not the version
        known |= {room(name) for name in imported} - {room(module)}
    return imports


def circle(imports: dict[str, set[str]]) -> list[str]:
    """Rooms of which each imports the next, and the last is the first; none where all imports go one way."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return error.args[1][::-1]
    return []


def mermaid(imports: dict[str, set[str]]) -> str:
    """A graph that GitHub draws; an arrow that a longer way implies is left out."""

    def below(name: str) -> set[str]:
        return set().union(*({other} | below(other) for other in imports[name]))

    lines = ["graph TD"]
    for name in sorted(imports.keys() - {EVERYWHERE, "conf"}):
        direct = imports[name] - set().union(*map(below, imports[name])) - {EVERYWHERE}
        lines += [f"  {name} --> {other}" for other in sorted(direct)] or [f"  {name}"]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Check the rules, or write the picture into the page. Returns the exit status."""
    page = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        lay_out(Path(folder))
        sys.path.insert(0, folder)
        os.chdir(folder)
        status = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
        imports = arrows()
        os.chdir(ROOT)
    if found := circle(imports):
        print(f"rooms: expected imports that go one way, got {' → '.join(found)}; move one of them")
        return 1
    picture = mermaid(imports)
    if PICTURE.search(page)[0] != picture:
        if "--check" in sys.argv:
            print(
                "docs/architecture.md: expected the picture of today's imports, got another; run python docs/rooms.py"
            )
            return 1
        PAGE.write_text(PICTURE.sub(lambda _: picture, page), encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main())
