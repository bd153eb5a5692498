"""Methods side by side on a stack of one's own, for the verb compare."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from cryobench.cli.failed import logged
from cryobench.cli.options import contrast_of, opened, say
from cryobench.errors import InputError
from cryobench.files import new_file


@dataclass(frozen=True)
class StackOptions:
    """The options of compare that are for a stack: trained nets as files, and which images are looked at, and how."""

    model: list[str]
    images: str | None
    contrast: str | None
    pixel_size: float | None
    number: int
    skip_bad: bool
    force: bool


def asked(words: list[str]) -> tuple[list[str], list[str]]:
    """The words behind a stack → names of methods, settings. Raises InputError for a word that is neither."""
    names = [name for word in words if word.startswith("method=") for name in word.partition("=")[2].split(",") if name]
    settings = [word for word in words if not word.startswith("method=")]
    if bare := [word for word in settings if "=" not in word]:
        raise InputError(
            f"compare: expected settings as key=value after the stack, got {' '.join(bare)}; to compare a run's net: "
            f"cryobench export {bare[0]} -o net.safetensors, then --model net.safetensors"
        )
    return names, settings


def on_stack(stack: str, names: list[str], settings: list[str], out: str | None, options: StackOptions) -> int:
    """Methods on a stack of one's own: a table on standard output, a picture where `out` says. Exit status 1 if one failed."""
    from cryobench import figure
    from cryobench.particles import compare as stacks
    from cryobench.particles.chosen import refuse_noiseless, usable

    path, progress = Path(out or "compare.png"), sys.stderr.isatty()
    if path.suffix != ".png":
        raise InputError(f"-o: expected a file that ends in .png for a stack, got {out}")
    if not names and not options.model:
        raise InputError("compare: expected methods to compare, as method=cwf,nlm,bm3d, or --model FILE, got none")
    new_file(path, options.force)
    ready = stacks.models(names, settings, options.model)
    source, rows = opened(stack, options.images, options.pixel_size)
    rows = usable(source, rows, options.skip_bad, say, progress, learns=True)
    refuse_noiseless(source, rows)
    contrast = contrast_of(options.contrast, source)
    lines = stacks.compare(ready, source, rows, contrast, options.number, say, progress)
    drawn = stacks.draw(lines)
    figure.note(drawn, figure.images_in([source.path.name], [source.size], [source.pixel_size]))
    figure.write(drawn, path)
    print(stacks.to_markdown(lines))
    print(f"written: {path}")
    if logs := {line.name: line.log for line in lines if line.log}:
        where = logged("\n".join(f"{name}\n{log}" for name, log in logs.items()), path)
        say(f"compare: {', '.join(logs)} failed{where}")
    return int(any(line.answers is None for line in lines))
