"""Any dataset to checked shards at the network's resolution: resumable, and the same bytes whoever helps.

What a shard holds follows from the source, the conversion and the shard's place alone. This process alone writes; a
shard that has its name is whole, and the bad frames it lacks are in the quarantine's list before it has.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from egorear.datasets.conversion import Chunk, Conversion, convert, forget_open_datasets
from egorear.datasets.frame import EncodedFrame
from egorear.datasets.frames import FrameDataset
from egorear.datasets.index import FILE, Index, Part, digest_file
from egorear.datasets.opening import list_splits
from egorear.datasets.quarantine import BadFrame, load_quarantine, save_quarantine
from egorear.datasets.shard_writer import Shard, ShardWriter
from egorear.datasets.workers import make_all
from egorear.datasets.writer import SPLITS
from egorear.errors import UserError
from egorear.files import read_json, remove_leftovers, write_json

CHUNK_FRAMES = 25
JOB_FILE = "prepare.json"


@dataclass(frozen=True)
class PrepareJob:
    """What to prepare. splits: none for all that the source has. shard_frames: of the source that a shard is made of.

    Raises:
        UserError: a value is out of bounds, or the source has no such split.
    """

    out: str
    conversion: Conversion
    splits: tuple[str, ...] = ()
    shard_frames: int = 500

    def __post_init__(self) -> None:
        bounds = {"size": (16, 8192), "quality": (1, 100), "limit_px": (0, 1e6), "limit_mm": (0, 1e6)}
        for name, (least, most) in bounds.items():
            if not least <= getattr(self.conversion, name) <= most:
                value = getattr(self.conversion, name)
                raise UserError(f"'{name}' is {value} but must be from {least:g} to {most:g}")
        if self.shard_frames < 1:
            raise UserError(f"'shard_frames' is {self.shard_frames} but must be at least 1")
        known = list_splits(self.conversion.source)
        for split in self.splits:
            if split not in known:
                raise UserError(f"{self.conversion.source} has no split '{split}', only {', '.join(known)}")
        object.__setattr__(self, "splits", tuple(s for s in known if s in self.splits or not self.splits))
        if Path(self.out).resolve() == Path(self.conversion.source).resolve():
            raise UserError(f"{self.out} is the dataset to prepare; choose another folder for the shards")

    @cached_property
    def datasets(self) -> dict[str, FrameDataset]:
        """The source's splits, opened."""
        return {split: self.conversion.open(split) for split in self.splits}

    def slices(self, split: str) -> "list[Slice]":
        """The shards that a split is cut into."""
        names = self.datasets[split].names
        return [
            Slice(split, number, first, tuple(names[first : first + self.shard_frames]))
            for number, first in enumerate(range(0, len(names), self.shard_frames))
        ]

    @property
    def total(self) -> int:
        """Frames of the source that are looked at."""
        return sum(map(len, self.datasets.values()))


@dataclass(frozen=True)
class Slice:
    """Consecutive frames of a split that become one shard."""

    split: str
    number: int
    first: int
    frames: tuple[str, ...]

    @property
    def shard(self) -> str:
        return f"{self.split}-{self.number:06d}"

    def chunks(self) -> list[Chunk]:
        """What is handed to a worker at a time."""
        starts = range(0, len(self.frames), CHUNK_FRAMES)
        return [Chunk(self.split, self.first + s, self.frames[s : s + CHUNK_FRAMES]) for s in starts]


def prepare(job: PrepareJob, workers: int = 1, ray: str | None = None) -> Iterator[int]:
    """Makes the shards that are missing; yields the number of the source's frames that each is made of.

    ray: address of a Ray cluster that converts, or "local" for one of `workers` processes; the source must be at the
    same path on each of its nodes.

    Raises:
        UserError: the source cannot be opened or changes meanwhile, the folder holds something else or cannot be
            written, or the disk is full.
    """
    if ray is not None:
        from egorear.datasets.cluster import check_reachable

        check_reachable(ray)
    rig = next(iter(job.datasets.values())).rig
    claim(job)
    writer = ShardWriter(job.out, rig)
    remove_leftovers(job.out)
    quarantine, index = load_quarantine(job.out), _index(job)
    slices = {split: job.slices(split) for split in job.splits}
    done: dict[str, Done] = {}
    for split in job.splits:
        for each in slices[split]:
            if (whole := _whole(each, writer, quarantine.get(split, {}), index.splits.get(split, {}))) is not None:
                done[each.shard] = whole
    index = index.without(job.splits)
    index.save(job.out)
    missing = [each for split in job.splits for each in slices[split] if each.shard not in done]

    def list_bad() -> None:
        found = {split: [b for s in slices[split] if s.shard in done for b in done[s.shard].bad] for split in slices}
        others = {split: list(bad.values()) for split, bad in quarantine.items() if split not in slices}
        save_quarantine(job.out, others | found)

    list_bad()
    forget_open_datasets()
    frames = make_all(convert, job.conversion, [chunk for each in missing for chunk in each.chunks()], workers, ray)
    try:
        for split in job.splits:
            for each in slices[split]:
                if each.shard not in done:
                    with writer.shard(each.shard) as shard:
                        bad = _fill(shard, each, frames)
                        done[each.shard] = Done(bad)
                        list_bad()  # before the shard has its name: a job that is killed in between makes it again
                    done[each.shard] = Done(bad, _digest(writer, each, bad))
                yield len(each.frames)
            parts = {f"{s.shard}.tar": part for s in slices[split] if (part := done[s.shard].part) is not None}
            for path in Path(job.out).glob(f"{split}-*.tar"):
                if path.name not in parts:  # every frame of it is bad, or the source has fewer than it had
                    writer.forget(path.stem)
            index = index.with_split(split, parts)
            index.save(job.out)
    finally:
        frames.close()


@dataclass(frozen=True)
class Done:
    """What became of a slice: its bad frames, and its shard, if any frame of it is good."""

    bad: tuple[BadFrame, ...]
    part: Part | None = None


def _fill(shard: Shard, each: Slice, frames: Iterator[Iterable[EncodedFrame | BadFrame]]) -> tuple[BadFrame, ...]:
    """Puts the slice's good frames into its shard; the bad ones."""
    bad = []
    for chunk in each.chunks():
        for name, frame in zip(chunk.frames, next(frames), strict=True):
            if isinstance(frame, BadFrame):
                bad.append(frame)
            else:
                shard.add(name, frame)
    return tuple(bad)


def _digest(writer: ShardWriter, each: Slice, bad: tuple[BadFrame, ...]) -> Part | None:
    good = len(each.frames) - len(bad)
    return digest_file(writer.path(each.shard), good) if good else None


def _whole(
    each: Slice, writer: ShardWriter, quarantine: Mapping[str, BadFrame], known: Mapping[str, Part]
) -> Done | None:
    """A slice whose shard needs no work: it holds the slice's frames but the bad ones, and, where its split was
    finished, the bytes that the index says. Else none."""
    bad = tuple(quarantine[name] for name in each.frames if name in quarantine)
    if writer.frames_in(each.shard) != [name for name in each.frames if name not in quarantine]:
        return None
    found, expected = _digest(writer, each, bad), known.get(f"{each.shard}.tar")
    if found is not None and expected is not None and expected.frames == found.frames and expected != found:
        logging.getLogger("egorear").warning("%s is damaged: preparing it again", each.shard)
        writer.forget(each.shard)
        return None
    return Done(bad, found)


def claim(job: PrepareJob) -> None:
    """Writes how the folder is made into `prepare.json`, or checks that it goes on with what is there.

    Raises:
        UserError: the folder was made from another source or with other options, or holds another dataset.
    """
    out, recipe = Path(job.out), _recipe(job)
    path = out / JOB_FILE
    if not path.exists():
        for name in (FILE, *(f"{split}.txt" for split in SPLITS)):
            if (out / name).exists():
                raise UserError(f"{out} holds another dataset ({name}); choose an empty folder")
        write_json(path, recipe)
        return
    before = read_json(path)
    for key, value in recipe.items():
        if not isinstance(before, dict) or before.get(key) != value:
            raise UserError(f"{path} says that this folder was made with another '{key}'; choose an empty folder")


def _recipe(job: PrepareJob) -> dict[str, object]:
    datasets = list(job.datasets.values())
    source = Path(job.conversion.source).resolve().name
    return {**vars(job.conversion), "source": source, "shard_frames": job.shard_frames, "rig": datasets[0].rig.hash()}


def _index(job: PrepareJob) -> Index:
    """What the folder's index says so far; of an unfinished job nothing."""
    if (Path(job.out) / FILE).exists():
        return Index.load(job.out)
    source = Path(job.conversion.source)
    engine = Index.load(source).engine if (source / FILE).exists() else None
    dataset = next(iter(job.datasets.values()))
    rig = dataset.rig
    size = job.conversion.picture_size(next(iter(rig.cameras.values())))
    return Index("shards", rig.hash(), size, engine, source=source.resolve().name, skeleton=dataset.skeleton)
