"""`index.json`: what a finished dataset holds and its checksums, so that anyone can tell whether a copy is whole.

A part is what is written as one: a tar of the shards layout, or a sequence of a folder layout. The checksum of a tar is
the sha256 of the file; of a sequence, the sha256 of the text "{sha256}  {path}\\n" over its files in order of their
paths below the root (what `sha256sum` prints). The hash of a split is the same over its parts, the hash of the
index over its splits; two renderings with the same hash are the same bytes.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from egorear.datasets.writer import SPLITS
from egorear.errors import UserError
from egorear.files import read_json, write_json
from egorear.geometry.rig import Rig
from egorear.geometry.skeleton import EGO4VIEW, Skeleton, skeleton_named

FILE = "index.json"
SCHEMA = "egorear-index"
VERSION = 1
LAYOUTS = ("syn", "rw", "shards")
UNITS = {
    "joints": "cm, device and camera frames; m, world", "pixels": "of the rig's calibration", "timestamp": "s",
    "matrices": "m",
}  # fmt: skip
BLOCK_BYTES = 2**20


@dataclass(frozen=True)
class Part:
    """frames, bytes: how many there are. sha256: hexadecimal."""

    frames: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Index:
    """What `index.json` tells. rig: hash of `rig.json`. image_size: width, height of the pictures.
    engine: version of the data engine that rendered them, none where none did. source: name of the dataset that they
    were prepared from, if they were. splits: parts by name (paths below the root) of each finished split.
    skeleton: whose joints the frames have, one of `geometry.skeleton.SKELETONS`."""

    layout: str
    rig: str
    image_size: tuple[int, int]
    engine: int | None
    splits: Mapping[str, Mapping[str, Part]] = field(default_factory=dict)
    source: str | None = None
    skeleton: Skeleton = EGO4VIEW

    def hash_of(self, split: str) -> str:
        """The hash of one split."""
        return _digest((part.sha256, name) for name, part in sorted(self.splits[split].items()))

    def hash(self) -> str:
        """The index hash: of all splits."""
        return _digest((self.hash_of(split), split) for split in sorted(self.splits))

    def frames(self, split: str) -> int:
        """How many frames a split has."""
        return sum(part.frames for part in self.splits[split].values())

    def with_split(self, split: str, parts: Mapping[str, Part]) -> "Index":
        """The index with that split put in or replaced."""
        return replace(self, splits={**self.splits, split: dict(sorted(parts.items()))})

    def without(self, splits: Iterable[str]) -> "Index":
        """The index without these splits: while they are being written."""
        return replace(self, splits={name: parts for name, parts in self.splits.items() if name not in set(splits)})

    def save(self, root: str | Path) -> None:
        """Writes `{root}/index.json` atomically."""
        splits = {
            split: {
                "frames": self.frames(split),
                "hash": self.hash_of(split),
                "parts": {name: vars(part) for name, part in self.splits[split].items()},
            }
            for split in SPLITS
            if split in self.splits
        }
        head = {"schema": SCHEMA, "version": VERSION, "layout": self.layout, "engine": self.engine, "rig": self.rig}
        if self.source is not None:
            head["source"] = self.source
        body = {"image_size": self.image_size, "joints": self.skeleton.names, "units": UNITS, "hash": self.hash()}
        write_json(Path(root) / FILE, {**head, **body, "splits": splits})

    @staticmethod
    def load(root: str | Path) -> "Index":
        """Reads `{root}/index.json`.

        Raises:
            UserError: it is missing, no index, of another version or joint order, or its hashes are not those of its
                parts.
        """
        path = Path(root) / FILE
        content = read_json(path)
        if not isinstance(content, dict) or content.get("schema") != SCHEMA:
            raise UserError(f"{path}: 'schema' must be \"{SCHEMA}\"")
        if content.get("version") != VERSION:
            raise UserError(f"{path}: 'version' is {content.get('version')!r} but this release reads {VERSION}")
        if content.get("layout") not in LAYOUTS:
            raise UserError(f"{path}: 'layout' must be one of {', '.join(LAYOUTS)}")
        if not isinstance(joints := content.get("joints"), list) or not all(isinstance(name, str) for name in joints):
            raise UserError(f"{path}: 'joints' must be a list of names")
        try:
            skeleton = skeleton_named(joints)
        except UserError as error:
            raise UserError(f"{path}: 'joints': {error}") from error
        size, rig, engine = content.get("image_size"), content.get("rig"), content.get("engine")
        if not isinstance(size, list) or len(size) != 2 or not all(type(side) is int and side > 0 for side in size):
            raise UserError(f"{path}: 'image_size' must be width and height")
        if not isinstance(rig, str) or not (engine is None or type(engine) is int):
            raise UserError(f"{path}: 'rig' must be text and 'engine' a whole number or null")
        if not isinstance(source := content.get("source"), str | None):
            raise UserError(f"{path}: 'source' must be text")
        splits = content.get("splits")
        if not isinstance(splits, dict) or not set(splits) <= set(SPLITS):
            raise UserError(f"{path}: 'splits' must be an object of {', '.join(SPLITS)}")
        parts = {split: dict(_parts(path, split, entry)) for split, entry in splits.items()}
        index = Index(content["layout"], rig, (size[0], size[1]), engine, parts, source, skeleton)
        wrong = [split for split in splits if splits[split].get("hash") != index.hash_of(split)]
        if wrong or content.get("hash") != index.hash():
            where = f"'splits.{wrong[0]}.hash'" if wrong else "'hash'"
            raise UserError(f"{path}: {where} is not that of the parts listed: the file was changed")
        return index


def digest_file(path: Path, frames: int) -> Part:
    """A tar as a part.

    Raises:
        UserError: it cannot be read.
    """
    return Part(frames, *_sha256(path))


def digest_folder(root: Path, name: str, beside: Iterable[Path] = ()) -> Part:
    """A sequence as a part: its files below `{root}/{name}`, and those `beside` it that belong to it.

    Raises:
        UserError: a file cannot be read.
    """
    files = [path for path in (root / name).rglob("*") if path.is_file()] + [path for path in beside if path.exists()]
    sums = {path.relative_to(root).as_posix(): _sha256(path) for path in files}
    frames = sum(path.suffix == ".json" and path.parent.name.startswith("json_") for path in files)
    lines = ((digest, path) for path, (_, digest) in sorted(sums.items()))
    return Part(frames, sum(size for size, _ in sums.values()), _digest(lines))


def digest_part(root: Path, layout: str, name: str, frames: int) -> Part:
    """The part of that name as it is on disk now; `frames` is only copied for a tar.

    Raises:
        UserError: it is missing or cannot be read.
    """
    if layout == "shards":
        return digest_file(root / name, frames)
    return digest_folder(root, name, [root / f"{name}_metadata.json"] if layout == "rw" else [])


def verify(root: str | Path) -> Iterator[tuple[str, str | None]]:
    """Compares every part with the index: its name, and what is wrong with it or none. `rig.json`, and sequences
    that a reader would find but the index does not name, come only if they are wrong.

    Raises:
        UserError: there is no index, or it or `rig.json` is damaged.
    """
    root = Path(root)
    index = Index.load(root)
    if (rig := Rig.load(root / "rig.json").hash()) != index.rig:
        yield "rig.json", f"{root / 'rig.json'} is rig {rig} but the index says {index.rig}"
    for split, parts in index.splits.items():
        for name in _on_disk(root, index.layout, split):
            if name not in parts:
                yield name, f"{root / name} is in split '{split}' but not in the index"
        for name, part in parts.items():
            try:
                found = digest_part(root, index.layout, name, part.frames)
            except UserError as error:
                yield name, str(error)
                continue
            if found.frames != part.frames:
                yield name, f"{root / name} has {found.frames} frames but the index says {part.frames}"
            elif found != part:
                yield name, f"{root / name} is not what the index says: its checksum differs"
            else:
                yield name, None


def _on_disk(root: Path, layout: str, split: str) -> list[str]:
    """The sequences that the list of a split leads to; shards have no lists."""
    path = root / f"{split}.txt"
    lines = path.read_text(encoding="utf-8").split() if layout != "shards" and path.exists() else []
    if layout == "rw":
        return lines
    return sorted(f"{line}/{each.name}" for line in lines for each in (root / line).glob("*") if each.is_dir())


def _parts(path: Path, split: str, entry: Any) -> Iterator[tuple[str, Part]]:
    parts = entry.get("parts") if isinstance(entry, dict) else None
    if not isinstance(parts, dict):
        raise UserError(f"{path}: 'splits.{split}.parts' must be an object")
    for name, values in parts.items():
        if not name or "\\" in name or "\0" in name or {"", ".", ".."} & set(name.split("/")):
            raise UserError(f"{path}: '{name}' must be the path of a part inside the dataset's folder")
        where = f"{path}: 'splits.{split}.parts.{name}'"
        if not isinstance(values, dict) or set(values) != {"frames", "bytes", "sha256"}:
            raise UserError(f"{where} must have frames, bytes and sha256")
        counts = (values["frames"], values["bytes"])
        if any(type(count) is not int or count < 0 for count in counts) or not isinstance(values["sha256"], str):
            raise UserError(f"{where} must have two counts and a checksum")
        yield name, Part(*counts, values["sha256"])


def _digest(lines: Iterable[tuple[str, str]]) -> str:
    digest = hashlib.sha256()
    for checksum, name in lines:
        digest.update(f"{checksum}  {name}\n".encode())
    return digest.hexdigest()


def _sha256(path: Path) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    try:
        with open(path, "rb") as file:
            while block := file.read(BLOCK_BYTES):
                digest.update(block)
                size += len(block)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    return size, digest.hexdigest()
