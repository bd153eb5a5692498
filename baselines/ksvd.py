"""K-SVD: patches as sparse sums of atoms that were learnt from noisy training patches.

M. Aharon, M. Elad, A. Bruckstein, IEEE Trans. Signal Process. 54 (2006) for the dictionary; M. Elad, M. Aharon, IEEE
Trans. Image Process. 15 (2006) for denoising with it. Learning and coding are the package `dictlearn`'s, by the authors of
"Dictionary Learning Algorithms and Applications" (Springer 2018).

A patch p of n pixels, its mean taken off, is coded by orthogonal matching pursuit:
    error:     min ‖c‖₀ subject to ‖p − c·D‖² ≤ n (gain·σ)²
    sparsity:  min ‖p − c·D‖² subject to ‖c‖₀ = sparsity
and each pixel is the mean of all patches over it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cryobench.checks import above_zero, at_least, one_of, refuse
from cryobench.data.images import NoisyImages
from cryobench.errors import InputError

from .image_by_image import ImageByImage, check_varied, good_ones, left_out

BLOCK = 256  # training images held in memory at a time
CHUNK = 1024  # patches coded at a time, which bounds the memory
FLAT = 1e-12  # squared norm that rounding leaves of a patch of one value


@dataclass
class KSVD(ImageByImage):
    """patch: edge in pixels; atoms, iterations: of the dictionary; n_patches: how many training patches to learn from.

    coding: "error" (atoms are added until the residual is what noise would leave; needs σ) or "sparsity" (always
    `sparsity` atoms; the paper's released code takes 1, of about 1,100).
    gain: in the error target; 1.15 by Elad and Aharon.
    """

    patch: int = 8
    atoms: int = 256
    iterations: int = 10
    n_patches: int = 20_000
    coding: str = "error"
    sparsity: int = 1
    gain: float = 1.15

    prefer: ClassVar[str] = "processes"  # dictlearn holds Python's lock

    def __post_init__(self) -> None:
        super().__post_init__()
        numbers = above_zero(self, "atoms", "iterations", "n_patches", "sparsity", "gain")
        refuse("method", at_least(self, 2, "patch"), numbers, one_of(self, coding=("error", "sparsity")))
        if self.sparsity > min(self.patch**2, self.atoms):
            raise InputError(
                f"method.sparsity: expected no more atoms than pixels in a patch ({self.patch**2}) or atoms in "
                f"the dictionary ({self.atoms}), got {self.sparsity}"
            )

    @property
    def side_information(self) -> frozenset[str]:
        """σ, where it is told and the coding goes by it."""
        return super().side_information - (set() if self.coding == "error" else {"sigma"})

    @property
    def learns(self) -> bool:
        """The dictionary, whether or not noise is whitened."""
        return True

    @property
    def smallest(self) -> tuple[int, str]:
        """One patch."""
        return self.patch, f"method.patch is {self.patch}"

    def used_sigma(self, noisy: np.ndarray, hints: dict) -> np.ndarray:
        """σ of each image (n,); ones where coding to a sparsity has no use for it."""
        if self.coding == "error":
            return super().used_sigma(noisy, hints)
        self.report["sigma"] = {"source": "not used", "mean": None}
        return np.ones(len(noisy))

    def fit(self, train: NoisyImages) -> None:
        """Learn the dictionary (atoms, patch²) from noisy patches drawn at random, with `setting.seed`.

        Bad images are left out and named in the report. Raises InputError for too few patches.
        """
        from dictlearn import DictionaryLearning

        check_varied(train.noisy(slice(0, 0)), *self.smallest)
        self.learn_spectrum(train)
        good, bad = good_ones(train, lambda noisy, rows: self._scaled(train, noisy, rows), BLOCK)
        if not len(good):
            raise InputError(f"expected training images to draw patches from, got none{left_out(bad)}")
        if bad:
            self.report["bad_training_images"] = bad
        patches = self._sample(good)
        energy = (patches**2).sum(axis=1)
        # A patch that meets the error target needs no atom and teaches none: learn from those that don't.
        useful = max(self.atoms, (energy > (self.target if self.coding == "error" else FLAT)).sum())
        chosen = np.sort(np.argsort(-energy, kind="stable")[:useful])
        patches = patches[chosen[energy[chosen] > FLAT]]
        if len(patches) < self.atoms:
            raise InputError(
                f"expected at least {self.atoms} training patches that are not flat, one an atom, got {len(patches)}; "
                f"give method.n_patches more than {self.n_patches}, or method.atoms fewer than {self.atoms}"
            )
        first = patches[: self.atoms] / np.linalg.norm(patches[: self.atoms], axis=1, keepdims=True)
        learning = DictionaryLearning(
            self.atoms,
            fit_algorithm="ksvd",
            n_nonzero_coefs=1,  # not used, but its default has to be below the number of atoms
            transform_algorithm=lambda rows, atoms, **_: np.concatenate(
                [self.encode(part, atoms) for part in chunks(rows)]
            ),
            max_iter=self.iterations,
            replace_unused_atoms="worst",
            dict_init=first,
            random_state=self.setting.seed,
        )
        self.dictionary = learning.fit(patches).components_
        self.report["dictionary"] = {"atoms": self.atoms, "patches": len(patches), "rmse": learning.error_.tolist()}

    @property
    def target(self) -> float:
        """Squared error at which coding stops, for noise of σ = 1."""
        return self.patch**2 * self.gain**2

    def _sample(self, train: NoisyImages) -> np.ndarray:
        """(n_patches, patch²) with zero mean, in units of the noise if the coding is."""
        rng = np.random.default_rng(self.setting.seed)
        image = np.sort(rng.integers(len(train), size=self.n_patches))
        row, column = rng.integers(train.image_size - self.patch + 1, size=(2, self.n_patches))
        sample = np.empty((self.n_patches, self.patch**2))
        for start in range(0, len(train), BLOCK):
            block = np.arange(start, min(start + BLOCK, len(train)))
            scaled = self._scaled(train, train.noisy(block), block)
            covered = (image >= block[0]) & (image <= block[-1])
            windows = sliding_window_view(scaled, (self.patch, self.patch), axis=(1, 2))
            sample[covered] = windows[image[covered] - start, row[covered], column[covered]].reshape(-1, self.patch**2)
        sample -= sample.mean(axis=1, keepdims=True)
        return rng.permutation(sample)

    def _scaled(self, train: NoisyImages, noisy: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Training images, whitened if asked for, in units of their noise. Raises BadImages."""
        check_varied(noisy, *self.smallest)
        white = self.whitened(noisy)
        return white / self.used_sigma(white, train.hints(self.side_information, rows))[:, None, None]

    def denoise(self, noisy: np.ndarray, **hints: Any) -> np.ndarray:
        """As ImageByImage.denoise. Raises NotFitted before there is a dictionary."""
        self.from_fit("dictionary")
        return super().denoise(noisy, **hints)

    def encode(self, patches: np.ndarray, dictionary: np.ndarray) -> np.ndarray:
        """Codes (n, atoms) of patches (n, patch²) with zero mean, and noise of σ = 1 if the coding is to an error."""
        from dictlearn import sparse_encode

        if self.coding == "sparsity":
            return sparse_encode(patches, dictionary, n_nonzero_coefs=self.sparsity)
        codes = np.zeros((len(patches), len(dictionary)))
        far = (patches**2).sum(axis=1) > self.target  # the package gives an atom to the others, too
        most = min(self.patch**2 // 2, len(dictionary))
        codes[far] = sparse_encode(patches[far], dictionary, tol=self.target, n_nonzero_coefs=most)
        return codes

    def one(self, image: np.ndarray, sigma: float) -> np.ndarray:
        """Every patch coded by the dictionary, each pixel the mean of the patches over it: (L, L) → (L, L)."""
        from sklearn.feature_extraction.image import extract_patches_2d, reconstruct_from_patches_2d

        patches = extract_patches_2d(image / sigma, (self.patch, self.patch)).reshape(-1, self.patch**2)
        patches = patches.astype(np.float64)
        mean = patches.mean(axis=1, keepdims=True)
        for part, level in zip(chunks(patches), chunks(mean), strict=True):
            part[:] = self.encode(part - level, self.dictionary) @ self.dictionary + level
        return sigma * reconstruct_from_patches_2d(patches.reshape(-1, self.patch, self.patch), image.shape)


def chunks(rows: np.ndarray) -> list[np.ndarray]:
    """Views of CHUNK rows each."""
    return [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
