"""Where the exemplar posterior holds and where it breaks, one assumption at a time (sweep robustness)."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from cryobench.runs.store import Store
from cryobench.tables import layout, table

TITLE = "What happens when an assumption fails"
COLUMNS = ("row", "snr", "mse", "spread", "n_seeds", "times_own", "times_bayes", "within_one", "accuracy", "mse_unseen")
NOTES = (
    "*× own* is the MSE over that of the same method with every assumption kept; *within one* the share of particle pixels "
    "whose error is at most one posterior standard deviation (0.68 if Gaussian and right); *accuracy* how often the most "
    "probable of five conformations is true; *MSE unseen* that of test images whose conformation no training image has. "
    "Dashes: not run, or the method does not say.",
    "Noise training pairs are U[0, 1] images in place of references, of inputs, or of both independently; they are among the "
    "held-out pairs that choose τ and the size of the basis, too, by their mean error unless the row says by the median. "
    "A wrong σ is wrong in choosing τ too, which makes up for one too small; for a σ that is wrong in the test images alone "
    "see the rows of τ, since only σ²τ enters: τ = 0.5 and 8 are a half and a double σ beside τ = 2. Off-centre particles "
    "and those with a CTF "
    "(1 to 3 µm of defocus) are test images only, and no method was told; clipped are training images, too.",
)


def write(store: Store) -> list[Path]:
    """Write table_robustness.md, .csv and .tex from the records."""
    records = store.all()
    lines = []
    for snr in (0.1, 0.05):
        lines += summary(records, snr)
    text = [f"# {TITLE}", "MSE: mean(spread over seeds)."]
    for snr in dict.fromkeys(line["snr"] for line in lines):
        text += [f"## SNR {snr:g}", layout.pipes(grid([line for line in lines if line["snr"] == snr]))]
    return table.write(store, "table_robustness", {
        "md": "\n\n".join([*text, *NOTES]) + "\n", "csv": to_csv(lines), "tex": to_tex(lines)
    })  # fmt: skip


def summary(records: list[dict], snr: float) -> list[dict]:
    """One dict of COLUMNS for each row with records at this SNR; None where there is no number."""
    rows = table.sweep_rows("robustness")
    found, _ = table.cells(records, rows, None, (snr,), ("mse",))
    by_id = {record["run_id"]: record for record in records}
    own = {cell.row: cell.mean for cell in found}
    lines = []
    for cell in found:
        if not cell.values:
            continue
        analyses = [by_id[name].get("analysis", {}) for name in cell.run_ids]
        least = own.get(cell.row.partition(",")[0])
        lines.append({
            "row": cell.row, "snr": snr, "mse": cell.mean, "spread": cell.spread, "n_seeds": len(cell.values),
            "times_own": cell.mean / least if least else None, "times_bayes": cell.times[0] if cell.times else None,
            "within_one": mean([a.get("posterior", {}).get("within_one") for a in analyses]),
            "accuracy": mean([a.get("posterior", {}).get("accuracy") for a in analyses]),
            "mse_unseen": mean([a.get("views", {}).get("mse_unseen") for a in analyses]),
        })  # fmt: skip
    return lines


def mean(values: list[float | None]) -> float | None:
    """The mean of those that there are, None if there are none."""
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None


def grid(lines: list[dict]) -> list[list[str]]:
    """Texts of the lines of one SNR under a heading."""
    out = [["", "MSE", "× own", "× Bayes", "within one", "accuracy", "MSE unseen", "seeds"]]
    for line in lines:
        numbers = ["–" if line[key] is None else f"{line[key]:.2f}"
                   for key in ("times_own", "times_bayes", "within_one", "accuracy")]  # fmt: skip
        unseen = "–" if line["mse_unseen"] is None else layout.short(line["mse_unseen"])
        out.append(
            [line["row"], layout.formatted("mse", line["mse"], line["spread"]), *numbers, unseen, str(line["n_seeds"])]
        )
    return out


def to_csv(lines: list[dict]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for line in lines:
        writer.writerow({key: f"{value:.6g}" if isinstance(value, float) else value for key, value in line.items()})
    return out.getvalue()


def to_tex(lines: list[dict]) -> str:
    """A booktabs table, one block for each SNR."""
    head, *_ = grid([])
    body = []
    for snr in dict.fromkeys(line["snr"] for line in lines):
        body += [rf"\midrule \multicolumn{{{len(head)}}}{{l}}{{SNR {snr:g}}} \\ \midrule"]
        body += [" & ".join(row) + r" \\" for row in grid([line for line in lines if line["snr"] == snr])[1:]]
    text = "\n".join([
        r"\begin{table}", r"\centering", rf"\caption{{{TITLE}}}", r"\label{tab:robustness}",
        rf"\begin{{tabular}}{{l{'c' * (len(head) - 1)}}}", r"\toprule", " & ".join(head) + r" \\", *body, r"\bottomrule",
        r"\end{tabular}", r"\end{table}",
    ])  # fmt: skip
    signs = {"%": r"\%", "σ": r"$\sigma$", "τ": r"$\tau$", "×": r"$\times$", "–": "--", "l2-": r"$\ell_2$-"}
    for sign, tex in signs.items():
        text = text.replace(sign, tex)
    return text + "\n"
