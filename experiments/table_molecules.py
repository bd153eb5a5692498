"""Is the gap to the limit a property of one molecule? The same rows on every data set of one scale (sweep molecules)."""

from __future__ import annotations

from pathlib import Path

from cryobench.printed import named
from cryobench.runs.store import Store
from cryobench.tables import frame, layout, table, text
from cryobench.tables.molecules import MOLECULES

INTRODUCTION = """# The same methods on other molecules

MSE, mean(standard deviation over seeds), and how many times the Bayes limit of that data set and noise level it is. Side
information: of `exemplar` and of learned methods clean training images of the molecule, of `refined` the orientations of noisy
ones, of the limit its true volumes, of CWF and ab initio none."""


def write(store: Store) -> list[Path]:
    """Write table_molecules.md and .csv from the records here and in the folders beside of the same scale."""
    rows = frame.sweep_rows("molecules")
    folders = {store.results.resolve(), *beside(store.results.resolve())}
    parts, by_molecule = [INTRODUCTION], []
    for folder in sorted(folders, key=lambda folder: (folder != store.results.resolve(), folder.name)):
        runs = frame.frame(Store(folder).all())
        cells, notes = table.cells(runs, rows, None, (0.1, 0.05), ("mse", "nmse"))
        if not any(cell.values for cell in cells):
            continue
        names = sorted(set(runs.loc[runs["done"].astype(bool), "data"]))
        told = (f"{name}: {MOLECULES[name]}" if name in MOLECULES else name for name in names)
        parts += [f"## {'; '.join(told)}", text.pipes(lines(cells)), *notes]
        by_molecule.append((", ".join(names), cells))
    return text.write(store, "table_molecules", {"md": text.page(*parts), "csv": to_csv(by_molecule)})


def beside(folder: Path) -> list[Path]:
    """The results folders DATA-SCALE beside this one that are of its scale."""
    scale = folder.name.rpartition("-")[2]
    return [other for other in folder.parent.glob(f"*-{scale}") if (other / "runs").is_dir()]


def lines(cells: list[table.Cell]) -> list[list[str]]:
    """One line for each row: MSE and its multiple of each limit at each noise level, and how many seeds."""
    grid = layout.Grid(cells)
    # Dashes where a data set has no Bayes limit, so that all have the same columns.
    grid.limits = {"bayes": grid.snrs, **({"linear": grid.snrs} if "linear" in grid.limits else {})}
    times = [f"{layout.TIMES[name][0]} {snr:g}" for name, snrs in grid.limits.items() for snr in snrs]
    out = [["method", *(f"MSE {snr:g}" for snr in grid.snrs), *times, "seeds"]]
    return out + [[named(row), *grid.texts(row), layout.counted(grid.line(row))] for row in grid.rows]


def to_csv(by_molecule: list[tuple[str, list[table.Cell]]]) -> str:
    """The table's usual columns behind one for the data set."""
    lines: list[str] = []
    for name, cells in by_molecule:
        head, *body = layout.to_csv(cells).splitlines()
        lines += ([] if lines else [f"data,{head}"]) + [f"{name},{line}" for line in body]
    return "\n".join(lines) + "\n"
