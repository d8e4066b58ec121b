"""Every shipped configuration builds its stage, and is what its folder says."""

from pathlib import Path

import pytest
import torch

from egorear.models import MODELS
from egorear.training.cli import StageCLI

FOLDERS = ("ego4view_rw", "ego4view_syn", "nano")
CONFIGS = sorted(path for folder in FOLDERS for path in (Path(__file__).parents[2] / "configs" / folder).glob("*.yaml"))


def build(path: Path) -> StageCLI:
    with torch.device("meta"):  # the paper's networks are large
        return StageCLI([f"--config={path}", "--data.root=unused", "--model.init_from=[]"])


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_it_builds(path: Path) -> None:
    cli = build(path)
    assert cli.datamodule.views == cli.model.network.config.views
    assert cli.datamodule.image_size == cli.model.network.config.image_size
    assert cli.trainer.default_root_dir == f"runs/{path.parent.name}/{path.stem}"


@pytest.mark.parametrize(("stage", "name"), [("pose", "egorear-nano"), ("pose_norefiner", "egorear-nano-norefiner")])
def test_nano_is_the_nano_of_the_package(stage: str, name: str) -> None:
    path = next(path for path in CONFIGS if path.parent.name == "nano" and path.stem == stage)
    assert build(path).model.network.config == MODELS[name][0]


def test_the_official_pose_stage_is_the_papers_network() -> None:
    path = next(path for path in CONFIGS if path.parent.name == "ego4view_syn" and path.stem == "pose")
    assert sum(p.numel() for p in build(path).model.network.parameters()) == 126_047_857
