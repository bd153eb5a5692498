"""Star files as people have them: each fault is named with its lines, and what is written back is the text that came."""

import os
import re
import signal
import subprocess
import sys
import time

import gemmi
import mrcfile
import numpy as np
import pytest
import starfile

from cryobench.data.io.images import open_images
from cryobench.data.io.star import read_star
from cryobench.errors import InputError

N = 12


@pytest.fixture
def images(tmp_path) -> np.ndarray:
    """N images of 16 px in a.mrcs, of 1.5 Å/px; the command line stands beside it."""
    images = np.random.default_rng(0).normal(size=(N, 16, 16)).astype(np.float32)
    stack(tmp_path / "a.mrcs", images)
    return images


def stack(path, images, pixel=1.5):
    with mrcfile.new(path, images, overwrite=True) as file:
        file.set_image_stack()
        file.voxel_size = pixel


def star(names, *, optics="", extra=None) -> str:
    """A RELION 3.1 file: rlnImageName, rlnOpticsGroup, and one more column."""
    extra = extra or [f"{0.25 * i:.6f}" for i in range(len(names))]
    rows = "".join(f"{name} 1 {value}\n" for name, value in zip(names, extra, strict=True))
    optics = optics or table("optics", ["rlnOpticsGroup", "rlnImagePixelSize"], ["1 1.5"])
    return optics + table("particles", ["rlnImageName", "rlnOpticsGroup", "rlnAngleRot"], []) + rows


def table(name, columns, rows) -> str:
    tags = "".join(f"_{column} #{k}\n" for k, column in enumerate(columns, 1))
    return f"\n# version 30001\n\ndata_{name}\n\nloop_\n{tags}" + "".join(row + "\n" for row in rows)


NAMES = [f"{i:06d}@a.mrcs" for i in range(1, N + 1)]


def refused(cli, tmp_path, *words, arguments=(), text=None, kept="x.star"):
    """`denoise` says all of this in one line, with status 2, and leaves no file."""
    if text is not None:
        (tmp_path / "x.star").write_bytes(text if isinstance(text, bytes) else text.encode())
    before = sorted(p.name for p in tmp_path.iterdir())
    status, out, err = cli("denoise", kept, "method=noisy", "-o", "new.mrcs", *arguments)
    assert status == 2 and not out and len(err.strip().splitlines()) == 1, err
    for word in words:
        assert word in err, err
    assert sorted(p.name for p in tmp_path.iterdir()) == before
    return err


def denoised(cli, tmp_path, text, *arguments):
    """`denoise` of a star file by the identity: the stack, the star file's bytes, and what was said."""
    (tmp_path / "x.star").write_bytes(text if isinstance(text, bytes) else text.encode())
    status, _, err = cli("denoise", "x.star", "method=noisy", "-o", "out.mrcs", "--force", *arguments)
    assert status == 0, err
    messages = "".join(line for line in err.splitlines(keepends=True) if "to learn from" not in line)
    return mrcfile.read(tmp_path / "out.mrcs"), (tmp_path / "out.star").read_bytes(), messages


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


# Rows


def test_a_row_that_lacks_a_value_is_named_and_not_made_up(cli, images, tmp_path):
    whole = star(NAMES)
    stray = whole.replace("000004@", "9\n000004@")
    refused(cli, tmp_path, f"line {line_of(stray, '9' + chr(10) + '000004@')}", "got 1", text=stray)
    cut = whole[: whole.rindex(" 1 ")]
    refused(cli, tmp_path, f"line {line_of(whole, NAMES[-1])}", "got 1 in", text=cut)
    both = stray.replace("000007@a.mrcs 1", "000007@a.mrcs")
    refused(cli, tmp_path, "got 1, 2 in lines", text=both)
    refused(cli, tmp_path, "got 4 in line", text=whole.replace("000005@a.mrcs 1", "000005@a.mrcs 1 1"))
    with pytest.raises(InputError, match="3 values in each row"):  # as training reads it
        read_star(tmp_path / "x.star")


def test_a_last_line_without_an_end_is_told_of(cli, images, tmp_path):
    whole = star(NAMES)
    assert not denoised(cli, tmp_path, whole)[2]
    _, _, err = denoised(cli, tmp_path, whole.rstrip())
    assert "its last line has no end" in err and len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("name", ['""', "0@a.mrcs", "000000@a.mrcs", "000001@"])
def test_an_image_name_that_names_none_is_refused(cli, images, tmp_path, name):
    refused(cli, tmp_path, "like 000001@stack.mrcs", "image 3", text=star([*NAMES[:2], name, *NAMES[3:]]))


@pytest.mark.parametrize("value", ["", "nan", "inf", "x", "1_0", "0x1p"])
def test_a_value_that_is_no_number_is_named(images, tmp_path, value):
    (tmp_path / "x.star").write_text(star(NAMES, extra=["1"] * 4 + [f'"{value}"'] + ["1"] * 7))
    with pytest.raises(InputError, match=r"numbers in rlnAngleRot.*image 5"):
        read_star(tmp_path / "x.star").column("rlnAngleRot")


def test_a_name_without_a_number_needs_a_file_of_one_image(cli, images, tmp_path):
    refused(cli, tmp_path, "12 images", "image 1", text=star(["a.mrcs"]))
    for k in (0, 1):
        stack(tmp_path / f"one{k}.mrcs", images[k : k + 1])
    out, _, _ = denoised(cli, tmp_path, star(["one1.mrcs", "one0.mrcs"]))
    np.testing.assert_allclose(out, images[[1, 0]], atol=1e-6)


def test_words_are_those_of_cif(images, tmp_path):
    """Apostrophes, number signs and spaces in names: as gemmi's reader of the same file has them."""
    names = [
        "1@Dan's/m.mrcs",
        "2@grid#3/a.mrcs",
        '"3@two words/a.mrcs"',
        "'4@say \"x\"/a.mrcs'",
        "5@a'b'c.mrcs",
    ]
    (tmp_path / "x.star").write_text(star(names).replace("0.250000\n", "0.250000  # a comment\n"))
    ours = read_star(tmp_path / "x.star").cells("rlnImageName")
    block = gemmi.cif.read(str(tmp_path / "x.star")).find_block("particles")
    assert ours == [gemmi.cif.as_string(value) for value in block.find_loop("_rlnImageName")]
    assert ours[0] == "1@Dan's/m.mrcs" and ours[2] == "3@two words/a.mrcs"


# Optics groups

OPTICS = ["rlnOpticsGroup", "rlnOpticsGroupName", "rlnImagePixelSize"]


def test_an_optics_group_listed_twice_is_one_and_two_that_differ_are_refused(cli, images, tmp_path):
    alike = table("optics", OPTICS, ["1 one 1.5", "1 one 1.5"])
    out, text, _ = denoised(cli, tmp_path, star(NAMES, optics=alike))
    assert out.shape == (N, 16, 16) and text.count(b"1 one 1.5\n") == 2
    differing = table("optics", OPTICS, ["1 one 1.5", "1 one 3.0"])
    refused(cli, tmp_path, "optics group 1 once", "differ in rlnImagePixelSize", text=star(NAMES, optics=differing))


def test_optics_without_a_group_and_particles_without_one(cli, images, tmp_path):
    refused(
        cli,
        tmp_path,
        "rlnOpticsGroup in data_optics",
        text=star(NAMES, optics=table("optics", OPTICS[1:], ["one 1.5"])),
    )
    refused(
        cli,
        tmp_path,
        "groups out of 7",
        "got 1 for image 1-12",
        text=star(NAMES, optics=table("optics", OPTICS, ["7 x 2"])),
    )
    without = star(NAMES).replace("_rlnOpticsGroup #2", "_rlnGroupNumber #2")
    assert float(open_images(written(tmp_path, without)).pixel_size) == 1.5
    two = star(NAMES, optics=table("optics", OPTICS, ["1 a 1.5", "2 b 1.5"])).replace(
        "_rlnOpticsGroup #2", "_rlnClass #2"
    )
    refused(cli, tmp_path, "which of 2 optics groups", text=two)
    twice = star(NAMES).replace("_rlnAngleRot", "_rlnOpticsGroup")
    refused(cli, tmp_path, "rlnOpticsGroup twice", text=twice)
    refused(cli, tmp_path, "one data_particles, got 2", text=star(NAMES) + table("particles", ["rlnImageName"], NAMES))


def written(tmp_path, text):
    (tmp_path / "x.star").write_text(text)
    return tmp_path / "x.star"


def test_the_optics_groups_columns_are_those_of_starfile(images, tmp_path):
    optics = table("optics", [*OPTICS, "rlnVoltage"], ["2 b 1.5 200", "1 a 1.5 300"])
    text = star(NAMES, optics=optics).replace("000003@a.mrcs 1", "000003@a.mrcs 2")
    ours = open_images(written(tmp_path, text))
    blocks = starfile.read(tmp_path / "x.star")
    joined = blocks["particles"].merge(blocks["optics"], on="rlnOpticsGroup", how="left")
    for name in ("rlnAngleRot", "rlnVoltage", "rlnImagePixelSize"):
        np.testing.assert_array_equal(ours.column(name), joined[name])


# Pixel sizes


def test_the_star_files_pixel_size_wins_with_a_word_and_the_users_decides(cli, images, tmp_path):
    stack(tmp_path / "a.mrcs", images, pixel=1.0)  # as many programs leave it
    _, _, err = denoised(cli, tmp_path, star(NAMES))
    assert "1.5 Å per pixel" in err and "its own header says, 1," in err and len(err.strip().splitlines()) == 1

    def size():
        return float(mrcfile.open(tmp_path / "out.mrcs").voxel_size.x)

    assert size() == 1.5
    _, _, err = denoised(cli, tmp_path, star(NAMES), "--pixel-size", "2.5")
    assert size() == 2.5 and "2.5 Å per pixel as given" in err and "stay as they are" in err
    assert not denoised(cli, tmp_path, star(NAMES), "--pixel-size", "1.5")[2], "nothing differs"
    refused(cli, tmp_path, "--pixel-size", "-1", arguments=["--pixel-size", "-1"])
    for value in ("0", "-1.5"):
        text = star(NAMES, optics=table("optics", OPTICS, [f"1 a {value}"]))
        refused(cli, tmp_path, "pixel sizes above 0", "image 1-12", text=text)


def test_two_pixel_sizes_are_refused_with_advice_that_can_be_followed(cli, images, tmp_path):
    stack(tmp_path / "b.mrcs", images[:3, :8, :8], pixel=3)
    optics = table("optics", OPTICS, ["1 a 1.5", "2 b 3.0"])
    text = star([*NAMES[:4], "1@b.mrcs", *NAMES[4:]], optics=optics).replace("1@b.mrcs 1", "1@b.mrcs 2")
    err = refused(cli, tmp_path, "one pixel size", "1.5 to 3", text=text)
    advice = re.search(r"--images (\S+)", err)[1]
    assert advice == "1-4,6-13" and "--pixel-size" in err and "data.pixel_size_angstrom" in err
    out, _, _ = denoised(cli, tmp_path, text, "--images", advice)
    np.testing.assert_allclose(out, images, atol=1e-6)
    out, _, _ = denoised(cli, tmp_path, text, "--images", "5")
    np.testing.assert_allclose(out, images[0, :8, :8], atol=1e-6)


# What is written


def layouts() -> dict[str, str]:
    """Thirty columns each, as RELION 3.0, 3.1, 4 and 5 and csparc2star.py write them: widths, comments, blank lines, quotes."""
    micrograph = [
        "rlnCoordinateX",
        "rlnCoordinateY",
        "rlnAutopickFigureOfMerit",
        "rlnClassNumber",
        "rlnAnglePsi",
        "rlnAngleRot",
        "rlnAngleTilt",
        "rlnDefocusU",
        "rlnDefocusV",
        "rlnDefocusAngle",
        "rlnCtfBfactor",
        "rlnCtfScalefactor",
        "rlnPhaseShift",
        "rlnNormCorrection",
        "rlnLogLikeliContribution",
        "rlnMaxValueProbDistribution",
        "rlnNrOfSignificantSamples",
        "rlnGroupNumber",
        "rlnRandomSubset",
        "rlnMicrographName",
        "rlnCtfMaxResolution",
        "rlnCtfFigureOfMerit",
    ]
    old = [
        "rlnImageName",
        *micrograph,
        "rlnVoltage",
        "rlnSphericalAberration",
        "rlnAmplitudeContrast",
        "rlnMagnification",
        "rlnDetectorPixelSize",
        "rlnOriginX",
        "rlnOriginY",
    ]
    new = [
        *micrograph,
        "rlnImageName",
        "rlnOpticsGroup",
        "rlnOriginXAngst",
        "rlnOriginYAngst",
        "rlnBeamTiltX",
        "rlnGroupName",
        "rlnHelicalTubeID",
        "rlnCtfImage",
    ]
    values = {
        "rlnMicrographName": "Dan's/grid#3/mic_001.mrc",
        "rlnCtfBfactor": "1.234e-09",
        "rlnGroupName": "001",
        "rlnHelicalTubeID": "None",
        "rlnOpticsGroup": "1",
        "rlnDetectorPixelSize": "5.000000",
        "rlnCtfImage": '"two words"',
        "rlnMagnification": "33333.333333",
        "rlnNormCorrection": "-0.000000",
        "rlnLogLikeliContribution": "8.4e+04",
    }

    def rows(columns, sep, width):
        out = []
        for i, name in enumerate(NAMES):
            words = [name if c == "rlnImageName" else values.get(c, f"{i + k / 7:.6f}") for k, c in enumerate(columns)]
            out.append(sep.join(word.rjust(width) for word in words) + " ")
        return out

    def block(name, columns, body, end="\n", numbered=True):
        tags = "".join(f"_{c} #{k} {end}" if numbered else f"_{c}{end}" for k, c in enumerate(columns, 1))
        return f"data_{name}{end}{end}loop_{end}{tags}" + "".join(row + end for row in body) + f"{end}"

    optics = ["rlnOpticsGroup", "rlnOpticsGroupName", "rlnImagePixelSize", "rlnVoltage", "rlnSphericalAberration"]
    group = ["           1 opticsGroup1     1.500000   300.000000     2.700000 "]
    version = "\n# version {}\n\n"
    return {
        "relion 3.0": "\n" + block("", old, rows(old, " ", 12)),
        "relion 3.1": version.format(30001)
        + block("optics", optics, group)
        + version.format(30001)
        + block("particles", new, rows(new, " ", 12)),
        "relion 4": version.format(40001)
        + block("optics", optics, group)
        + "\n"
        + version.format(40001)
        + block("particles", new, rows(new, " ", 12))
        + "\n",
        "relion 5": version.format(50001)
        + "data_general\n\n_rlnTomoSubTomosAre2DStacks                       0\n\n"
        + version.format(50001)
        + block("optics", optics, group)
        + version.format(50001)
        + block("particles", new, rows(new, " ", 12)),
        "csparc2star": "\n"
        + block("optics", optics, ["1\tone\t1.5\t300.0\t2.7"])
        + "\n"
        + block("particles", new, rows(new, "\t", 0)),
        "windows": block("optics", optics, group, "\r\n") + block("particles", new, rows(new, " ", 9), "\r\n"),
        "old mac": block("", old, rows(old, " ", 1), "\r", numbered=False),
    }


@pytest.mark.parametrize("layout", layouts())
def test_a_star_file_comes_back_byte_for_byte_but_for_the_image_name(cli, images, tmp_path, layout):
    text = layouts()[layout].encode()
    out, back, _ = denoised(cli, tmp_path, text)
    np.testing.assert_allclose(out, images, atol=1e-6)
    assert back == text.replace(b"@a.mrcs", b"@out.mrcs")
    few, back, _ = denoised(cli, tmp_path, text, "--images", "3,9-10")
    np.testing.assert_allclose(few, images[[2, 8, 9]], atol=1e-6)
    assert len(back.splitlines()) == len(text.splitlines()) - 9
    for row, line in enumerate(line for line in back.splitlines() if b"@" in line):
        before = next(part for part in text.splitlines() if b"%06d@" % [3, 9, 10][row] in part)
        assert line == before.replace(before[before.index(b"@") - 6 :].split()[0], b"%06d@out.mrcs" % (row + 1))


def test_text_of_any_kind_is_read_or_named(cli, images, tmp_path):
    whole = star(NAMES)
    (tmp_path / "Müller").mkdir()
    stack(tmp_path / "Müller" / "a.mrcs", images)
    latin = whole.replace("@a.mrcs", "@Müller/a.mrcs").encode("latin-1")
    out, back, _ = denoised(cli, tmp_path, latin)
    np.testing.assert_allclose(out, images, atol=1e-6)
    assert back == latin.replace("Müller/a".encode("latin-1"), b"out")
    for text in (
        b"\xef\xbb\xbf" + whole.encode(),
        whole.rstrip().encode(),
        whole.replace("000005@", "\n# half\n000005@").encode(),
    ):
        out, back, _ = denoised(cli, tmp_path, text)
        assert back == text.replace(b"@a.mrcs", b"@out.mrcs") and len(out) == N
    out, back, _ = denoised(cli, tmp_path, whole.rstrip().encode(), "--images", "12,1")
    np.testing.assert_allclose(out, images[[11, 0]], atol=1e-6)
    assert starfile.read(tmp_path / "out.star")["particles"].rlnAngleRot.tolist() == [2.75, 0]
    refused(cli, tmp_path, "UTF-16", text=whole.encode("utf-16"))
    refused(cli, tmp_path, "a.cs", "there is none", kept="a.cs")
    assert "folder" in cli("denoise", ".", "method=noisy", "-o", "out.mrcs")[2]


def test_a_name_with_a_space_is_written_so_that_it_is_read_again(cli, images, tmp_path):
    (tmp_path / "x.star").write_text(star(NAMES))
    assert cli("denoise", "x.star", "method=noisy", "-o", "two words.mrcs")[0] == 0
    again = open_images(tmp_path / "two words.star")
    np.testing.assert_allclose(again.read(np.arange(N)), images, atol=1e-6)
    assert starfile.read(tmp_path / "two words.star")["particles"].rlnImageName[0] == "000001@two words.mrcs"


def test_images_of_a_star_file_are_not_written_as_a_volume(cli, images, tmp_path):
    (tmp_path / "x.star").write_text(star(NAMES))
    status, _, err = cli("denoise", "x.star", "method=noisy", "-o", "out.mrc")
    assert status == 2 and "RELION" in err and ".mrcs" in err and not list(tmp_path.glob("out*"))


def test_a_corrected_file_is_read_anew_in_the_same_session(images, tmp_path):
    path = written(tmp_path, star(NAMES).replace("000002@a.mrcs 1", "000002@a.mrcs"))
    with pytest.raises(InputError):
        read_star(path)
    path.write_text(star(NAMES[::-1]))
    np.testing.assert_array_equal(open_images(path).read(np.array([0])), images[[-1]])


# Images


def test_unusable_images_are_all_named_before_any_work_and_left_out_when_asked(cli, images, tmp_path):
    images[2], images[6, 3, 3], images[9] = 7, np.nan, np.inf
    stack(tmp_path / "a.mrcs", images)
    words = "NaN or infinity in image 7,10 (", "one value around the particle in image 3 (", "--skip-bad"
    refused(cli, tmp_path, *words, text=star(NAMES))
    out, back, err = denoised(cli, tmp_path, star(NAMES), "--skip-bad")
    assert "image 3 (" in err and "image 7,10 (" in err and back.count(b"@out.mrcs") == 9 and b"0.500000" not in back
    np.testing.assert_allclose(out, np.delete(images, [2, 6, 9], axis=0), atol=1e-6)
    assert cli("denoise", "a.mrcs", "method=noisy", "-o", "b.mrcs", "--skip-bad")[0] == 0
    np.testing.assert_allclose(mrcfile.read(tmp_path / "b.mrcs"), out, atol=1e-6)
    stack(tmp_path / "a.mrcs", np.zeros_like(images))
    refused(cli, tmp_path, "image 1-12", arguments=["--skip-bad"], text=star(NAMES))


# The system


def run_in(folder, arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "cryobench", *arguments],
        cwd=folder,
        capture_output=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
    )


def test_a_star_file_with_greek_in_it_is_written_in_the_c_locale(images, tmp_path):
    text = star(NAMES).replace("_rlnAngleRot", "_rlnΩ").encode()
    (tmp_path / "x.star").write_bytes(text)
    done = run_in(
        tmp_path,
        ["denoise", "x.star", "method=noisy", "-o", "out.mrcs"],
        LC_ALL="C",
        PYTHONUTF8="0",
        PYTHONCOERCECLOCALE="0",
    )
    assert done.returncode == 0 and b"Traceback" not in done.stderr, done.stderr
    assert (tmp_path / "out.star").read_bytes() == text.replace(b"@a.mrcs", b"@out.mrcs")


def test_a_stack_in_a_greek_folder_is_found_in_the_c_locale(images, tmp_path):
    (tmp_path / "Ω").mkdir()
    (tmp_path / "a.mrcs").rename(tmp_path / "Ω" / "a.mrcs")
    (tmp_path / "x.star").write_text(star(NAMES).replace("@a.mrcs", "@Ω/a.mrcs"), encoding="utf-8")
    done = run_in(
        tmp_path,
        ["denoise", "x.star", "method=noisy", "-o", "out.mrcs"],
        LC_ALL="C",
        PYTHONUTF8="0",
        PYTHONCOERCECLOCALE="0",
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(mrcfile.read(tmp_path / "out.mrcs"), images, atol=1e-6)


def test_a_folder_that_cannot_be_written_is_said_before_any_work(cli, images, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)  # root may write everywhere
    monkeypatch.setattr("cryobench.particles.chosen.unusable", lambda *_: pytest.fail("looked at images first"))
    refused(cli, tmp_path, "expected a folder that can be written", text=star(NAMES))


def test_a_name_that_the_system_refuses_is_one_line(cli, images, tmp_path):
    (tmp_path / "x.star").write_text(star(NAMES))
    status, _, err = cli("denoise", "x.star", "method=noisy", "-o", "a" * 255 + ".mrcs")
    assert status == 2 and "too long" in err and len(err.strip().splitlines()) == 1
    assert cli("denoise", "x.star", "method=noisy", "-o", "a" * 250 + ".mrcs")[0] == 0, "255 letters are allowed"
    status, _, err = cli("denoise", "x.star", "method=noisy", "-o", "a" * 245 + "/b.mrcs")
    assert status == 2 and "does not exist" in err


def test_sigterm_leaves_no_half_of_a_file(tmp_path):
    with mrcfile.new_mmap(tmp_path / "a.mrcs", (20000, 64, 64), mrc_mode=0) as file:
        file.data[:] = np.random.default_rng(0).integers(-9, 9, size=(64, 64))
    command = [sys.executable, "-m", "cryobench", "denoise", "a.mrcs", "method=nlm", "-o", "out.mrcs"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, env=environment)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(".*")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    assert list(tmp_path.glob(".*")), "it has begun to write"
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143 and b"SIGTERM" in err
    assert [p.name for p in tmp_path.iterdir()] == ["a.mrcs"]
