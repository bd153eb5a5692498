"""Where results aren't, an error says where they are: another folder here, or how to come by some."""

import pytest
from conftest import TINY

ASKED = {
    "report": ["report"],
    "table": ["table", "1"],
    "figure": ["figure", "2"],
    "export": ["export", "gan-123456789abc", "-o", "net.safetensors"],
    "reconstruct": ["reconstruct", "--run", "gan-123456789abc", "-o", "maps"],
    "trust": ["trust", "--run", "gan-123456789abc", "-o", "trust.png"],
    "leaderboard": ["compare", "--tasks"],
}
NONE_HERE = {"runs": ["runs"], "rerun": ["rerun", "gan-123456789abc"]}


@pytest.fixture
def a_run(cli, tmp_path):
    """The id of a finished run in results/mine."""
    assert cli("method=noisy", *TINY, "paths.results=results/mine")[0] == 0
    return next((tmp_path / "results" / "mine" / "runs").glob("[!.]*")).name


@pytest.mark.parametrize("what", ASKED | NONE_HERE)
def test_where_there_are_none_it_says_how_to_come_by_some(cli, tmp_path, what):
    status, _, err = cli(*(ASKED | NONE_HERE)[what])
    assert status == 2 and err.count("\n") == 1
    assert f"there are no results in {tmp_path}: those that come with cryobench are in its checkout" in err


@pytest.mark.parametrize("what", ASKED)
def test_the_folders_that_are_here_are_named(cli, a_run, what):
    status, _, err = cli(*ASKED[what])
    assert status == 2 and err.endswith("; --results names another folder; those here: results/mine\n"), err


def test_the_folder_that_has_a_run_is_named(cli, tmp_path, a_run):
    status, _, err = cli("export", a_run, "-o", "net.safetensors")
    assert status == 2 and err.endswith(f"got {a_run}; it is in results/mine: add --results results/mine\n"), err
    record = tmp_path / "results" / "mine" / "runs" / a_run / "record.json"
    record.write_text(record.read_text().replace('"status": "done"', '"status": "failed"'))
    assert "it is in" not in cli("export", a_run, "-o", "net.safetensors")[2]
