"""Is the gap to the limit a property of one molecule? The same rows on every data set of one scale (sweep molecules)."""

from __future__ import annotations

from pathlib import Path

from cryobench.runs.store import Store
from cryobench.tables import layout, table

INTRODUCTION = """# The same methods on other molecules

MSE, mean(spread over seeds), and how many times the Bayes limit of that data set and noise level it is. `exemplar` and the
learned methods know clean training images of the molecule, the limit its true volumes, CWF neither."""


def write(store: Store) -> list[Path]:
    """Write table_molecules.md and .csv from the records here and in the folders beside of the same scale."""
    rows = table.sweep_rows("molecules")
    folders = {store.results.resolve(), *beside(store.results.resolve())}
    parts, found = [INTRODUCTION], []
    for folder in sorted(folders, key=lambda folder: (folder != store.results.resolve(), folder.name)):
        records = Store(folder).all()
        cells, notes = table.cells(records, rows, None, (0.1, 0.05), ("mse",))
        if not any(cell.values for cell in cells):
            continue
        names = sorted({r["config"]["data"]["name"] for r in records if r["status"] == "done"})
        parts += [f"## {', '.join(names)}", layout.pipes(lines(cells)), *notes]
        found.append((", ".join(names), cells))
    return table.write(store, "table_molecules", {"md": "\n\n".join(parts) + "\n", "csv": to_csv(found)})


def beside(folder: Path) -> list[Path]:
    """The results folders DATA-SCALE beside this one that are of its scale."""
    scale = folder.name.rpartition("-")[2]
    return [other for other in folder.parent.glob(f"*-{scale}") if (other / "runs").is_dir()]


def lines(cells: list[table.Cell]) -> list[list[str]]:
    """One line for each row: MSE and multiple of the limit at each noise level, and how many seeds."""
    snrs = list(dict.fromkeys(cell.snr for cell in cells))
    out = [["", *(f"MSE {snr:g}" for snr in snrs), *(f"× Bayes {snr:g}" for snr in snrs), "seeds"]]
    for row in dict.fromkeys(cell.row for cell in cells):
        here = {cell.snr: cell for cell in cells if cell.row == row}
        times = [layout.multiple(here[snr]) for snr in snrs]
        seeds = "–".join(map(str, sorted({len(here[snr].values) for snr in snrs})))
        out.append([row, *(layout.formatted("mse", here[s].mean, here[s].spread) for s in snrs), *times, seeds])
    return out


def to_csv(found: list[tuple[str, list[table.Cell]]]) -> str:
    """The table's usual columns behind one for the data set."""
    text = []
    for name, cells in found:
        head, *body = layout.to_csv(cells).splitlines()
        text += [f"data,{head}"] if not text else []
        text += [f"{name},{line}" for line in body]
    return "\n".join(text) + "\n"
