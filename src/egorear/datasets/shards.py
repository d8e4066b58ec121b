"""Reads the shards that `ShardWriter` writes, frame by frame in any order, straight from the tar files."""

import json
import os
import tarfile
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path

from egorear.datasets.frames import FrameDataset, locate
from egorear.datasets.images import LIMIT_BYTES
from egorear.datasets.index import FILE, Index, digest_file
from egorear.datasets.maps import KINDS, ViewMaps, decode_maps
from egorear.datasets.truth import FRAME_LIMIT_BYTES, FrameFile
from egorear.errors import UserError
from egorear.geometry.rig import Rig

Members = dict[str, tuple[int, int]]  # extension to offset and size


class ShardDataset(FrameDataset):
    """One split of shards, in the order of the shards and of the frames in them.

    rig: default `{root}/rig.json`. check: compare every checksum with the index first (reads all bytes once).
    Only the index is read when the dataset is opened; a shard's table of contents when a frame of it is asked for.

    Raises:
        UserError: the index or the rig is missing or damaged, the rig is not the one of the index, a shard is missing
            or has another size than the index says, or (`check`) another checksum.
    """

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        image_size: int | tuple[int, int] = 256,
        views: Sequence[str] | None = None,
        rig: Rig | None = None,
        check: bool = False,
    ) -> None:
        root = Path(root)
        index = Index.load(root)
        if index.layout != "shards":
            raise UserError(f"{root / FILE}: 'layout' is {index.layout} but must be shards")
        own = Rig.load(root / "rig.json")
        if own.hash() != index.rig:
            raise UserError(f"{root / 'rig.json'} is rig {own.hash()} but {FILE} says {index.rig}")
        super().__init__(root, split, image_size, views, own if rig is None else rig)
        self.skeleton = index.skeleton
        if split not in index.splits or not index.frames(split):
            raise UserError(f"{root / FILE} has no frames of split '{split}': run the job that makes them to its end")
        self._rig_hash = index.rig
        self._parts = index.splits[split]
        self._shards = list(self._parts)
        self._ends = list(accumulate(part.frames for part in self._parts.values()))
        self._contents: dict[int, list[tuple[str, Members]]] = {}
        self._handles: dict[int, int] = {}
        self._owner = os.getpid()
        for name, part in self._parts.items():
            try:
                size = (root / name).stat().st_size
            except OSError as error:
                raise UserError(f"cannot read {root / name}, which {FILE} names: {error.strerror}") from error
            if size != part.bytes:
                raise UserError(f"{root / name} has {size} bytes but {FILE} says {part.bytes}")
            if check and digest_file(root / name, part.frames) != part:
                raise UserError(f"{root / name} is not what {FILE} says: its checksum differs")

    def __len__(self) -> int:
        return self._ends[-1]

    @cached_property
    def _names(self) -> list[str]:
        return [name for shard in range(len(self._shards)) for name, _ in self._table(shard)]

    def name(self, index: int) -> str:
        return self._locate(index)[1]

    def truth_file(self, index: int) -> Path:
        return self.root / self._shards[locate(self._ends, index)[0]]

    def image_file(self, index: int, view: str) -> tuple[str, bytes]:
        return self._read(index, f"{view}.jpg", LIMIT_BYTES)

    def maps(self, index: int) -> dict[str, ViewMaps]:
        found, members = {}, self._locate(index)[2]
        for view in self.rig.views:
            kinds = {kind: f"{view}.{kind}.png" for kind in KINDS if f"{view}.{kind}.png" in members}
            if kinds:
                files = {kind: self._read(index, name, LIMIT_BYTES) for kind, name in kinds.items()}
                found[view] = decode_maps(files)
        return found

    def frame(self, index: int) -> FrameFile:
        name, data = self._read(index, "json", FRAME_LIMIT_BYTES)
        try:
            content = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{name} is not valid JSON: {error}") from error
        rig = content.get("rig") if isinstance(content, dict) else None
        if rig != self._rig_hash:
            raise UserError(f"{name}: 'rig' is {rig} but {FILE} says {self._rig_hash}: it was taken by other cameras")
        return FrameFile(name, content, self.skeleton)

    def _read(self, index: int, extension: str, limit_bytes: int) -> tuple[str, bytes]:
        """The name by which a user knows a member, and its bytes."""
        shard, name, members = self._locate(index)
        label = f"{self.root / self._shards[shard]}: {name}.{extension}"
        if extension not in members:
            raise UserError(f"{label} is missing")
        offset, size = members[extension]
        if size > limit_bytes:
            raise UserError(f"{label} is larger than the {limit_bytes} bytes expected of such a file")
        try:
            data = os.pread(self._handle(shard), size, offset)
        except OSError as error:
            raise UserError(f"cannot read {label}: {error.strerror or error}") from error
        if len(data) < size:
            raise UserError(f"{label} is truncated")
        return label, data

    def _locate(self, index: int) -> tuple[int, str, Members]:
        shard, place = locate(self._ends, index)
        return shard, *self._table(shard)[place]

    def _table(self, shard: int) -> list[tuple[str, Members]]:
        if shard not in self._contents:
            path = self.root / self._shards[shard]
            frames = list(_contents(path).items())
            if len(frames) != (expected := self._parts[self._shards[shard]].frames):
                raise UserError(f"{path} has {len(frames)} frames but {FILE} says {expected}")
            self._contents[shard] = frames
        return self._contents[shard]

    def _handle(self, shard: int) -> int:
        """A descriptor of the shard; each process of a DataLoader opens its own, at most `OPEN_SHARDS` at a time."""
        if self._owner != os.getpid():
            self._handles, self._owner = {}, os.getpid()
        if shard not in self._handles:
            if len(self._handles) >= OPEN_SHARDS:
                os.close(self._handles.pop(next(iter(self._handles))))
            self._handles[shard] = os.open(self.root / self._shards[shard], os.O_RDONLY)
        return self._handles[shard]

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_handles": {}}

    def __del__(self) -> None:
        if getattr(self, "_owner", None) == os.getpid():
            for handle in self._handles.values():
                os.close(handle)


OPEN_SHARDS = 64


def _contents(path: Path) -> dict[str, Members]:
    """A shard's frames in order.

    Raises:
        UserError: it is no whole tar file, or holds what no shard of ours holds.
    """
    frames: dict[str, Members] = {}
    try:
        size = path.stat().st_size
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                folder, _, file = member.name.rpartition("/")
                stem, _, extension = file.partition(".")
                name = f"{folder}/{stem}"
                if not member.isfile() or not extension or not _is_frame(name):
                    raise UserError(f"{path}: '{member.name}' is no file of a frame (character/sequence/stem.view.jpg)")
                if member.offset_data + member.size > size:
                    raise UserError(f"{path} is truncated in '{member.name}'")
                members = frames.setdefault(name, {})
                if extension in members:
                    raise UserError(f"{path}: '{member.name}' occurs twice")
                members[extension] = (member.offset_data, member.size)
    except (OSError, tarfile.TarError) as error:
        raise UserError(f"{path} cannot be read as a tar file: {getattr(error, 'strerror', None) or error}") from error
    return frames


def _is_frame(name: str) -> bool:
    parts = name.split("/")
    return len(parts) >= 3 and not {"", ".", ".."} & set(parts) and "\\" not in name
