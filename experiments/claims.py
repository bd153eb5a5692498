"""What the supplement claims of its methods, each with a verdict: paired tests over seeds on the same test images.

A claim is a set of comparisons "this row has a lower MSE than that one". Of the 4 % of false alarms that a verdict may
give, 95 in a hundred are spent on the claim's own direction and the rest on the opposite; all comparisons of the page
are corrected together for their number.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cryobench.evaluation import statistics
from cryobench.runs.store import Store
from cryobench.tables import table
from cryobench.tables.layout import pipes

Side = tuple[str, str, float]  # sweep, row, SNR
PAIRS = ("(1,1)", "(.5,.5)", "(-.5,-.5)", "(-1,-1)", "(1,-1)", "(.5,-.5)", "(0,0)", "(.1,-.1)")
CLASSICAL = ("BM3D", "KSVD", "Non-local means", "CWF")
LEARNED = ("l2-Autoencoder", "(0,0)-GAN + l1", "WGANgp + l1", "(1,-1)-GAN + l1", "(.5,-.5)-GAN + l1")
LAMBDAS = ("0.1", "1", "5", "10", "50", "100", "500", "10000")
SNRS = (0.1, 0.05)


@dataclass(frozen=True)
class Claim:
    """source: where the supplement says it; says: what, in our words; lower: pairs (row said to be lower, other row).

    close: the claim is rather that the rows of each pair differ by less than this share, either way.
    """

    name: str
    source: str
    says: str
    lower: tuple[tuple[Side, Side], ...]
    close: float | None = None
    metric: str = "mse"


def against_all(sweep: str, best: str, rows: tuple[str, ...], snr: float, but: tuple[str, ...] = ()) -> tuple:
    return tuple(((sweep, best, snr), (sweep, row, snr)) for row in rows if row != best and row not in but)


CLAIMS = (
    Claim("pairs-small", "note 3, Table 1", "(α,β) matters little: every pair is within 10 % of (0,0)",
          tuple((("alpha_beta", row, snr), ("alpha_beta", "(0,0)", snr)) for snr in SNRS for row in PAIRS if row != "(0,0)"),
          close=0.1),
    Claim("pairs-(1,1)", "note 3, Table 1", "(1,1) is better than the six pairs beside (.5,.5)",
          tuple(pair for snr in SNRS for pair in against_all("alpha_beta", "(1,1)", PAIRS, snr, but=("(.5,.5)",)))),
    Claim("pairs-(.5,.5)", "note 3, Table 1", "(.5,.5) is better than the six pairs beside (1,1)",
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
          ((("lambda", "10000", 0.1), ("lambda", "l1-Autoencoder", 0.1)),), close=0.05),
    Claim("pggan-mse", "note 6", "PGGAN, with ℓ1 and without, has a higher MSE than the ResNet (0,0)-GAN at SNR 0.05",
          tuple((("alpha_beta", "(0,0)", 0.05), ("pggan", row, 0.05)) for row in ("PGGAN + l1", "PGGAN"))),
    Claim("pggan-l1", "note 6", "PGGAN has a lower MSE with ℓ1 than without",
          ((("pggan", "PGGAN + l1", 0.05), ("pggan", "PGGAN", 0.05)),)),
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One comparison of a claim. p: of what it says, corrected, None with too few seeds; says "holds" | "reversed" |
    "not told apart" | "too few seeds" | "not run"."""

    claim: Claim
    pair: tuple[Side, Side]
    found: statistics.Comparison | None
    p: float | None
    says: str


def write(store: Store) -> list[Path]:
    """Write claims.md (a line for each claim, then every comparison) and claims.csv from the records."""
    found = findings(store.all())
    return table.write(store, "claims", {"md": to_markdown(found), "csv": to_csv(found)})


def findings(records: list[dict], claims: tuple[Claim, ...] = CLAIMS) -> list[Finding]:
    """Every comparison of every claim, their p values corrected together."""
    values = per_image(records)
    raw = []
    for claim in claims:
        for a, b in claim.lower:
            one, other = values(a, claim.metric), values(b, claim.metric)
            found = statistics.compare(one, other)
            p, against = None, False
            if found is not None and found.p_below is not None:
                if claim.close is not None:
                    p = statistics.equivalent(one, other, claim.close)
                else:
                    p, against = min((found.p_below / 0.95, False), (found.p_above / 0.05, True))
                p = min(p, 1.0)
            raw.append((claim, (a, b), found, p, against))
    right = iter(statistics.corrected([p for *_, p, _ in raw if p is not None]))
    out = []
    for claim, pair, found, p, against in raw:
        p = next(right) if p is not None else None
        if found is None:
            says = "not run"
        elif p is None:
            says = "too few seeds"
        elif p >= statistics.LEVEL:
            says = "not shown" if claim.close is not None else "not told apart"
        else:
            says = "reversed" if against else "holds"
        out.append(Finding(claim, pair, found, p, says))
    return out


def per_image(records: list[dict]) -> Callable[[Side, str], dict[int, list[float]]]:
    """(sweep, row, SNR) and a metric → seed → per-image values, of the records with the shipped settings."""
    done = [record for record in records if record["status"] == "done"]
    known: dict[Side, list[dict]] = {}

    def values(side: Side, metric: str) -> dict[int, list[float]]:
        if side not in known:
            sweep, row, snr = side
            wanted = rows(sweep).get(row)
            known[side] = [] if wanted is None else [
                record for record in done
                if table.look_up(record["config"], "noise.snr") == snr and table.deviations(record, wanted) == {}
            ]  # fmt: skip
        return {
            record["seed"]: [np.nan if value is None else value for value in record["per_image"][metric]]
            for record in known[side]
        }

    return values


def rows(sweep: str) -> dict[str, dict]:
    """The rows of a sweep, none if there is no such sweep."""
    return table.sweep_rows(sweep) if table.shipped(f"sweep/{sweep}") else {}


def verdict(found: list[Finding]) -> str:
    """One plain sentence on a claim from its comparisons."""
    counts = {says: sum(f.says == says for f in found) for says in dict.fromkeys(f.says for f in found)}
    n = len(found)
    for says, text in (("not run", "not run"), ("too few seeds", "too few seeds")):
        if counts.get(says):
            return f"{text} in {counts[says]} of {n} comparisons: no verdict"
    held, reversed_ = counts.get("holds", 0), counts.get("reversed", 0)
    if held == n:
        return "holds" if n == 1 else f"holds in all {n} comparisons"
    close = found[0].claim.close is not None
    parts = [f"{held} of {n} hold"] if held else []
    parts += [f"{reversed_} {'is' if reversed_ == 1 else 'are'} the other way round"] if reversed_ else []
    rest = n - held - reversed_
    parts += [f"{rest} {'are not shown' if close else 'cannot be told apart from seed noise'}"] if rest else []
    if not held and not reversed_:
        return f"not shown: all {n} comparisons are within seed noise" if not close else f"not shown in any of {n}"
    return "does not hold as said: " + ", ".join(parts)


def by_claim(found: list[Finding]) -> dict[Claim, list[Finding]]:
    return {claim: [f for f in found if f.claim == claim] for claim in dict.fromkeys(f.claim for f in found)}


def to_markdown(found: list[Finding]) -> str:
    claims = by_claim(found)
    head = ["claim", "says", "verdict", "effects (lowest to highest)", "seeds"]
    lines = [head]
    for claim, group in claims.items():
        effects = [f.found.effect for f in group if f.found]
        seeds = sorted({f.found.seeds for f in group if f.found})
        span = f"{min(effects):+.1%} to {max(effects):+.1%}" if effects else "–"
        lines.append([claim.source, claim.says, verdict(group), span, "–".join(map(str, seeds)) or "–"])
    parts = [
        "# What the supplement claims", pipes(lines, left=3),
        "An effect is the difference in MSE relative to the other row (−10 % is a tenth lower). Tests are paired over seeds, "
        "each seed's value the mean over the same test images; fewer than three seeds allow no verdict; all p values of this "
        "page are corrected together (Benjamini–Hochberg).",
        "## Every comparison",
        pipes([["claim", "lower, it says", "than", "effect (95 % over images)", "p", "seeds", ""],
               *(one_line(f) for f in found)], left=3),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def one_line(f: Finding) -> list[str]:
    names = [f"{row} at {snr:g}" for _, row, snr in f.pair]
    if f.found is None:
        return [f.claim.name, *names, "–", "–", "–", f.says]
    low, high = f.found.interval
    effect = f"{f.found.effect:+.1%} ({low:+.1%} to {high:+.1%})"
    return [f.claim.name, *names, effect, "–" if f.p is None else f"{f.p:.2g}", str(f.found.seeds), f.says]


def to_csv(found: list[Finding]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["claim", "sweep", "row", "than_sweep", "than_row", "snr", "than_snr", "effect", "low", "high", "p",
                     "seeds", "verdict"])  # fmt: skip
    for f in found:
        (sweep, row, snr), (sweep_b, row_b, snr_b) = f.pair
        numbers = [f.found.effect, *f.found.interval] if f.found else [None] * 3
        texts = [None if value is None else f"{value:.6g}" for value in (*numbers, f.p)]
        seeds = f.found.seeds if f.found else 0
        writer.writerow([f.claim.name, sweep, row, sweep_b, row_b, f"{snr:g}", f"{snr_b:g}", *texts, seeds, f.says])
    return out.getvalue()
