"""Jobs that are fixed for all time, by name: the open benchmark."""

from dataclasses import dataclass
from importlib import resources
from typing import Any

import yaml

from egorear.datasets.writer import SPLITS
from egorear.errors import UserError
from egorear.geometry.calibration import read_rig
from egorear.synth.job import ENGINE_VERSION, Job, Recipe

FOLDER = resources.files("egorear.synth") / "presets"
FIELDS = {"name": str, "engine": int, "rig": str, "seed": int, "size": int, "samples": int, "take_frames": int}


@dataclass(frozen=True)
class Preset:
    """A benchmark's definition. frames, hard: of each split, of the ordinary and of the hard mix. engine: the
    version that renders it. hashes: of each split in the index of the layout syn, as far as they are known."""

    name: str
    engine: int
    recipe: Recipe
    frames: dict[str, int]
    hard: dict[str, int]
    hashes: dict[str, str]

    def job(self, out: str, split: str, layout: str = "syn") -> Job:
        """The job that renders one split, or "all".

        Raises:
            UserError: this engine is another than the preset's, or there is no such split.
        """
        if self.engine != ENGINE_VERSION:
            raise UserError(
                f"preset '{self.name}' is rendered by engine {self.engine} but this release has engine "
                f"{ENGINE_VERSION}: install the release of that engine"
            )
        splits = SPLITS if split == "all" else (split,)
        if not set(splits) <= set(self.frames):
            raise UserError(f"preset '{self.name}' has no split '{split}', only {', '.join(self.frames)}")
        frames, hard = ({name: counts[name] for name in splits} for counts in (self.frames, self.hard))
        return Job(out, self.recipe, frames, hard, layout)


def preset_names() -> list[str]:
    """Those that ship."""
    return sorted(entry.name.removesuffix(".yaml") for entry in FOLDER.iterdir() if entry.name.endswith(".yaml"))


def load_preset(name: str) -> Preset:
    """Reads a preset that ships.

    Raises:
        UserError: there is none of that name.
    """
    if name not in preset_names():
        raise UserError(f"'{name}' is no preset; there are {', '.join(preset_names())}")
    return parse_preset(name, yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8")))


def parse_preset(source: str, content: Any) -> Preset:
    """A preset from the content of its file.

    Raises:
        UserError: a field is missing, unknown or of the wrong kind.
    """
    fields = {*FIELDS, "fps", "children", "splits", "hashes"}
    if not isinstance(content, dict) or set(content) != fields:
        raise UserError(f"preset '{source}' must have exactly the fields {', '.join(sorted(fields))}")
    for name, kind in FIELDS.items():
        if type(content[name]) is not kind:
            raise UserError(f"preset '{source}': '{name}' must be {'text' if kind is str else 'a whole number'}")
    if type(content["fps"]) not in (int, float) or type(content["children"]) is not bool:
        raise UserError(f"preset '{source}': 'fps' must be a number and 'children' true or false")
    splits, hashes = content["splits"], content["hashes"]
    known = isinstance(splits, dict) and splits and set(splits) <= set(SPLITS)
    if not known or not all(isinstance(entry, dict) and set(entry) == {"frames", "hard"} for entry in splits.values()):
        raise UserError(f"preset '{source}': 'splits' must give frames and hard of {', '.join(SPLITS)}")
    if any(type(count) is not int or count < 0 for entry in splits.values() for count in entry.values()):
        raise UserError(f"preset '{source}': 'splits' must give whole numbers of frames")
    if not isinstance(hashes, dict) or not all(isinstance(x, str) for pair in hashes.items() for x in pair):
        raise UserError(f"preset '{source}': 'hashes' must be an object of splits and hashes")
    recipe = Recipe(
        read_rig(content["rig"]),
        **{name: content[name] for name in ("seed", "size", "samples", "take_frames", "children")},
        fps=float(content["fps"]),
    )
    frames, hard = ({name: entry[key] for name, entry in splits.items()} for key in ("frames", "hard"))
    return Preset(content["name"], content["engine"], recipe, frames, hard, hashes)
