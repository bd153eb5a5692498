"""The committed LaTeX tables compile, and one with rows that somebody named."""

import shutil
import subprocess
from pathlib import Path

import pytest
from cryobench.experiments import table2
from test_compare import record
from test_leaderboard import keep
from test_results import committed

from cryobench.tables.text import GREEK, SPECIAL, escaped

TABLES = committed("results/*/tables/*.tex")
needs_latex = pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="pdflatex is not installed (apt-get install texlive-latex-recommended)"
)


def compiled(folder: Path, body: str) -> None:
    source = "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n" + body + "\n\\end{document}\n"
    (folder / "all.tex").write_text(source, encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"],
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Undefined control sequence" not in done.stdout and (folder / "all.pdf").stat().st_size > 1000


@pytest.mark.slow
@needs_latex
@pytest.mark.parametrize("folder", sorted({file.parents[1] for file in TABLES}), ids=lambda folder: folder.name)
def test_every_table_compiles_with_booktabs_alone(tmp_path, folder):
    tables = [file for file in TABLES if file.parents[1] == folder]
    compiled(tmp_path, "\n".join(f"\\input{{{table.resolve().as_posix()}}}" for table in tables))


@pytest.mark.slow
@needs_latex
def test_every_sign_that_a_name_may_have_compiles(tmp_path):
    signs = "".join(map(chr, range(33, 127))) + "".join([*SPECIAL, *GREEK]) + "–äñßéŁ漢"
    compiled(tmp_path, "\n".join(escaped(f"a{sign}b") + r"\par" for sign in signs if sign not in "–σ"))


@pytest.mark.slow
@needs_latex
def test_a_table_with_a_row_of_ones_own_compiles(tmp_path):
    """Its name has signs that are LaTeX's own."""
    one = record(["method=nlm"], [0.01, 0.02])
    one.config["method"] |= {"name": "my_net", "depth": 6, "mode": "50% a&b #1 $x {y}^2 ~\\|<λ–ℓ1>"}
    outside = record(["method=nlm", "seed=1"], [0.01, 0.02])
    outside.config["method"] = {"name": "given", "title": "γ-Denoiser", "used": []}
    files = table2.write(keep(tmp_path / "own", [one, outside]))
    (tex,) = (file for file in files if file.suffix == ".tex")
    text = tex.read_text(encoding="utf-8")
    assert r"my\_net depth=6 " in text and r"mode=50\% a\&b \#1 \$x \{y\}\textasciicircum{}2 " in text
    assert r"$\gamma$-Denoiser" in text
    compiled(tmp_path, text)
