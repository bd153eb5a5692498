"""What the supplement claims of its methods, each with a verdict by the test of docs/statistics.md.

A claim is a set of comparisons "this row has a lower MSE than that one", or "these rows hardly differ"; its comparisons are
corrected together (Holm), those of another claim are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cryobench.evaluation import statistics
from cryobench.printed import plain, row_named
from cryobench.runs.record import Record
from cryobench.runs.store import Store
from cryobench.tables import frame, text
from cryobench.tables.text import page, pipes, sheet, significant
from cryobench.tables.verdicts import MARGIN, measured

RESULTS = "results/rnap_ecoli-desk128"  # the paper's own image size
Side = tuple[str, str, float]  # sweep, row, SNR
PAIRS = ("(1,1)", "(.5,.5)", "(-.5,-.5)", "(-1,-1)", "(1,-1)", "(.5,-.5)", "(0,0)", "(.1,-.1)")
CLASSICAL = ("BM3D", "KSVD", "Non-local means", "CWF")
LEARNED = ("l2-Autoencoder", "(0,0)-GAN + l1", "WGANgp + l1", "(1,-1)-GAN + l1", "(.5,-.5)-GAN + l1")
LAMBDAS = ("0.1", "1", "5", "10", "50", "100", "500", "10000")
SNRS = (0.1, 0.05)
COLUMNS = tuple(
    (
        "claim sweep row than_sweep than_row snr than_snr effect low high p p_equivalent margin seeds verdict "
        "detectable seeds_to_decide"
    ).split()
)


@dataclass(frozen=True)
class Claim:
    """source: where the supplement says it; says: what, in our words; pairs: (row said to be lower, other row).

    margin: rows whose MSE differ by less than this share are equivalent; close: the claim is just that of each pair.
    """

    name: str
    source: str
    says: str
    pairs: tuple[tuple[Side, Side], ...]
    margin: float = MARGIN
    close: bool = False


def against_all(sweep: str, best: str, rows: tuple[str, ...], snr: float, but: tuple[str, ...] = ()) -> tuple:
    """Pairs of a claim that the row `best` has a lower MSE than each of `rows` but those in `but`."""
    return tuple(((sweep, best, snr), (sweep, row, snr)) for row in rows if row != best and row not in but)


CLAIMS = (
    Claim("pairs-small", "note 3, Table 1", "(α,β) matters little: every pair is within 10 % of (0,0)",
          tuple((("alpha_beta", row, snr), ("alpha_beta", "(0,0)", snr)) for snr in SNRS for row in PAIRS if row != "(0,0)"),
          margin=0.1, close=True),
    Claim("pairs-(1,1)", "note 3, Table 1", "(1,1) is better than the six pairs other than (.5,.5)",
          tuple(pair for snr in SNRS for pair in against_all("alpha_beta", "(1,1)", PAIRS, snr, but=("(.5,.5)",)))),
    Claim("pairs-(.5,.5)", "note 3, Table 1", "(.5,.5) is better than the six pairs other than (1,1)",
          tuple(pair for snr in SNRS for pair in against_all("alpha_beta", "(.5,.5)", PAIRS, snr, but=("(1,1)",)))),
    Claim("resnet", "note 4", "without residual units all is worse: three pairs, ResNet against convolution only",
          tuple((("alpha_beta", row, snr), ("methods", f"{row}-GAN + l1", snr))
                for snr in SNRS for row in ("(0,0)", "(1,-1)", "(.5,-.5)"))),
    Claim("learned", "note 4, Table 2", "every learned method is better than every classical one",
          tuple((("methods", learned, snr), ("methods", classical, snr))
                for snr in SNRS for learned in LEARNED for classical in CLASSICAL)),
    Claim("wgan", "note 4, Table 2", "WGANgp + ℓ1 is the best convolution-only net at SNR 0.1",
          against_all("methods", "WGANgp + l1", LEARNED, 0.1)),
    Claim("joint", "note 4, Table 2", "each GAN + ℓ1 is better than the ℓ2-autoencoder",
          tuple((("methods", row, snr), ("methods", "l2-Autoencoder", snr)) for snr in SNRS for row in LEARNED[1:])),
    Claim("lambda-10", "note 7, Table 3", "λ = 10 is the best of eight", against_all("lambda", "10", LAMBDAS, 0.1)),
    Claim("lambda-infinite", "note 7", "as λ grows, the result tends to the ℓ1-autoencoder's: λ = 10000 is within 5 % of it",
          ((("lambda", "10000", 0.1), ("lambda", "l1-Autoencoder", 0.1)),), close=True),
    Claim("pggan-mse", "note 6", "PGGAN, with ℓ1 and without, has a higher MSE than the ResNet (0,0)-GAN at SNR 0.05",
          tuple((("alpha_beta", "(0,0)", 0.05), ("pggan", row, 0.05)) for row in ("PGGAN + l1", "PGGAN"))),
    Claim("pggan-l1", "note 6", "PGGAN has a lower MSE with ℓ1 than without",
          ((("pggan", "PGGAN + l1", 0.05), ("pggan", "PGGAN", 0.05)),)),
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One comparison of a claim, and its answer."""

    claim: Claim
    pair: tuple[Side, Side]
    answer: statistics.Answer


def write(store: Store) -> list[Path]:
    """Write claims.md (a line for each claim, then every comparison) and claims.csv from the records."""
    results = findings(frame.frame(store.all()))
    return text.write(store, "claims", {"md": to_markdown(results), "csv": to_csv(results)})


def findings(runs: pd.DataFrame, claims: tuple[Claim, ...] = CLAIMS) -> list[Finding]:
    """Every comparison of every claim; a row's spread is moderated by all rows of its kind that any claim names."""
    sides = measured({side: chosen(runs, side) for claim in claims for pair in claim.pairs for side in pair})
    out = []
    for claim in claims:
        answers = statistics.judge([sides.compared(a, b) for a, b in claim.pairs], claim.margin, claim.close)
        out += [Finding(claim, pair, answer) for pair, answer in zip(claim.pairs, answers, strict=True)]
    return out


def chosen(runs: pd.DataFrame, side: Side) -> dict[int, Record]:
    """Seed → the finished run of a (sweep, row, SNR) with the shipped settings."""
    sweep, row, snr = side
    wanted = rows(sweep).get(row)
    matching = runs[:0] if wanted is None else frame.usual(runs, {**wanted, "noise.snr": snr})
    matching = matching.sort_values("seed", kind="stable")
    return dict(zip(matching["seed"], matching["record"], strict=True))


rows = frame.sweep_rows


def counted(results: list[Finding]) -> dict[str, int]:
    """How many comparisons have each answer, in the order in which answers are told."""
    order = ("holds", "reversed", "equivalent", "undecided", "too few seeds", "not run")
    return {says: n for says in order if (n := sum(f.answer.says == says for f in results))}


def verdict(results: list[Finding]) -> str:
    """A claim's answers, added up."""
    counts, n = counted(results), len(results)
    if len(counts) == 1:
        (says,) = counts
        return says if n == 1 else f"{says} in all {n} comparisons"
    return ", ".join(f"{says} in {count}" for says, count in counts.items()) + f" of {n}"


def decided_by(results: list[Finding]) -> str:
    """How many comparisons are undecided, and how many of them more seeds would decide."""
    left = [f.answer.seeds_to_decide for f in results if f.answer.says == "undecided"]
    if not left:
        return ""
    steps = [(n, sum(needed is not None and needed <= n for needed in left)) for n in (5, 10, 20, 50)]
    more = ", ".join(f"{count} by {n}" for n, count in steps)
    return (
        f"{len(left)} of {len(results)} comparisons are undecided. If the differences are as measured, more seeds would "
        f"decide, with a power of {100 * statistics.POWER:.0f} %: {more} seeds."
    )


def by_claim(results: list[Finding]) -> dict[Claim, list[Finding]]:
    """The comparisons of each claim, in their order."""
    return {claim: [f for f in results if f.claim == claim] for claim in dict.fromkeys(f.claim for f in results)}


VERDICTS = """\
*holds*: significant, in the claim's direction; *reversed*: significant, against it; *equivalent*: within the margin by two \
one-sided tests; *undecided*: none of these. A claim that rows hardly differ is supported by *equivalent*, and *reversed* by a \
difference significantly beyond the margin. Fewer than three seeds allow no verdict."""
NOTES = """\
In brackets behind a claim stands where the supplement has it. An effect is the difference in MSE of the row that is claimed \
better (or as good) relative to the baseline, −10 % is a tenth lower: the mean over seeds of the logarithm of the ratio, each \
seed's MSE the mean over the same test images. The test is two-sided at 5 %, with each row's variance over seeds drawn toward \
that of the rows of its kind (the same net, or none); p values are corrected for the comparisons of their claim (Holm). Rows \
(α,β), as (0,0), are the ResNets of Table 1; (0,0)-GAN + ℓ1 and the like are those of Table 2, of convolutions only. How, and \
how often it errs: docs/statistics.md."""
OF_EACH = """\
An interval is that of its comparison alone, and p is corrected for all comparisons of the claim, so an undecided one may \
have an interval without 0. Where the claim is that rows hardly differ, p is that of a difference beyond the margin. Of an \
undecided one stand the smallest difference that these seeds could have shown (a power of 80 %) and the number of seeds that \
would decide if the difference is as measured."""


def to_markdown(results: list[Finding]) -> str:
    """The page: a line for each claim, then one for each comparison."""
    claims = by_claim(results)
    lines = [["claim", "verdict", "effects on MSE (lowest to highest)", "margin", "seeds"]]
    for claim, group in claims.items():
        effects = [f.answer.comparison.effect for f in group if f.answer.comparison]
        seeds = sorted({f.answer.comparison.seeds for f in group if f.answer.comparison})
        span = " to ".join(dict.fromkeys(map(percent, (min(effects), max(effects))))) if effects else "–"
        lines.append(
            [
                f"{claim.says} ({claim.source})",
                verdict(group),
                span,
                f"{100 * claim.margin:.0f} %",
                "–".join(map(str, seeds)) or "–",
            ]
        )
    return page(
        "# What the supplement claims",
        f"{len(claims)} claims; of all comparisons, {verdict(results)}.",
        decided_by(results),
        VERDICTS,
        pipes(lines, left=2),
        NOTES,
        "## Every comparison",
        OF_EACH,
        pipes(
            [
                [
                    "claim",
                    "claimed better or as good",
                    "baseline",
                    "verdict",
                    "effect on MSE (95 % over seeds)",
                    "p",
                    "p within margin",
                    "seeds",
                    "smallest difference shown at 80 % power",
                    "seeds that would decide",
                ],
                *(one_line(f) for f in results),
            ],
            left=4,
        ),
    )


def percent(share: float) -> str:
    """A difference with its sign: −6.8 %, +12.0 %."""
    return f"{100 * share:+.1f} %".replace("-", "−")


def on_its_side(p: float) -> str:
    """A probability in as many digits as say on which side of 5 % it is.

    >>> on_its_side(0.123), on_its_side(0.0500059), on_its_side(0.04999)
    ('0.12', '0.05001', '0.04999')
    """
    level = statistics.LEVEL
    texts = (plain(p, digits) for digits in range(2, 18))
    sides = (text for text in texts if float(text) != level and (float(text) < level) == (p < level))
    return next(sides, plain(p))


def one_line(f: Finding) -> list[str]:
    """A comparison's line in the second table."""
    names, answer = [f"{row_named(row)} at SNR {snr:g}" for _, row, snr in f.pair], f.answer
    if answer.comparison is None or answer.p is None or answer.p_equivalent is None:
        effect = "–" if answer.comparison is None else percent(answer.comparison.effect)
        return [
            f.claim.says,
            *names,
            answer.says,
            effect,
            "–",
            "–",
            str(answer.comparison.seeds if answer.comparison else 0),
            "",
            "",
        ]
    low, high = answer.comparison.interval
    effect = f"{percent(answer.comparison.effect)} ({percent(low)} to {percent(high)})"
    shown = ["", ""]
    if answer.says == "undecided":
        shown = [
            f"{100 * (answer.detectable or 0.0):.0f} %",
            str(answer.seeds_to_decide or f"over {statistics.MOST_SEEDS}"),
        ]
    return [
        f.claim.says,
        *names,
        answer.says,
        effect,
        on_its_side(answer.p),
        on_its_side(answer.p_equivalent),
        str(answer.comparison.seeds),
        *shown,
    ]


def to_csv(results: list[Finding]) -> str:
    """COLUMNS for each comparison; what could not be compared is empty."""
    lines = []
    for f in results:
        (sweep, row, snr), (sweep_b, row_b, snr_b) = f.pair
        answer, one = f.answer, f.answer.comparison
        interval = one.interval if one and answer.p is not None else (None, None)
        lines.append(
            [
                f.claim.name,
                sweep,
                row,
                sweep_b,
                row_b,
                f"{snr:g}",
                f"{snr_b:g}",
                significant(one.effect if one else None),
                *map(significant, interval),
                significant(answer.p),
                significant(answer.p_equivalent),
                f.claim.margin,
                one.seeds if one else 0,
                answer.says,
                significant(answer.detectable),
                answer.seeds_to_decide,
            ]
        )
    return sheet(COLUMNS, lines)
