"""Imports point one way, and nothing touches global random state."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [p for folder in ("cryobench", "baselines", "experiments") for p in (ROOT / folder).rglob("*.py")]

# From left to right: a module may import what stands to its left, or beside it within its own package.
ORDER = ["errors", "signals", "ranks", "noise", "contamination", "scores", "data", "microscope", "nets", "robust", "metrics",
         "statistics", "methods", "analysis", "record", "identity", "config", "figure", "table", "layout", "report", "workers",
         "run", "sweep", "progress", "cluster", "launch", "speed", "estimate", "bench", "model", "denoise", "reconstruct",
         "trust", "cost_verbs", "particle_verbs", "verbs", "__main__"]  # fmt: skip


def imported(path: Path) -> list[str]:
    """Dotted names of all cryobench modules that a file imports, lazily or not."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names += (
                [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "cryobench" else [node.module]
            )
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return [name for name in names if name.startswith("cryobench.")]


def place(module: str) -> int:
    return ORDER.index(module.split(".")[1])


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path):
    room, *_ = path.relative_to(ROOT).parts
    for name in imported(path):
        if room == "baselines":
            assert re.match(r"cryobench\.(errors|noise|data|methods|baselines)\b", name), name
        elif room == "experiments":
            assert re.match(
                r"cryobench\.(errors|scores|robust|metrics|statistics|record|table|layout|figure|experiments)\b", name
            ), name
        else:
            own = path.relative_to(ROOT / "cryobench").parts[0].removesuffix(".py")
            assert not re.match(r"cryobench\.(baselines|experiments)\b", name), f"{name}: reached through _target_ only"
            if own != "__init__":
                assert place(name) <= ORDER.index(own), f"{own} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_global_random_state_and_no_unsafe_loading(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"np\.random\.(seed|rand|randn|normal|uniform|choice|shuffle)\(", text)
    assert not re.search(r"(?<!Generator\(\)\.)(?<!Generator\(device=device\)\.)\bmanual_seed\(|seed_everything", text)
    assert "import pickle" not in text and "allow_pickle=True" not in text and "weights_only=False" not in text
