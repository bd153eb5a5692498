"""The verb new: a method of one's own, begun."""

from __future__ import annotations

import keyword
import re
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

import typer

from cryobench.errors import InputError


def new(
    name: str = typer.Argument(help="What the method is to be called: method=NAME."),
    net: bool = typer.Option(False, "--net", help="A net that is trained on pairs of clean and noisy images."),
    noise2noise: bool = typer.Option(False, "--noise2noise", help="A net that is trained on noisy images alone."),
) -> None:
    """Begin a method of your own, where you stand: a Python file, a yaml and a test, all of which work.

    A filter, unless --net or --noise2noise asks for a small DnCNN.

    \b
      python -m cryobench new mine
    """
    if net and noise2noise:
        raise InputError("expected --net or --noise2noise, got both; a net trained on noisy images is --noise2noise")
    kind = "net" if net else "noise2noise" if noise2noise else "filter"
    check_name(name)
    folder = resources.files("cryobench.conf")
    if Path("conf").exists() and Path("conf").samefile(str(folder)):
        raise InputError(
            "expected a folder of your own to stand in, got a checkout of cryobench, whose conf/ has the methods "
            "that come with it; make one: mkdir mine && cd mine"
        )
    test = "test_filter.py" if kind == "filter" else "test_net.py"
    files = {f"{name}.py": f"{kind}.py", f"conf/method/{name}.yaml": f"{kind}.yaml", f"test_{name}.py": test}
    if existing := [file for file in files if Path(file).exists()]:
        raise InputError(
            f"expected new files, got {', '.join(existing)}, which exist; choose another name, or move them"
        )
    from cryobench.files import whole

    templates = {file: template(source) for file, source in files.items()}
    of_class = class_name(name, "\n".join(templates.values()))
    Path("conf/method").mkdir(parents=True, exist_ok=True)
    for file, text in templates.items():
        with whole(file) as part:
            part.write_text(named(text, name, of_class), encoding="utf-8")
        print(f"written: {file}")
    print(f"its test (pip install pytest): python -m pytest test_{name}.py")
    print(f"a run:  python -m cryobench --config-dir conf method={name}")


def check_name(name: str) -> None:
    """Raise InputError for a name that no file of Python, no yaml or no method can have."""
    import yaml

    from cryobench.config.identity import shipped_targets

    if not name.isascii() or not name.isidentifier() or keyword.iskeyword(name) or not re.search("[A-Za-z]", name):
        raise InputError(f"expected a name made of letters, digits and _, as mynet, got {name}")
    if not isinstance(yaml.safe_load(name), str):
        raise InputError(f"expected a name that yaml takes for text, got {name}; choose another")
    if name in shipped_targets("method"):
        raise InputError(f"expected a name of its own, got {name}, which is a method of cryobench; choose another")
    if not Path(f"{name}.py").exists() and (spec := find_spec(name)) is not None:
        where = spec.origin or "a package here"
        raise InputError(f"expected a name that no module has, got {name}, which is {where}; choose another")


def class_name(name: str, text: str) -> str:
    """my_net → MyNet; MyNetMethod where the text has that word already."""
    camel = "".join(part[:1].upper() + part[1:] for part in name.split("_"))
    camel = camel if camel.isidentifier() and not keyword.iskeyword(camel) else f"Method{camel}"
    return f"{camel}Method" if re.search(rf"\b{camel}\b", text) else camel


def named(text: str, name: str, of_class: str) -> str:
    """A template's text with its names put in: `mine` is the method and its module, `Mine` its class."""
    names = {"mine": name, "Mine": of_class}
    return re.sub(r"(?<![A-Za-z])[mM]ine(?![A-Za-z])", lambda match: names[match[0]], text)


def template(name: str) -> str:
    """A file of cryobench/cli/templates, in which `mine` and `Mine` stand for what is to be made."""
    return (resources.files("cryobench.cli") / "templates" / name).read_text(encoding="utf-8")
