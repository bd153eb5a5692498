"""The class that a `_target_` names; where there is none, the file, the line and the cause, in one line.

The file is often the user's own, and being written.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
import traceback
import typing
from pathlib import Path

from hydra.utils import get_class

from cryobench.errors import InputError, one_line


def class_at(target, group: str) -> type:
    """The class, of a group of the config. Raises InputError."""
    log = logging.getLogger("hydra.utils")  # Hydra prints what it raises, in three lines of its own
    before, log.disabled = log.disabled, True
    try:
        return get_class(target)
    except Exception as error:
        raise InputError(f"{group}: {why_not(target, error)}") from None
    finally:
        log.disabled = before


def types_of(cls: type, constructor, group: str) -> dict[str, typing.Any]:
    """The type of each setting. Raises InputError for one that its file has no name for."""
    try:
        return typing.get_type_hints(constructor)
    except Exception as error:
        raise InputError(
            f"{group}: expected types that can be looked up in the settings of {cls.__module__}.{cls.__qualname__}, "
            f"got {one_line(error)}"
        ) from None


def why_not(target, error: Exception) -> str:
    """What Hydra's error, or the one that it comes from, says of this target."""
    cause = error.__cause__ or error
    module, _, name = str(target).rpartition(".")
    if isinstance(cause, SyntaxError) and cause.filename:
        return f"{near(cause.filename)}, line {cause.lineno}: {type(cause).__name__}: {cause.msg}"
    if not module:
        return f"expected _target_ to name a class, as mine.Blur, got {target}"
    if isinstance(cause, ModuleNotFoundError) and module in sys.modules:  # which was read as far as its end
        place, own = sys.modules[module], sys.modules[module].__dict__.values()
        classes = ", ".join(one.__name__ for one in own if isinstance(one, type) and one.__module__ == module)
        return f"expected a class {name} in {near(place.__file__ or module)}, got {classes or 'no class'}"
    if isinstance(cause, ModuleNotFoundError) and f"{module}.".startswith(f"{cause.name}."):
        return (
            f"expected {target} in {module.replace('.', '/')}.py in the folder where you stand, {Path.cwd()}, got none"
        )
    if isinstance(error, ImportError) and (line := line_of(module, cause)):
        return f"{line}: {one_line(cause)}"
    return f"expected _target_ to name a class, got {target}: {one_line(cause)}"


def line_of(module: str, error: BaseException) -> str:
    """ "mine.py, line 3": the last line of the module's folder that an error came through; "" where it came through none."""
    spec = importlib.util.find_spec(module.partition(".")[0])
    if spec is None or not spec.origin:
        return ""
    folder = Path(spec.origin).parent
    through = [
        one for one in traceback.extract_tb(error.__traceback__) if Path(one.filename).parent.is_relative_to(folder)
    ]
    return f"{near(through[-1].filename)}, line {through[-1].lineno}" if through else ""


def near(path: str) -> str:
    """A file's path from where one stands, if it lies there."""
    return str(Path(path).relative_to(Path.cwd())) if Path(path).is_relative_to(Path.cwd()) else path
