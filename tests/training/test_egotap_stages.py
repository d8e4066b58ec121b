"""EgoTAP's three stages: joint maps, limb maps, a lifter on both, frozen; and the tracker that takes the result."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.training.test_fit import validations

from egorear.cli.fit import run_lightning
from egorear.cli.main import main
from egorear.datasets.opening import open_dataset
from egorear.models import EgoTAP, load_pretrained
from egorear.tracking import PoseTracker

UNET = "{backbone: {widths: [8, 8, 16, 16], blocks: [1, 1, 1, 1], stem: light}, skips: [8, 8, 8, 8], widths: [8, 8, 8]}"
STAGE = f"""
model:
  egotap:
    views: [front_left, front_right]
    image_size: 64
    joint_maps: {UNET}
    limb_maps: {UNET}
    lifter:
      encoder: {{patches: 2, width: 16, heads: 2, layers: 1, mlp: 16, hidden: [16, 16], features: 8}}
      limb_hidden: [16, 16]
      propagation: {{hidden: 16}}
      unit_cm: 20.0
  loss: {{sigma: 1.0, foreground: 30.0, joints_2d: 1.0, limbs: 20.0}}
  optimizer: {{lr: 5.0e-3}}
  schedule: {{warmup_steps: 5, decay: cosine}}
data: {{batch_size: 8, in_memory: true}}
trainer: {{log_every_n_steps: 10, check_val_every_n_epoch: null}}
"""


@pytest.fixture(scope="module")
def stages(dataset: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run of each stage: joint, limb, lifter."""
    folder = tmp_path_factory.mktemp("egotap")
    config = folder / "egotap.yaml"
    config.write_text(STAGE)

    def fit(name: str, steps: int, *arguments: str) -> None:
        common = [f"--config={config}", f"--data.root={dataset}", f"--data.cache={cache}"]
        length = [f"--trainer.max_steps={steps}", f"--trainer.val_check_interval={min(steps // 2, 6)}"]
        where = f"--trainer.default_root_dir={folder / name}"
        assert run_lightning("fit", [*common, *length, where, *arguments]) == 0

    fit("joint", 60, "--model.egotap.limb_maps=null", "--model.egotap.lifter=null")
    fit("limb", 60, "--model.egotap.joint_maps=null", "--model.egotap.lifter=null", "--model.loss.foreground=0.0")
    fit(
        "lifter", 60, f"--model.init_from=[{folder}/joint/model,{folder}/limb/model]",
        "--model.frozen=[joint_maps,limb_maps]", "--model.loss={heatmap: 0, limbs: 0, cosine: 0.001, sigma: 1.0}",
    )  # fmt: skip
    return folder


@pytest.mark.parametrize(
    ("stage", "figure", "share"),
    [("joint", "heatmap_mse_initial", 0.9), ("limb", "limb_mse", 0.9), ("lifter", "mpjpe_mm", 0.6)],
)
def test_every_stage_learns_what_it_is_for(stages: Path, stage: str, figure: str, share: float) -> None:
    first, *_, last = validations(stages / stage, f"val/{figure}")
    assert last < share * first


def test_frozen_heatmap_networks_keep_weights_and_statistics(stages: Path) -> None:
    whole = load_pretrained(stages / "lifter" / "model").state_dict()
    for stage in ("joint", "limb"):
        for name, tensor in load_pretrained(stages / stage / "model").state_dict().items():
            assert torch.equal(whole[name], tensor), name


def test_the_trained_network_is_a_tracker_of_its_rig(stages: Path, dataset: Path) -> None:
    tracker = PoseTracker.from_pretrained(stages / "lifter" / "model")
    assert isinstance(tracker.network.model, EgoTAP)
    data = open_dataset(dataset, "test", 64)
    assert tracker.training_rig.T_camera_device.equal(data.rig.T_camera_device)  # `fit` keeps it beside the weights
    pose = tracker(data[0].images, data[0].rig)
    assert torch.linalg.vector_norm(pose.joints - data[0].joints, dim=-1).mean() < 0.4
    assert np.all((pose.confidence.numpy() >= 0) & (pose.confidence.numpy() <= 1))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("--model.egotap.joint_maps=null", "joint heatmaps"),
        ("--model.egotap.lifter.propagation.cell=gru", "cell"),
        ("--model.egotap.origin=pelvis", "do not tell where the pelvis is"),
        ("--model.egotap.lifter.encoder.patches=3", "patches"),
    ],
)
def test_what_cannot_be_trained_is_told_in_one_sentence(
    change: str, told: str, stages: Path, dataset: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [f"--config={stages / 'egotap.yaml'}", f"--data.root={dataset}", f"--data.cache={cache}"]
    arguments += ["--trainer.max_steps=1", f"--trainer.default_root_dir={tmp_path}", change]
    assert main(["fit", *arguments]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error
