"""Nothing touches global random state, and nothing that is loaded can run code."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [p for folder in ("cryobench", "baselines", "experiments") for p in (ROOT / folder).rglob("*.py")]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_global_random_state_and_no_unsafe_loading(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"np\.random\.(seed|rand|randn|normal|uniform|choice|shuffle)\(", text)
    assert not re.search(r"(?<!Generator\(\)\.)(?<!Generator\(device=device\)\.)\bmanual_seed\(|seed_everything", text)
    assert "import pickle" not in text and "allow_pickle=True" not in text and "weights_only=False" not in text
