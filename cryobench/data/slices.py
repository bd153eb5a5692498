"""Central slices of a volume's Fourier transform on a CPU: bit for bit those of torch-fourier-slice, in a fraction of the time.

The slice seen under R has at the frequency (x, y) the transform's value at R·(x, y, 0), interpolated between the eight samples
around. Only the half x ≥ 0 of the transform is stored; the other half is its conjugate at the opposite frequency. Coordinates
and weights are rounded as in the package and in torch's `grid_sample`, operation by operation, so that images made with it stay
what they are: numba compiles the loops, once for a machine, and merges no product with a sum, whatever the processor could do.
To wait less for memory, samples are kept in bricks of 2 × 2 × 2, each a line of the processor's cache, and the same row is made
of several slices in turn, since slices near each other read the same samples. Places and weights of a whole row come before its
samples are read: processors compute them for many at once.
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
def at_edge(bricks, n, half, x, y, z):
    """Real and imaginary part between those of the eight samples around that there are, summed in the order of `grid_sample`."""
    real, imaginary = F(0), F(0)
    if x <= F(-1) or y <= F(-1) or z <= F(-1):
        return real, imaginary
    left, top, front = np.int64(np.floor(x)), np.int64(np.floor(y)), np.int64(np.floor(z))
    to_right, to_bottom, to_back = F(left + 1) - x, F(top + 1) - y, F(front + 1) - z
    to_left, to_top, to_front = x - F(left), y - F(top), z - F(front)
    wide, deep = strides(n, half)
    for k in range(2):
        for i in range(2):
            for j in range(2):
                if 0 <= front + k < n and 0 <= top + i < n and 0 <= left + j < half:
                    place = brick(left + j, BRICK, 1) + brick(top + i, wide, 2) + brick(front + k, deep, 4)
                    weight = (to_left if j else to_right) * (to_top if i else to_bottom) * (to_front if k else to_back)
                    real, imaginary = real + bricks[place].real * weight, imaginary + bricks[place].imag * weight
    return real, imaginary


@compiled
def strides(n, half):
    """How far bricks are from the next one down and from the next one behind, in samples."""
    wide = (half + half % 2) // 2 * BRICK
    return wide, wide * (n // 2)


@compiled
def along(at, stride, step, first, onward, below, above):
    """Of coordinates on an axis: what the sample below adds to the place of the first of the eight around, how far on the one
    above is, and their weights."""
    for j in range(len(at)):
        index = np.int64(np.floor(at[j]))
        odd = index & 1
        first[j] = (index >> 1) * stride + odd * step
        onward[j] = odd * (stride - 2 * step) + step
    for j in range(len(at)):
        low = np.floor(at[j])
        below[j], above[j] = low + F(1) - at[j], at[j] - low


@compiled
def weigh(weights, below, above, times_below, times_above):
    """Weights times those of the samples below and above."""
    for j in range(len(weights)):
        times_below[j], times_above[j] = weights[j] * below[j], weights[j] * above[j]


@compiled
def within(n, half, x, y, z, whole):
    """Whether all eight samples around are there."""
    for j in range(len(x)):
        across = (x[j] >= F(0)) & (x[j] < F(half - 1))
        whole[j] = across & (y[j] >= F(0)) & (y[j] < F(n - 1)) & (z[j] >= F(0)) & (z[j] < F(n - 1))


@compiled
def sample(at, size):
    """A coordinate as the package and `grid_sample` round it, by way of one from −1 to 1."""
    middle = F(0.5) * F(size) - F(0.5)
    rounded = ((at / middle - F(1)) + F(1)) / F(2) * F(size - 1)
    return rounded if -middle <= at - middle <= middle else OUTSIDE


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
def lines(half):
    """Eight lines of numbers."""
    of = np.empty((8, half), F)
    return of[0], of[1], of[2], of[3], of[4], of[5], of[6], of[7]


@compiled
def interpolate(bricks, rotations, rows, columns, out):
    """Write the slices of all rotations to out, in single precision throughout."""
    n, half = len(rows), len(columns)
    wide, deep = strides(n, half)
    x, y, z, sign, left, right, top, bottom = lines(half)
    left_top, right_top, left_bottom, right_bottom, front, back, _, _ = lines(half)
    w0, w1, w2, w3, w4, w5, w6, w7 = lines(half)
    first, down, behind = np.empty(half, np.int64), np.empty(half, np.int64), np.empty(half, np.int64)
    to_right, to_bottom, to_back = np.empty(half, np.int64), np.empty(half, np.int64), np.empty(half, np.int64)
    whole = np.empty(half, np.bool_)
    for i in range(n):
        for k in range(len(rotations)):
            place(rotations[k], rows[i], columns, n, x, y, z, sign)
            along(x, BRICK, 1, first, to_right, left, right)
            along(y, wide, 2, down, to_bottom, top, bottom)
            along(z, deep, 4, behind, to_back, front, back)
            weigh(left, top, bottom, left_top, left_bottom)
            weigh(right, top, bottom, right_top, right_bottom)
            weigh(left_top, front, back, w0, w4)
            weigh(right_top, front, back, w1, w5)
            weigh(left_bottom, front, back, w2, w6)
            weigh(right_bottom, front, back, w3, w7)
            within(n, half, x, y, z, whole)
            for j in range(half):
                if whole[j]:
                    # An index without a sign is not asked whether it counts from the end.
                    a = np.uint64(first[j] + down[j] + behind[j])
                    across = np.uint64(to_right[j])
                    b, c = a + np.uint64(to_bottom[j]), a + np.uint64(to_back[j])
                    d = b + np.uint64(to_back[j])
                    real, imaginary = F(0), F(0)
                    for value, weight in (
                        (bricks[a], w0[j]),
                        (bricks[a + across], w1[j]),
                        (bricks[b], w2[j]),
                        (bricks[b + across], w3[j]),
                        (bricks[c], w4[j]),
                        (bricks[c + across], w5[j]),
                        (bricks[d], w6[j]),
                        (bricks[d + across], w7[j]),
                    ):
                        real, imaginary = real + value.real * weight, imaginary + value.imag * weight
                else:
                    real, imaginary = at_edge(bricks, n, half, x[j], y[j], z[j])
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
