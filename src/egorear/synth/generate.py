"""Datasets of rendered people: who does what where in frame k, and the workers that render it.

Everything of a take follows from (seed, split, take number) alone, so frame k of seed s is the same bytes whatever
the number of workers and however often the job was stopped; what is on disk is not rendered again.
"""

import multiprocessing
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from egorear.datasets.writer import SPLITS, FrameTruth, SynWriter
from egorear.errors import UserError
from egorear.files import read_json, write_json
from egorear.geometry.rig import Rig

ENGINE_VERSION = 1  # raise it when the same seed gives other pictures
FRAMES_PER_TAKE = 10
TAKES_PER_PERSON = 4
FRAME_STRIDE = 5  # frames of the 30 Hz motion from one picture to the next
SHARES = {"validation": 0.1, "test": 0.1}  # of the frames when all splits are asked for; train gets the rest


@dataclass(frozen=True)
class Job:
    """What to render.

    frames: of `split`, or of all three together where that is "all". size: height of the images in pixels.
    samples: samples a pixel along each axis. motion: BVH files or folders and npz files beside the shipped clips.
    """

    out: str
    rig: Rig
    frames: int
    seed: int = 0
    split: str = "all"
    size: int = 256
    samples: int = 2
    motion: tuple[str, ...] = ()


@dataclass(frozen=True)
class Take:
    """Consecutive frames of one person, one motion and one place."""

    split: str
    number: int
    frames: int

    @property
    def character(self) -> str:
        return f"{self.split}_{self.number // TAKES_PER_PERSON:05d}"

    @property
    def sequence(self) -> str:
        return f"take_{self.number:06d}"


def plan(frames: int, split: str) -> list[Take]:
    """The takes of a job in order; each split numbers its own from zero."""
    counts = {split: frames}
    if split == "all":
        counts = {name: round(frames * share) for name, share in SHARES.items()}
        counts["train"] = frames - sum(counts.values())
    takes = []
    for name in SPLITS:
        for start in range(0, counts.get(name, 0), FRAMES_PER_TAKE):
            takes.append(Take(name, start // FRAMES_PER_TAKE, min(FRAMES_PER_TAKE, counts[name] - start)))
    return takes


def generate(job: Job, workers: int = 1) -> Iterator[int]:
    """Renders what is missing; yields the number of frames of each take as it is finished.

    Raises:
        UserError: the folder holds another job's frames, or cannot be written.
    """
    writer = SynWriter(job.out, job.rig)
    _claim(job)
    takes = plan(job.frames, job.split)
    _list_characters(job, writer, takes)
    if workers <= 1:
        for take in takes:
            yield render_take(job, take)
        return
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    with context.Pool(min(workers, len(takes)), _start_worker, (job, stop)) as pool:
        try:
            yield from pool.imap_unordered(_render_in_worker, takes)
        finally:
            # Let each worker end its frame, so that an interrupt leaves no half-written file.
            stop.set()
            pool.close()
            pool.join()


def render_take(job: Job, take: Take, stop: Any = None) -> int:
    """Renders and writes the frames of a take that are not on disk; returns how many the take has.

    `stop`, an event, is looked at between frames.
    """
    stems = [f"{i:06d}" for i in range(take.frames)]
    writer, renderer, library = _studio(job)
    missing = [s for s in stems if not writer.is_complete(take.character, take.sequence, s)]
    if not missing:
        return take.frames
    from egorear.synth.body import sample_person
    from egorear.synth.environment import sample_place
    from egorear.synth.render import sample_sensor
    from egorear.synth.scene import pose_scene, sample_mount

    split = SPLITS.index(take.split)
    person = sample_person(np.random.default_rng((job.seed, split, 0, take.number // TAKES_PER_PERSON)))
    rng = np.random.default_rng((job.seed, split, 1, take.number))
    mount = sample_mount(rng, person)
    place = sample_place(rng, take.split)
    sensor = sample_sensor(rng, len(job.rig.views))
    motion = library.sample(rng, take.split, FRAMES_PER_TAKE, FRAME_STRIDE)
    for stem in missing:
        if stop is not None and stop.is_set():
            break
        i = int(stem)
        scene = pose_scene(person, place, mount, motion.rotations[i], motion.root[i] * person.leg_length)
        frame = renderer.render(scene, sensor, np.random.default_rng((job.seed, split, 2, take.number, i)))
        truth = FrameTruth(scene.joints, scene.T_device_world, frame.visible, motion.action)
        writer.write(take.character, take.sequence, stem, frame.images, truth)
    return take.frames


@cache
def _libraries(motion: tuple[str, ...]):
    from egorear.synth.motion import MotionLibrary

    return MotionLibrary([Path(source) for source in motion])


def _studio(job: Job):
    """Writer, renderer and motions of a job: made once a process, since lenses and clips take a second."""
    if _STUDIO.get("job") is not job:
        from egorear.synth.render import Renderer

        first = next(iter(job.rig.cameras.values()))
        rig = job.rig.resized(round(first.width * job.size / first.height), job.size)
        _STUDIO.update(
            job=job, studio=(SynWriter(job.out, job.rig), Renderer(rig, job.samples), _libraries(job.motion))
        )
    return _STUDIO["studio"]


_STUDIO: dict[str, Any] = {}
_WORKER: dict[str, Any] = {}


def _start_worker(job: Job, stop: Any) -> None:
    import cv2
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent tells the workers to stop
    torch.set_num_threads(1)  # one process a core: more threads would only spin
    cv2.setNumThreads(0)
    _WORKER.update(job=job, stop=stop)


def _render_in_worker(take: Take) -> int:
    if _WORKER["stop"].is_set():
        return 0
    return render_take(_WORKER["job"], take, _WORKER["stop"])


def _claim(job: Job) -> None:
    """Writes what makes the pictures into `synth.json`, or checks that it is the same as before."""
    path = Path(job.out) / "synth.json"
    recipe = {
        "engine": ENGINE_VERSION,
        "seed": job.seed,
        "size": job.size,
        "samples": job.samples,
        "rig": job.rig.hash(),
        "motion": [Path(source).name for source in job.motion],
    }
    if path.exists():
        before = read_json(path)
        for key, value in recipe.items():
            if not isinstance(before, dict) or before.get(key) != value:
                raise UserError(f"{path} says that this folder was made with another '{key}'; choose an empty folder")
    else:
        write_json(path, recipe)


def _list_characters(job: Job, writer: SynWriter, takes: list[Take]) -> None:
    """Writes the split lists; splits that this job does not render keep theirs."""
    lists = {}
    for split in SPLITS:
        path = Path(job.out) / f"{split}.txt"
        before = path.read_text(encoding="utf-8").split() if path.exists() else []
        lists[split] = sorted({*before, *(take.character for take in takes if take.split == split)})
    writer.write_splits(lists)
