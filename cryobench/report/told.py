"""What each table found, in a sentence for those who do not unfold it; all of it computed from the table's csv.

Where a csv holds a verdict, it is that which is counted; a difference without one is told as numbers, not as a finding that is
significant.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryobench.evaluation.chance import guessing
from cryobench.printed import multiple, named, short
from cryobench.report import findings
from cryobench.tables import frame, table
from cryobench.tables.limits import LIMITS, NO_METHODS, ROWS

Lines = Sequence[dict]
CLAIMED = {  # key of a claim → what it says, in short
    "pairs-small": "(α,β) matters little",
    "pairs-(1,1)": "(1,1) is better than the other pairs",
    "pairs-(.5,.5)": "(.5,.5) is better than the other pairs",
    "resnet": "without residual units all is worse",
    "learned": "learned methods are better than classical ones",
    "wgan": "WGANgp + ℓ1 is the best convolution-only net",
    "joint": "GAN + ℓ1 is better than the ℓ2-autoencoder",
    "lambda-10": "λ = 10 is the best",
    "lambda-infinite": "a large λ comes to the ℓ1-autoencoder",
    "pggan-mse": "PGGAN has a higher MSE than the (0,0)-GAN",
    "pggan-l1": "PGGAN is better with ℓ1",
}
# What noise stands in place of, in training pairs that are contaminated so.
REPLACED = {"A": "the clean references", "B": "the noisy inputs", "C": "either, independently"}
LITTLE = 1.1  # times the MSE with clean pairs
OUTSIDE = "†"  # behind a GAN of which Theorem 1 says nothing
OPPOSITE = {"lower": "higher", "higher": "lower"}
BESIDE = {"faster": "faster than it", "slower": "slower than it"}  # a slope's verdict → in words, of the bound
BOTH = ""  # nearer to neither
FEW = 3  # claims or methods that are named


@dataclass(frozen=True)
class Teller:
    """What makes a sentence of a csv, the columns that it reads, and which csv; "" for the table's own."""

    tell: Callable[[Lines], str]
    columns: tuple[str, ...]
    csv: str = ""


TELLERS: dict[str, Teller] = {}  # by table


def tells(*tables: str, columns: str, csv: str = "") -> Callable:
    """Register what tells of these tables."""

    def register(tell: Callable[[Lines], str]) -> Callable[[Lines], str]:
        TELLERS.update(dict.fromkeys(tables, Teller(tell, tuple(columns.split()), csv)))
        return tell

    return register


def sentence(file: Path) -> str:
    """What the table found whose csv this is; nothing where there is no csv, or one without the columns or with too few lines."""
    teller = TELLERS.get(file.stem)
    lines = findings.lines_of(file.with_stem(teller.csv or file.stem)) if teller else []
    return teller.tell(lines) if teller and lines and set(teller.columns) <= set(lines[0]) else ""


def number(line: dict, column: str) -> float | None:
    """The number there; None where there is none."""
    return float(line[column]) if line[column] else None


def known(lines: Iterable[dict], column: str) -> list[tuple[dict, float]]:
    """The lines that have a number there, each with it."""
    return [(line, value) for line in lines if (value := number(line, column)) is not None]


def listed(words: Sequence[str]) -> str:
    """a; a and b; a, b and c."""
    return " and ".join([*filter(None, [", ".join(words[:-1])]), *words[-1:]])


def span(values: Iterable[float], words: Callable[..., str]) -> str:
    """From the least to the largest; once where both are printed alike."""
    each = sorted(values)
    return " to ".join(dict.fromkeys([words(each[0]), words(each[-1])]))


def moved(ratios: Sequence[float]) -> str:
    """How far numbers move, by their ratios: falls by 5 % to 7 %, rises by 3 %, or changes by −5 % to +7 %.

    >>> moved([0.95, 0.93]), moved([1.03]), moved([0.95, 1.07])
    ('falls by 5 % to 7 %', 'rises by 3 %', 'changes by −5 % to +7 %')
    """
    changes = [round(100 * (ratio - 1)) for ratio in ratios]
    if not any(changes):
        return "changes by less than 1 %"
    if min(changes) < 0 < max(changes):
        return f"changes by {span(changes, lambda change: f'{change:+d} %'.replace('-', '−'))}"
    return f"{'falls' if min(changes) < 0 else 'rises'} by {span(map(abs, changes), lambda change: f'{change} %')}"


def ranked(names: Iterable[str], word: str = "in", few: int = FEW) -> str:
    """Names with how often each is there, the most frequent first: a in 3, b in 1, others in 2."""
    counts = Counter(names).most_common()
    rest = sum(count for _, count in counts[few:])
    return ", ".join(
        [f"{name} {word} {count}" for name, count in counts[:few]] + ([f"others {word} {rest}"] if rest else [])
    )


def by_one_seed(lines: Iterable[dict]) -> str:
    """In brackets, that there is one seed: behind all of these lines, or behind some."""
    single = [line["n_seeds"] == "1" for line in lines]
    return " (one seed)" if all(single) else " (in part of one seed)" if any(single) else ""


@tells("claims", columns="claim verdict")
def claims(lines: Lines) -> str:
    """Which claims are reversed, the most thoroughly reversed first; where none is, which hold."""
    verdicts: dict[str, list[str]] = {}
    for line in lines:
        verdicts.setdefault(line["claim"], []).append(line["verdict"])

    def those(*answers: str) -> str:
        counts = {claim: sum(one in answers for one in each) for claim, each in verdicts.items()}
        found = sorted(filter(counts.get, counts), key=lambda claim: -counts[claim] / len(verdicts[claim]))
        words = [f"“{CLAIMED.get(claim, claim)}” in {counts[claim]} of {len(verdicts[claim])}" for claim in found]
        more = [f"{len(words) - FEW} more"] if len(words) > FEW else []
        return ", ".join([*(f"{one} comparisons" for one in words[:1]), *words[1:FEW], *more])

    if against := those("reversed"):
        return f"Significantly reversed: {against}."
    held = those("holds", "equivalent")
    return f"No claim is significantly reversed{f'. Those that hold: {held}' if held else ', and none holds'}."


@tells("released", columns="row snr metric protocol mean n_seeds paper")
def released(lines: Lines) -> str:
    """To how many published MSEs the one protocol is nearer, and to how many the other."""
    cells: dict[tuple[str, str], dict[str, dict]] = {}
    for line in lines:
        if line["metric"] == "mse" and line["paper"]:
            cells.setdefault((line["row"], line["snr"]), {})[line["protocol"]] = line
    judged = []
    for cell in cells.values():
        means = {protocol: number(line, "mean") for protocol, line in cell.items()}
        first, away = table.nearest(means, number(next(iter(cell.values())), "paper")) if len(means) == 2 else ("", {})
        judged += [(first, any(line["n_seeds"] == "1" for line in cell.values()))] if away else []
    if not judged:
        return ""
    nearer, single = Counter(first for first, _ in judged), sum(one for _, one in judged)
    are, both = ("is" if nearer["released"] == 1 else "are"), nearer[BOTH]
    return (
        f"Of {findings.counted(len(judged), 'published MSE')} {nearer['released'] or 'none'} {are} nearer to ours under protocol "
        f"“released”, {nearer['described'] or 'none'} to ours under “described”{f', {both} as near to either' if both else ''}"
        f"{f' ({single} of them by one seed)' if single else ''}."
    )


@tells("published_gap", columns="table row metric verdict why", csv="published_cells")
def published_gap(cells: Lines) -> str:
    """How many published MSEs of classical methods a setting agrees with, and which; the table itself has no csv."""
    rows = [row.partition(", ") for row in frame.sweep_rows("gap")]
    classical, settings = {row[0] for row in rows}, {row[2] for row in rows}
    mse = [
        cell
        for cell in cells
        if cell["row"] in classical
        and cell["metric"] == "mse"
        and cell["verdict"] in ("protocol", "scale", "unexplained")
    ]
    by = [cell["why"].rpartition(": ")[0] for cell in mse if cell["verdict"] == "protocol"]
    here = [setting for setting in by if setting.partition(", ")[0] in settings]
    if not mse:
        return ""
    which = ranked((f"“{setting}”" for setting in here), "with")
    return (
        f"Of {findings.counted(len(mse), 'published MSE')} of classical methods that ours miss, a setting of this table agrees "
        f"in size with {f'{len(here)}: {which}' if here else 'none'}."
    )


tells("published_cells", columns="verdict")(findings.became)


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
    steady = [row for row, factor in most.items() if factor <= LITTLE]
    least = min(most, key=most.__getitem__)
    if not steady:
        rest = f"Least affected: {least}, up to {multiple(most[least])} ×"
    elif len(steady) > FEW:
        rest = f"Never above {LITTLE:g} ×: {len(steady)} of {len(most)} methods"
    else:
        rest = f"Never above {LITTLE:g} ×: {', '.join(steady)}"
    share = f"{100 * float(worst['share']):.0f} % of {REPLACED[worst['type']]}"
    return (
        f"At worst the MSE is {multiple(factor)} × the same method's with clean pairs{by_one_seed(line for line, _ in times)}: "
        f"{named(worst['row'])} with noise in place of {share}{unit}. {rest}."
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
        f"From {sizes[0]} to {sizes[-1]} px the MSE of {findings.counted(len(mse), 'method')} {moved(mse)} and the NMSE "
        f"{moved(nmse)}{f'; the NMSE of the Bayes limit {moved(limit)}' if limit else ''}."
    )


@tells("table_clustering", columns="view row embedding images draws mean above_chance")
def table_clustering(lines: Lines) -> str:
    """How many methods are above chance in most draws, and how many images the best has right, in each view."""
    shown = [line for line in lines if line["embedding"] == "isomap" and line["row"] != "clean" and line["mean"]]
    parts = []
    for view, words in (("random", "random views"), ("motion", "one fixed view")):
        here = [line for line in shown if line["view"] == view]
        if here:
            able = sum(2 * int(line["above_chance"]) > int(line["draws"]) for line in here)
            best = max(here, key=lambda line: float(line["mean"]))
            right = f"{float(best['mean']):.1f} of {best['images']} images right, {named(best['row'])}"
            parts.append(f"in {words} {able or 'none'} of {findings.counted(len(here), 'method')} (at best {right})")
    if not parts:
        return ""
    guessed = guessing(int(shown[0]["images"]))[0]
    return f"Above chance in most draws: {', '.join(parts)}. Guessing gets {guessed:.1f}."


@tells("table_pggan", columns="row snr metric mean n_seeds")
def table_pggan(lines: Lines) -> str:
    """PGGAN with ℓ1 beside PGGAN without and the mean image, and what is the best here."""
    mse = {line["row"]: (line, value) for line, value in known(lines, "mean") if line["metric"] == "mse"}
    if not {"PGGAN", "PGGAN + l1"} <= set(mse):
        return ""
    (joint, ours), (alone, without) = mse["PGGAN + l1"], mse["PGGAN"]

    flat = mse["mean image"][1] if "mean image" in mse else None
    than = "lower" if ours < without else "higher"
    beside = ""
    if flat is not None:
        alike = (ours < flat) == (ours < without)
        beside = f"{' and than' if alike else f', but {OPPOSITE[than]} than'} the mean image's ({short(flat)})"
    best = min((row for row in mse if row != "mean image"), key=lambda row: mse[row][1])
    rest = "" if "PGGAN" in best.split() else f". Lowest here: {named(best)}, {short(mse[best][1])}"
    return (
        f"At SNR {joint['snr']} PGGAN with ℓ1 has an MSE of {short(ours)}{by_one_seed([joint, alone])}, {than} than without "
        f"({short(without)}){beside}{rest}."
    )


@tells("table_stability", columns="row std_ratio relative_ratio quartiles_ratio")
def table_stability(lines: Lines) -> str:
    """By how many measures the joint training is the steadier one."""
    ratios = [value for name in ("std_ratio", "relative_ratio", "quartiles_ratio") for _, value in known(lines, name)]
    if not ratios:
        return ""
    alone = next(line["row"] for line in lines if line["std_ratio"])
    steadier = sum(ratio > 1 for ratio in ratios)
    return (
        f"Training with ℓ1 is steadier than without by {steadier or 'none'} of {len(ratios)} measures: {named(alone)} oscillates "
        f"{span(ratios, multiple)} times as much as {named(f'{alone} + l1')}."
    )


@tells("scale_up", columns="row method mse")
def scale_up(lines: Lines) -> str:
    """How the MSE moves along each way up, from its first step to its last."""
    ways: dict[str, dict[str, dict[float, float]]] = {}
    for line, mse in known(lines, "mse"):
        found = re.search(r", (?:d = )?(\d+)( pairs| epochs)?$", line["row"])
        if found:
            way = ways.setdefault((found[2] or "").strip(), {})
            way.setdefault(line["method"], {})[float(found[1])] = mse
    parts = []
    for unit, words in (
        ("pairs", "from {} to {} pairs"),
        ("", "from width {} to {}"),
        ("epochs", "from {} to {} epochs"),
    ):
        series = [steps for steps in ways.get(unit, {}).values() if len(steps) > 1]
        if series:
            ends = [[min(steps), max(steps)] for steps in series]
            ratios = [steps[last] / steps[first] for steps, (first, last) in zip(series, ends, strict=True)]
            parts.append(f"{moved(ratios)} {words.format(*(f'{end:,.0f}' for end in ends[0]))}")
    methods = findings.counted(len({line["method"] for line in lines}), "net")
    return f"The MSE of {methods} {listed(parts)}." if parts else ""


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
        f"Of {findings.counted(len(pairs), 'pair')} of methods {kept or 'none'} keep their order from “{first}” to “{last}”. "
        f"The lowest NMSE: {best(first)} in the first, {best(last)} in the last."
    )


@tells("table_robustness", columns="row times_own n_seeds")
def table_robustness(lines: Lines) -> str:
    """Of each method the assumption whose failure costs most."""
    worst: dict[str, tuple[dict, float]] = {}
    for line, times in known(lines, "times_own"):
        method, _, failed = line["row"].partition(", ")
        if failed and times > worst.get(method, ({}, 0.0))[1]:
            worst[method] = line, times
    if not worst:
        return ""
    one = by_one_seed(line for line, _ in worst.values())
    words = [
        f"{named(method)} {multiple(times)} ({line['row'].partition(', ')[2]})"
        for method, (line, times) in worst.items()
    ]
    return f"The worst that was tried, as a multiple of the MSE with every assumption kept{one}: {', '.join(words)}."


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
    molecules = findings.counted(len({data for data, _ in cases}), "molecule")
    return (
        f"In {near_in} of {findings.counted(len(cases), 'case')} ({molecules} at each SNR) {near} is the nearest to the Bayes "
        f"limit, {near_at} × limit; in {far_in} {far} is the farthest, {far_at} × limit."
    )


@tells("robust_location", "robust_scatter", columns="target tail scatter contamination p n epsilon row mean")
def robust(lines: Lines) -> str:
    """Which estimator has the lowest error in how many columns, and how far the GANs are from the oracle."""
    columns: dict[tuple, dict[str, float]] = {}
    for line, mean in known(lines, "mean"):
        place = tuple(line[name] for name in ("target", "tail", "scatter", "contamination", "p", "n", "epsilon"))
        columns.setdefault(place, {})[named(line["row"])] = mean
    first = [min(sorted(each.keys() - {"oracle"}), key=each.__getitem__) for each in columns.values() if len(each) > 1]
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
    names = ranked(re.sub(r"(-GAN) .*", r"\1", row) for row in first)
    return f"Lowest mean error in {findings.counted(len(first), 'column')}, the oracle apart: {names}{gans}."


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
            others = [f"{count} {BESIDE.get(word, word)}" for word, count in each.items() if word != "agrees"]
            rest = f" ({', '.join(others)})" if others else ""
            parts.append(f"along {words} for {each['agrees'] or 'none'} of {each.total()}{rest}")
    return f"Of the GANs that Theorem 1 covers, the slope agrees with its bound: {', '.join(parts)}." if parts else ""


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
    more = (
        f" Of methods without side information, in {findings.counted(len(blind), 'task')}: {ranked(blind)}."
        if blind
        else ""
    )
    return f"The lowest NMSE of {findings.counted(len(best), 'task')} with a limit: {ranked(best)}.{more}"
