"""Comparisons as a page and as pictures: the same test images as every method left them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

import numpy as np

from cryobench.printed import named
from cryobench.runs.record import Record
from cryobench.runs.store import Store
from cryobench.tables import comparison_text
from cryobench.tables.comparison import Comparison, Line

IMAGES = 4  # test images in a picture
MOST = 14  # methods in one


def picture(one: Comparison, store: Store, path: Path, pairs=None) -> Path | None:
    """Write a PNG with clean, noisy and each row's version of the first test images; None where no row kept any.

    Rows that were asked about first, then the others by MSE, MOST in all; those of the seed that most of them have. pairs: the
    data set (`Pairs`) where it is at hand; without it clean and noisy images are those that the controls kept, if there are any.
    """
    from cryobench import figure

    kept = {
        line.name: [seed for seed, record in line.records.items() if has_images(store, record)] for line in one.lines
    }
    seeds = [seed for seeds_kept in kept.values() for seed in seeds_kept]
    if not seeds:
        return None
    seed = max(sorted(set(seeds)), key=seeds.count)
    able = [line for line in one.lines if seed in kept[line.name] and line.first.name("method") != "noisy"]
    chosen = sorted(able, key=lambda line: not line.asked)[:MOST]
    rows = [(words(line), images_of(store, line.records[seed])) for line in able if line in chosen]
    records = [line.records[seed] for line in able]
    size = records[0].data.get("pixel_size") if able else None
    noise = figure.noise_in({**records[0].config, "seed": seed}) if able else ""
    foot = ", ".join(filter(None, (figure.images_of(records), noise)))
    return figure.beside([*untouched(one, store, pairs, seed), *rows], path, size, foot)


def has_images(store: Store, record: Record) -> bool:
    """Whether a run kept its first test images."""
    return store.gallery(record.run_id) is not None


def images_of(store: Store, record: Record) -> np.ndarray:
    """(IMAGES, L, L) float32, of a run that kept its images (`has_images`)."""
    images = store.gallery(record.run_id)
    assert images is not None
    return images[:IMAGES]


def words(line: Line) -> str:
    """What stands beside a row's images."""
    return f"{named(line.name)}: {comparison_text.in_short(line)}"


def untouched(one: Comparison, store: Store, pairs, seed: int) -> list[tuple[str, np.ndarray]]:
    """The clean and the noisy test images, as far as they are to be had."""
    if pairs is not None:
        from cryobench.config.compose import build

        test = pairs.images("test", build(one.config, "noise"), seed)
        return [("clean", test.clean(slice(IMAGES))), ("noisy", test.noisy(slice(IMAGES)))]
    noisy = next((line.records for line in one.lines if line.name == "noisy"), {})
    controls = [("clean", one.answer.get(seed)), ("noisy", noisy.get(seed))]
    return [(name, images_of(store, record)) for name, record in controls if record and has_images(store, record)]


def page(comparisons: Sequence[Comparison], pictures: Mapping[str, Path]) -> str:
    """One self-contained page of all comparisons, with the pictures in it; `pictures` has them by `where`.

    Text of records is escaped by the template.
    """
    import jinja2

    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    source = resources.files("cryobench.report")
    template = environment.from_string((source / "comparison.html").read_text(encoding="utf-8"))
    shown = [
        {
            "where": one.where,
            "lines": [
                {"texts": plain(comparison_text.cells(one, place)), "asked": line.asked}
                for place, line in enumerate(one.lines)
            ],
            "sentences": [
                (line.name, comparison_text.verdicts_in_words(one, place))
                for place, line in enumerate(one.lines)
                if line.asked
            ],
            "notes": comparison_text.notes(one),
            "picture": embedded(pictures[one.where]) if one.where in pictures else "",
        }
        for one in comparisons
    ]
    return template.render(
        comparisons=shown,
        head=comparison_text.HEAD,
        how=comparison_text.SAID.replace("`", ""),
        style=(source / "page.css").read_text(encoding="utf-8"),
    )


def plain(texts: list[str]) -> list[str]:
    """A line of a markdown table without the stars of bold."""
    return [text.strip("*") for text in texts]


def embedded(path: Path) -> str:
    """A PNG file as a data URI."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
