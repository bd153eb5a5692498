"""Runs that can be compared, side by side: which there are under the same conditions, their numbers, and who is better.

Conditions are what decides a run but its method and seed (`identity.conditions`): images, noise, how many, scored how. A row is
a method with its settings, named by those in which it differs from its yaml; its seeds are its replicates.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cryobench.config.identity import FULL, conditions, target_of
from cryobench.errors import InputError
from cryobench.evaluation.statistics import Answer, mean_and_spread
from cryobench.runs.record import Record
from cryobench.tables import frame, verdicts
from cryobench.tables.limits import Limits, complete, mse
from cryobench.tables.verdicts import as_numbers

METRICS = ("nmse", "mse", "psnr", "ssim")
DIVIDED = ("linear", "bayes")  # the limits, in the order in which their columns stand
TIMES = tuple(f"times_{name}" for name in DIVIDED)
LONGEST = 120  # letters of a name in a table
MEASURES = (*METRICS, *TIMES, "image_s", "training_s")
SHOWN = ("type", "share", "shift", "ctf")  # settings of a noise model that stand in the words for it
PLAIN_AT_TEST = ("gaussian", "contaminated")  # noise models whose test images are those of plain Gaussian noise
WORDS = ("null", "true", "false", "nan", "inf")  # that Hydra takes for something else than a text
SAME_CLEAN = (*PLAIN_AT_TEST, "microscope")  # whose clean images have the data set's own variances


@dataclass(frozen=True)
class Line:
    """One row. name: as it is printed; records: by seed, of a run that was repeated the earliest; cells: of MEASURES those that
    are known → mean and spread over seeds (None for one seed); asked: whether the comparison is about it."""

    name: str
    records: Mapping[int, Record]
    cells: Mapping[str, tuple[float, float | None]]
    asked: bool = False

    @property
    def first(self) -> Record:
        """The record of the lowest seed."""
        return self.records[min(self.records)]

    @property
    def side_information(self) -> list[str]:
        """Side information that was used, or, by whom gave the images, is said to have been."""
        return self.first.side_information


@dataclass(frozen=True)
class Comparison:
    """All rows under the same conditions, the lowest MSE first, and the answers of pairs of them by place, corrected together.

    where: the conditions in words, of other conditions others; config: of the conditions; answer: seed → the run, if any, of the
    clean images themselves (method=oracle), which has no line.
    """

    where: str
    config: dict
    lines: list[Line]
    answer: Mapping[int, Record]
    answers: Mapping[tuple[int, int], Answer]

    def against(self, place: int) -> list[tuple[int, str, Answer]]:
        """(other place, "lower" | "higher" | another word of an Answer, the answer) of each pair that a row is in."""
        words = {"holds": "lower", "reversed": "higher"}
        turned = {"holds": "higher", "reversed": "lower"}
        out = [
            (b, words.get(answer.says, answer.says), answer) for (a, b), answer in self.answers.items() if a == place
        ]
        out += [
            (a, turned.get(answer.says, answer.says), answer) for (a, b), answer in self.answers.items() if b == place
        ]
        return sorted(out, key=lambda pair: pair[0])


def key_of(config: dict) -> str:
    """The conditions of a run, as one text: equal for two runs that can be compared. config: resolved, or a record's."""
    known = dict(config)
    for group in ("data", "noise"):
        try:
            target = target_of(group, config[group]["name"])
        except InputError:  # one of somebody's own, whose yaml is not at hand: it stands for itself
            target = config[group].get("_target_")
        known[group] = {**config[group], "_target_": target}
    try:
        return json.dumps(conditions(known), sort_keys=True)
    except (ImportError, AttributeError, ValueError, TypeError, KeyError):
        return json.dumps(
            {group: config.get(group) for group in ("data", "noise", "protocol", "scale")}, sort_keys=True
        )


def overrides_of(config: dict) -> list[str]:
    """What one would type to have the conditions of a run (`key_of`), but for folders. config: resolved, or a record's."""
    words = [f"{group}={config[group]['name']}" for group in ("data", "noise", "protocol", "scale")]
    differs = {"noise.snr": config["noise"]["snr"]} if "snr" in config["noise"] else {}
    for name, value in {**differs, **frame.deviations(config)}.items():
        group, _, key = name.partition(".")
        if group not in ("data", "noise", "protocol") or key in ("name", "content"):
            continue
        added = "" if name in differs or key in frame.defaults(group, config) else "+"
        words.append(f"{added}{name}={typed(value)}")
    return words


def typed(value) -> str:
    """A setting's value as Hydra's grammar has it.

    >>> typed(1.0), typed(None), typed([True, "a map.mrc"]), typed("described"), typed({"C": [[1, 20]]})
    ('1.0', 'null', "[true,'a map.mrc']", 'described', '{C:[[1,20]]}')
    """
    if isinstance(value, dict):  # a key has no quotes there, and a backslash before what would end it
        keys = (re.sub(r"([\\()\[\]{}:=, \t])", r"\\\1", str(key)) for key in value)
        return f"{{{','.join(f'{key}:{typed(one)}' for key, one in zip(keys, value.values(), strict=True))}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(typed, value))}]"
    if isinstance(value, str):
        # A backslash is one, but for those right before a quote.
        escaped = re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + ("\\'" if found[2] else ""), value)
        return value if re.fullmatch(r"[A-Za-z_][\w.-]*", value) and value.lower() not in WORDS else f"'{escaped}'"
    return json.dumps(value)


def compare(records: Sequence[Record], config: dict, asked: Iterable[str] = ()) -> Comparison:
    """The finished runs among `records` under the conditions of `config` (resolved).

    asked: ids of the runs that it is about: verdicts are between their rows and all others; without any, between all rows.
    """
    done = [one for one in records if one.done and one.task == "denoising"]
    key, asked = key_of(config), set(asked)
    here = [one for one in done if key_of(one.config) == key]
    answer = frame.earliest_of((one for one in here if "truth" in one.side_information), lambda one: one.seed)
    rows = by_row(one for one in here if "truth" not in one.side_information)
    about_rows = {
        row_of(one) for one in here if one.run_id in asked
    }  # of a repeated run an earlier one may stand there
    measure = Measure(done)
    lines = [
        Line(one_line(row), by_seed, measure.cells(list(by_seed.values())), row in about_rows)
        for row, by_seed in rows.items()
    ]
    lines.sort(key=lambda line: line.cells["mse"][0] if "mse" in line.cells else np.inf)
    about = [place for place, line in enumerate(lines) if line.asked]
    measured = verdicts.measured({place: line.records for place, line in enumerate(lines)})
    answers = verdicts.judged(measured, verdicts.every_pair(range(len(lines)), about))
    return Comparison(place_of(config), config, lines, answer, answers)


def by_row(records: Iterable[Record]) -> dict[str, dict[int, Record]]:
    """Row (`row_of`) → seed, in order, → the earliest run of it. The rows are in the order in which they were begun."""
    rows: dict[str, dict[int, Record]] = {}
    for (row, seed), record in frame.earliest_of(records, lambda one: (row_of(one), one.seed)).items():
        rows.setdefault(row, {})[seed] = record
    return {row: dict(sorted(by_seed.items())) for row, by_seed in rows.items()}


def row_of(record: Record) -> str:
    """Which row a record belongs to: the method, and all settings in which it differs from its yaml (`one_line` prints it)."""
    if record.given:
        return record.given
    own = {name.removeprefix("method."): value for name, value in frame.of_method(record).items()}
    return " ".join([str(record.name("method")), *(f"{name}={shown(value)}" for name, value in sorted(own.items()))])


def unnamed(lines: Iterable[Line]) -> dict[str, str]:
    """Of each method with rows that differ in settings, what those have that do not name one: method → "alpha=0.5 beta=0.5"."""
    usual: dict[str, dict[str, str]] = {}
    for line in lines:
        if line.first.given:
            continue
        known = {f"method.{key}": value for key, value in frame.defaults("method", line.first.config).items()}
        known["trainer.precision"] = FULL
        named = [key for key in frame.of_method(line.first) if key in known]
        usual.setdefault(str(line.first.name("method")), {}).update({key: shown(known[key]) for key in named})
    return {
        method: " ".join(f"{key.removeprefix('method.')}={value}" for key, value in sorted(settings.items()))
        for method, settings in usual.items()
        if settings
    }


def shown(value) -> str:
    """A setting as people write it, without a loss.

    >>> shown(1.0), shown(0.1), shown(0.1234567), shown([0, 2])
    ('1', '0.1', '0.1234567', '[0, 2]')
    """
    return short if isinstance(value, float) and float(short := f"{value:g}") == value else str(value)


def one_line(text: str, key: str | None = None) -> str:
    """A text of a record that may come from elsewhere, as it can stand in a table's cell.

    One that had to be changed or cut for that ends in a digest of itself, or of `key`: two different ones are never alike.
    """
    line = " ".join(text.split()).replace("|", "¦")
    if line == text and len(line) <= LONGEST:
        return line
    return f"{line[: LONGEST - 11]} … {digest(text if key is None else key)}"


def digest(text: str) -> str:
    """Eight letters that stand for a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def place_of(config: dict) -> str:
    """Conditions in words, of other conditions (`key_of`) others, as far as these are of one user's yamls."""
    noise, words = config["noise"], [config["data"]["name"], f"{config['scale']['name']} scale"]
    words.append(f"SNR {shown(noise['snr'])}" if "snr" in noise else f"noise {noise['name']}")
    return one_line(", ".join(filter(None, [*words, frame.in_words(around(config))])), key_of(config))


def around(config: dict) -> dict[str, object]:
    """Settings of data, noise and protocol that stand in the words for conditions: dotted name → as people write it."""
    noise, kept = config["noise"], ("data.", "noise.", "protocol.")
    settings = {name: shown(value) for name, value in frame.deviations(config).items() if name.startswith(kept)}
    if noise["name"] != "gaussian":  # what its yaml says isn't known to everybody
        settings |= {f"noise.{name}": shown(noise[name]) for name in SHOWN if noise.get(name) is not None}
    return dict(settings)


class Measure:
    """The numbers of a row, from its records and those of the limits and of the same images among `records`."""

    def __init__(self, records: Iterable[Record]):
        records = list(records)
        self.limits = Limits(records)
        self.variances: dict[str, np.ndarray] = {}
        for record in records:
            moved = record.config.get("noise", {}).get("shift")  # by parts of a pixel
            key: str | None = record.data.get("key") if record.name("noise") in SAME_CLEAN and not moved else None
            if "nmse" not in record.per_image or not key:
                continue
            mses, shares = (as_numbers(record.per_image[name]) for name in ("mse", "nmse"))
            with np.errstate(divide="ignore", invalid="ignore"):
                variances = mses / shares
            known = self.variances.setdefault(key, variances)
            if (
                known.shape == variances.shape
            ):  # 0/0 of the clean image itself, or an image that was refused, tells nothing
                self.variances[key] = np.where(np.isfinite(known), known, variances)

    def cells(self, records: Sequence[Record]) -> dict[str, tuple[float, float | None]]:
        """Of MEASURES those that each of these records, one for each seed, has."""
        values = {name: [record.mean(name) for record in records] for name in METRICS}
        values["nmse"] = [self.nmse(record) for record in records]
        for name in DIVIDED:
            values[f"times_{name}"] = [self.times(record, name) for record in records]
        values["image_s"] = [1 / record.images_per_s if record.images_per_s else None for record in records]
        values["training_s"] = [record.fit_s for record in records]
        return {
            name: mean_and_spread(numbers) for name, each in values.items() if (numbers := complete(each)) is not None
        }

    def nmse(self, record: Record) -> float | None:
        """A record's NMSE; of one from before it as `nmse_of_images` has it."""
        if record.mean("nmse") is not None:
            return record.mean("nmse")
        shares = self.nmse_of_images(record)
        return None if shares is None else float(np.nanmean(shares))

    def nmse_of_images(self, record: Record) -> np.ndarray | None:
        """The NMSE of each test image, NaN for one that was refused. Of a record from before it, by the variances of the clean
        images that others of the same images imply; None without these."""
        if "nmse" in record.per_image:
            return as_numbers(record.per_image["nmse"])
        variances, mses = self.variances.get(str(record.data.get("key"))), as_numbers(record.per_image.get("mse", []))
        if variances is None or record.name("noise") not in SAME_CLEAN or variances.shape != mses.shape:
            return None
        if np.isnan(variances[np.isfinite(mses)]).any():  # of some image no other record tells
            return None
        with np.errstate(divide="ignore", invalid="ignore"):
            return mses / variances

    def limit(self, record: Record, name: str) -> list[Record]:
        """The runs of a limit on the very noisy test images of a record; where that seed has none, on those of all seeds."""
        return self.limits.of(record, name) if has_limit(record) else []

    def times(self, record: Record, name: str, value: Callable[[Record], float | None] = mse) -> float | None:
        """A record's MSE (or another value) as a multiple of that of a limit; None where there is none."""
        ours, floor = value(record), self.limits.under(record, name, value) if has_limit(record) else None
        return None if ours is None or floor is None else ours / floor


def has_limit(record: Record) -> bool:
    """Whether the limits are limits of a record's test images: in white Gaussian noise, not clipped. Contaminated pairs are
    training pairs alone."""
    return record.name("noise") in PLAIN_AT_TEST and not record.config["noise"].get("clip")
