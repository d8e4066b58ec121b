"""Benchmarks by name."""

from pathlib import Path

import pytest
import yaml

from egorear.datasets.index import Index, digest_folder
from egorear.datasets.writer import SynWriter
from egorear.errors import UserError
from egorear.synth import studio
from egorear.synth.job import plan
from egorear.synth.preset import FOLDER, load_preset, parse_preset, preset_names

GOLDEN = Path(__file__).parents[1] / "golden" / "open-v1"
CONTENT = yaml.safe_load((FOLDER / "open-v1.yaml").read_text())


def test_the_open_benchmark_is_what_it_says():
    preset = load_preset("open-v1")
    assert "open-v1" in preset_names()
    job = preset.job("out", "test")
    assert job.splits == ["test"]
    assert job.frames["test"] >= 2000
    assert job.hard["test"] > 0
    mixes = [take.mix for take in plan(job)["test"]]
    assert mixes == sorted(mixes)
    assert preset.job("out", "all").total == sum(n for counts in CONTENT["splits"].values() for n in counts.values())


def test_the_configuration_is_the_one_that_ships():
    config = Path(__file__).parents[2] / "configs" / "benchmark" / "open-v1.yaml"
    assert yaml.safe_load(config.read_text()) == CONTENT


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"seed": "1"}, "'seed' must be a whole number"),
        ({"colour": 1}, "exactly the fields"),
        ({"splits": {"holdout": {"frames": 1, "hard": 0}}}, "'splits'"),
        ({"splits": {"test": {"frames": -1, "hard": 0}}}, "whole numbers of frames"),
        ({"fps": 0}, "from 0.1 to 30"),
        ({"rig": "nowhere.json"}, "nowhere.json"),
    ],
)
def test_a_bad_preset_is_refused_by_its_field(change, word):
    with pytest.raises(UserError, match=word):
        parse_preset("mine", {**CONTENT, **change})


def test_an_engine_that_is_gone_is_named():
    with pytest.raises(UserError, match="rendered by engine 1"):
        parse_preset("old", {**CONTENT, "engine": 1}).job("out", "test")


def test_an_unknown_preset_lists_those_there_are():
    with pytest.raises(UserError, match="open-v1"):
        load_preset("../open-v1")


@pytest.mark.parametrize("name", ["test_00000/take_000000", "test_hard_00000/hard_000000"])
def test_this_machine_renders_the_open_benchmark(tmp_path, name):
    preset, golden = load_preset("open-v1"), Index.load(GOLDEN)
    job = preset.job(str(tmp_path), "test")
    assert golden.hash_of("test") == preset.hashes["test"]
    assert golden.frames("test") == job.total
    writer, take = SynWriter(tmp_path, job.recipe.rig), next(take for take in plan(job)["test"] if take.name == name)
    for index, images, truth in studio.take(job.recipe, take):
        writer.write(take.character, take.sequence, f"{index:06d}", images, truth)
    assert digest_folder(tmp_path, name) == golden.splits["test"][name]
