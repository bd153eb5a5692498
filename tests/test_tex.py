"""The committed LaTeX tables compile."""

import shutil
import subprocess
from pathlib import Path

import pytest

TABLES = sorted((Path(__file__).parents[1] / "results" / "rnap_ecoli-desk" / "tables").glob("*.tex"))


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="pdflatex is not installed (apt-get install texlive-latex-recommended)"
)
def test_every_table_compiles_with_booktabs_alone(tmp_path):
    assert TABLES
    body = "\n".join(f"\\input{{{table.resolve().as_posix()}}}" for table in TABLES)
    source = "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n" + body + "\n\\end{document}\n"
    (tmp_path / "all.tex").write_text(source, encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Undefined control sequence" not in done.stdout and (tmp_path / "all.pdf").stat().st_size > 1000
