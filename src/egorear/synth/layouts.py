"""Where the takes of a job go: which frames are on disk, how new ones get there, what the index says of them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from egorear.datasets.frame import EncodedFrame
from egorear.datasets.index import Part, digest_part
from egorear.datasets.rw_writer import RWWriter
from egorear.datasets.shard_writer import ShardWriter
from egorear.datasets.writer import SPLITS, SynWriter
from egorear.synth.job import MIXES, Job, Take
from egorear.synth.workers import Task

SHARD_FRAMES = 500  # about 35 MB of four 256 px views

Store = Callable[[Take, int, EncodedFrame], None]


@dataclass(frozen=True)
class Portion:
    """Takes that are written, and listed in the index under `name`, as one."""

    name: str
    takes: tuple[Take, ...]

    @property
    def frames(self) -> int:
        return sum(take.frames for take in self.takes)


@runtime_checkable
class Layout(Protocol):
    """One way to lay frames out on disk."""

    def portions(self, takes: Sequence[Take]) -> list[Portion]:
        """The takes of a split, in order."""
        ...

    def missing(self, portion: Portion) -> list[Task]:
        """What has to be rendered of it."""
        ...

    def forget(self, portion: Portion) -> None:
        """Makes all of it missing, on disk too: a job that is stopped before it is rendered again knows."""
        ...

    def open(self, portion: Portion) -> AbstractContextManager[Store]:
        """A context in which its missing frames are stored, in order."""
        ...

    def digest(self, portion: Portion) -> Part:
        """What the index says of it."""
        ...

    def list_takes(self, takes: dict[str, list[Take]]) -> None:
        """Makes the splits' lists name these takes too."""
        ...


class Folders:
    """A sequence folder a take, in the layout of Ego4View-Syn or -RW."""

    def __init__(self, job: Job) -> None:
        self._layout = job.layout
        self._writer = (RWWriter if job.layout == "rw" else SynWriter)(job.out, job.recipe.rig)

    def portions(self, takes: Sequence[Take]) -> list[Portion]:
        return [Portion(take.name, (take,)) for take in takes]

    def missing(self, portion: Portion) -> list[Task]:
        take = portion.takes[0]
        present = [i for i in range(take.frames) if self._writer.is_complete(take.character, take.sequence, f"{i:06d}")]
        return [] if len(present) == take.frames else [Task(take, frozenset(present))]

    def forget(self, portion: Portion) -> None:
        self._writer.forget(portion.takes[0].character, portion.takes[0].sequence)

    @contextmanager
    def open(self, portion: Portion) -> Iterator[Store]:
        self._writer.tidy(portion.takes[0].character, portion.takes[0].sequence)

        def store(take: Take, index: int, frame: EncodedFrame) -> None:
            self._writer.store(take.character, take.sequence, f"{index:06d}", frame)

        yield store

    def digest(self, portion: Portion) -> Part:
        return digest_part(self._writer.root, self._layout, portion.name, portion.frames)

    def list_takes(self, takes: dict[str, list[Take]]) -> None:
        lists = {}
        for split in SPLITS:
            path = self._writer.root / f"{split}.txt"
            before = path.read_text(encoding="utf-8").split() if path.exists() else []
            new = [take.name if self._layout == "rw" else take.character for take in takes.get(split, [])]
            lists[split] = sorted({*before, *new})
        self._writer.write_splits(lists)


class Shards:
    """Takes one after the other in tar files of about `SHARD_FRAMES` frames; each mix has its own."""

    def __init__(self, job: Job) -> None:
        self._takes_a_shard = max(1, SHARD_FRAMES // job.recipe.take_frames)
        self._writer = ShardWriter(job.out, job.recipe.rig)

    def portions(self, takes: Sequence[Take]) -> list[Portion]:
        portions = []
        for mix in MIXES:
            same = [take for take in takes if take.mix == mix]
            for number, start in enumerate(range(0, len(same), self._takes_a_shard)):
                name = f"{same[0].split}{'-hard' if mix == 'hard' else ''}-{number:06d}.tar"
                portions.append(Portion(name, tuple(same[start : start + self._takes_a_shard])))
        return portions

    def missing(self, portion: Portion) -> list[Task]:
        whole = len(self._writer.frames_in(portion.name.removesuffix(".tar"))) == portion.frames
        return [] if whole else [Task(take) for take in portion.takes]

    def forget(self, portion: Portion) -> None:
        self._writer.forget(portion.name.removesuffix(".tar"))

    @contextmanager
    def open(self, portion: Portion) -> Iterator[Store]:
        with self._writer.shard(portion.name.removesuffix(".tar")) as shard:
            yield lambda take, index, frame: shard.add(f"{take.name}/{index:06d}", frame)

    def digest(self, portion: Portion) -> Part:
        return digest_part(self._writer.root, "shards", portion.name, portion.frames)

    def list_takes(self, takes: dict[str, list[Take]]) -> None:
        """Shards have no lists: the index names them."""


def open_layout(job: Job) -> Layout:
    """The layout of a job, its folder claimed for the job's rig.

    Raises:
        UserError: the folder holds frames of another rig, or cannot be written.
    """
    return Shards(job) if job.layout == "shards" else Folders(job)
