"""A method that fails in the midst of a verb: one line for who typed it, the whole traceback in a file beside its output."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path

from cryobench.errors import InputError, RunFailed
from cryobench.source import in_words, is_through_own_code


@contextlib.contextmanager
def telling(method: str, out: Path) -> Iterator[None]:
    """In the body whatever a method raises becomes RunFailed, "METHOD failed: …"; its traceback goes into OUT.log.

    A user's mistakes and what the system refuses to us have words of their own, and are passed on.
    """
    try:
        yield
    except InputError:
        raise
    except RunFailed as error:
        raise RunFailed(f"{method} failed: {error}") from None
    except Exception as error:
        if isinstance(error, OSError) and not is_through_own_code(error):
            raise
        raise RunFailed(f"{method} failed: {in_words(error)}{logged(traceback.format_exc(), out)}") from None


def logged(text: str, out: Path) -> str:
    """Write tracebacks into OUT.log: "; log: OUT.log", or nothing where that can't be written."""
    log = out.with_name(f"{out.name}.log")
    try:
        log.write_text(text, encoding="utf-8")
    except OSError:
        return ""
    return f"; log: {log}"
