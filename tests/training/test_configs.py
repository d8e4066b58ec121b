"""Every shipped recipe builds its stage, and is what its folder says."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from egorear.models import MODELS
from egorear.training.cli import StageCLI

ROOT = Path(__file__).parents[2] / "configs"
FOLDERS = (
    "agegopose_nano", "ego4view_rw", "ego4view_syn", "egocap", "egopw", "egotap_nano", "nano", "sceneego", "small",
    "unrealego",
)  # fmt: skip
CONFIGS = sorted(path for folder in FOLDERS for path in (ROOT / folder).glob("*.yaml"))


def build(path: Path) -> StageCLI:
    with torch.device("meta"):  # the paper's networks are large
        return StageCLI([f"--config={path}", "--data.root=unused", "--model.init_from=[]", "--model.init_parts=[]"])


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_it_builds(path: Path) -> None:
    cli = build(path)
    assert cli.datamodule.views == cli.model.network.config.views
    assert cli.datamodule.image_size == cli.model.network.config.image_size
    assert cli.trainer.default_root_dir == f"runs/{path.parent.name}/{path.stem}"


@pytest.mark.parametrize(
    ("recipe", "name"),
    [
        ("nano/single", "egorear-nano"),
        ("nano/pose", "egorear-nano"),
        ("nano/pose_norefiner", "egorear-nano-norefiner"),
        ("small/pose", "egorear-small"),
        ("ego4view_syn/single", "egorear-base"),
    ],
)
def test_the_last_stage_trains_the_network_of_the_package(recipe: str, name: str) -> None:
    config, expected = build(ROOT / f"{recipe}.yaml").model.network.config, MODELS[name][0]
    # A recipe may leave the confidence head out: it changes no pose.
    assert replace(config, confidence=expected.confidence) == expected


@pytest.mark.parametrize("folder", ["nano", "small"])
def test_earlier_stages_train_parts_of_the_same_network(folder: str) -> None:
    whole = MODELS[f"egorear-{folder}"][0]
    parts = {"heatmap": {"refiner": None, "lifter": None}, "refiner": {"lifter": None}}
    for stage, missing in parts.items():
        network = build(ROOT / folder / f"{stage}.yaml").model.network
        assert network.config == replace(whole, confidence=False, **missing), stage


def test_the_official_pose_stage_is_the_papers_network() -> None:
    network = build(ROOT / "ego4view_syn" / "pose.yaml").model.network
    assert sum(p.numel() for p in network.parameters()) == 126_047_857


@pytest.mark.parametrize(("folder", "name"), [("unrealego", "egotap"), ("egotap_nano", "egotap-nano")])
def test_the_stages_of_egotap_train_the_network_of_the_package(folder: str, name: str) -> None:
    whole = MODELS[name][0]
    missing = {"joint_maps": ("limb_maps", "lifter"), "limb_maps": ("joint_maps", "lifter"), "lifter": ()}
    for stage, absent in missing.items():
        config = build(ROOT / folder / f"{stage}.yaml").model.network.config
        assert replace(config, origin="device") == replace(whole, **dict.fromkeys(absent)), stage


def test_the_official_egotap_has_the_published_size() -> None:
    network = build(ROOT / "egocap" / "lifter.yaml").model.network
    # What the published networks hold but never use: two classifiers, a class token and a pooler.
    assert sum(p.numel() for p in network.parameters()) == 169_246_913 - 2 * 513_000 - 1_050_624


@pytest.mark.parametrize(("folder", "name"), [("egopw", "agegopose"), ("agegopose_nano", "agegopose-nano")])
def test_the_stages_of_agegopose_train_the_network_of_the_package(folder: str, name: str) -> None:
    whole = MODELS[name][0]
    heatmaps, poses = (build(ROOT / folder / f"{stage}.yaml") for stage in ("heatmap", "pose"))
    alone = dict.fromkeys(("static", "embedding", "motion", "decoder"))
    assert heatmaps.model.network.config == replace(whole, **alone)
    assert poses.model.network.config == whole
    assert (heatmaps.datamodule.window, poses.datamodule.window) == (None, whole.window)
    assert poses.datamodule.stride == whole.window // 2


def test_agegopose_on_sceneego_goes_on_with_the_network_of_egopw() -> None:
    egopw, sceneego = (build(ROOT / folder / "pose.yaml").model for folder in ("egopw", "sceneego"))
    assert sceneego.network.config == egopw.network.config
    assert (sceneego.loss, sceneego.frozen) == (egopw.loss, egopw.frozen)
    # 14.2 million of ActionFormer's blocks and all of ResNet-50 but its last stage do not learn.
    learnt = sum(p.numel() for p in egopw.network.parameters() if p.requires_grad)
    assert learnt == 14_964_736 + 787_584 + 154_752 + 919_299
