"""Renders a job into a folder: what is missing, in order, each part whole or absent, and at the end an index.

Everything of a take follows from recipe, split and number alone, so frame k of a seed is the same bytes whoever
renders it and however often the job was stopped; what is on disk whole is not rendered again. This process alone
writes.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

from egorear.datasets.index import FILE, Index, Part
from egorear.datasets.workers import make_all
from egorear.datasets.writer import SPLITS
from egorear.errors import UserError
from egorear.files import read_json, remove_leftovers, write_json
from egorear.synth.job import ENGINE_VERSION, Job, plan
from egorear.synth.layouts import Layout, Portion, open_layout
from egorear.synth.workers import Task, render


def generate(job: Job, workers: int = 1, ray: str | None = None) -> Iterator[int]:
    """Renders what is missing; yields the number of frames of each part as it is finished.

    ray: address of a Ray cluster that renders instead, or "local" for one of `workers` processes.

    Raises:
        UserError: the folder holds another job's frames or cannot be written, the disk is full, or a source of
            motion cannot be read.
    """
    from egorear.synth import studio

    if ray is not None:
        from egorear.datasets.cluster import check_reachable

        check_reachable(ray)
    studio.prepare(job.recipe)
    claim(job)
    layout = open_layout(job)
    remove_leftovers(job.out)
    takes = plan(job)
    index = _index(job)
    portions = {split: layout.portions(takes[split]) for split in job.splits}
    missing = {portion.name: layout.missing(portion) for each in portions.values() for portion in each}
    whole: dict[str, Part] = {}
    for split in job.splits:
        for portion in portions[split]:
            if not missing[portion.name] and (known := index.splits.get(split, {}).get(portion.name)):
                found = layout.digest(portion)
                if known.frames == portion.frames and known != found:
                    logging.getLogger("egorear").warning("%s is damaged: rendering it again", portion.name)
                    layout.forget(portion)
                    missing[portion.name] = layout.missing(portion)
                else:
                    whole[portion.name] = found
    layout.list_takes(takes)
    index = index.without(job.splits)
    index.save(job.out)
    tasks = [task for each in missing.values() for task in each]
    frames = make_all(render, job.recipe, tasks, workers, ray)
    try:
        for split in job.splits:
            parts: dict[str, Part] = {}
            for portion in portions[split]:
                if missing[portion.name]:
                    _write(layout, portion, missing[portion.name], frames)
                parts[portion.name] = whole.get(portion.name) or layout.digest(portion)
                yield portion.frames
            index = index.with_split(split, parts)
            index.save(job.out)
    finally:
        frames.close()


def claim(job: Job) -> None:
    """Writes what makes the pictures, and how many, into `synth.json`, or checks that it goes on with what is there.

    Raises:
        UserError: the folder was made with another recipe, or has more frames than the job.
    """
    path = Path(job.out) / "synth.json"
    recipe = {**job.recipe.describe(), "layout": job.layout}
    before = read_json(path) if path.exists() else dict(recipe)
    for key, value in recipe.items():
        if not isinstance(before, dict) or before.get(key) != value:
            raise UserError(f"{path} says that this folder was made with another '{key}'; choose an empty folder")
    for key, counts in (("frames", job.frames), ("hard", job.hard)):
        there = before.get(key, {})
        if not isinstance(there, dict) or any(type(count) is not int for count in there.values()):
            raise UserError(f"{path}: '{key}' must be an object of whole numbers")
        for split in job.splits:
            if counts.get(split, 0) < there.get(split, 0):
                raise UserError(
                    f"{path} says that this folder has {there[split]} {'hard ' if key == 'hard' else ''}frames of "
                    f"'{split}': ask for at least as many, or choose an empty folder"
                )
        recipe[key] = {split: count for split in SPLITS if (count := {**there, **counts}.get(split, 0))}
    if recipe != before:
        write_json(path, recipe)


def _index(job: Job) -> Index:
    """What the folder's index says so far."""
    if (Path(job.out) / FILE).exists():
        return Index.load(job.out)
    return Index(job.layout, job.recipe.rig.hash(), job.recipe.image_size, ENGINE_VERSION)


def _write(layout: Layout, portion: Portion, tasks: list[Task], frames: Iterator) -> None:
    with layout.open(portion) as store:
        for task in tasks:
            for index, frame in next(frames):
                store(task.take, index, frame)
