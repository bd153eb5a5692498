"""Projections agree with RELION's, with a real-space rotation, and with the package they are made with."""

import mrcfile
import numpy as np
import pytest
import scipy.ndimage
import scipy.spatial
import scipy.stats
import starfile
import torch
from conftest import ASPIRE, SHARED, needs
from torch_fourier_slice import (
    extract_central_slices_rfft_3d,
    insert_central_slices_rfft_3d_multichannel,
    project_3d_to_2d,
)
from torch_fourier_slice.volume_utils import separable_sinc2_correction

from cryobench.data import project as module
from cryobench.data import slices
from cryobench.data.insertion import insert
from cryobench.data.project import Projector, project
from cryobench.data.rotations import euler_from_rotations, random_rotations, rotations_from_euler
from cryobench.errors import InputError

RELION = SHARED / "relion"


def blobs(size: int) -> np.ndarray:
    """A smooth, asymmetric volume inside the sphere: Gaussians at random places."""
    rng = np.random.default_rng(1)
    grid = np.stack(np.mgrid[:size, :size, :size], axis=-1) - size // 2
    centres = rng.uniform(-size / 5, size / 5, (12, 3))
    return sum(np.exp(-((grid - c) ** 2).sum(-1) / (2 * (size / 24) ** 2)) for c in centres).astype(np.float32)


def real_space(volume: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Σ_z ρ(R (x, y, z)ᵀ) about voxel L//2, by cubic interpolation."""
    matrix = rotation[::-1, ::-1]  # xyz → zyx
    centre = np.full(3, volume.shape[0] // 2)
    return scipy.ndimage.affine_transform(volume, matrix, centre - matrix @ centre, order=3).sum(axis=0)


def correlation(one, other):
    return np.corrcoef(np.ravel(one), np.ravel(other))[0, 1]


@needs(RELION / "rln_proj_65.mrcs", f"{ASPIRE}, rln_proj_65.star, and clean70SRibosome_vol_65p.mrc")
def test_agrees_with_relion():
    volume = mrcfile.read(next(RELION.glob("*vol*.mrc")))
    angles = starfile.read(RELION / "rln_proj_65.star")
    rotations = rotations_from_euler(angles.rlnAngleRot, angles.rlnAngleTilt, angles.rlnAnglePsi)
    images = np.roll(project(volume, rotations), (1, 1), axis=(1, 2))  # RELION's habit with odd boxes
    for image, relion in zip(images, mrcfile.read(RELION / "rln_proj_65.mrcs"), strict=True):
        assert correlation(image, relion) > 0.999


@pytest.mark.parametrize("size", [32, 33])
def test_agrees_with_rotation_in_real_space(size):
    volume, rotations = blobs(size), random_rotations(4, np.random.default_rng(2))
    for image, rotation in zip(project(volume, rotations), rotations, strict=True):
        expected = real_space(volume, rotation)
        assert correlation(image, expected) > 0.9995
        # The package's correction for interpolation makes up to 2 % of mass from nothing.
        assert image.sum() == pytest.approx(volume.sum(), rel=0.03)


@pytest.mark.parametrize("size", [16, 32])
def test_equals_the_package_and_keeps_the_kind(size, monkeypatch):
    monkeypatch.setattr(module, "SAMPLES_AT_ONCE", {"cpu": 4000})  # several chunks
    volume, rotations = blobs(size) + 0.5, random_rotations(9, np.random.default_rng(3))
    expected = project_3d_to_2d(torch.from_numpy(volume), torch.from_numpy(rotations).float())
    images = Projector(volume)(rotations)
    assert isinstance(images, np.ndarray) and images.dtype == np.float32
    np.testing.assert_allclose(images, expected.numpy(), atol=1e-4)
    same = Projector(torch.from_numpy(volume))(torch.from_numpy(rotations))
    assert isinstance(same, torch.Tensor)
    np.testing.assert_array_equal(same.numpy(), images)


@pytest.mark.parametrize("n", [1, 2, 11])
def test_images_are_the_same_with_several_threads_bit_for_bit(n, monkeypatch, three_threads):
    monkeypatch.setattr(module, "SAMPLES_AT_ONCE", {"cpu": 2 * 32 * 17})  # two images
    projector, rotations = Projector(blobs(16)), random_rotations(n, np.random.default_rng(3))
    images = projector(rotations)
    torch.set_num_threads(1)
    np.testing.assert_array_equal(images, projector(rotations))


def on_the_boundary() -> np.ndarray:
    """Rotations whose slices lie along the boundary of the stored half: those of a cube, exactly and within 2e-8, and turns
    about each axis."""
    of = scipy.spatial.transform.Rotation
    cube, turns = of.create_group("O").as_matrix(), of.from_rotvec(0.7 * np.eye(3)).as_matrix()
    almost = [
        cube @ (np.eye(3) + a * np.cross(np.eye(3), axis)) for a in (2e-8, -2e-8, 5e-9, -5e-9) for axis in np.eye(3)
    ]
    return np.concatenate([cube, turns, cube @ turns[0], turns[1] @ cube, *almost])


@pytest.mark.parametrize("size", [16, 34, 48])
def test_slices_are_those_of_the_package_bit_for_bit(size):
    """Clean images that records rest on were made with the package's slices."""
    volume = torch.from_numpy(np.random.default_rng(6).random((size, size, size), dtype=np.float32))
    rotations = np.concatenate([on_the_boundary(), random_rotations(40, np.random.default_rng(7))])
    rotations = torch.from_numpy(rotations).float()
    transform = slices.padded_transform(volume)
    expected = torch.fft.ifftshift(extract_central_slices_rfft_3d(transform, rotations), dim=-2)
    assert torch.equal(slices.CentralSlices(transform)(rotations), expected)


@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="other libraries round both transforms as one")
@pytest.mark.parametrize("size", [15, 16, 34, 48, 64])
def test_images_are_those_of_the_whole_padded_transform_bit_for_bit(size):
    volume, rotations = torch.from_numpy(blobs(size)), random_rotations(5, np.random.default_rng(8))
    projector = Projector(volume)
    half, whole = projector.size // 2, 2 * projector.size
    padded = torch.fft.irfftn(projector.slices(torch.from_numpy(rotations).float()), dim=(-2, -1), s=(whole, whole))
    inside = slice(half + size % 2, 3 * half)
    shifted = torch.fft.fftshift(padded, dim=(-2, -1))[:, inside, inside]
    assert torch.equal(projector(rotations), shifted + projector.level * projector.size)


@pytest.mark.parametrize("size", [10, 32])
def test_transform_is_that_of_the_package_bit_for_bit(size):
    volume = torch.from_numpy(blobs(size))
    padded = torch.nn.functional.pad(volume, [size // 2] * 6) / separable_sinc2_correction((2 * size,) * 3)
    expected = torch.fft.rfftn(torch.fft.ifftshift(padded), dim=(-3, -2, -1))
    assert torch.equal(slices.padded_transform(volume), torch.fft.fftshift(expected, dim=(-3, -2)))


def test_no_rotation_sums_along_z():
    volume = blobs(32)
    assert correlation(project(volume, np.eye(3)[None])[0], volume.sum(axis=0)) > 0.9995


def test_euler_angles_are_those_of_the_field():
    """The matrix of Heymann, Chagoyen, Belnap (2005), which turns the map; ours turns coordinates, so its transpose."""
    rot, tilt, psi = 33.0, 71.0, -128.0
    (ca, cb, cg), (sa, sb, sg) = (f(np.radians([rot, tilt, psi])) for f in (np.cos, np.sin))
    published = np.array(
        [
            [cg * cb * ca - sg * sa, cg * cb * sa + sg * ca, -cg * sb],
            [-sg * cb * ca - cg * sa, -sg * cb * sa + cg * ca, sg * sb],
            [sb * ca, sb * sa, cb],
        ]
    )
    np.testing.assert_allclose(rotations_from_euler(rot, tilt, psi)[0], published.T, atol=1e-12)


def test_euler_angles_there_and_back():
    rotations = np.concatenate([random_rotations(50, np.random.default_rng(4)), rotations_from_euler(40, 0, 25)])
    np.testing.assert_allclose(rotations_from_euler(*euler_from_rotations(rotations).T), rotations, atol=1e-9)


def test_random_rotations_are_uniform():
    rotations = random_rotations(4000, np.random.default_rng(5))
    np.testing.assert_allclose(
        rotations @ rotations.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (4000, 3, 3)), atol=1e-9
    )
    np.testing.assert_allclose(np.linalg.det(rotations), 1)
    # On SO(3) the angle has the distribution (θ − sin θ)/π, and each axis points evenly to the sphere.
    angle = np.arccos(np.clip((np.trace(rotations, axis1=1, axis2=2) - 1) / 2, -1, 1))
    assert scipy.stats.kstest(angle, lambda t: (t - np.sin(t)) / np.pi).pvalue > 0.01
    assert scipy.stats.kstest(rotations[:, 2, 2], scipy.stats.uniform(-1, 2).cdf).pvalue > 0.01


def test_wrong_shapes_are_refused():
    with pytest.raises(InputError, match="cubic"):
        Projector(np.zeros((8, 8, 9)))
    with pytest.raises(InputError, match="rotation matrices"):
        project(np.zeros((8, 8, 8)), np.eye(3))


@pytest.mark.parametrize("size", [16, 32])
def test_slices_are_inserted_as_torch_fourier_slice_does_it_bit_for_bit(size):
    """In orientations at random and in those of a cube, in which samples fall on samples and on the plane x = 0."""
    rng = np.random.default_rng(0)
    turns = np.concatenate(
        [
            scipy.spatial.transform.Rotation.create_group("O").as_matrix(),
            random_rotations(20, rng),
        ]
    )
    rotations = torch.from_numpy(turns).float()
    some = torch.randn(
        len(turns), size, size // 2 + 1, dtype=torch.complex64, generator=torch.Generator().manual_seed(0)
    )
    weights = torch.from_numpy(rng.random(some.shape)).float()
    total, weight = insert(some, weights, rotations)
    both = torch.stack([some, weights.to(some.dtype)], dim=1)
    (theirs, shares), counts = insert_central_slices_rfft_3d_multichannel(both, (size,) * 3, rotations)
    assert torch.equal(total, theirs) and torch.equal(weight, shares.real)
    assert torch.equal(insert(some, torch.ones(1, 1, 1), rotations)[1], counts)
