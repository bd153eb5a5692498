"""What is released: one version everywhere, a source distribution and a container that install the same, a conda environment.

Neither docker nor conda is needed: what the container is built of is put together here as the Dockerfile says, and installed
from there in the same way, without dependencies.
"""

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from conftest import PATIENCE
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import cryobench

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
# Of the Citation File Format 1.2.0, for software.
CFF = set(
    "abstract authors cff-version commit contact date-released doi identifiers keywords license license-url message "
    "preferred-citation references repository repository-artifact repository-code title type url version".split()
)


def test_the_citation_can_be_read_by_zenodo_and_is_of_the_newest_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert set(citation) <= CFF and {"title", "message", "authors", "license", "abstract"} <= set(citation)
    assert (
        citation["cff-version"] == "1.2.0"
        and citation["type"] == "software"
        and citation["license"] == PROJECT["license"]
    )
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    version, date = re.search(r"^## \[(\d[^\]]*)\] - (\d{4}-\d\d-\d\d)$", changes, re.MULTILINE).groups()
    assert (version, date) == (citation["version"], str(citation["date-released"])) and version == cryobench.__version__


def instructions(word: str) -> list[str]:
    return [line.removeprefix(word).strip() for line in DOCKERFILE if line.startswith(f"{word} ")]


def test_the_container_has_a_python_that_is_supported_and_asks_for_extras_that_there_are():
    (base,) = instructions("FROM")
    version = re.fullmatch(r"python:(\d+\.\d+)-slim", base)[1]
    assert version in SpecifierSet(PROJECT["requires-python"])
    assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]
    (extras,) = (line.partition("=")[2] for line in instructions("ARG") if line.startswith("EXTRAS="))
    assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])


def test_the_conda_environment_installs_a_checkout_under_the_constraints_that_are_tested():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    *packages, last = environment["dependencies"]
    (python,) = (name.partition("=")[2] for name in packages if name.startswith("python="))
    assert python in SpecifierSet(PROJECT["requires-python"]) and "pip" in packages
    options = dict(line.split(" ", 1) for line in last["pip"])
    assert (ROOT / options["-c"]).is_file()
    extras = Requirement(options["-e"].replace(".", "cryobench", 1)).extras
    assert extras <= set(PROJECT["optional-dependencies"])


def wheel(source: Path, out: Path) -> dict[str, bytes]:
    """The wheel that is built of a folder: file → content, without the list of its own files."""
    words = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", out, source]
    subprocess.run(words, check=True, timeout=PATIENCE)
    (file,) = out.glob("cryobench-*.whl")
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("RECORD")}


def checkout(folder: Path) -> Path:
    """The tracked files, as they are."""
    words = ["git", "-C", str(ROOT), "ls-files", "-z", "--", ".", ":!results"]
    for name in subprocess.run(words, capture_output=True, text=True, check=True).stdout.split("\0")[:-1]:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.mark.slow
def test_a_checkout_the_source_distribution_and_the_container_install_the_same(tmp_path):
    whole = checkout(tmp_path / "whole")
    (tmp_path / "sdist").mkdir()
    build = "from setuptools.build_meta import build_sdist; import sys; build_sdist(sys.argv[1])"
    words = [sys.executable, "-c", build, tmp_path / "sdist"]
    subprocess.run(words, cwd=whole, check=True, timeout=PATIENCE, capture_output=True)
    (file,) = (tmp_path / "sdist").glob(f"cryobench-{cryobench.__version__}.tar.gz")
    with tarfile.open(file) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.2 has none
        archive.extractall(tmp_path / "unpacked")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    container = tmp_path / "container"
    for line in instructions("COPY"):
        *names, place = line.split()
        for name in names:
            target = container / place / name if place == "./" else container / place
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if (whole / name).is_dir() else shutil.copy)(whole / name, target)
    expected = wheel(checkout(tmp_path / "fresh"), tmp_path / "a")
    assert any(name.endswith("conf/config.yaml") for name in expected)
    assert wheel(unpacked, tmp_path / "b") == expected
    assert wheel(container, tmp_path / "c") == expected
