"""Clean images of conformations in any pose, made as a data set makes them, and as they are seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from cryobench.data.project import Projector


@dataclass(frozen=True)
class DrawnPoses:
    """Of b noisy images n poses each: conformations (b, n) int64; rotations (b, n, 3, 3) float64."""

    conformations: torch.Tensor
    rotations: torch.Tensor

    def __len__(self) -> int:
        """Poses of one image."""
        return self.conformations.shape[1]

    def __getitem__(self, images: torch.Tensor) -> DrawnPoses:
        return DrawnPoses(self.conformations[images], self.rotations[images])

    @classmethod
    def joined(cls, rounds: Sequence[DrawnPoses]) -> DrawnPoses:
        """The poses of all rounds, of each image."""
        return cls(
            torch.cat([some.conformations for some in rounds], dim=1),
            torch.cat([some.rotations for some in rounds], dim=1),
        )


class Simulator:
    """volumes: (k, L, L, L), of k conformations, on the device where images are made."""

    def __init__(self, volumes: torch.Tensor):
        self.size, self.device = volumes.shape[-1], volumes.device
        self.projectors = [Projector(volume) for volume in volumes]

    def __len__(self) -> int:
        return len(self.projectors)

    def __call__(self, poses: DrawnPoses) -> torch.Tensor:
        """(b, n, L, L)."""
        conformations, rotations = poses.conformations.flatten(), poses.rotations.flatten(0, 1)
        images = torch.empty((len(conformations), self.size, self.size), device=self.device)
        for k in range(len(self)):
            of_k = torch.nonzero(conformations == k)[:, 0]
            if len(of_k):
                images[of_k] = self.of_one(k, rotations[of_k])
        return images.unflatten(0, poses.conformations.shape)

    def of_one(self, conformation: int, rotations: torch.Tensor) -> torch.Tensor:
        """Of one conformation, in rotations (n, 3, 3): (n, L, L), of minimum 0 and maximum 1."""
        images = self.projectors[conformation](rotations)
        low, high = images.amin(dim=(1, 2), keepdim=True), images.amax(dim=(1, 2), keepdim=True)
        return (images - low) / (high - low)


def through(images: torch.Tensor, transfers: torch.Tensor | None) -> torch.Tensor:
    """Images (b, …, L, L), or the same for all, through transfer functions (b, L, L/2+1), or as they are; in their precision."""
    if transfers is None:
        return images
    known = transfers.view(len(transfers), *[1] * (images.ndim - 3), *transfers.shape[1:])
    return torch.fft.irfft2(torch.fft.rfft2(images) * known, s=images.shape[-2:])
