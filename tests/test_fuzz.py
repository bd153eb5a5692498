"""Damaged files, hundreds for each reader: a right result, or one line that says what is wrong; never a traceback.

Seeded, so that a file that was found comes back: mutation k of a reader is the same on every machine. A result is held
against another library, or against what was written. CRYOBENCH_FUZZ=5000 asks for more.
"""

import contextlib
import copy
import io
import json
import os
import re
import warnings
from pathlib import Path

import gemmi
import mrcfile
import numpy as np
import pytest
import yaml
from conftest import SUMMARY, TINY
from cryobench.experiments import table2
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from test_structures import PDB

from cryobench.config import identity
from cryobench.config.compose import compose, resolve
from cryobench.config.mistakes import readable
from cryobench.data.io import mrc, startext
from cryobench.data.io.images import open_images
from cryobench.data.io.stack import Stack, read_map
from cryobench.data.molecules.density import Atoms, density
from cryobench.data.molecules.structures import read_structure, superpose
from cryobench.errors import InputError
from cryobench.particles.model import from_run
from cryobench.runs.store import Store

pytestmark = pytest.mark.slow

COUNT = int(os.environ.get("CRYOBENCH_FUZZ", "500"))
TELL: dict = {}
L = 8


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """One to three of: bytes flipped, cut out, repeated; the end cut off; lines or words emptied, doubled, swapped, lost."""
    for _ in range(rng.integers(1, 4)):
        if not content:
            break
        start = int(rng.integers(len(content)))
        end = min(len(content), start + int(rng.integers(1, 40)))
        lines = content.splitlines(keepends=True)
        line = int(rng.integers(len(lines)))
        words = re.split(rb"(\s+)", lines[line])
        word = 2 * int(rng.integers((len(words) + 1) // 2))
        kind = rng.integers(12)
        if kind == 0:
            flipped = bytearray(content)
            for place in rng.integers(len(content), size=rng.integers(1, 5)):
                flipped[place] ^= 1 << rng.integers(8)
            content = bytes(flipped)
        elif kind == 1:
            content = content[:start] + rng.bytes(end - start) + content[end:]
        elif kind == 2:
            content = content[:start] + content[end:]
        elif kind == 3:
            content = content[:end] + content[start:]
        elif kind == 4:
            content = content[:start]
        elif kind == 5:
            content = b"".join([*lines[:line], *lines[line + 1 :]])
        elif kind == 6:
            content = b"".join([*lines[: line + 1], *lines[line:]])
        elif kind == 7:
            other = int(rng.integers(len(lines)))
            lines[line], lines[other] = lines[other], lines[line]
            content = b"".join(lines)
        else:
            other = 2 * int(rng.integers((len(words) + 1) // 2))
            odd = [
                b"",
                b'""',
                b"nan",
                b"-1",
                b"0",
                b"9" * 30,
                b"1e999",
                b"'",
                b"#",
                b"_x",
                b"loop_",
                b"data_x",
                "Ω".encode(),
                b"?",
            ]
            choices = {
                8: odd[rng.integers(len(odd))],
                9: words[word] * 2,
                10: words[other],
                11: words[word] + b" " + words[other],
            }
            words[word] = choices[int(kind)]
            lines[line] = b"".join(words)
            content = b"".join(lines)
    return content


def found_faults(read, write, folder: Path, count: int = COUNT) -> tuple[dict[str, int], list[str]]:
    """What became of `count` damaged files: counts of right results and refusals, and every fault with its number.

    write(rng) → path of a damaged file in `folder`; read(path) raises AssertionError for a wrong result.
    """
    counts, faults = {"right": 0, "refused": 0}, []
    for number in range(count):
        path = write(np.random.default_rng([7, number]))
        before = sorted(p.name for p in folder.iterdir())
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read(path)
            counts["right"] += 1
        except InputError as error:
            counts["refused"] += 1
            if "\n" in str(error):
                faults.append(f"{number}: more than one line: {error}")
        except Exception as error:
            faults.append(f"{number}: {type(error).__name__}: {str(error)[:300]}")
        if sorted(p.name for p in folder.iterdir()) != before:
            faults.append(f"{number}: a file was left behind")
    return counts, faults


def writer(path: Path, content: bytes, damage=damaged):
    def write(rng) -> Path:
        path.write_bytes(damage(content, rng))
        return path

    return write


@pytest.fixture(autouse=True)
def tell(record_property, request, monkeypatch):
    """What `held` counts stands in the last lines of the whole run."""
    monkeypatch.setitem(TELL, "line", lambda line: record_property(SUMMARY, f"{request.node.name}: {line}"))


def held(read, write, folder: Path, count: int = COUNT) -> None:
    counts, faults = found_faults(read, write, folder, count)
    TELL["line"](f"{count} damaged files, {counts['right']} right, {counts['refused']} refused, {len(faults)} faults")
    assert not faults, "\n".join(faults[:10])
    assert counts["right"] > count / 50 and counts["refused"] > count / 50, f"damage of both kinds, got {counts}"


# Star files


@pytest.fixture
def star(tmp_path):
    """A star file over two stacks, and their images by stack."""
    rng = np.random.default_rng(0)
    images = {name: rng.normal(size=(6, L, L)).astype(np.float32) for name in ("a.mrcs", "b.mrcs")}
    for name, data in images.items():
        mrcfile.write(tmp_path / name, data, voxel_size=1.5)
    rows = "".join(f"{k % 6 + 1:06d}@{'ab'[k // 6]}.mrcs {k % 2 + 1} {k / 4:.6f} Dan's/m#{k}.mrc\n" for k in range(12))
    text = (
        "# version 30001\n\ndata_optics\n\nloop_\n_rlnOpticsGroup #1\n_rlnImagePixelSize #2\n1 1.5\n2 1.5\n\n"
        "# version 30001\n\ndata_particles\n\nloop_\n_rlnImageName #1\n_rlnOpticsGroup #2\n_rlnAngleRot #3\n"
        f"_rlnMicrographName #4\n{rows}\n"
    )
    return text.encode(), images


def reads_star(images):
    """Names as gemmi has them where it reads the file at all, and the pixels that belong to them; written back, the same."""

    def read(path: Path) -> None:
        source = open_images(path)
        assert source.pixel_size > 0
        source.column("rlnAngleRot")
        names, every = source.cells("rlnImageName"), np.arange(len(source))
        pixels = source.read(every)
        assert len(pixels) == len(names) == len(source)
        for name, image in zip(names, pixels, strict=True):
            number, _, stack = name.rpartition("@")
            np.testing.assert_array_equal(image, images[Path(stack).name][int(number) - 1])
        if (theirs := names_by_gemmi(path.read_bytes())) is not None:
            assert names == theirs
        path.write_bytes(source.pointing_to("a.mrcs", every[:6]))
        again = open_images(path)
        assert again.cells("rlnImageName") == [f"{i:06d}@a.mrcs" for i in range(1, len(every[:6]) + 1)]
        assert again.cells("rlnAngleRot") == source.cells("rlnAngleRot")[:6]

    return read


def names_by_gemmi(content: bytes) -> list[str] | None:
    try:
        blocks = gemmi.cif.read_string(content.replace(b"\r", b"\n").decode("ascii"))
        block = next(b for name in ("particles", "images") for b in blocks if b.name == name)
        return [gemmi.cif.as_string(value) for value in block.find_loop("_rlnImageName")]
    except (ValueError, RuntimeError, UnicodeDecodeError, StopIteration):
        return None


def test_star_files(star, tmp_path):
    content, images = star
    reads_star(images)(writer(tmp_path / "x.star", content, lambda content, rng: content)(None))
    held(reads_star(images), writer(tmp_path / "x.star", content), tmp_path)


def test_a_reader_that_skips_a_check_is_found(star, tmp_path, monkeypatch):
    """The planted fault: rows are no longer counted, so that a missing value shifts or ends what follows."""
    content, images = star
    monkeypatch.setattr(startext.Table, "check", lambda self, path: None)
    _, faults = found_faults(reads_star(images), writer(tmp_path / "x.star", content), tmp_path)
    assert len(faults) > 5, "unseen"


# .cs files


def cs_particles() -> np.ndarray:
    """Twelve particles in two stacks, as cryoSPARC lists them."""
    kinds = [("uid", "<u8"), ("blob/path", "S9"), ("blob/idx", "<u4"), ("blob/psize_A", "<f4"), ("blob/sign", "<f4"),
             ("ctf/df1_A", "<f4"), ("alignments3D/pose", "<f4", (3,)), ("alignments3D/shift", "<f4", (2,))]  # fmt: skip
    made = np.zeros(12, kinds)
    made["uid"], made["blob/idx"], made["blob/psize_A"], made["blob/sign"] = (
        np.arange(12) + 10**12,
        np.arange(12) % 6,
        1.5,
        -1,
    )
    made["blob/path"] = [f">{'ab'[k // 6]}.mrcs".encode() for k in range(12)]
    made["alignments3D/pose"] = np.linspace(-1, 1, 36).reshape(12, 3)
    made["ctf/df1_A"] = 1e4 + np.arange(12)
    return made


def reads_cs(images):
    def read(path: Path) -> None:
        source = open_images(path)
        every = np.arange(len(source))
        assert source.pixel_size is None or source.pixel_size > 0
        if "rlnAngleRot" in source.columns:
            source.column("rlnAngleRot")
        source.column("rlnDefocusU", 0), source.origins(1.5), source.contrast
        files, which, places = source._places
        for k, place, image in zip(which, places, source.read(every), strict=True):
            np.testing.assert_array_equal(image, images[Path(files[k]).name][place])
        path.write_bytes(source.pointing_to("a.mrcs", every[:6]))
        again = open_images(path)
        np.testing.assert_array_equal(again.read(np.arange(len(again))), images["a.mrcs"][: len(again)])
        for name in set(source.particles.dtype.names) - {"blob/path", "blob/idx"}:
            assert again.particles[name].tobytes() == np.ascontiguousarray(source.particles[name][:6]).tobytes()

    return read


def cs_file(folder: Path) -> bytes:
    with open(folder / "x.cs", "wb") as file:
        np.save(file, cs_particles())
    return (folder / "x.cs").read_bytes()


def test_cs_files(star, tmp_path):
    content, (_, images) = cs_file(tmp_path), star
    reads_cs(images)(writer(tmp_path / "x.cs", content, lambda content, rng: content)(None))
    held(reads_cs(images), writer(tmp_path / "x.cs", content), tmp_path)


def test_a_cs_file_of_pickles_is_never_unpacked(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "went off",))

    with open(tmp_path / "x.cs", "wb") as file:
        np.save(file, np.array([Bomb()] * 3, dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"whole \.cs file"):
        open_images(tmp_path / "x.cs")
    assert not (tmp_path / "went off").exists()


# MRC files


def damaged_header(content: bytes, rng: np.random.Generator) -> bytes:
    """A field of the header emptied, negative, large or random, or of another one; or damage anywhere."""
    if rng.random() < 0.3:
        return damaged(content, rng)
    changed = bytearray(content)
    for _ in range(rng.integers(1, 3)):
        place = (
            4 * int(rng.integers(56))
            if rng.random() < 0.7
            else 4 * int(rng.choice([0, 1, 2, 3, 7, 16, 22, 23, 52, 53]))
        )
        values = [
            bytes(4),
            b"\xff" * 4,
            b"\0\0\0\x80",
            bytes([int(rng.integers(128)), 0, 0, 0]),
            rng.bytes(4),
            content[(p := 4 * int(rng.integers(56))) : p + 4],
        ]
        changed[place : place + 4] = values[rng.integers(len(values))]
    return bytes(changed)


@pytest.fixture
def stack(tmp_path) -> bytes:
    data = np.random.default_rng(0).normal(size=(L, L, L)).astype(np.float32)
    mrcfile.write(tmp_path / "x.mrcs", data, voxel_size=1.5)
    return (tmp_path / "x.mrcs").read_bytes()


def reads_stack(path: Path) -> None:
    """As mrcfile reads it, where that finds nothing to complain of."""
    opened = Stack(path)
    assert opened.pixel_size is None or opened.pixel_size > 0
    images = opened.raw(np.arange(len(opened)))
    assert images.shape == opened.shape and images.shape[1] == images.shape[2]
    assert 1024 + opened.header["nsymbt"] + images.size * opened._header.dtype.itemsize <= path.stat().st_size
    if (theirs := by_mrcfile(path)) is not None and opened._header.dtype.kind != "u":
        np.testing.assert_array_equal(images.ravel(), theirs.ravel())


def reads_map(path: Path) -> None:
    volume, voxel = read_map(path)
    assert len(set(volume.shape)) == 1 and np.isfinite(volume).all() and (voxel is None or voxel > 0)
    if (theirs := by_mrcfile(path)) is not None and theirs.dtype.kind != "i":
        np.testing.assert_array_equal(np.sort(volume.ravel()), np.sort(theirs.ravel()))


def by_mrcfile(path: Path) -> np.ndarray | None:
    """The data where mrcfile reads the file and warns of nothing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with mrcfile.open(path) as file:
                return (
                    np.array(file.data, dtype=np.float32)
                    if file.data is not None and file.data.dtype.kind != "c"
                    else None
                )
    except Exception:
        return None


@pytest.mark.parametrize("read", [reads_stack, reads_map])
def test_mrc_files(stack, tmp_path, read):
    held(read, writer(tmp_path / "x.mrcs", stack, damaged_header), tmp_path)


def other_dimensions(content: bytes, rng: np.random.Generator) -> bytes:
    """One of nx, ny, nz is another one of up to 40, so that a reader which believes it needs little memory."""
    place = 4 * int(rng.integers(3))
    return content[:place] + int(rng.integers(1, 40)).to_bytes(4, "little") + content[place + 4 :]


def test_a_header_that_is_not_checked_is_found(stack, tmp_path, monkeypatch):
    whole = mrc.wrong
    monkeypatch.setattr(mrc, "wrong", lambda fields, size: whole(fields, None))  # the size is not looked at
    _, faults = found_faults(reads_stack, writer(tmp_path / "x.mrcs", stack, other_dimensions), tmp_path, 50)
    assert len(faults) > 5, "unseen"


# Structures


def reads_structure(path: Path) -> None:
    structure = read_structure(path)
    assert len(set(structure.names)) == len(structure) > 0 and np.abs(structure.positions).max() < 1e5
    assert len(structure) <= path.read_bytes().count(b"ATOM") + path.read_bytes().count(b"HETATM")
    motion = superpose(structure.positions, structure.positions[::-1] + 1.0)
    assert np.isfinite(motion(structure.positions)).all()
    positions = structure.positions - structure.positions.mean(axis=0)
    assert np.isfinite(density(Atoms(positions, structure.elements), 16, 64.0)).all()


@pytest.mark.parametrize("kind", ["pdb", "cif"])
def test_structures(tmp_path, kind):
    content = PDB if kind == "pdb" else gemmi.read_pdb_string(PDB).make_mmcif_document().as_string(gemmi.cif.Style.Pdbx)
    held(reads_structure, writer(tmp_path / f"x.{kind}", content.encode()), tmp_path)


# Records


def damaged_json(content: bytes, rng: np.random.Generator) -> bytes:
    """A value somewhere in it emptied, of another kind, lost, doubled or put elsewhere; or damage to its bytes."""
    if rng.random() < 0.3:
        return damaged(content, rng)
    document = json.loads(content)
    for _ in range(rng.integers(1, 4)):
        places = list(places_in(document))
        node, key = places[rng.integers(len(places))]
        other, name = places[rng.integers(len(places))]
        values = [
            None,
            "",
            "x",
            -1,
            1e300,
            [],
            {},
            True,
            [None],
            {"name": "x"},
            other[name],
            "${oc.env:HOME}",
            "../../x",
        ]
        if rng.random() < 0.3 and isinstance(node, dict):
            del node[key]
            break
        node[key] = json.loads(json.dumps(values[rng.integers(len(values))]))
    return json.dumps(document).encode()


def places_in(node):
    """(container, key) of all that lies in it, config and metrics as often as the long lists."""
    for key in node if isinstance(node, dict) else range(min(len(node), 2)):
        yield node, key
        if isinstance(node[key], dict | list):
            yield from places_in(node[key])


@pytest.fixture
def results(cli, tmp_path):
    """A results folder with two runs, one of which is to be damaged, and that one's record."""
    assert cli("method=noisy,oracle", "paths.results=res", *TINY)[0] == 0
    return next((tmp_path / "res" / "runs").glob("noisy-*/record.json"))


def test_records(results, tmp_path):
    """A table and the model are made of what can be read; the other record is always there. Fewer, as that takes longer."""
    content, store = results.read_bytes(), Store(tmp_path / "res")

    def read(path: Path) -> None:
        records = store.all(task=None)
        assert 1 <= len(records) <= 2 and any(record.run_id.startswith("oracle") for record in records)
        with contextlib.redirect_stderr(io.StringIO()):
            table2.write(store)
        lines = (tmp_path / "res" / "tables" / "table2.csv").read_text().splitlines()
        assert lines[0].startswith("row,snr,metric,mean") and "nan" not in "".join(lines)
        from_run(path.parent.name, tmp_path / "res", [])

    table2.write(store)
    held(read, writer(results, content, damaged_json), tmp_path, COUNT * 2 // 5)


# Configs


def test_configs(tmp_path):
    """A method's yaml as somebody writes it, damaged: a config whose values have the declared types, or one line."""
    settings = yaml.safe_dump(
        {
            "name": "gan2",
            "_target_": resolve(compose(["method=gan"]))["method"]["_target_"],
            "alpha": 0.5,
            "beta": 0.5,
            "lam": 10.0,
            "net": "conv",
            "width": 4,
            "epochs": 1,
            "batch_size": 14,
        }
    )
    base = compose(["method=gan", *TINY])

    def read(path: Path) -> None:
        config, node = copy.deepcopy(base), identity.document(path)
        try:
            OmegaConf.update(config, "method", {**OmegaConf.to_container(base.method), **node}, merge=False)
        except OmegaConfBaseException as error:  # as `compose` does where Hydra puts the yaml in
            raise InputError(readable(error)) from None
        method = resolve(config)["method"]
        assert all(isinstance(method[name], float) for name in ("alpha", "beta", "lam"))
        assert (
            isinstance(method["net"], str)
            and isinstance(method["width"], int)
            and "/" not in identity.run_id(resolve(config))
        )

    held(read, writer(tmp_path / "gan2.yaml", settings.encode()), tmp_path)
