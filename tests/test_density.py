"""Density from atoms against published form factors and the properties of a Fourier transform."""

import numpy as np
import pytest

from cryobench.data.molecules.density import B_FACTOR, TAPER, Atoms, density
from cryobench.errors import InputError

# Carbon, nitrogen and oxygen in International Tables C, Table 4.3.2.2.
CARBON_A, CARBON_B = [0.0893, 0.2563, 0.7570, 1.0487, 0.3575], [0.2465, 1.7100, 6.4094, 18.6113, 50.2523]
TOTAL = {"C": 2.5088, "N": 2.2110, "O": 1.9826}
SIZE, BOX = 32, 64.0  # 2 Å per voxel


def transform(volume):
    """Continuous Fourier transform about the box centre, at the frequencies of an FFT."""
    return np.fft.fftn(np.fft.ifftshift(volume)).real * (BOX / SIZE) ** 3


def test_one_atom_has_the_published_form_factor():
    volume = density(Atoms(np.zeros((1, 3)), np.array(["C"])), SIZE, BOX)
    s = np.fft.fftfreq(SIZE, BOX / SIZE)
    s = np.sqrt(s[:, None, None] ** 2 + s[:, None] ** 2 + s**2)
    expected = sum(a * np.exp(-(b + B_FACTOR) * s**2 / 4) for a, b in zip(CARBON_A, CARBON_B, strict=True))
    nyquist = SIZE / BOX / 2
    flat = s < TAPER * nyquist
    np.testing.assert_allclose(transform(volume)[flat], expected[flat], atol=0.01)
    np.testing.assert_allclose(transform(volume)[s >= nyquist], 0, atol=1e-4)


@pytest.fixture(scope="module")
def molecule():
    rng = np.random.default_rng(0)
    return Atoms(rng.uniform(-12, 12, (60, 3)), rng.choice(list(TOTAL), 60))


@pytest.fixture(scope="module")
def volume(molecule):
    return density(molecule, SIZE, BOX)


def test_total_scattering_and_its_centre_are_kept(molecule, volume):
    weights = np.array([TOTAL[e] for e in molecule.elements])
    assert volume.shape == (SIZE,) * 3 and volume.dtype == np.float32
    assert volume.sum() * (BOX / SIZE) ** 3 == pytest.approx(weights.sum(), rel=2e-3)
    zyx = [(np.arange(SIZE) - SIZE // 2) @ volume.sum(axis=axes) for axes in ((1, 2), (0, 2), (0, 1))]
    centre = np.array(zyx[::-1]) / volume.sum() * BOX / SIZE
    np.testing.assert_allclose(centre, weights @ molecule.positions / weights.sum(), atol=0.05)


def test_moving_the_atoms_moves_the_volume(molecule, volume):
    moved = density(Atoms(molecule.positions + np.array([0, 0, BOX / SIZE]), molecule.elements), SIZE, BOX)
    np.testing.assert_allclose(moved, np.roll(volume, 1, axis=0), atol=2e-3 * volume.max())
    part = density(Atoms(molecule.positions + np.array([0.7, 0, 0]), molecule.elements), SIZE, BOX)
    shift = np.exp(-2j * np.pi * np.fft.rfftfreq(SIZE, BOX / SIZE) * 0.7)
    np.testing.assert_allclose(part, np.fft.irfftn(np.fft.rfftn(volume) * shift), atol=2e-3 * volume.max())


def test_a_finer_grid_agrees_where_both_have_signal(molecule, volume):
    fine = density(molecule, 2 * SIZE, BOX)
    last = int(TAPER * SIZE / 2 / np.sqrt(3))  # the cube inscribed in the sphere where nothing is tapered
    low = np.ix_(*[np.r_[0:last, -last:0]] * 3)
    one, other = np.fft.fftn(volume)[low], np.fft.fftn(fine)[low] / 8
    np.testing.assert_allclose(one, other, atol=2e-3 * abs(one).max())


def test_a_molecule_that_does_not_fit_is_refused():
    with pytest.raises(InputError, match=r"data\.box"):
        density(Atoms(np.array([[0, 0, 31.0]]), np.array(["C"])), SIZE, BOX)
