"""Volume + rotations → images: sum projections by the projection-slice theorem, as in torch-fourier-slice.

The projection of ρ seen under R is I(x, y) = Σ_z ρ(R (x, y, z)ᵀ), and its 2-D Fourier transform is the central slice of
ρ's 3-D transform in the plane R·(x, y, 0). Coordinates are xyz about the box centre, voxel L//2 on each axis; arrays
are indexed zyx. These are RELION's conventions (Heymann, Chagoyen, Belnap 2005), checked on projections it made.
"""

from __future__ import annotations

from typing import Generic, TypeVar, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch_fourier_slice import extract_central_slices_rfft_3d
from torch_fourier_slice.volume_utils import compute_cube_face_averages

from cryobench.data.slices import CentralSlices, padded_transform
from cryobench.data.threads import in_threads
from cryobench.errors import InputError

# Fourier samples interpolated at a time, however many images are asked for: on a CPU few enough to stay in a core's cache until
# they are an image; on a GPU, which has nothing to do else, 1.6 GB of scratch space.
SAMPLES_AT_ONCE = {"cpu": 2**17, "cuda": 2**23}
Array = TypeVar("Array", np.ndarray, torch.Tensor)


class Projector(Generic[Array]):
    """Projects one volume many times: `torch_fourier_slice.project_3d_to_2d` with the 3-D transform taken once.

    volume: (L, L, L) numpy array or torch tensor, indexed zyx; images come back as the same kind, on its device.
    An odd box is given one empty voxel in front of each axis, because the package is exact for even boxes only. Its
    images are centred on pixel L//2 like the volume; RELION puts those of an odd box one pixel further on both axes.
    Raises InputError for anything but a cube.
    """

    def __init__(self, volume: Array):
        if volume.ndim != 3 or len(set(volume.shape)) != 1:
            raise InputError(f"expected a cubic volume (L, L, L), got shape {tuple(volume.shape)}")
        self.is_numpy = not isinstance(volume, torch.Tensor)
        density = volume.float() if isinstance(volume, torch.Tensor) else torch.as_tensor(np.array(volume, np.float32))
        self.odd = density.shape[-1] % 2
        self.size = density.shape[-1] + self.odd
        # The same steps as in project_3d_to_2d (pad factor 2): the level at the faces is taken off before padding.
        density = F.pad(density, [self.odd, 0] * 3)
        self.level = compute_cube_face_averages(density, n=min(4, self.size // 2 - 1))
        self.device = density.device
        transform = padded_transform(density - self.level)
        self.slices = CentralSlices(transform) if self.device.type == "cpu" else PackageSlices(transform)

    def __call__(self, rotations: np.ndarray | torch.Tensor) -> Array:
        """(n, 3, 3) rotation matrices → (n, L, L) float32 sum projections, in the volume's units times voxels."""
        if rotations.ndim != 3 or tuple(rotations.shape[1:]) != (3, 3):
            raise InputError(f"expected rotation matrices (n, 3, 3), got shape {tuple(rotations.shape)}")
        rotations = torch.as_tensor(rotations, device=self.device).float()
        at_once = SAMPLES_AT_ONCE.get(self.device.type, SAMPLES_AT_ONCE["cpu"])
        chunk = max(1, at_once // (2 * self.size * (self.size + 1)))
        parts, most = torch.split(rotations, chunk), None if self.device.type == "cpu" else 1
        images = torch.cat(list(in_threads(self._project, parts, most)))
        return cast(Array, images.numpy() if self.is_numpy else images)

    def _project(self, rotations: torch.Tensor) -> torch.Tensor:
        # What lies about the first pixel belongs about the centre; the padding goes, that of rows before they are transformed.
        end, start = 2 * self.size - self.size // 2 + self.odd, self.size // 2
        columns = torch.fft.ifft(self.slices(rotations), dim=-2)
        rows = torch.cat([columns[:, end:], columns[:, :start]], dim=1)
        images = torch.fft.irfft(rows, n=2 * self.size, dim=-1)
        return torch.cat([images[:, :, end:], images[:, :, :start]], dim=2).add_(self.level * self.size)


class PackageSlices:
    """`CentralSlices` by torch-fourier-slice itself, on a GPU."""

    def __init__(self, transform: torch.Tensor):
        self.transform = transform

    def __call__(self, rotations: torch.Tensor) -> torch.Tensor:
        """Rotations (k, 3, 3) → slices (k, n, n/2 + 1)."""
        return torch.fft.ifftshift(extract_central_slices_rfft_3d(self.transform, rotations), dim=-2)


def project(volume: Array, rotations: np.ndarray | torch.Tensor) -> Array:
    """Volume (L, L, L), rotations (n, 3, 3) → images (n, L, L) float32; numpy in, numpy out.

    Raises InputError for wrong shapes. To project one volume again and again, keep a `Projector`.

    >>> volume = np.zeros((16, 16, 16), np.float32)
    >>> volume[8, 8, 8] = 1  # one voxel at the centre, seen from in front and from above
    >>> project(volume, np.stack([np.eye(3), np.eye(3)[[2, 0, 1]]]))[:, 8, 8].round(1)
    array([1., 1.], dtype=float32)
    """
    return Projector(volume)(rotations)
