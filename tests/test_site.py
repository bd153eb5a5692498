"""The documentation as a site: every page of docs/ has its place in it, and it builds without a warning."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PATIENCE

import cryobench

ROOT = Path(__file__).parents[1]


def test_every_page_has_its_place():
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:\n")[1]
    pages = [page.name for page in (ROOT / "docs").glob("*.md")]
    assert sorted(re.findall(r"[\w./]+\.md(?= *$| +#)", nav, re.MULTILINE)) == sorted([*pages, "results/README.md"])


def test_the_reference_has_all_that_import_cryobench_offers():
    named = re.findall(r"^::: (\S+)$", (ROOT / "docs" / "reference.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(cryobench.__all__) - {"__version__"} <= {name.rpartition(".")[2] for name in named}


@pytest.mark.slow
def test_it_builds_without_a_warning_and_shows_what_was_found(tmp_path):
    pytest.importorskip("mkdocs", reason="mkdocs is not installed (pip install -e '.[docs]')")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    reference = (tmp_path / "site" / "reference" / "index.html").read_text(encoding="utf-8")
    assert "var(clean) / var(noise)" in reference, "docstrings"
    assert 'class="mermaid"' in (tmp_path / "site" / "architecture" / "index.html").read_text(encoding="utf-8")

    findings = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
    page = (tmp_path / "site" / "results" / "index.html").read_text(encoding="utf-8")
    assert "<!-- numbers" in findings and "<!-- numbers" not in page
    text = re.sub(r'<span class="n">[^<]*|<(code|pre)\b.*?</\1>|<[^>]+>', "", page, flags=re.S)
    assert 'class="n">3.06e-3<' in page and not re.findall(r"\d\.\d+e-\d", text), (
        "a browser breaks a number at its sign"
    )
    for folder in ("results", "methods"):
        page = tmp_path / "site" / folder / "index.html"
        pictures = re.findall(r'<img [^>]*src="([^"]*\.png)"', page.read_text(encoding="utf-8"))
        assert pictures and all((page.parent / picture).is_file() for picture in pictures), page
    tables = set(re.findall(r"\]\(([\w/-]+)\.md\)", findings))
    assert tables and all((tmp_path / "site" / "results" / table / "index.html").is_file() for table in tables)
    text = (tmp_path / "site" / "particles" / "index.html").read_text(encoding="utf-8")
    assert "<code>cryobench/particles/recorrupted.py</code> has" in text and "recorrupted.py (" not in text
