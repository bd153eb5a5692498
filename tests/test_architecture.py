"""The house: which room may import which, what may be touched where, and what may nowhere."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [p for folder in ("cryobench", "baselines", "experiments") for p in sorted((ROOT / folder).rglob("*.py"))]
NAMES = [str(path.relative_to(ROOT)) for path in FILES]

# What other libraries keep to themselves → the one file that touches it, which says why.
INSIDE = {
    "hydra.core": (
        "cryobench/config/hydra.py",
        "cryobench/launch/submitit.py",
    ),  # the latter: of Hydra's launcher for SLURM
    "hydra.main": ("cryobench/config/hydra.py",),
    "hydra_plugins": ("cryobench/launch/submitit.py",),
    "submitit": ("cryobench/launch/submitit.py",),
    "joblib.externals": ("cryobench/launch/loky.py",),
    "lightning_fabric": ("cryobench/methods/learned/lightning.py",),
    "pytorch_lightning.plugins": ("cryobench/methods/learned/lightning.py",),
    "pytorch_lightning.strategies": ("cryobench/methods/learned/lightning.py",),
    "pytorch_lightning.utilities": ("cryobench/methods/learned/lightning.py",),
    "unittest": ("baselines/aspire.py",),
}
PRIVATE = {  # files where a leading underscore of something that is not our own is read
    "cryobench/launch/loky.py": {"_executor", "_processes"},
    "cryobench/launch/process.py": {"_processes"},  # of concurrent.futures, to pass SIGTERM on
    "cryobench/launch/submitit.py": {"_return_value", "_usr_sig"},
    "cryobench/methods/learned/ranks.py": {"_exit"},  # os._exit, which is public
}


def test_imports_point_the_way_that_pyproject_says_and_the_picture_is_todays():
    done = subprocess.run([sys.executable, "docs/rooms.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def rooms(monkeypatch):
    """docs/rooms.py, which is no part of the package."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    return importlib.import_module("rooms")


def test_a_circle_of_imports_is_named_by_its_arrows(rooms):
    imports = {"data": {"noise"}, "noise": {"runs"}, "runs": {"data", "figures"}, "figures": set()}
    found = rooms.circle(imports)
    assert found[0] == found[-1] and set(found) == {"data", "noise", "runs"}
    assert all(after in imports[before] for before, after in zip(found, found[1:], strict=False))
    assert not rooms.circle(imports | {"runs": {"figures"}})


def test_a_wrong_import_is_seen(tmp_path, rooms):
    """The contracts hold something: a baseline that reads records, and data that knows a method, break two of them."""
    rooms.lay_out(tmp_path)
    (tmp_path / "cryobench" / "baselines" / "curious.py").write_text("from cryobench.runs import store\n")
    (tmp_path / "cryobench" / "data" / "backwards.py").write_text("from cryobench.methods import base\n")
    (tmp_path / "cryobench" / "attic.py").write_text("")
    lint = "import sys; from importlinter.cli import lint_imports; sys.path.insert(0, '.'); "
    lint += f"sys.exit(lint_imports(config_filename={str(ROOT / 'pyproject.toml')!r}, no_cache=True))"
    done = subprocess.run([sys.executable, "-c", lint], cwd=tmp_path, capture_output=True, text=True)
    output = " ".join(done.stdout.split())
    assert done.returncode == 1, done.stdout + done.stderr
    assert "cryobench.baselines.curious -> cryobench.runs.store" in output
    assert "cryobench.data.backwards -> cryobench.methods.base" in output
    assert "attic" in output


def test_few_modules_stand_outside_a_room():
    assert len(list((ROOT / "cryobench").glob("*.py"))) <= 8


def test_every_folder_of_code_is_installed():
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11 and later read toml")
    named = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    folders = {
        path.parent.relative_to(ROOT).as_posix().replace("/", ".") for path in FILES if path.name == "__init__.py"
    }
    top = {"baselines", "experiments"}
    assert set(named) == {f"cryobench.{name}" if name in top else name for name in folders} | {"cryobench.conf"}


def test_importing_cryobench_and_its_command_line_loads_nothing_heavy():
    code = (
        "import sys, cryobench, cryobench.cli.app; print(*{'torch', 'numpy', 'hydra', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def imported(tree: ast.Module) -> list[str]:
    """Dotted names of what a file imports, lazily or not."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return names


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_the_inside_of_another_library_is_touched_in_one_file(path):
    name, tree = str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))
    for module in imported(tree):
        for inside, files in INSIDE.items():
            assert not f"{module}.".startswith(f"{inside}.") or name in files, f"{module} belongs into {files[0]}"
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and re.match(r"_[a-z]", node.attr)
            and ast.unparse(node.value) not in ("self", "cls")
        ):
            assert node.attr in own | PRIVATE.get(name, set()), f"{ast.unparse(node)}: whose is {node.attr}?"


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_no_global_random_state_and_no_unsafe_loading(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"np\.random\.(seed|rand|randn|normal|uniform|choice|shuffle)\(", text)
    assert not re.search(r"(?<!Generator\(\)\.)(?<!Generator\(device=device\)\.)\bmanual_seed\(|seed_everything", text)
    assert "import pickle" not in text and "allow_pickle=True" not in text and "weights_only=False" not in text


def test_the_lowest_versions_that_are_tried_are_those_that_are_declared():
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    declared = dict(re.match(r"([\w-]+)>=([\w.]+)", one).groups() for one in dependencies)
    tried = dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "constraints-lowest.txt").read_text(encoding="utf-8"), re.M))
    newest = re.search(r"^torch==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.M)[1]
    assert tried == declared | {"torch": newest}  # older ones bring several GB of CUDA


def brought(*names: str) -> set[str]:
    """Distributions that come with these ones, without any extra."""
    known: set[str] = set()
    left = list(names)
    while left:
        name = re.match(r"[\w.-]+", left.pop())[0].lower().replace("_", "-")
        if name not in known:
            known.add(name)
            try:
                left += [one for one in metadata.requires(name) or [] if "extra ==" not in one]
            except metadata.PackageNotFoundError:  # of another platform or Python
                continue
    return known


def test_the_tests_of_other_versions_import_what_is_installed_for_them():
    """An environment of .ci/versions has cryobench's own dependencies, and what the script adds to them."""
    script = (ROOT / ".ci" / "versions").read_text(encoding="utf-8")
    (added,) = re.findall(r'^pip install --quiet -c "\$1" (psutil.*)$', script, re.M)
    (named,) = re.findall(r"tests/test_\{(.*)\}\.py", script)
    files = [f"test_{name}.py" for name in named.split(",")] + ["conftest.py", "left_behind.py"]
    there, whose = brought("cryobench", *added.split()), metadata.packages_distributions()
    for file in files:
        tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
        for module in {name.partition(".")[0] for name in imported(tree)} - sys.stdlib_module_names:
            if not (ROOT / "tests" / f"{module}.py").exists():
                assert {name.lower().replace("_", "-") for name in whose[module]} & there, f"{file} imports {module}"
