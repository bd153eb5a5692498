"""From noisy images alone: the structure that they imply is found, and each image becomes its posterior mean under it.

Nothing is known but that the images are projections of one volume from unknown directions, with noise (and each with a scale
and a level of its own, pose_mixture.py). Two halves of the images are kept apart. Each finds a coarse map from random blobs by
expectation–maximisation, its likelihood flattened at first (annealing), the likeliest of several starts going on; the second
half's map is turned onto the first's, and that the two agree is the proof that there is a structure. Then maps and images
grow in size as long as the halves agree at the rim of what they hold (structure.py, half_maps.py).

    x̂(y) = Σ_R p(R | y, V) E[a P_R V + b | R, y]

An image that was in the fit is denoised by the map of the half that it was not in. Told of the CTFs (method.ctf), views are
compared with images as each sees them, and the maps are without (seen.py); noise that is not white is whitened in both. Several
conformations start from the one map (conformations.py).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.progress import Progress

from cryobench.data.images import NoisyImages
from cryobench.errors import InputError, note
from cryobench.methods.base import Found
from cryobench.methods.imaging import BATCH
from cryobench.methods.posterior.from_stack import FIRST, FirstLook, FromStack, agreed_shells
from cryobench.printed import percent

if TYPE_CHECKING:
    import torch

    from cryobench.methods.posterior.at_pose import Centred
    from cryobench.methods.posterior.band import Band
    from cryobench.methods.posterior.structure import Structure

ANNEALING = (4.0, 3.0, 2.25, 1.7, 1.3, 1.0, 1.0, 1.0)  # of the first maps; the likelihood is taken to the power 1/heat
STAGE = (1.3, 1.0)
FINE = (1.0, 1.0)  # of the last maps, with finer poses
# CTFs take most of the lowest frequencies away, where a map begins, and the less images tell the shorter are the steps of
# expectation–maximisation: there are more of them in small maps, where they cost little.
SETTLING = (1.0,) * 16  # after the annealing of the first maps
SMALL, SMALL_STAGE = 32, (1.0,) * 5  # px up to which a stage has these
GROWTH = 1.33  # from stage to stage
SHARED = 5  # shells that both halves share, in maps of any size, so that they stay in one frame
FOUND = 0.5  # FSC of the first shells that the halves do not share, in the first stage where there are any
CONFIRMED = 0.9  # of the poses, by the other half's map
COARSE = 24  # px up to which poses are searched everywhere


@dataclass
class AbInitio(FromStack):
    """starts: random starts of each half; n_first: how many images of it those see; volumes: how many conformations are looked
    for, once a structure is found. Else the settings of `FromStack`; finer steps at the end of the fit and for denoising, and
    shifts of whole px of a stage's images are unknowns like the pose.
    """

    starts: int = 3
    n_first: int = 1000
    volumes: int = field(default=1, metadata={"later": True})

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("starts", "n_first", "volumes"):
            if not getattr(self, name) > 0:
                raise InputError(f"method.{name}: expected a number above 0, got {getattr(self, name)}")

    def fit(self, train: NoisyImages) -> None:
        """Find the structure of the training images; goes on where a fit in the same folder was stopped.

        report: starts (half, log-likelihood an image), agreement (correlation of the halves' first maps), stages (size in px,
        step, views, FSC, log-likelihood an image), resolution in Å where the halves' FSC falls below 0.143, found; with volumes
        above 1, conformations: `Search.run`'s report and, where they are kept, volumes (share, resolution). A stopped fit
        goes on after its last stage; conformations, which come after all of them, are looked for again. Raises InputError for
        fewer than 8 images.
        """
        look = self.look_at(train)
        self.shown: dict[str, np.ndarray] = {}
        with Progress(disable=not self.setting.progress) as shown:
            saved = self.saved()
            self.structure: Structure = self.begin(look, shown) if saved is None else saved
            while (size := self.next_size()) is not None:
                heats = SMALL_STAGE if self.sees and size <= SMALL else STAGE
                self.structure = self.stage(size, self.step, heats, look, shown)
                self.save()
            last = self.report["stages"][-1]
            if last["step"] != self.fine_step:
                self.structure = self.stage(last["size"], self.fine_step, FINE, look, shown)
                self.save()
            if self.agrees:
                self.report["confirmed"] = round(self.confirmed(look), 4)
            if self.volumes > 1 and self.is_found:
                self.split(look, shown)
        del self.images
        self.conclude()

    def begin(self, look: FirstLook, shown: Progress) -> Structure:
        """The halves' first maps, each from the likeliest of its starts, in one frame."""
        from cryobench.methods.posterior.align import align, moved_onto
        from cryobench.methods.posterior.half_maps import HalfMaps
        from cryobench.methods.posterior.structure import Structure, beginning, iterate, poses_of

        rng = np.random.default_rng([self.setting.seed, len(look)])
        poses, first, tried = poses_of(FIRST, self.step, self.device), [], []
        heats = ANNEALING + SETTLING if self.sees else ANNEALING
        task = shown.add_task("first maps", total=2 * self.starts * len(heats))
        for half in (0, 1):
            rows = np.flatnonzero(look.halves == half)[: self.n_first]
            band = self.band(rows, look, FIRST)
            candidates = []
            for _ in range(self.starts):
                structure = beginning(band, look.level, rng)
                for heat in heats:
                    structure = iterate(structure, band, np.arange(len(rows)) % 2, poses, heat, None, local=False)
                    shown.advance(task)
                candidates.append(structure)
                tried.append({"half": half + 1, "log_likelihood": round(structure.log_likelihood, 3)})
            first.append(max(candidates, key=lambda structure: structure.log_likelihood))
        one, other = (structure.maps.both for structure in first)
        alignment = align(other, one)
        other = alignment(other)
        if self.shift:  # images leave a map's place as open as they leave its rotation
            other = moved_onto(other, one, math.ceil(self.shift * FIRST / self.size))
        self.report.update(starts=tried, agreement=round(alignment.correlation, 4), stages=[])
        self.show("first maps", (one + other) / 2)
        return Structure(HalfMaps((one, other), (one + other) / 2, first[0].maps.fsc), first[0].contrast)

    def stage(self, size: int, step: float, heats: tuple[float, ...], look: FirstLook, shown: Progress) -> Structure:
        """Iterations with maps of `size` px and views a `step` apart, at these temperatures."""
        from cryobench.methods.posterior.structure import iterate, poses_of

        structure, poses = self.structure, poses_of(size, step, self.device)
        band = self.band(np.arange(len(look)), look, size, structure.shifts if size > COARSE else None)
        task = shown.add_task(f"{size} px", total=len(heats) * len(look))
        for heat in heats:
            structure = iterate(
                structure,
                band,
                look.halves,
                poses,
                heat,
                SHARED,
                local=size > COARSE,
                advance=lambda done: shown.advance(task, done),
            )
        self.show(f"{size} px, steps of {step:g} px", structure.maps.both)
        self.report["stages"].append(
            {
                "size": size,
                "step": step,
                "views": len(poses.rotations),
                "log_likelihood": round(structure.log_likelihood, 3),
                "fsc": [round(float(value), 4) for value in structure.maps.fsc],
            }
        )
        return structure

    def show(self, stage: str, volume: torch.Tensor) -> None:
        """Keep a stage's map as it looks along z, y and x."""
        self.shown[stage] = np.stack([volume.sum(dim=axis).cpu().numpy() for axis in range(3)])

    def next_size(self) -> int | None:
        """The size of the next stage; None when the halves no longer agree at the rim of the last, or at the largest."""
        stages, largest = self.report["stages"], min(self.largest or self.size, self.size) // 2 * 2
        if not stages:
            return min(FIRST, largest)
        last = stages[-1]["size"]
        ended = last >= largest or stages[-1]["step"] == self.fine_step
        if ended or (last > FIRST and agreed_shells(stages[-1]["fsc"]) < last // 2 - 1):
            return None
        return min(int(last * GROWTH / 8 + 0.5) * 8 if last > FIRST else COARSE, largest)

    @property
    def agrees(self) -> bool:
        """Whether the halves' maps agree where they share nothing, in the first stage that has such frequencies."""
        stages = self.report["stages"]
        fsc = next((stage["fsc"] for stage in stages if stage["size"] > 2 * SHARED + 6), None)
        return fsc is not None and float(np.mean(fsc[SHARED + 1 : SHARED + 4])) > FOUND

    def confirmed(self, look: FirstLook) -> float:
        """The share of poses that the other half's map confirms (confirmed.py)."""
        from cryobench.methods.posterior.confirmed import confirmed
        from cryobench.methods.posterior.structure import poses_of

        size = min(COARSE, self.structure.maps.size)
        band = self.band(np.arange(len(look)), look, size)
        return confirmed(self.structure, band, look.halves, poses_of(size, self.step, self.device))

    @property
    def is_found(self) -> bool:
        """Whether there is a structure: its halves agree, and confirm the poses."""
        return self.agrees and self.report.get("confirmed", 0.0) >= CONFIRMED

    def split(self, look: FirstLook, shown: Progress) -> None:
        """Several conformations from the one map, if images are likelier under them."""
        from cryobench.methods.posterior.conformations import Search, fsc_of

        task = shown.add_task(f"{self.volumes} conformations")
        search = Search(
            self.volumes,
            look.halves,
            lambda rows, size: self.centred(rows, look, size),
            lambda size, shifts: self.band(np.arange(len(look)), look, size, shifts),
            self.step,
            self.fine_step,
            lambda done: shown.advance(task, done),
        )
        shown.update(task, total=search.total)
        self.structure, found = search.run(self.structure, np.random.default_rng([self.setting.seed, self.volumes]))
        shares = zip(self.structure.shares, self.structure.several, strict=False)
        found["volumes"] = [
            {"share": round(float(share), 4), "resolution": self.resolution(fsc_of(maps))} for share, maps in shares
        ]
        self.report["conformations"] = found
        if not found["kept"]:
            note(
                f"abinitio: one volume is kept: under {self.volumes}, the log-likelihood of an image of the other half rises by "
                f"{found['gain']:.3g} ± {found['gain_error']:.2g}, and what they differ by agrees between halves by an FSC of "
                f"{found['agreement']:.2g} (3 standard errors and 0.5 are asked for)"
            )

    def centred(self, rows: np.ndarray, look: FirstLook, size: int) -> Centred:
        """The training images at these positions in their poses, at `size` px."""
        from cryobench.data.poses import Poses
        from cryobench.methods.posterior.at_pose import Centred

        poses = Poses(self.structure.rotations, self.structure.shifts[:, ::-1] * self.size)
        return Centred.joined(
            [
                Centred.of(
                    self.whitened(self.images.noisy(part)), self.seen_through(part), look.sigma[part], poses[part], size
                )
                for part in np.array_split(rows, -(-len(rows) // BATCH))
            ]
        )

    def conclude(self) -> None:
        """What the stages say, and one line where no structure was found."""
        edge = self.size * self.pixel_size
        share = self.report.get("confirmed", 0.0)
        self.report.update(
            resolution=self.resolution(self.report["stages"][-1]["fsc"]),
            found=self.is_found,
            contrast=vars(self.structure.contrast),
        )
        if not self.agrees:
            note(
                f"abinitio: no structure was found in {len(self.halves)} images, which are too few or show no one thing: maps "
                f"of two halves of them do not agree beyond {edge / SHARED:.3g} Å; denoised images show no more than a blob"
            )
        elif share < CONFIRMED:
            note(
                f"abinitio: no structure is certain in {len(self.halves)} images: {percent(share)} of their poses are confirmed "
                "by the map of the half that they are not in; it is wrong, or the molecule has a symmetry"
            )
        maps = self.structure.maps
        self.found = Found(
            maps.both.cpu().numpy(), self.structure.rotations, tuple(self.shown.items()), maps.fsc.cpu().numpy()
        )
        self.use(self.structure)

    def band(self, rows: np.ndarray, look: FirstLook, size: int, shifts: np.ndarray | None = None) -> Band:
        """The training images at these positions, at `size` px; shifts (n, 2) about which particles are looked for, in
        shares of the edge, None: everywhere."""
        from cryobench.methods.posterior.band import band_of, places

        near = shifts is not None
        where = shifts[rows] if shifts is not None else np.zeros((len(rows), 2))
        return band_of(
            lambda part: self.whitened(self.images.noisy(rows[part])),
            len(rows),
            self.size,
            look.sigma[rows],
            size,
            self.device,
            lambda part: self.seen_through(rows[part]),
            places(where, size, self.shift / self.size, near, self.device),
        )

    @property
    def fingerprint(self) -> str:
        """Which images a fit is of, seen through what, and with which settings (but `volumes`, which come after it)."""
        settings = [f"{f.name}={getattr(self, f.name)}" for f in fields(self) if f.init and f.name != "volumes"]
        ctf = self.images.ctf().values.tobytes() if self.ctf != "none" else b""
        words = "\n".join([self.halves.fingerprint, f"seed={self.setting.seed}", *settings])
        return hashlib.blake2b(words.encode() + ctf, digest_size=8).hexdigest()

    def save(self) -> None:
        """Keep the stage that is done, for a fit that is stopped."""
        from cryobench.methods.posterior.kept import keep

        if self.setting.workdir is not None:
            keep(Path(self.setting.workdir), self.structure, self.report, self.fingerprint, self.shown)

    def saved(self) -> Structure | None:
        """The last stage that a stopped fit of the same images with the same settings kept, None without one."""
        from cryobench.methods.posterior.kept import kept

        if self.setting.workdir is None:
            return None
        found = kept(Path(self.setting.workdir), self.fingerprint, self.device)
        if found is None:
            return None
        structure, report, self.shown = found
        self.report.update(report)
        return structure
