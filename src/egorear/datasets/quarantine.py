"""`quarantine.json`: the frames that were left out of shards, and why."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from egorear.datasets.writer import SPLITS
from egorear.errors import UserError
from egorear.files import read_json, write_json

FILE = "quarantine.json"
SCHEMA = "egorear-quarantine"
VERSION = 1
KINDS = ("image", "truth", "projection", "camera", "limb", "name")


@dataclass(frozen=True)
class BadFrame:
    """frame: its name. file: below the dataset's folder, the one at fault. reason: a sentence.

    kind: image (missing, truncated, damaged, of another aspect ratio), truth (the JSON is missing a field, damaged or
    not finite), projection (2D joints that are not the 3D ones projected), camera (joints that differ between device
    and camera frame), limb (a joint exactly at its parent's place, which has no direction), name (one that no shard can
    hold).
    """

    frame: str
    file: str
    kind: str
    reason: str


def load_quarantine(root: str | Path) -> dict[str, dict[str, BadFrame]]:
    """The bad frames of each split by name; none where there is no list.

    Raises:
        UserError: the list is damaged.
    """
    path = Path(root) / FILE
    if not path.exists():
        return {}
    content = read_json(path)
    if not isinstance(content, dict) or content.get("schema") != SCHEMA or content.get("version") != VERSION:
        raise UserError(f"{path}: 'schema' must be \"{SCHEMA}\" and 'version' {VERSION}")
    splits, fields = content.get("splits"), set(BadFrame.__dataclass_fields__)
    if not isinstance(splits, dict) or not set(splits) <= set(SPLITS):
        raise UserError(f"{path}: 'splits' must be an object of {', '.join(SPLITS)}")
    found: dict[str, dict[str, BadFrame]] = {}
    for split, entries in splits.items():
        for entry in entries if isinstance(entries, list) else [None]:
            if not isinstance(entry, dict) or set(entry) != fields or not all(type(v) is str for v in entry.values()):
                raise UserError(f"{path}: 'splits.{split}' must be a list of objects with {', '.join(sorted(fields))}")
            found.setdefault(split, {})[entry["frame"]] = BadFrame(**entry)
    return found


def save_quarantine(root: str | Path, splits: Mapping[str, Iterable[BadFrame]]) -> None:
    """Writes the bad frames of each split atomically, in the order given."""
    content = {split: [vars(bad) for bad in splits[split]] for split in SPLITS if split in splits}
    write_json(Path(root) / FILE, {"schema": SCHEMA, "version": VERSION, "splits": content})
