"""A table's cells → what people read: markdown, LaTeX and csv, in the paper's rows, columns and number format."""

from __future__ import annotations

import csv
import io

from cryobench.tables.table import Cell

COLUMNS = ("row", "snr", "metric", "mean", "spread", "n_seeds", "paper", "paper_spread", "verdict")
HEADINGS = {"mse": "MSE", "psnr": "PSNR", "ssim": "SSIM"}
TIMES = r"$\times$ limit"


def formatted(metric: str, mean: float | None, spread: float | None) -> str:
    """As the paper prints: 2.99e-3(3.51e-5), 25.30(0.05), 0.82(0.03); a dash for what there is not."""
    if mean is None:
        return "–"
    if metric == "mse":
        inner = "–" if spread is None else short(spread)
        return f"{short(mean)}({inner})"
    return f"{mean:.2f}({'–' if spread is None else f'{spread:.2f}'})"


def short(value: float) -> str:
    """2.99e-3, not 2.99e-03."""
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def to_csv(found: list[Cell]) -> str:
    """One line a cell; where the Bayes limit is known, each MSE once more as a multiple of it, metric times_bayes."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for cell in found:
        numbers = [None if value is None else f"{value:.6g}" for value in (cell.mean, cell.spread)]
        writer.writerow([cell.row, f"{cell.snr:g}", cell.metric, *numbers, len(cell.values), cell.paper, cell.paper_spread,
                         cell.verdict])  # fmt: skip
        if cell.times:
            numbers = [None if value is None else f"{value:.4g}" for value in cell.times]
            writer.writerow(
                [cell.row, f"{cell.snr:g}", "times_bayes", *numbers, len(cell.values), None, None, "not published"]
            )
    return out.getvalue()


def to_markdown(found: list[Cell], title: str, corner: str, notes: list[str]) -> str:
    """Ours in the paper's layout, then what the paper doesn't have, then the paper's own numbers, then notes.

    Each MSE is shown as a multiple of the Bayes limit too, where that is known. The last columns say how many seeds there
    are and what a method knows beyond noisy images.
    """
    columns = list(dict.fromkeys((c.metric, c.snr) for c in found))
    rows = list(dict.fromkeys(c.row for c in found))
    by_place = {(c.row, c.metric, c.snr): c for c in found}
    in_paper = [row for row in rows if any(by_place[(row, *column)].paper is not None for column in columns)]
    several = len({snr for _, snr in columns}) > 1
    head = [corner, *(f"{HEADINGS[metric]} {snr:g}" if several else HEADINGS[metric] for metric, snr in columns)]
    limits = limited(found)

    def ours(names: list[str]) -> str:
        lines = [[*head, *(f"× Bayes {snr:g}" for snr in limits), "seeds", "knows"]]
        for row in names:
            here = [by_place[(row, *column)] for column in columns]
            times = [multiple(by_place[row, "mse", snr]) for snr in limits]
            seeds = "–".join(map(str, sorted({len(c.values) for c in here if c.metric == "mse"})))
            knows = ", ".join(next((c.knows for c in here if c.values), ())) or "–"
            lines.append([row, *(formatted(c.metric, c.mean, c.spread) for c in here), *times, seeds, knows])
        return pipes(lines)

    paper = [head, *([row, *(paper_format(by_place[(row, *column)]) for column in columns)] for row in in_paper)]
    said = "Ours: mean(spread over seeds)."
    if limits:
        said += " × Bayes: over the Bayes limit's MSE under the same noise, seed by seed."
    parts = [f"# {title}", said, ours(in_paper)]
    if others := [row for row in rows if row not in in_paper]:
        parts += ["Not in the paper:", ours(others)]
    parts += ["The paper's:", pipes(paper), *notes]
    return "\n\n".join(parts) + "\n"


def limited(found: list[Cell]) -> list[float]:
    """The SNRs at which the Bayes limit is known."""
    return list(dict.fromkeys(cell.snr for cell in found if cell.times))


def multiple(cell: Cell) -> str:
    """An MSE as a multiple of the limit, "–" where there is none."""
    return f"{cell.times[0]:.2f}" if cell.times else "–"


def paper_format(cell: Cell) -> str:
    return formatted(cell.metric, cell.paper, cell.paper_spread)


def pipes(rows: list[list[str]], left: int = 1) -> str:
    """Rows of texts → a markdown table, the first `left` columns to the left."""
    rule = [":--" if column < left else "--:" for column in range(len(rows[0]))]
    return "\n".join("| " + " | ".join(row) + " |" for row in [rows[0], rule, *rows[1:]])


def to_tex(found: list[Cell], caption: str, corner: str, label: str) -> str:
    """A booktabs table with the paper's rows, columns and number format, and our numbers.

    Below a rule stand the rows that the paper doesn't have; to the right, MSE as a multiple of the Bayes limit.
    """
    metrics = list(dict.fromkeys(c.metric for c in found))
    snrs = list(dict.fromkeys(c.snr for c in found))
    by_place = {(c.row, c.metric, c.snr): c for c in found}
    one = len(snrs) == 1
    limits = limited(found)
    blocks = [(HEADINGS[m], snrs) for m in metrics] + ([(TIMES, limits)] if limits else [])
    top = " & ".join(["", *(rf"\multicolumn{{{len(under)}}}{{c}}{{{name}}}" for name, under in blocks)])
    second = " & ".join([corner, *(name if one else f"{snr:g}" for name, under in blocks for snr in under)])
    printed, others = [], []
    for row in dict.fromkeys(c.row for c in found):
        here = [by_place[row, metric, snr] for metric in metrics for snr in snrs]
        texts = [formatted(cell.metric, cell.mean, cell.spread) for cell in here]
        texts += [multiple(by_place[row, "mse", snr]) for snr in limits]
        (others if all(cell.paper is None for cell in here) else printed).append(" & ".join([row, *texts]))
    columns = 1 + sum(len(under) for _, under in blocks)
    return booktabs(caption, label, columns, [second] if one else [top, second], [printed, others])


def booktabs(caption: str, label: str, columns: int, head: list[str], parts: list[list[str]]) -> str:
    """A LaTeX table of ready lines: the head, then each of `parts` below a rule of its own."""
    body = [line for part in parts if part for line in (r"\midrule", *(rf"{line} \\" for line in part))]
    lines = [
        r"\begin{table}", r"\centering", rf"\caption{{{caption}}}", rf"\label{{{label}}}",
        rf"\begin{{tabular}}{{l{'c' * (columns - 1)}}}", r"\toprule", *(rf"{line} \\" for line in head), *body,
        r"\bottomrule", r"\end{tabular}", r"\end{table}",
    ]  # fmt: skip
    return "\n".join(lines).replace("–", "--").replace("σ", r"$\sigma$") + "\n"
