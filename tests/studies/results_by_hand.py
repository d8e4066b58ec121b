"""Cells whose errors are known, for tests of what is made of them."""

import numpy as np

from egorear.studies.cells import Cell, CellResult

FRONT = ("front_left", "front_right")
FOUR = (*FRONT, "back_left", "back_right")


def result(
    views: tuple[str, ...],
    mpjpe_mm: float,
    noise_mm: float = 5.0,
    seed: int = 0,
    recordings: int = 20,
    frames: int = 8,
    mse: float = 2e-4,
) -> CellResult:
    """Errors that differ from recording to recording alike in every cell, and by noise of the cell's own."""
    of_recording = np.random.default_rng(0).normal(0, 30, (recordings, 1, 1)).repeat(frames, 1).reshape(-1, 1)
    noise = np.random.default_rng(seed).normal(0, noise_mm, (recordings * frames, 16))
    errors = mpjpe_mm + of_recording - of_recording.mean() + noise - noise.mean()
    maps = np.full((len(errors), len(views)), mse)
    names = [f"person/take_{r}/frame_{f}" for r in range(recordings) for f in range(frames)]
    return CellResult(names, errors, errors / 2, maps, 2 * maps, views, 100, 60.0, 1_000_000)


def cells(figures: dict[tuple[tuple[str, ...], str], float], seeds: int = 1, **options) -> dict[Cell, CellResult]:
    """A result for each setup and seed."""
    return {
        Cell(views, method, seed): result(views, value, seed=1000 * i + seed, **options)
        for i, ((views, method), value) in enumerate(figures.items())
        for seed in range(1, seeds + 1)
    }
