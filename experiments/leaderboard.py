"""Methods × tasks over this results folder and those beside it, each NMSE as a multiple of the task's limit."""

from __future__ import annotations

from pathlib import Path

from cryobench.runs.store import Store
from cryobench.tables import leaderboard, text


def write(store: Store) -> list[Path]:
    """Write leaderboard.md and .csv from the records here and in all folders beside."""
    leaders = leaderboard.board(leaderboard.beside(store.results.resolve().parent))
    return text.write(
        store, "leaderboard", {"md": leaderboard.to_markdown(leaders), "csv": leaderboard.to_csv(leaders)}
    )
