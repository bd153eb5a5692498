"""Prints the tables of docs/statistics.md: how often the claims' test errs, and what it finds. `python tests/verdict_rates.py`

The world is that of test_statistics: 1,000 draws, three seeds. Takes some minutes.
"""

import numpy as np
from test_statistics import DRAWS, answers, old, world

LAWS = {
    "0 to 30 %, uniform": lambda rng, n: rng.uniform(0, 0.3, n),
    "all 5 %": lambda rng, n: np.full(n, 0.05),
    "about 5 %, wide tails": lambda rng, n: np.minimum(0.3, 0.05 * np.sqrt(4 / rng.chisquare(4, n))),
}


def false(law, shared: float, rows: int) -> tuple[float, float]:
    """Share of claims with a false verdict, one row against seven others that are the same: any eight, the eight widest."""
    rng, wrong = np.random.default_rng(18), np.zeros(2)
    for _ in range(DRAWS):
        spreads = law(rng, rows)
        logs = world(rng, spreads, shared)
        for which, some in enumerate((logs, logs[np.argsort(-spreads)])):
            verdicts = answers(some, ["net"] * rows, range(1, 8))
            wrong[which] += any(one.says in ("holds", "reversed") for one in verdicts)
    return tuple(wrong / DRAWS)


def power(law, shared: float, rows: int, comparisons: int) -> tuple[float, float]:
    """Share of comparisons decided, of rows of 5 % with a 10 % difference amid rows of this law: now, and by the old test."""
    rng, others, now, before = np.random.default_rng(21), range(1, comparisons + 1), 0.0, 0.0
    for _ in range(DRAWS):
        spreads = law(rng, rows)
        spreads[: comparisons + 1] = 0.05
        logs = world(rng, spreads, shared)
        logs[0] += np.log(0.9)
        now += np.mean([one.says == "holds" for one in answers(logs, ["net"] * rows, others)])
        before += np.mean([says == "decided" for says in old(logs, others)])
    return now / DRAWS, before / DRAWS


def table(headings: list[str], measured) -> None:
    """Print a table of what `measured(law, shared, rows)` gives, each line as soon as it is known."""
    print("| rows of the kind | spreads | shared |", " | ".join(headings), "|")
    print("| --: | :-- | --: |", " | ".join(["--:"] * len(headings)), "|")
    for rows in (24, 10):
        for name, law in LAWS.items():
            for shared in (0.5, 0.0):
                cells = [f"{cell:.3f}" for cell in measured(law, shared, rows)]
                print("|", " | ".join([str(rows), name, f"{shared:g}", *cells]), "|", flush=True)


def powers(law, shared: float, rows: int) -> list[float]:
    """Of 1, 3 and 7 comparisons, and of one by the old test."""
    found = [power(law, shared, rows, comparisons) for comparisons in (1, 3, 7)]
    return [*(now for now, _ in found), found[0][1]]


if __name__ == "__main__":
    table(["false", "false, eight widest"], false)
    print()
    table([*(f"power, {n} comparison{'s' * (n > 1)}" for n in (1, 3, 7)), "old test, 1 comparison"], powers)
