"""What is wrong with a yaml of one's own is told in one line, with its file and, where it has one, its line."""

import pytest

FAULTS = {
    "no colon": (b"_target_ own.Blur\n", ["bad.yaml: expected key: value", "_target_ own.Blur"]),
    "no colon at the end": (b"name: own\n_target_ own.Blur\n", ["bad.yaml, line 2: expected key: value", "_target_ own.Blur"]),
    "no colon before": (b"_target_ own.Blur\nwidth: 2\n", ["bad.yaml, line 1: expected key: value", "_target_ own.Blur"]),
    "a tab": (b"_target_: own.Blur\n\twidth: 2\n", ["bad.yaml, line 2: expected key: value", "width: 2"]),
    "no bracket": (b"_target_: own.Blur\nwidth: [1, 2\n", ["bad.yaml, line 2: expected key: value", "width: [1, 2"]),
    "a key twice": (b"_target_: own.Blur\nwidth: 1\nwidth: 2\n", ["bad.yaml, line 3", "duplicate key width"]),
    "two documents": (b"_target_: own.Blur\n---\nwidth: 1\n", ["bad.yaml, line 2", "another document"]),
    "a list": (b"- own.Blur\n- 2\n", ["bad.yaml: expected key: value", "got a list of 2"]),
    "empty": (b"", ["bad.yaml: expected key: value", "got nothing"]),
    "a comment": (b"# later\n", ["bad.yaml: expected key: value", "got nothing"]),
    "not UTF-8": (b"# a note\n_target_: own.Blur # \xe9\n", ["bad.yaml, line 2: expected text in UTF-8, got the byte 0xe9"]),
    "binary": (b"\x00\x01", ["bad.yaml: expected text", "special characters"]),
    "a number for a key": (b"_target_: own.Blur\n1: 2\n", ["bad.yaml: expected names of settings", "got 1"]),
    "half a reference": (b"_target_: own.Blur\nwidth: ${scale\n", ["bad.yaml: expected a value of width"]),
    "a folder": (None, ["bad.yaml: expected a yaml file, got 'Is a directory'"]),
}  # fmt: skip


@pytest.mark.parametrize("what", FAULTS)
def test_a_yaml_that_is_none_is_told_with_its_place(cli, tmp_path, what):
    content, words = FAULTS[what]
    folder = tmp_path / "conf" / "method"
    folder.mkdir(parents=True)
    if content is None:
        (folder / "bad.yaml").mkdir()
    else:
        (folder / "bad.yaml").write_bytes(content)
    for arguments in (["method=bad"], ["method=nlm,bad"], ["compare", "method=bad"]):
        status, out, err = cli("--config-dir", "conf", *arguments)
        assert status == 2 and not out and len(err.strip().splitlines()) == 1, err
        assert all(word in err for word in ("conf/method/", *words)), err


def test_a_broken_yaml_that_another_builds_on_is_told(cli, tmp_path):
    folder = tmp_path / "conf" / "method"
    folder.mkdir(parents=True)
    (folder / "base.yaml").write_text("name: base\n_target_ own.Blur\n")
    (folder / "mine.yaml").write_text("defaults: [base]\nwidth: 3\n")
    status, _, err = cli("--config-dir", "conf", "method=mine")
    assert status == 2 and err.startswith(
        "cryobench: conf/method/base.yaml, line 2: expected key: value, got '_target_ own"
    ), err


@pytest.mark.parametrize(
    "word", ["method=mine", "data=mine", "noise=mine", "+sweep=mine", "method=nlm,mine", "scale=mine"]
)
def test_a_yaml_where_one_stands_names_the_option_that_finds_it(cli, tmp_path, word):
    group = word.lstrip("+").partition("=")[0]
    (tmp_path / "own" / group).mkdir(parents=True)
    (tmp_path / "own" / group / "mine.yaml").write_text("name: mine\n")
    for verb in ([], ["plan"]):
        status, _, err = cli(*verb, word)
        assert status == 2 and err.endswith(f"got mine; own/{group}/mine.yaml is here: add --config-dir own\n"), err
    (tmp_path / "own" / group / "mine.yaml").unlink()
    assert "--config-dir" not in cli(word)[2]
