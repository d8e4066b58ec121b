"""Frames per second of the data engine by stage, on one core.

    python benchmarks/synth.py                 # 4 views of 256 px, 1 and 2 samples a pixel along each axis; and 872 px
    python benchmarks/synth.py --json          # the last line is JSON

Everything is timed but writing the files. Each take shows another person; stages are medians over takes, the whole is
their mean, since loose clothes and company are rare and dear. The first take, which compiles, is left out.
"""

import argparse
import json
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from unittest.mock import patch

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # before numpy: one core

import torch
from rich.console import Console
from rich.table import Table

from egorear.geometry.rig import ego4view_syn
from egorear.synth import performance, render, workers
from egorear.synth.job import Recipe, Take
from egorear.synth.motion import MotionLibrary

STAGES = {
    "people": (performance, ("sample_person", "build_headset", "head_points")),
    "places": (performance, ("sample_place",)),
    "cloth": (performance, ("drape",)),
    "motion": (MotionLibrary, ("sample",)),
    "posing": (performance, ("pose_person", "footed")),
    "light and shadow": (render, ("vertex_normals", "Sun", "_vertex_colors", "_floor")),
    "projection": (render, ("_project",)),
    "rasteriser": (render, ("rasterize", "resolve", "_hide")),
    "background": (render.Lens, ("background",)),
    "visibility": (render, ("_joint_visibility",)),
    "sensor": (render, ("expose",)),
    "encoding": (workers, ("encode_frame",)),
}


class Stopwatch:
    """Adds up the time that functions take, by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def timed(self, stage: str, function: Callable) -> Callable:
        @wraps(function)
        def run(*args, **kwargs):
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[stage] += time.perf_counter() - start

        return run


def measure(size: int, samples: int, takes: int, frames: int) -> dict[str, float]:
    """Milliseconds a frame by stage, and of the whole."""
    watch, laps = Stopwatch(), []
    recipe = Recipe(ego4view_syn(), size=size, samples=samples, take_frames=frames)
    with ExitStack() as stack:
        for stage, (owner, names) in STAGES.items():
            for name in names:
                stack.enter_context(patch.object(owner, name, watch.timed(stage, getattr(owner, name))))
        for number in range(takes + 1):
            watch.seconds.clear()
            start = time.perf_counter()
            for _ in workers.render(recipe, workers.Task(Take("train", 4 * number, frames))):
                pass
            total = 1000 * (time.perf_counter() - start) / frames
            lap = {stage: 1000 * watch.seconds[stage] / frames for stage in STAGES}
            laps.append({**lap, "the rest": total - sum(lap.values()), "whole": total})
    del laps[0]  # it compiled
    medians = {stage: statistics.median(lap[stage] for lap in laps) for stage in laps[0]}
    return {**medians, "whole": statistics.mean(lap["whole"] for lap in laps)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--takes", type=int, default=12, help="takes of ten frames (default 12)")
    parser.add_argument("--json", action="store_true", help="end with a line of JSON")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cases = {"256 px": (256, 1), "256 px, 2x2": (256, 2), "872 px": (872, 1)}
    results = {
        name: measure(size, samples, args.takes if size < 500 else max(2, args.takes // 4), 10)
        for name, (size, samples) in cases.items()
    }
    table = Table(title="ms a frame of 4 views, one core, median take")
    table.add_column("stage")
    for name in results:
        table.add_column(name, justify="right")
    for stage in next(iter(results.values())):
        table.add_row(stage, *(f"{result[stage]:.1f}" for result in results.values()))
    rates = {name: 1000 / result["whole"] for name, result in results.items()}
    table.add_row("frames/s", *(f"{rate:.1f}" for rate in rates.values()), style="bold")
    Console(width=100).print(table)
    if args.json:
        print(json.dumps({"ms": results, "frames_per_s": rates}))


if __name__ == "__main__":
    main()
