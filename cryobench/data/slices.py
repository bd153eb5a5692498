"""Central slices of a volume's Fourier transform on a CPU: bit for bit those of torch-fourier-slice, in a fraction of the time.

The slice seen under R has at the frequency (x, y) the transform's value at R·(x, y, 0), interpolated between the eight samples
around. Only the half x ≥ 0 of the transform is stored; the other half is its conjugate at the opposite frequency. Coordinates and
weights are rounded as in the package and in torch's `grid_sample`, operation by operation, so that images made with it stay what
they are: numba compiles the loops, once for a machine, and merges no product with a sum, whatever the processor could do. Most of
the time goes to waiting for memory, so samples are kept in bricks of 2 × 2 × 2, each a line of the processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np
import torch
import torch.nn.functional as nn

TOLERANCE = 1e-8  # the package's: matrix elements this small are zero, and frequencies x this small on the boundary
BRICK = 8  # samples
F = np.float32
OUTSIDE = F(-2)  # a coordinate where there is nothing to interpolate


def compiled(function: Callable) -> Callable:
    """By numba, kept for the next process; where no folder for that can be written, compiled in each."""
    try:
        return numba.njit(function, cache=True, error_model="numpy", nogil=True)
    except RuntimeError:  # no locator available
        return numba.njit(function, error_model="numpy", nogil=True)


class CentralSlices:
    """transform: (n, n, n/2 + 1) complex64 on a CPU, zero frequency at [n/2, n/2, 0]; n is even."""

    def __init__(self, transform: torch.Tensor):
        self.shape = transform.shape[1:]
        self.rows, self.columns = (of(self.shape[0]).numpy() for of in (torch.fft.fftfreq, torch.fft.rfftfreq))
        self.bricks = in_bricks(transform).numpy()

    def __call__(self, rotations: torch.Tensor) -> torch.Tensor:
        """Rotations (k, 3, 3) float32 → slices (k, n, n/2 + 1) complex64, as `torch.fft.irfftn` takes them."""
        slices = torch.empty((len(rotations), *self.shape), dtype=torch.complex64)
        rounded = torch.where(rotations.abs() < TOLERANCE, 0.0, rotations).contiguous()
        interpolate(self.bricks, rounded.numpy(), self.rows, self.columns, slices.numpy())
        return slices


def in_bricks(samples: torch.Tensor) -> torch.Tensor:
    """(depth, height, width), the first two even → the same samples in one line, 2 × 2 × 2 after 2 × 2 × 2; an odd width is
    filled up with zeros. torch has the line begin where one of the cache does."""
    depth, height, width = samples.shape
    filled = nn.pad(samples, (0, width % 2)).view(depth // 2, 2, height // 2, 2, -1, 2)
    return filled.permute(0, 2, 4, 1, 3, 5).contiguous().view(-1)


@compiled
def brick(place, stride, step):
    """What a coordinate adds to a sample's place in the line."""
    return (place >> 1) * stride + (place & 1) * step


@compiled
def trilinear(bricks, n, half, x, y, z):
    """Real and imaginary part between the eight samples around, summed in the order of `grid_sample`; 0 outside."""
    real, imaginary = F(0), F(0)
    if x <= F(-1) or y <= F(-1) or z <= F(-1):
        return real, imaginary
    left, top, front = np.int64(np.floor(x)), np.int64(np.floor(y)), np.int64(np.floor(z))
    to_right, to_bottom, to_back = F(left + 1) - x, F(top + 1) - y, F(front + 1) - z
    to_left, to_top, to_front = x - F(left), y - F(top), z - F(front)
    across = (half + half % 2) // 2 * BRICK
    along_x = brick(left, BRICK, 1), brick(left + 1, BRICK, 1)
    along_y = brick(top, across, 2), brick(top + 1, across, 2)
    along_z = brick(front, across * (n // 2), 4), brick(front + 1, across * (n // 2), 4)
    whole = 0 <= left < half - 1 and 0 <= top < n - 1 and 0 <= front < n - 1
    for k in range(2):
        for i in range(2):
            for j in range(2):
                if whole or (0 <= front + k < n and 0 <= top + i < n and 0 <= left + j < half):
                    # An index without a sign is not asked whether it counts from the end.
                    value = bricks[np.uint64(along_z[k] + along_y[i] + along_x[j])]
                    weight = (to_left if j else to_right) * (to_top if i else to_bottom) * (to_front if k else to_back)
                    real, imaginary = real + value.real * weight, imaginary + value.imag * weight
    return real, imaginary


@compiled
def sample(along, size):
    """A coordinate as the package and `grid_sample` round it, by way of one from −1 to 1."""
    middle = F(0.5) * F(size) - F(0.5)
    rounded = ((along / middle - F(1)) + F(1)) / F(2) * F(size - 1)
    return rounded if -middle <= along - middle <= middle else OUTSIDE


@compiled
def place(r, row, columns, n, x, y, z, sign):
    """Where a row's frequencies lie in the stored half, in samples (OUTSIDE: nowhere), and −1 where that is the opposite one."""
    half = len(columns)
    inside = F(1) - F(1) / F(n)
    # On the boundary, x = 0, the package goes by the direction in which x grows, along a row or else along a column.
    back = (r[0, 1] if abs(r[0, 0]) <= F(10 * TOLERANCE) else r[0, 0]) < F(0)
    for j in range(half):
        at_x = r[0, 1] * row + r[0, 0] * columns[j]  # in cycles per voxel
        at_y, at_z = r[1, 1] * row + r[1, 0] * columns[j], r[2, 1] * row + r[2, 0] * columns[j]
        on_boundary = abs(at_x) <= F(TOLERANCE)
        turned = back and abs(at_x) < F(TOLERANCE) if on_boundary else np.signbit(at_x)
        turn = F(-1) if turned else F(1)
        at_x *= turn
        sign[j] = turn
        x[j] = (
            OUTSIDE if on_boundary and at_x < F(0) else sample(at_x * F(2 * (half - 1)), half)
        )  # as the package has it
        y[j] = sample((at_y * turn + F(0.5)) / inside * F(n - 1), n)
        z[j] = sample((at_z * turn + F(0.5)) / inside * F(n - 1), n)


@compiled
def interpolate(bricks, rotations, rows, columns, out):
    """Write the slices of all rotations to out, in single precision throughout."""
    n, half = len(rows), len(columns)
    x, y, z, sign = np.empty(half, F), np.empty(half, F), np.empty(half, F), np.empty(half, F)
    for k in range(len(rotations)):
        for i in range(n):
            place(rotations[k], rows[i], columns, n, x, y, z, sign)
            for j in range(half):
                real, imaginary = trilinear(bricks, n, half, x[j], y[j], z[j])
                out[k, i, j] = complex(real, imaginary * sign[j])


def padded_transform(density: torch.Tensor) -> torch.Tensor:
    """The transform of a cube (n, n, n), n even, padded to twice its size and made ready for interpolation between samples:
    (2n, 2n, n + 1) complex64, zero frequency at [n, n, 0].

    Divided by sinc² along each axis, which is what the interpolation multiplies by in real space.
    """
    size = density.shape[-1]
    place = torch.arange(size, device=density.device) - size // 2  # the centre at the array's first element
    sinc = torch.sinc(torch.fft.fftfreq(2 * size, device=density.device))[place]
    correction = (sinc[:, None, None] * sinc[:, None] * sinc).square()
    padded = density.new_zeros((2 * size,) * 3)
    padded[place[:, None, None], place[:, None], place] = density / correction
    return torch.fft.fftshift(torch.fft.rfftn(padded, dim=(-3, -2, -1)), dim=(-3, -2))
