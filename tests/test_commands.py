"""Every `python -m cryobench …` of README and docs/ is one that there is, and runs within minutes or is marked as long.

A command is looked up whole: its verb's own parser takes its options, and Hydra composes its overrides. It is marked as long by a
comment "# long …" after it or at the head of its block, in running text by "(long)" behind it; CONTRIBUTING.md says so, too.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer

from cryobench.cli.app import app
from cryobench.cli.main import config_folders
from cryobench.config.compose import compose, resolve
from cryobench.config.sweep import parse, unquoted

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "results" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
VERBS = typer.main.get_command(app).commands
START = r"(?:python -m cryobench|cryobench(?= [a-z+]))"
# Beyond smoke and quick scale, or of data that no scale bounds.
HEAVY = ("scale=desk", "scale=desk128", "scale=paper", "trainer=gpu", "hydra/launcher=slurm", "data=particles")


@dataclass(frozen=True)
class Command:
    """As it stands in a page, from its program's name on, and whether it is marked as long."""

    page: str
    text: str
    long: bool

    @property
    def words(self) -> list[str]:
        """Without the program's name and folders of yamls of the reader's own."""
        return config_folders(shlex.split(re.sub(START, "", self.text, count=1)))[0]

    @property
    def verb(self) -> str | None:
        return self.words[0] if self.words and "=" not in self.words[0] and self.words[0][0] not in "+-" else None

    @property
    def overrides(self) -> list[str]:
        return [word for word in self.words if "=" in word and not word.startswith("-")]


def commands(page: Path) -> list[Command]:
    """Of blocks, line by line, and of running text."""
    name, text = str(page.relative_to(ROOT)), page.read_text(encoding="utf-8")
    blocks, found = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL), []
    for block in blocks:
        heading = bool(re.search(r"^\s*# long\b", block, re.MULTILINE))
        for line in re.sub(r"\\\n\s*", "", block).splitlines():
            line, _, comment = line.strip().removeprefix("$ ").partition(" #")
            if re.search(rf"(?:^|&& ){START}", line):
                found.append(Command(name, line[re.search(START, line).start() :], heading or " long" in comment))
    prose = re.sub(r"```\w*\n.*?```|<!--.*?-->", "", text, flags=re.DOTALL)
    for inline, after in re.findall(rf"`({START}[^`]*)`( \(long\))?", prose):
        found.append(Command(name, " ".join(inline.split()), bool(after)))
    return list(dict.fromkeys(found))


ALL = [command for page in PAGES for command in commands(page)]


def test_all_commands_are_found():
    """As many as a plain search finds, but for `python -m cryobench` in code that is none of a shell's."""
    for page in PAGES:
        plain = page.read_text(encoding="utf-8").count("python -m cryobench")
        found = [command for command in ALL if command.page == str(page.relative_to(ROOT))]
        assert len({c.text for c in found}) >= 0.8 * plain - 1, page


@pytest.mark.parametrize("command", ALL, ids=lambda c: f"{c.page}: {c.text}")
def test_a_command_is_one_that_there_is(command):
    if command.verb and command.verb != "VERB":
        assert command.verb in VERBS
        if command.words[1:]:  # else it only names the verb
            VERBS[command.verb].make_context(command.verb, command.words[1:], help_option_names=[])
    if "--config-dir" in command.text or not command.overrides:
        return  # a yaml of the reader's own: tests/test_compare.py and test_installation.py do what README says with it
    # Of swept keys one value each: composing all runs takes seconds. Whole rows are looked up below.
    given = parse(command.overrides)
    composed = compose([f"{key}={values[0]}" for key, (values, _) in given.items() if key != "row"])
    rows = [unquoted(row) for row in given.get("row", ([], False))[0]]
    assert set(rows) <= set(composed.rows) and resolve(composed)


@pytest.mark.parametrize("command", [c for c in ALL if not c.verb], ids=lambda c: f"{c.page}: {c.text}")
def test_what_takes_long_says_so_and_the_rest_is_run_by_a_test(command):
    heavy = [word for word in command.overrides if word in HEAVY]
    assert bool(heavy) <= command.long, f"mark it as long: {' '.join(heavy)}"
    for word in command.overrides:
        if word.startswith("+sweep=") and not command.long:
            tests = (
                path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py") if path != Path(__file__)
            )
            assert any(re.search(re.escape(word) + r"\b", text) for text in tests), (
                f"no test runs {word} at smoke scale"
            )


def test_every_verb_of_the_documents_is_run_by_a_test():
    tests = "".join(
        path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py") if path != Path(__file__)
    )
    verbs = {command.verb for command in ALL} - {None, "VERB"}
    assert not {verb for verb in verbs if not re.search(rf'\("{verb}["\s]', tests)}
