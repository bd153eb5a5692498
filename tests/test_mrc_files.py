"""MRC files as people have them: headers of old and other programs read as gemmi and mrcfile read them, or named in one line."""

import bz2
import gzip
import itertools
import lzma
import struct
import warnings

import gemmi
import mrcfile
import numpy as np
import pytest

from cryobench.data.io.stack import Stack, read_map
from cryobench.errors import InputError, Note

L = 16
AT = {"nx": 0, "nz": 8, "mode": 12, "nxstart": 16, "mx": 28, "mapc": 64, "dmin": 76, "dmax": 80, "ispg": 88, "nsymbt": 92,
      "imod": 152, "flags": 156, "originx": 196, "map": 208, "machst": 212}  # fmt: skip


@pytest.fixture
def volume() -> np.ndarray:
    """Different along x, y and z, so that axes in another order are seen."""
    return np.random.default_rng(1).normal(size=(L, L, L)).astype(np.float32)


def write(path, data, *, pixel=1.5, **fields):
    """An MRC file, its header then changed: name (as in AT) → bytes, int32 or float32."""
    with mrcfile.new(path, data, overwrite=True) as file:
        file.voxel_size = pixel
    patch(path, **fields)
    return path


def patch(path, **fields):
    content = bytearray(path.read_bytes())
    for name, value in fields.items():
        raw = value if isinstance(value, bytes) else struct.pack("<f" if isinstance(value, float) else "<i", value)
        content[AT[name] : AT[name] + len(raw)] = raw
    path.write_bytes(content)


def big_endian(path):
    """The same file in the other byte order."""
    with mrcfile.open(path) as file:
        header, data = file.header.copy(), file.data.copy()
    swapped = header.astype(header.dtype.newbyteorder(">"))
    swapped["machst"] = (0x11, 0x11, 0, 0)
    path.write_bytes(swapped.tobytes() + data.astype(data.dtype.newbyteorder(">")).tobytes())
    return path


def silently(read, *arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read(*arguments)


def images_of(path) -> np.ndarray:
    stack = Stack(path)
    return stack.read(np.arange(len(stack)))


def refused(read, path, *words):
    with pytest.raises(InputError) as caught:
        read(path)
    text = str(caught.value)
    assert "\n" not in text and str(path) in text and all(word in text for word in words), text


@pytest.mark.parametrize("order", itertools.permutations((1, 2, 3)), ids=str)
def test_axes_in_any_order_are_those_that_gemmi_finds(tmp_path, volume, order):
    """mapc, mapr, maps of EMDB's maps: the file's columns, rows and sections are these of x, y, z."""
    path = write(
        tmp_path / "a.map",
        volume.transpose([3 - axis for axis in order[::-1]]),
        mapc=struct.pack("<3i", *order),
        ispg=1,
    )
    read, voxel = silently(read_map, path)
    theirs = gemmi.read_ccp4_map(str(path), setup=True)
    np.testing.assert_array_equal(read, np.array(theirs.grid.array).transpose(2, 1, 0))
    np.testing.assert_array_equal(read, volume)
    assert voxel == pytest.approx(1.5)


def test_axes_that_are_none_are_refused_and_zeros_are_the_usual_ones(tmp_path, volume):
    path = write(tmp_path / "a.map", volume, mapc=struct.pack("<3i", 1, 1, 3))
    refused(read_map, path, "mapc, mapr, maps", "(1, 1, 3)")
    patch(path, mapc=bytes(12))
    np.testing.assert_array_equal(silently(read_map, path)[0], volume)
    path = write(tmp_path / "a.mrcs", volume, mapc=struct.pack("<3i", 2, 1, 3))
    refused(Stack, path, "(2, 1, 3)")


@pytest.mark.parametrize("field", ["nxstart", "originx"])
def test_where_a_map_says_it_begins_is_not_used_and_said(tmp_path, volume, field):
    path = write(tmp_path / "a.map", volume, **{field: -8 if field == "nxstart" else -12.0})
    with pytest.warns(Note, match=r"\(-(8|12), 0, 0\) is not used"):
        read, _ = read_map(path)
    np.testing.assert_array_equal(read, volume)


STAMPS = {"zeros": bytes(4), "letters": b"DA\0\0", "old program": b"\x44\x42\0\0", "the other order": b"\x11\x11\0\0"}


@pytest.mark.parametrize("kind", STAMPS)
@pytest.mark.parametrize("swap", [False, True])
def test_a_machine_stamp_that_says_nothing_or_the_wrong_thing(tmp_path, volume, kind, swap):
    path = write(tmp_path / "a.mrcs", volume)
    if swap:
        big_endian(path)
    right = STAMPS[kind][:2] in ((b"\x11\x11",) if swap else (b"DA", b"DD"))
    patch(path, machst=STAMPS[kind])
    if right:
        read = silently(images_of, path)
    else:
        with pytest.warns(Note, match=f"read as {'big' if swap else 'little'}-endian"):
            read = images_of(path)
    np.testing.assert_array_equal(read, volume)
    assert Stack(path).pixel_size == pytest.approx(1.5)


def test_a_file_without_map_is_read_where_its_size_fits(tmp_path, volume):
    path = write(tmp_path / "a.mrcs", volume, map=bytes(4))
    with pytest.warns(Note, match="no MAP"):
        np.testing.assert_array_equal(images_of(path), volume)
    path.write_bytes(path.read_bytes() + b"\0")
    refused(Stack, path, "17409 bytes", "announces 17408")
    noise = np.random.default_rng(0).bytes(20000)
    for content in (noise, bytes(20000), b"text " * 4000, noise[:1023], b""):
        path.write_bytes(content)
        refused(Stack, path, "whole MRC file")


def test_what_lies_after_the_images_is_said(tmp_path, volume):
    path = write(tmp_path / "a.mrcs", volume)
    path.write_bytes(path.read_bytes() + bytes(4 * L * L))
    with pytest.warns(Note, match="1024 bytes after the 16 sections"):
        np.testing.assert_array_equal(images_of(path), volume)


@pytest.mark.parametrize("mode", [0, 1, 2, 6, 12])
@pytest.mark.parametrize("swap", [False, True])
def test_every_mode_and_byte_order_as_mrcfile_reads_it(tmp_path, mode, swap):
    data = np.random.default_rng(mode).integers(-100, 100, (3, L, L)).astype(mrcfile.utils.dtype_from_mode(mode))
    path = write(tmp_path / "a.mrcs", data)
    if swap:
        big_endian(path)
    np.testing.assert_array_equal(silently(images_of, path), mrcfile.read(path).astype(np.float32))


def test_bytes_without_a_sign(tmp_path):
    """IMOD says so in its flags; without them a maximum above 127 does; else mode 0 is signed, as in MRC2014."""
    data = np.random.default_rng(0).integers(0, 256, (3, L, L)).astype(np.uint8)
    path = write(tmp_path / "a.mrcs", data.view(np.int8), imod=1146047817, flags=0)
    np.testing.assert_array_equal(silently(images_of, path), data)
    patch(path, flags=1)
    np.testing.assert_array_equal(silently(images_of, path), data.view(np.int8))
    patch(path, imod=0, flags=0, dmin=0.0, dmax=255.0)
    with pytest.warns(Note, match="maximum is 255"):
        np.testing.assert_array_equal(images_of(path), data)
    patch(path, dmin=-128.0, dmax=127.0)
    np.testing.assert_array_equal(silently(images_of, path), data.view(np.int8))


@pytest.mark.parametrize(("pack", "unpack"), [(gzip, "gunzip"), (bz2, "bunzip2"), (lzma, "unxz")])
def test_packed_maps_are_read_and_packed_stacks_are_not(tmp_path, volume, pack, unpack):
    plain = write(tmp_path / "a.map", volume)
    packed = tmp_path / "emd_1.map.gz"
    packed.write_bytes(pack.compress(plain.read_bytes()))
    read, voxel = silently(read_map, packed)
    np.testing.assert_array_equal(read, volume)
    assert voxel == pytest.approx(1.5)
    refused(Stack, packed, f"{unpack} it first")
    packed.write_bytes(packed.read_bytes()[:-50])
    refused(read_map, packed, "whole")
    packed.write_bytes(pack.compress(plain.read_bytes()[:-4]))
    refused(read_map, packed, "16384 bytes of data", "got 16380")


def test_a_packed_file_takes_no_more_room_than_its_header_announces(tmp_path, volume):
    plain = write(tmp_path / "a.map", volume)
    bomb = tmp_path / "bomb.map.gz"
    bomb.write_bytes(gzip.compress(plain.read_bytes() + bytes(2**27)))
    np.testing.assert_array_equal(read_map(bomb)[0], volume)
    patch(plain, nx=struct.pack("<3i", 2**21, 2**21, 2**21))
    bomb.write_bytes(gzip.compress(plain.read_bytes()))
    refused(read_map, bomb, "bomb.map.gz")


def test_a_stack_of_volumes_is_named_and_one_of_images_is_read(tmp_path, volume):
    path = write(tmp_path / "a.mrcs", volume, ispg=401)
    refused(Stack, path, "stack of volumes", "401")
    with mrcfile.open(path, mode="r+", permissive=True) as file:
        file.header.mz, file.header.ispg = 1, 401
    np.testing.assert_array_equal(silently(images_of, path), volume)


@pytest.mark.parametrize("mx", [0, 1, -1])
def test_a_sampling_that_can_be_no_sampling_gives_no_pixel_size(tmp_path, volume, mx):
    path = write(tmp_path / "a.mrcs", volume, mx=mx)
    with pytest.warns(Note, match=f"pixel size is not used.*mx = {mx}"):
        stack = Stack(path)
    assert stack.pixel_size is None and Stack(path, 2.5).pixel_size == 2.5
    np.testing.assert_array_equal(stack.read(np.arange(L)), volume)


def test_pixels_that_are_not_square_give_no_pixel_size(tmp_path, volume):
    path = write(tmp_path / "a.map", volume, pixel=(1.5, 1.5, 2.0))
    with pytest.warns(Note, match=r"1.5 × 1.5 × 2 Å"):
        assert read_map(path)[1] is None
    assert silently(Stack, path).pixel_size == pytest.approx(1.5), "of the images' own two axes"


@pytest.mark.parametrize(("fields", "words"), [
    ({"nx": -16}, "negative size"), ({"nz": 0}, "empty stack"), ({"nz": 2**31 - 1}, "announces"),
    ({"mode": 4}, "complex numbers"), ({"mode": 3}, "complex numbers"),
    ({"mode": 16}, "colours"), ({"mode": 101}, "4-bit"), ({"mode": 7}, "mode 7"),
    ({"nsymbt": -1}, "extended header of -1"), ({"nsymbt": 2**30}, "announces"), ({"nz": 17}, "announces 18432"),
])  # fmt: skip
def test_a_header_that_does_not_fit_is_named(tmp_path, volume, fields, words):
    path = write(tmp_path / "a.mrcs", volume, **fields)
    refused(Stack, path, words)
    refused(read_map, path, words)


def test_a_map_that_is_no_cube_or_not_finite_is_named(tmp_path, volume):
    refused(read_map, write(tmp_path / "a.map", volume[:8]), "cubic", "16 × 16 × 8")
    volume[1, 2, 3] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # mrcfile's
        path = write(tmp_path / "a.map", volume)
    refused(read_map, path, "finite")
    refused(read_map, tmp_path, "folder")
