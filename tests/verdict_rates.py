"""Prints the table of docs/statistics.md: how often the claims' test errs, and what it finds. `python tests/verdict_rates.py`

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


if __name__ == "__main__":
    print("| rows of the kind | spreads | shared | false | false, widest | power, 1 | 3 | 7 | old test, 1 |")
    print("| --: | :-- | --: | --: | --: | --: | --: | --: | --: |")
    for rows in (24, 10):
        for name, law in LAWS.items():
            for shared in (0.5, 0.0):
                wrong = false(law, shared, rows)
                powers = [power(law, shared, rows, n) for n in (1, 3, 7)]
                cells = [*wrong, *(now for now, _ in powers), powers[0][1]]
                print(
                    "|",
                    " | ".join([str(rows), name, f"{shared:g}", *(f"{cell:.3f}" for cell in cells)]),
                    "|",
                    flush=True,
                )
