"""Atoms → electron scattering density on a grid, band-limited to the pixel size.

An atom's density is the transform of its electron form factor, a sum of Gaussians (International Tables C 4.3.2.2, as
gemmi has them), blurred by one B factor:
    f_e(s) = Σ a_i exp(−(b_i + B) s²/4)   →   ρ(r) = Σ a_i (4π/(b_i + B))^{3/2} exp(−4π² r²/(b_i + B))
with s in 1/Å. It is put on a fine grid (1 Å or less), and the Fourier transform is cropped to the wanted grid: to a
sphere, so that no direction is preferred, with a smooth edge, so that the volume rings less.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryobench.errors import InputError

FINE = 1.0  # Å, the coarsest grid on which density is computed
B_FACTOR = 30.0  # Å², thermal and radiation blur; keeps the fine grid free of aliasing
TAPER = 0.8  # of the Nyquist frequency: where the edge of the band begins; at 1 nothing is left
MARGIN = 3.0  # Å between the outermost atom and the wall of the box


@dataclass(frozen=True)
class Atoms:
    """positions (n, 3) float64, xyz in Å about the centre of the box; elements (n,) symbols such as "C"."""

    positions: np.ndarray
    elements: np.ndarray


def density(atoms: Atoms, size: int, box: float, *, b_factor: float = B_FACTOR) -> np.ndarray:
    """Atoms → (L, L, L) float32 indexed zyx, L = `size` even, `box` in Å; the origin is at voxel L/2.

    The unit is f_e (Å) per Å³: the sum over voxels, times the volume of a voxel, is Σ f_e(0).
    b_factor: Å², added to every atom. Raises InputError for a molecule that, turned, would not fit into the box.
    """
    reach = np.linalg.norm(atoms.positions, axis=1).max() + MARGIN
    if reach > box / 2:
        raise InputError(
            f"expected a molecule within {box / 2:.1f} Å of its centre, got one that reaches {reach:.1f} "
            f"Å; set data.box to {np.ceil(2 * reach):.0f} or more"
        )
    fine = size * max(2, int(np.ceil(box / size / FINE)))
    return _band_limit(_fine_density(atoms, fine, box, b_factor), size)


def _fine_density(atoms: Atoms, size: int, box: float, b_factor: float) -> np.ndarray:
    import gemmi

    calculator = gemmi.DensityCalculatorE()
    calculator.grid.set_unit_cell(gemmi.UnitCell(box, box, box, 90, 90, 90))
    calculator.grid.spacegroup = gemmi.SpaceGroup("P 1")
    calculator.grid.set_size(size, size, size)
    calculator.initialize_grid()
    atom = gemmi.Atom()
    atom.b_iso = b_factor
    for (x, y, z), element in zip(atoms.positions + box / 2, atoms.elements, strict=True):
        atom.pos, atom.element = gemmi.Position(x, y, z), gemmi.Element(str(element))
        calculator.add_atom_density_to_grid(atom)
    return np.array(calculator.grid.array, dtype=np.float32).transpose(2, 1, 0)


def _band_limit(fine: np.ndarray, size: int) -> np.ndarray:
    """(N, N, N) → (L, L, L) sampled at the same places, without any frequency of L's Nyquist or above."""
    from scipy.fft import fft, irfftn, rfft

    half = size // 2
    keep = np.r_[0:half, -half:0]
    spectrum = rfft(fine, axis=2)[:, :, : half + 1]
    spectrum = fft(spectrum, axis=1)[:, keep]
    spectrum = fft(spectrum, axis=0)[keep]
    z, y, x = np.meshgrid(keep, keep, np.arange(half + 1), indexing="ij", sparse=True)
    radius = np.sqrt(z**2 + y**2 + x**2) / half  # 1 at Nyquist
    edge = np.clip((radius - TAPER) / (1 - TAPER), 0, 1)
    spectrum *= np.float32(0.5) * (1 + np.cos(np.pi * edge, dtype=np.float32))
    volume = irfftn(spectrum, s=(size,) * 3) * (size / len(fine)) ** 3
    return volume.astype(np.float32)
