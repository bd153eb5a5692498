"""What the system refuses is told of the place that was to be written, and of no other."""

import pytest

from cryobench.errors import InputError
from cryobench.files import whole, writable


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_a_file_that_is_only_read_is_not_taken_for_the_one_that_is_written(out):
    for context in (whole(out / "x.txt"), writable(out)):
        with pytest.raises(FileNotFoundError, match="input"), context:
            (out.parent / "input").read_text()
    with pytest.raises(FileNotFoundError, match="input"), whole(out / "x.txt"):
        (out / "input").read_text()  # beside it
    assert not list(out.iterdir())


def test_a_place_that_can_not_be_written_is_named(out):
    with (
        pytest.raises(InputError, match=r"no/x.txt: expected a place to write to, got 'No such"),
        whole(out / "no/x.txt"),
    ):
        pass
    with pytest.raises(InputError, match=r"out: expected a folder that can be written, got 'No such"), writable(out):
        (out / "no" / "x.txt").write_text("")
    with pytest.raises(InputError, match=r"x\.txt: expected a place"), whole(out / "x.txt") as part:
        (part / "y").write_text("")
    with pytest.raises(InputError, match="got 'no room'"), writable(out):
        raise OSError(28, "no room")  # of a file that is open, the system names none


def test_what_lies_above_a_folder_is_its_own(out):
    (out / "file").write_text("")
    with pytest.raises(InputError, match="got 'Not a dir"), writable(out / "file" / "folder"):
        (out / "file" / "folder").mkdir(parents=True)
