"""What is wrong in a method's own file is told with file, line and cause, in one line; nothing is asked about packages."""

import sys

import pytest

DATACLASS = "from __future__ import annotations\nfrom dataclasses import dataclass\n\n\n@dataclass\nclass Own:\n"
FAULTS = {
    "syntax": ("class Own:\n    width =\n", ["own_syntax.py, line 2: SyntaxError: invalid syntax"]),
    "indent": ("class Own:\nwidth = 1\n", ["own_indent.py, line 2: IndentationError: expected an indented block"]),
    "name": ("import os\n\nwidth = undefined\n", ["own_name.py, line 3: NameError: name 'undefined'"]),
    "package": (
        "import os\nimport no_such_package\n",
        ["own_package.py, line 2: ModuleNotFoundError", "no_such_package"],
    ),
    "field": (f"{DATACLASS}    widths: list = []\n", ["own_field.py, line 5: ValueError: mutable default"]),
    "type": (f"{DATACLASS}    width: flot = 1\n", ["types", "own_type.Own", "name 'flot' is not defined"]),
    "other class": ("class Blur:\n    pass\n", ["expected a class Own in own_other_class.py, got Blur"]),
    "function": ("def Own():\n    pass\n", ["expected _target_ to name a class, got own_function.Own", "'function'"]),
    "no file": (None, ["own_no_file.py in the folder where you stand", "got none"]),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_fault_in_ones_own_file_is_told_with_its_place(cli, tmp_path, caplog, what):
    text, words = FAULTS[what]
    module = f"own_{what.replace(' ', '_')}"
    if text is not None:
        (tmp_path / f"{module}.py").write_text(text)
    (tmp_path / "conf" / "method").mkdir(parents=True)
    (tmp_path / "conf" / "method" / "own.yaml").write_text(f"name: own\n_target_: {module}.Own\n")
    try:
        status, out, err = cli("--config-dir", "conf", "method=own", "--cfg")
    finally:
        sys.modules.pop(module, None)
    assert status == 2 and not out and len(err.strip().splitlines()) == 1, err
    assert all(word in err for word in words), err
    assert "installed?" not in err and not caplog.records, "Hydra logs what it raises"
