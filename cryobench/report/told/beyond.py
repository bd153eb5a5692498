"""Of the tables that go beyond the paper: other pairs, sizes, molecules, microscopes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from cryobench.printed import counted, listed, multiple, named, plain
from cryobench.report.told.words import FEW, Lines, by_one_seed, known, moved, number, ranked, span, tells
from cryobench.tables.limits import LIMITS, NO_METHODS, ROWS

# What noise stands in place of, in training pairs that are contaminated so.
REPLACED = {"A": "the clean references", "B": "the noisy inputs", "C": "either, independently"}
LITTLE = 1.1  # times the MSE with clean pairs


@tells("contamination", columns="row unit type share metric times_clean n_seeds")
def contamination(lines: Lines) -> str:
    """Which method suffers most, by how much and of what; and which are hardly touched by anything that was run."""
    times = [(line, factor) for line, factor in known(lines, "times_clean") if float(line["share"])]
    if not times:
        return ""
    by_row: dict[str, list[float]] = {}
    for line, factor in times:
        by_row.setdefault(line["row"], []).append(factor)
    worst, factor = max(times, key=lambda one: one[1])
    unit = ", batch by batch" if worst["unit"] == "batch" else ""
    most = {named(row): max(factors) for row, factors in by_row.items()}
    once = {named(line["row"]) for line, _ in times if line["n_seeds"] == "1"}
    steady = [row + " (one seed)" * (row in once) for row, factor in most.items() if factor <= LITTLE]
    if not steady:
        others = [factor for row, factor in most.items() if row != named(worst["row"])]
        rest = f"The worst of each other method: {span(others, multiple)} ×" if others else ""
    elif len(steady) > FEW:
        rest = f"Never above {LITTLE:g} ×: {len(steady)} of {len(most)} methods"
    else:
        rest = f"Never above {LITTLE:g} ×: {', '.join(steady)}"
    share = f"{100 * float(worst['share']):.0f} % of {REPLACED[worst['type']]}"
    clean = next((one for one in lines if one["row"] == worst["row"] and not float(one["share"])), worst)
    alone = [word for word, one in {"clean": clean, "contaminated": worst}.items() if one["n_seeds"] == "1"]
    single = f" ({f'{alone[0]}: ' if len(alone) == 1 else ''}one seed)" if alone else ""
    return (
        f"At worst the MSE is {multiple(factor)} × the same method's with clean pairs{single}: "
        f"{named(worst['row'])} with noise in place of {share}{unit}.{f' {rest}.' if rest else ''}"
    )


@tells("image_size", columns="row size mse nmse")
def image_size(lines: Lines) -> str:
    """How MSE and NMSE move from the smallest images to the largest."""
    sizes = sorted({int(line["size"]) for line in lines})
    at = {(line["row"], int(line["size"])): line for line in lines}

    def ratios(rows: Iterable[str], metric: str) -> list[float]:
        ends = [[at.get((row, size), {}).get(metric) for size in (sizes[0], sizes[-1])] for row in rows]
        return [float(last) / float(first) for first, last in ends if first and last]

    rows = [row for row in dict.fromkeys(line["row"] for line in lines) if row not in ROWS]
    mse, nmse, limit = ratios(rows, "mse"), ratios(rows, "nmse"), ratios([ROWS[0]], "nmse")
    if len(sizes) < 2 or not mse or not nmse:
        return ""
    return (
        f"From {sizes[0]} to {sizes[-1]} px the MSE of {counted(len(mse), 'method')} {moved(mse)} and the NMSE "
        f"{moved(nmse)}{f'; the NMSE of the Bayes limit {moved(limit)}' if limit else ''}."
    )


@tells("scale_up", columns="method way by slope p_corrected verdict", csv="scale_up_trends")
def scale_up(lines: Lines) -> str:
    """Which trends are significant once their number is allowed for, and that the others are not."""
    sure = [(line, p) for line, p in known(lines, "p_corrected") if line["verdict"]]
    if not sure:
        return ""
    ways = {"pairs": "with more pairs", "epochs": "with more epochs", "width": "with wider nets"}
    found = [
        f"the MSE of {named(line['method'])} {line['verdict']} {ways[line['way']]}, as {line['by']} to the power of "
        f"{float(line['slope']):.2f} (p = {plain(p)})".replace("-0.", "−0.")
        for line, p in sure
        if line["verdict"] != "undecided"
    ]
    open_ = [p for line, p in sure if line["verdict"] == "undecided"]
    rest = f" {'The others are' if found else 'All are'} undecided (p ≥ {plain(min(open_))})." if open_ else ""
    count = "none is" if not found else "1 is" if len(found) == 1 else f"{len(found)} are"
    some = f": {listed(found)}" if found else ""
    return f"Of {counted(len(sure), 'trend')} {count} significant after Holm's correction{some}.{rest}"


@tells("table_microscope", columns="method setting nmse times_limit rank")
def table_microscope(lines: Lines) -> str:
    """How much of the order under white noise is left in the last setting, and what is first in either."""
    settings = list(dict.fromkeys(line["setting"] for line in lines))
    rank = {(line["method"], line["setting"]): int(line["rank"]) for line in lines if line["rank"]}
    at = {(line["method"], line["setting"]): line for line in lines}
    first, last = settings[0], settings[-1]
    both = [
        method
        for method in dict.fromkeys(line["method"] for line in lines)
        if {(method, first), (method, last)} <= set(rank)
    ]
    pairs = [(a, b) for place, a in enumerate(both) for b in both[place + 1 :]]
    if first == last or not pairs:
        return ""
    kept = sum((rank[a, first] < rank[b, first]) == (rank[a, last] < rank[b, last]) for a, b in pairs)

    def best(setting: str) -> str:
        method = min(both, key=lambda method: rank[method, setting])
        times = number(at[method, setting], "times_limit")
        limit = "a limit that is not told the poses" if "given poses" in method else "limit"
        return f"{named(method)}{'' if times is None else f' ({multiple(times)} × {limit})'}"

    return (
        f"By mean NMSE {kept or 'none'} of {counted(len(pairs), 'pair')} of methods keep their order from “{first}” to "
        f"“{last}”. "
        f"Lowest of those: {best(first)} in the first, {best(last)} in the last."
    )


@tells("table_robustness", columns="row times_own n_seeds")
def table_robustness(lines: Lines) -> str:
    """Of each method the assumption whose failure costs most."""
    tried: dict[str, list[tuple[float, dict]]] = {}
    for line, times in known(lines, "times_own"):
        method, _, failed = line["row"].partition(", ")
        if failed:
            tried.setdefault(method, []).append((times, line))
    if not tried:
        return ""
    worst = {method: max(each, key=lambda pair: pair[0]) for method, each in tried.items()}
    one = by_one_seed(line for _, line in worst.values())
    words = [
        f"{named(method)} {multiple(times)} ({line['row'].partition(', ')[2]}, of {len(tried[method])})"
        for method, (times, line) in worst.items()
    ]
    return f"The worst of those that were tried, as a multiple of the MSE with every assumption kept{one}: {', '.join(words)}."


@tells("table_molecules", columns="data row snr metric mean")
def table_molecules(lines: Lines) -> str:
    """Which method is nearest to the limit of each molecule and noise level, and which farthest."""
    cases: dict[tuple[str, str], list[tuple[float, str]]] = {}
    for line, times in known(lines, "mean"):
        if line["metric"] == "times_bayes" and line["row"] not in ROWS:
            cases.setdefault((line["data"], line["snr"]), []).append((times, line["row"]))
    if not cases or any(len(each) < 2 for each in cases.values()):
        return ""

    def common(choose: Callable) -> tuple[str, int, str]:
        chosen = [choose(each) for each in cases.values()]
        row, count = Counter(row for _, row in chosen).most_common(1)[0]
        return named(row), count, span((times for times, one in chosen if one == row), multiple)

    (near, near_in, near_at), (far, far_in, far_at) = common(min), common(max)
    molecules = counted(len({data for data, _ in cases}), "molecule")
    return (
        f"In {near_in} of {counted(len(cases), 'case')} ({molecules} at each SNR) {near} is the nearest to the Bayes "
        f"limit, {near_at} × limit; in {far_in} {far} is the farthest, {far_at} × limit."
    )


@tells("leaderboard", columns="task method unit nmse side_information")
def leaderboard(lines: Lines) -> str:
    """Which methods are first in how many of the tasks that have a limit; and of those without side information.

    Of the other tasks, clipped noise and a microscope's, few methods have runs, and not the same ones.
    """
    controls = NO_METHODS | set(LIMITS.values())
    limited = [line for line in lines if line["unit"].startswith("×") and line["method"] not in controls]
    by_nmse = [line for line, _ in sorted(known(limited, "nmse"), key=lambda one: one[1])]

    def first(among: Iterable[dict]) -> list[str]:
        by_task: dict[str, str] = {}
        for line in among:
            by_task.setdefault(line["task"], named(line["method"]))
        return list(by_task.values())

    best, blind = first(by_nmse), first(line for line in by_nmse if not line["side_information"])
    if not best:
        return ""
    more = f" Of methods without side information, in {counted(len(blind), 'task')}: {ranked(blind)}." if blind else ""
    return f"The lowest NMSE of {counted(len(best), 'task')} with a limit: {ranked(best)}.{more}"
