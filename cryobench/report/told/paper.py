"""Of the tables that set the paper beside our runs."""

from __future__ import annotations

from collections import Counter

from cryobench.evaluation.chance import guessing
from cryobench.printed import counted, listed, multiple, named, row_named, short
from cryobench.report import findings
from cryobench.report.told.words import FEW, Lines, by_one_seed, known, number, ranked, span, tells
from cryobench.tables import frame, table

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
OPPOSITE = {"lower": "higher", "higher": "lower"}
NEAR = 1.25  # a factor: how far from a published MSE one may be that agrees with it (published_cells)
BOTH = ""  # nearer to neither
COLLAPSED, VARIETY = 0.1, "variety_last"  # which is 1 where denoised images differ as clean ones do


@tells("claims", columns="claim verdict")
def claims(lines: Lines) -> str:
    """Which claims are reversed, the most thoroughly reversed first; where none is, which hold."""
    verdicts: dict[str, list[str]] = {}
    for line in lines:
        verdicts.setdefault(line["claim"], []).append(line["verdict"])

    def those(*answers: str) -> str:
        counts = {claim: sum(one in answers for one in each) for claim, each in verdicts.items()}
        found = sorted(filter(counts.get, counts), key=lambda claim: -counts[claim] / len(verdicts[claim]))
        words = [
            f"{CLAIMED.get(claim, claim)}, in {counts[claim]} of {len(verdicts[claim])}"
            + (f" (it holds in {held})" if "reversed" in answers and (held := verdicts[claim].count("holds")) else "")
            for claim in found
        ]
        more = [f"{len(words) - FEW} more"] if len(words) > FEW else []
        return "; that ".join([*(f"{one} comparisons" for one in words[:1]), *words[1:FEW]]) + "".join(
            f"; {one}" for one in more
        )

    if against := those("reversed"):
        return f"Significantly reversed is that {against}."
    held = those("holds", "equivalent")
    return f"No claim is significantly reversed{f'. It holds that {held}' if held else ', and none holds'}."


@tells("table1", "table2", "table3", columns="row snr metric mean paper")
def published(lines: Lines) -> str:
    """The published row of the lowest MSE at each noise level, and how many published MSEs ours come near; where none was run,
    the lowest of the others."""
    ours = known([line for line in lines if line["metric"] == "mse"], "mean")
    both = [(line, mean) for line, mean in ours if line["paper"]]
    best = []
    for snr in dict.fromkeys(line["snr"] for line, _ in both or ours):
        row, mean = min(
            ((line["row"], mean) for line, mean in both or ours if line["snr"] == snr), key=lambda one: one[1]
        )
        best.append(f"{row_named(row)} at SNR {snr} ({short(mean)})")
    if not both:
        return f"No row of the paper's was run here. Lowest of the others: {', '.join(best)}." if best else ""
    near = sum(1 / NEAR <= mean / float(line["paper"]) <= NEAR for line, mean in both)
    return (
        f"Of the paper's rows the lowest mean here: {', '.join(best)}. Ours agree with {near or 'none'} of "
        f"{counted(len(both), 'published MSE')} to within a factor of {NEAR:g}."
    )


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
        f"Of {counted(len(judged), 'published MSE')} {nearer['released'] or 'none'} {are} nearer to ours under protocol "
        f"“released”, {nearer['described'] or 'none'} to ours under “described”{f', {both} as near to either' if both else ''}"
        f"{f'; {single} of the {len(judged)} by one seed' if single else ''}."
    )


@tells("published_gap", columns="table row snr metric verdict why", csv="published_cells")
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
    by = [(cell, cell["why"].rpartition(": ")[0]) for cell in mse if cell["verdict"] == "protocol"]
    here = [(cell, setting) for cell, setting in by if setting.partition(", ")[0] in settings]
    if not mse:
        return ""
    each = [f"{named(cell['row'])} at SNR {cell['snr']} ({setting})" for cell, setting in here]
    found = listed(each) if len(each) <= FEW else ranked((f"“{setting}”" for _, setting in here), "with")
    return (
        f"Of {counted(len(mse), 'published MSE')} of classical methods that ours miss, a setting of this table agrees "
        f"in size with {f'{len(here)}: {found}' if here else 'none'}."
    )


@tells("published_cells", columns="table row snr metric paper mean verdict")
def published_cells(cells: Lines) -> str:
    """How many agree in each table, and whether our rows come in the paper's order."""
    by_table = {number: [cell["verdict"] for cell in cells if cell["table"] == number] for number in ("1", "2", "3")}
    agree = ", ".join(f"{each.count('agrees')} of {len(each)} in Table {n}" for n, each in by_table.items() if each)
    return " ".join(filter(None, (f"Of the published numbers these agree in size: {agree}.", findings.order(cells))))


@tells("table_clustering", columns="view row embedding images draws seeds mean above_chance paper")
def table_clustering(lines: Lines) -> str:
    """How many methods are above chance in most draws, and how many images the best has right, in each view."""
    shown = [line for line in lines if line["embedding"] == "isomap" and line["row"] != "clean" and line["mean"]]
    parts = []
    for view, words in (("random", "random views"), ("motion", "one fixed view")):
        here = [line for line in shown if line["view"] == view]
        if here:
            able = sum(2 * int(line["above_chance"]) > int(line["draws"]) for line in here)
            best = max(here, key=lambda line: float(line["mean"]))
            once = ", one seed" if best["seeds"] == "1" else ""
            most = f"{float(best['mean']):.1f}, {named(best['row'])}{once}"
            parts.append(f"{able or 'none'} of {counted(len(here), 'method')} in {words} (at best {most})")
    if not parts:
        return ""
    guessed = guessing(int(shown[0]["images"]))[0]
    clean = [
        f"{float(line['mean']):.1f}"
        for line in lines
        if (line["view"], line["row"], line["embedding"]) == ("random", "clean", "isomap") and line["mean"]
    ]
    paper = max((line["paper"] for line in shown if line["paper"]), key=float, default="")
    bounds = f", clean images in random views {clean[0]}" if clean else ""
    bounds += f", the paper's best {paper}" if paper else ""
    return (
        f"Guessing gets {guessed:.1f} of {shown[0]['images']} right{bounds}. Above chance in most draws: "
        f"{', '.join(parts)}."
    )


@tells("table_pggan", columns="row snr metric mean n_seeds paper")
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
    both = [number(line, "paper") for line in (joint, alone)]
    printed = f" The paper: {short(both[0])} and {short(both[1])}." if all(both) else ""
    varied = [value for line, value in known(lines, "mean") if (line["row"], line["metric"]) == ("PGGAN", VARIETY)]
    fell = ", collapsed to one image" if varied and varied[0] < COLLAPSED else ""
    return (
        f"At SNR {joint['snr']} PGGAN with ℓ1 has an MSE of {short(ours)}{by_one_seed([joint, alone])}, {than} than without "
        f"({short(without)}{fell}){beside}{rest}.{printed}"
    )


MEASURES = {"std_ratio": "std", "relative_ratio": "std/mean", "quartiles_ratio": "interquartile range"}
CURVES = {
    "test_mse": "with running statistics of batch norm",
    "test_mse_batch": "with each batch's own",
    "train_mse": "in training",
}


@tells("table_stability", columns="row curve std_ratio relative_ratio quartiles_ratio")
def table_stability(lines: Lines) -> str:
    """By how many measures the joint training is the steadier one, and by which it is not."""
    ratios = [(line["curve"], name, value) for name in MEASURES for line, value in known(lines, name)]
    if not ratios:
        return ""
    alone = next(line["row"] for line in lines if line["std_ratio"])
    against: dict[str, list[str]] = {}
    for curve, name, value in ratios:
        if value <= 1:
            against.setdefault(CURVES[curve], []).append(f"{MEASURES[name]} {multiple(value)}")
    but = ", ".join(f"{curve} ({', '.join(words)})" for curve, words in against.items())
    return (
        f"{named(alone)} oscillates {span((value for *_, value in ratios), multiple)} times as much as {named(f'{alone} + l1')}: "
        f"with ℓ1 it is steadier by {len(ratios) - sum(map(len, against.values())) or 'none'} of {len(ratios)} measures"
        f"{f'; not so {but}' if but else ''}."
    )
