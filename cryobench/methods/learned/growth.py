"""How PGGAN grows: 4×4 is trained for one phase, then each doubling has one in which the new block fades in, and a stable one.

Phases are cut into equal parts (Lightning's epochs), after each of which there is a point of the training curve.
"""

from __future__ import annotations

from dataclasses import dataclass

START = 4  # pixels across at which the generator begins
PARTS = 5  # of each phase
HALVED_FROM = 128  # pixels across from which on batches have half the size


@dataclass(frozen=True)
class Part:
    """One part of a phase. size: pixels across; fading: whether the newest block fades in; number: 0 to PARTS - 1;
    batch: images in a step; steps; shown: images seen by the generator before it."""

    size: int
    fading: bool
    number: int
    batch: int
    steps: int
    shown: int

    def fade(self, step: int) -> float:
        """The newest block's share at a step of this part; `steps` stands for its end."""
        return (self.number + step / self.steps) / PARTS if self.fading else 1.0

    @property
    def name(self) -> str:
        """What a progress bar calls it."""
        return f"{self.size} × {self.size} px, {'fading in' if self.fading else 'stable'}"


def sizes(image_size: int) -> list[int]:
    """[4, 8, …, L]: what the generator makes, stage by stage."""
    return [START * 2**k for k in range((image_size // START).bit_length())]


def schedule(image_size: int, phase_images: int, batch_size: int) -> list[Part]:
    """4×4 stable, 8×8 fading in, 8×8 stable, …, full size stable: the parts of all phases in their order."""
    phases = [(size, fading) for size in sizes(image_size) for fading in (True, False)][1:]
    parts: list[Part] = []
    for size, fading in phases:
        batch = batch_size if size < HALVED_FROM else max(batch_size // 2, 1)
        steps = max(round(phase_images / (PARTS * batch)), 1)
        for number in range(PARTS):
            shown = parts[-1].shown + parts[-1].steps * parts[-1].batch if parts else 0
            parts.append(Part(size, fading, number, batch, steps, shown))
    return parts
