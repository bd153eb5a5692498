"""The verbs: what can be asked of records, stacks and models without starting a run."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import typer

from cryobench.cli.bench import bench
from cryobench.cli.compare import compare
from cryobench.cli.data import data
from cryobench.cli.denoise import denoise
from cryobench.cli.export import export
from cryobench.cli.new import new
from cryobench.cli.plan import plan
from cryobench.cli.reconstruct import reconstruct
from cryobench.cli.report import report
from cryobench.cli.runs import rerun, runs
from cryobench.cli.score import score
from cryobench.cli.table import figure, table
from cryobench.cli.trust import trust
from cryobench.errors import InputError
from cryobench.signals import told_to_end


class Interrupted(BaseException):
    """Ctrl-C in a verb, out of which typer would make a bare exit status: its cause is the KeyboardInterrupt."""


def interruptible(verb: Callable) -> Callable:
    """The verb as it is, but for Ctrl-C in it."""

    @functools.wraps(verb)
    def called(*words: Any, **options: Any) -> Any:
        try:
            with told_to_end():
                return verb(*words, **options)
        except KeyboardInterrupt as stop:
            raise Interrupted from stop

    return called


app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
# typer brings a click of its own from some version on; its errors are reached through typer's.
UsageError: Any = typer.BadParameter.__bases__[0]

for verb in (
    compare,
    score,
    report,
    table,
    figure,
    data,
    denoise,
    export,
    reconstruct,
    trust,
    bench,
    plan,
    runs,
    rerun,
    new,
):  # in this order in --help
    app.command(verb.__name__)(interruptible(verb))


def run_verb(arguments: list[str]) -> int:
    """Run `cryobench VERB …`; typer's own complaints become one line and exit status 2."""
    try:
        return app(arguments, prog_name="cryobench", standalone_mode=False) or 0
    except Interrupted as interrupted:
        raise (interrupted.__cause__ or KeyboardInterrupt) from None
    except typer.Abort:
        raise KeyboardInterrupt from None
    except UsageError as error:
        verbs = ", ".join(sorted(str(c.name) for c in app.registered_commands))
        hint = (
            f"; verbs: {verbs}" if "No such command" in error.format_message() else f"{example(arguments)}; see --help"
        )
        raise InputError(f"{error.format_message().rstrip('.')}{hint}") from None


def example(arguments: list[str]) -> str:
    """ "; an example: …", the one in the help of the verb that the arguments begin with; "" where it has none."""
    (verb,) = arguments[:1] or [""]
    texts = [command.callback.__doc__ or "" for command in app.registered_commands if command.name == verb]
    lines = (line.strip() for text in texts for line in text.splitlines())
    return next((f"; an example: {line}" for line in lines if line.startswith(f"python -m cryobench {verb} ")), "")


def verb_lines() -> str:
    """The verbs and the first line of what they do, for --help."""
    lines = []
    for command in app.registered_commands:
        name = str(command.name)
        lines.append(
            f"  python -m cryobench {name}".ljust(43) + (command.callback.__doc__ or "").strip().split("\n")[0]
        )
    return "\n".join(lines)
