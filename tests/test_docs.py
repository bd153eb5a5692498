"""Examples in docstrings run, links in documents lead somewhere, and the commands of documents are ones that there are."""

import doctest
import importlib
import re
import subprocess
from pathlib import Path

import pytest
import yaml

import cryobench
from cryobench.cli.app import app
from cryobench.config.compose import GROUPS, compose, resolve
from cryobench.config.sweep import parse, unquoted

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "results" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
EXAMPLES = [
    p
    for folder in ("cryobench", "baselines", "experiments")
    for p in sorted((ROOT / folder).rglob("*.py"))
    if ">>>" in p.read_text("utf-8")
]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_examples_of_a_module_run(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    module = importlib.import_module(".".join(parts if parts[0] == "cryobench" else ("cryobench", *parts)))
    assert doctest.testmod(module).failed == 0


def test_no_tracked_file_names_a_folder_of_one_machine():
    words = ["git", "-C", str(ROOT), "ls-files", "-z"]
    tracked = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split("\0")[:-1]
    named = {}
    for name in tracked:
        content = (ROOT / name).read_bytes()
        if b"\0" not in content and (
            found := re.findall(rb"(?<![\w.-])/(?:root|home|Users|work|opt)/\w[\w./-]*", content)
        ):
            named[name] = found[:3]
    assert not named
    assert not [name for name in tracked if name.endswith(".log")]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_and_pictures_of_a_page_are_there(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)", text):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (page.parent / target).exists(), f"{page.name} points to {target}"


def commands() -> list[str]:
    words = set()
    for page in PAGES:
        for command in re.findall(r"python -m cryobench((?: +[^`\n|#&]+)?)", page.read_text(encoding="utf-8")):
            words.add(command.strip())
    return sorted(words)


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_documents_is_one_that_there_is(command):
    """Verbs are known; runs and sweeps compose (those with a placeholder, or a yaml of the reader's own, are left out)."""
    words = [word for word in re.findall(r"(?:[^\s\"]|\"[^\"]*\")+", command) if word != "-m"]
    words = [word.replace('"', "") for word in words]
    if not words:
        return
    if "=" not in words[0] and words[0][0] not in "+-":
        known = {c.name or c.callback.__name__ for c in app.registered_commands}
        assert words[0] in known | {"VERB"}, words[0]
        return
    if (
        any(re.search(r"\b[A-Z]{3,}\b|…|\.\.\.", word) for word in words)
        or "--config-dir" in words
        or "--help" in words
    ):
        return
    overrides = [word for word in words if "=" in word and not word.startswith("--")]
    given = parse(
        overrides
    )  # a command's swept keys are looked up one value each: composing all its runs takes seconds
    composed = compose([f"{key}={values[0]}" for key, (values, _) in given.items() if key != "row"])
    rows = [unquoted(row) for row in given.get("row", ([], False))[0]]
    assert set(rows) <= set(composed.rows) and resolve(composed)


def test_what_readmes_commands_write_is_ignored_by_git():
    """A checkout stays clean after each of them."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    written = {name for block in blocks for name in re.findall(r"(?:-o|--picture) (\S+)", block)}
    written |= {"denoised.star", "mine.py", "conf/method/blur.yaml", ".venv/x", "results/phantom-quick/runs/x"}
    written |= {"results/phantom-smoke/tables/x", "results/rnap_ecoli-desk/compare/compare.md"}
    assert {"denoised.mrcs", "model.safetensors", "maps"} <= written
    for name in written:  # a folder is ignored with what is in it
        path = name if "." in name.rpartition("/")[2] or "/" in name else f"{name}/x"
        words = ["git", "-C", str(ROOT), "check-ignore", "-q", "--no-index", path]
        assert subprocess.run(words).returncode == 0, name


def test_the_citation_names_the_version_of_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == cryobench.__version__ and citation["preferred-citation"]["authors"]


def test_the_version_stands_in_one_place_and_the_changelog_begins_with_what_is_newer():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert cryobench.__version__ not in project.partition("[project.optional-dependencies]")[0]
    assert 'version = {attr = "cryobench.__version__"}' in project, "test_installation.py sees what comes of it"
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[(.+?)\]", changes, re.MULTILINE)
    assert versions[0] == "Unreleased" and versions[1:2] in ([], [cryobench.__version__])
    kinds = set(re.findall(r"^### (.+)$", changes, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}, "as Keep a Changelog names them"


def test_github_can_read_the_templates():
    """Each field of a form has a type and an id of its own, as GitHub asks."""
    forms = [p for p in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if p.name != "config.yml"]
    for form in forms:
        content = yaml.safe_load(form.read_text(encoding="utf-8"))
        fields = content["body"]
        assert {"name", "description", "body"} <= set(content) and len({field["id"] for field in fields}) == len(fields)
        assert {field["type"] for field in fields} <= {"input", "textarea", "checkboxes", "dropdown"}
        assert all(field["attributes"]["label"] for field in fields)
    assert len(forms) == 3


def test_every_group_of_the_config_is_in_the_help():
    from cryobench.cli.main import help_text

    for group in GROUPS:
        assert f"{group}=" in help_text()
