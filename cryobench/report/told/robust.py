"""Of the tables of robust estimation (supplemental note 1)."""

from __future__ import annotations

import re
from collections import Counter

from cryobench.printed import counted, multiple, named
from cryobench.report.told.words import Lines, known, number, ranked, span, tells

OUTSIDE = "†"  # behind a GAN of which Theorem 1 says nothing


@tells("robust_location", "robust_scatter", columns="target tail scatter contamination p n epsilon row mean spread")
def robust(lines: Lines) -> str:
    """Which estimator has the lowest error in how many columns, and how far the GANs are from the oracle."""
    columns: dict[tuple, dict[str, float]] = {}
    spreads: dict[tuple, dict[str, float]] = {}
    for line, mean in known(lines, "mean"):
        place = tuple(line[name] for name in ("target", "tail", "scatter", "contamination", "p", "n", "epsilon"))
        columns.setdefault(place, {})[named(line["row"])] = mean
        spreads.setdefault(place, {})[named(line["row"])] = number(line, "spread") or 0.0
    first = [lowest(each, spreads[place]) for place, each in columns.items() if len(each) > 1]
    times = [
        (mean / each["oracle"], place[3])
        for place, each in columns.items()
        for row, mean in each.items()
        if "-GAN" in row and each.get("oracle")
    ]
    if not first:
        return ""
    far = max(times, default=(0.0, ""))[1]
    most = f", the most where contamination is “{far}”"
    gans = f". The error of a GAN is {span((one for one, _ in times), multiple)} × the oracle's{most}" if times else ""
    apart = [re.sub(r"(-GAN) .*", r"\1", row) for row in first if row]
    near = len(first) - len(apart)
    names = ", ".join(
        filter(None, [ranked(apart, few=len(apart)), f"several alike within their spread in {near}" if near else ""])
    )
    return f"Lowest mean error in {counted(len(first), 'column')}, the oracle apart: {names}{gans}."


def lowest(means: dict[str, float], spreads: dict[str, float]) -> str:
    """The estimator of the lowest mean error, the oracle apart; "" where the next is within the sum of the two's spreads."""
    first, *others = sorted(means.keys() - {"oracle"}, key=lambda row: (means[row], row))
    if others and means[others[0]] - means[first] <= spreads[first] + spreads[others[0]]:
        return ""
    return first


@tells("robust_rates", columns="row axis verdict")
def robust_rates(lines: Lines) -> str:
    """How many slopes agree with Theorem 1, of the GANs that it speaks of, along each axis."""
    verdicts: dict[str, dict[str, str]] = {}
    for line in lines:
        if "-GAN" in line["row"] and not line["row"].endswith(OUTSIDE):
            verdicts.setdefault(line["axis"], {})[line["row"]] = line["verdict"]
    parts = []
    for axis, words in (("n", "n"), ("epsilon", "ε")):
        if each := Counter(verdicts.get(axis, {}).values()):
            others = [
                f"{count} {word}{' than it' * (word in ('better', 'worse'))}"
                for word, count in each.items()
                if word != "agrees"
            ]
            rest = f" ({', '.join(others)})" if others else ""
            parts.append(f"along {words} for {each['agrees'] or 'none'} of {each.total()}{rest}")
    return f"Of the GANs that Theorem 1 covers, the slope agrees with its bound: {', '.join(parts)}." if parts else ""
