"""Examples in docstrings run, links in documents lead somewhere, and words and numbers have one spelling."""

import doctest
import importlib
import re
import subprocess
from pathlib import Path

import pytest
import yaml

import cryobench
from cryobench.config.schema import GROUPS
from cryobench.methods.base import SIDE_INFORMATION

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


MARKDOWN = [ROOT / "README.md", *(p for folder in ("docs", "results") for p in sorted((ROOT / folder).rglob("*.md")))]
FENCED = re.compile(r"^ *```.*?^ *```", re.M | re.S)


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_table_ends_with_a_blank_line(page):
    """Else the paragraph after it becomes rows of it."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    assert not re.findall(r"^ *\|.*\n(?! *\||\n|\Z)(.*)", text, re.M)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_code_is_not_cut_off(page):
    """Lines that fit the column of the site on a screen of 1440 px, and of README that of GitHub at 830 px."""
    most = 96 if page == ROOT / "README.md" else 104
    lines = "".join(FENCED.findall(page.read_text(encoding="utf-8"))).splitlines()
    assert not [line for line in lines if len(line) > most]


def test_the_ten_lines_of_a_method_are_the_same_in_readme_and_on_the_page_of_methods():
    readme, page = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/adding.md"))
    section = readme.split("## A method of your own, in ten lines\n\n")[1]
    told = section[: section.index("The second command")]
    assert told.count("```") == 6 and told in page


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


def test_the_glossary_has_every_key_of_side_information_and_every_simulated_molecule():
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    assert all(f"\n| {key} | {means} |\n" in text for key, means in SIDE_INFORMATION.items())
    molecules = {path.stem for path in (ROOT / "conf" / "data").glob("[!_]*.yaml")} - {"particles", "empiar10028"}
    assert all(f"\n| {name} | " in text for name in molecules), molecules


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


OLD = r"not told apart|beyond a coin|halves as they are|\ball 1 \w|lower, it says|\d(?:\.\d+)?[eE][-−]0\d|\.\d?e\}"
SOURCES = ("*.md", "cryobench/*.html", "cryobench/*.py", "experiments/*.py", "baselines/*.py")


def test_words_and_numbers_have_one_spelling():
    """Significant, above chance, raw half-dose images; 2.1e-9 and not 2.1e-09, in pages and in what programs print."""
    words = ["git", "-C", str(ROOT), "ls-files", "-z", *SOURCES]
    tracked = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split("\0")[:-1]
    examples = {
        "cryobench/printed.py",
        "cryobench/evaluation/metrics.py",
    }  # of what is mended, and of NumPy's own printing
    found = {name: re.findall(OLD, (ROOT / name).read_text("utf-8")) for name in tracked if name not in examples}
    assert not {name: hits for name, hits in found.items() if hits}
