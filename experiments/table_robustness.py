"""Where the exemplar posterior holds and where it breaks, one assumption at a time (sweep robustness)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from cryobench.printed import multiple, named
from cryobench.runs.store import Store
from cryobench.tables import frame, table, text
from cryobench.tables.limits import LIMITS

TITLE = "What happens when an assumption fails"
COLUMNS = ("row", "snr", "mse", "spread", "n_seeds", "times_own", "times_bayes", "within_one", "accuracy", "mse_unseen")
LATER = ("nmse", "times_linear")  # columns where records have them
SIGNS = {"%": r"\%", "τ": r"$\tau$", "×": r"$\times$"}
NOTES = (
    "*× own* is the MSE over that of the same method with every assumption kept; *within one* the share of particle pixels "
    "whose error is at most one posterior standard deviation (0.68 if Gaussian and right); *accuracy* how often the most "
    "probable of five conformations is true; *MSE unseen* that of test images whose conformation no training image has. "
    "Dashes: not run, or the method does not say.",
    "Noise training pairs are U[0, 1] images in place of references, of inputs, or of both independently; they are among the "
    "held-out pairs that choose τ and the size of the basis, too, by their mean error unless the row says by the median. "
    "τ is the widening of the posterior's weights, exp(−‖y − x‖²/2σ²τ), which makes up for exemplars that are few. "
    "A wrong σ is wrong in choosing τ too, which makes up for one too small; for a σ that is wrong in the test images alone "
    "see the rows of τ, since only σ²τ enters: τ = 0.5 and 8 are a half and a double σ beside τ = 2. Off-centre particles "
    "and those with a CTF "
    "(1 to 3 µm of defocus) are test images only, and no method was told; clipped are training images, too.",
)


def write(store: Store) -> list[Path]:
    """Write table_robustness.md, .csv and .tex from the records."""
    runs = frame.frame(store.all())
    lines = [line for snr in (0.1, 0.05) for line in summary(runs, snr)]
    blocks = {
        snr: [line for line in lines if line["snr"] == snr] for snr in dict.fromkeys(line["snr"] for line in lines)
    }
    later = [name for name in LATER if any(line[name] is not None for line in lines)]
    parts = [part for snr, block in blocks.items() for part in (f"## SNR {snr:g}", text.pipes(grid(block, later)))]
    return text.write(
        store,
        "table_robustness",
        {
            "md": text.page(f"# {TITLE}", f"MSE: mean(standard deviation over seeds). {NOTES[0]}", *NOTES[1:], *parts),
            "csv": text.sheet((*COLUMNS, *later), lines),
            "tex": text.booktabs(
                TITLE,
                "tab:robustness",
                len(grid([], later)[0]),
                grid([], later),
                [grid(block, later)[1:] for block in blocks.values()],
                SIGNS,
                [f"SNR {snr:g}" for snr in blocks],
            ),
        },
    )


def summary(runs: pd.DataFrame, snr: float) -> list[dict]:
    """One dict of COLUMNS for each row with records at this SNR; None where there is no number."""
    cells, _ = table.cells(runs, frame.sweep_rows("robustness"), None, (snr,), ("mse", "nmse"))
    by_id = dict(zip(runs["run_id"], runs["record"], strict=True))
    own = {cell.row: cell.mean for cell in cells if cell.metric == "mse"}
    nmse = {cell.row: cell.mean for cell in cells if cell.metric == "nmse"}
    lines = []
    for cell in cells:
        if not cell.values or cell.metric != "mse":
            continue
        analyses = [by_id[name].analysis for name in cell.run_ids]
        least = own.get(cell.row.partition(",")[0])
        times = {f"times_{name}": times[0] if (times := cell.times(name)) else None for name in LIMITS}
        lines.append(
            {
                "row": cell.row,
                "snr": snr,
                "mse": cell.mean,
                "spread": cell.spread,
                "n_seeds": len(cell.values),
                "times_own": cell.mean / least if cell.mean and least else None,
                "nmse": nmse.get(cell.row),
                **times,
                "within_one": mean([a.get("posterior", {}).get("within_one") for a in analyses]),
                "accuracy": mean([a.get("posterior", {}).get("accuracy") for a in analyses]),
                "mse_unseen": mean([a.get("views", {}).get("mse_unseen") for a in analyses]),
            }
        )
    return lines


def mean(values: list[float | None]) -> float | None:
    """The mean of those that there are, None if there are none."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def grid(lines: list[dict], later: list[str]) -> list[list[str]]:
    """Texts of the lines of one SNR under a heading; later: those of LATER that are known."""
    ratios = {
        "times_own": "× own",
        "times_bayes": "× Bayes",
        "times_linear": "× linear",
        "within_one": "within one",
        "accuracy": "accuracy",
    }
    ratios = {name: head for name, head in ratios.items() if name not in LATER or name in later}
    out = [["method and what fails", "MSE", *ratios.values(), "MSE unseen", "seeds"]]
    for line in lines:
        numbers = ((multiple if name.startswith("times") else text.decimal)(line[name]) for name in ratios)
        mse = text.formatted("mse", line["mse"], line["spread"])
        out.append([named(line["row"]), mse, *numbers, text.short(line["mse_unseen"]), str(line["n_seeds"])])
    return out
