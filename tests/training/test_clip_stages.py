"""AG-EgoPose's two stages, on sequences of coloured dots: single frames to heatmaps, windows to poses."""

import logging
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tests.models import agegopose_rule
from tests.training.runs import assert_same_run, fit
from tests.training.test_fit import validations

from egorear.cli.fit import run_lightning
from egorear.cli.main import main
from egorear.datasets.frame import FrameTruth
from egorear.datasets.writer import SynWriter
from egorear.errors import UserError
from egorear.geometry.rig import ego4view_syn
from egorear.geometry.skeleton import EGO4VIEW
from egorear.models import AGEgoPose, load_pretrained
from egorear.models.motion_encoder import MotionEncoder, MotionEncoderConfig
from egorear.models.resnet import ResNet, ResNetConfig
from egorear.training.augmentation import Augmentation
from egorear.training.cli import StageCLI
from egorear.training.data import FrameData
from egorear.training.initial import InitialPart, load_part

SIZE, VIEWS, LENGTH = 64, ("front_left",), 14
SEQUENCES = {"train": 6, "validation": 2, "test": 1}
BACKBONE = "{widths: [8, 8, 16, 16], blocks: [1, 1, 1, 1], stem: light, block: basic}"
HEATMAPS = f"""
model:
  agegopose:
    views: [front_left]
    image_size: {SIZE}
    window: 8
    heatmap_net: {BACKBONE}
    static: null
    embedding: null
    motion: null
    decoder: null
  loss: {{heatmap: 1.0, heatmap_loss: bce, positive: 12.0, sigma: 1.0}}
  optimizer: {{lr: 1.0e-2, weight_decay: 0.0}}
  schedule: {{warmup_steps: 5, decay: cosine}}
data: {{batch_size: 16, in_memory: true}}
trainer: {{max_steps: 50, val_check_interval: 5, check_val_every_n_epoch: null, log_every_n_steps: 10}}
"""
POSES = f"""
model:
  agegopose:
    views: [front_left]
    image_size: {SIZE}
    window: 8
    heatmap_net: {BACKBONE}
    static: {BACKBONE}
    embedding: {{widths: [4, 4, 8], dim: 16}}
    motion: {{width: 16, heads: 2, mlp: 16, local: 1, whole: 1, window: 4}}
    decoder: {{dim: 16, heads: 2, layers: 1, mlp: 16, head: [16, 16], dropout: 0.0}}
  loss: {{heatmap: 0.0, pose: 1.0, bone: 0.1, cosine: 0.01, sigma: 1.0}}
  optimizer: {{lr: 1.0e-2, weight_decay: 0.0}}
  schedule: {{warmup_steps: 5, decay: cosine, floor: 0.1}}
  frozen: [heatmap_net, static.backbone.layer1]
data: {{batch_size: 4, stride: 4, in_memory: true}}
trainer: {{max_steps: 80, val_check_interval: 8, check_val_every_n_epoch: null, log_every_n_steps: 10}}
"""


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sequences of `LENGTH` frames of a body that drifts, and one that is shorter than a window."""
    root = tmp_path_factory.mktemp("video")
    rig = ego4view_syn().select(VIEWS)
    writer, small = SynWriter(root, rig), rig.resized(SIZE, SIZE)
    rng = np.random.default_rng(7)
    body = np.stack((rng.uniform(-0.3, 0.3, 16), rng.uniform(0.1, 0.5, 16), rng.uniform(0.3, 1.2, 16)), -1)
    for split, count in SEQUENCES.items():
        for number in range(count + (split == "train")):
            start, drift = rng.normal(0, 0.15, 3), rng.normal(0, 0.02, 3)
            for frame in range(LENGTH if number < count else 3):
                joints = body + start + frame * drift
                pixels, seen = (part.numpy() for part in small.project(torch.from_numpy(joints)))
                image = np.full((SIZE, SIZE, 3), 90, np.uint8)
                for j in range(len(EGO4VIEW)):
                    if seen[0, j]:
                        colour = (16 * j, 255 - 16 * j, 40 * j % 256)
                        cv2.circle(image, tuple(int(x) for x in pixels[0, j].round()), 1, colour, -1)
                truth = FrameTruth(joints, np.eye(4), np.where(seen, 0, 1).astype(np.uint8))
                writer.write(split, f"walk_{number}", f"frame_{frame}", {"front_left": image}, truth)
    writer.write_splits({split: [split] for split in SEQUENCES})
    return root


@pytest.fixture(scope="module")
def stages(video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs "heatmap" and "pose", and the configurations "heatmap.yaml" and "pose.yaml"."""
    folder = tmp_path_factory.mktemp("stages")
    for name, text in (("heatmap", HEATMAPS), ("pose", POSES)):
        data = f"data: {{root: {video}, cache: {folder / 'cache'}, "
        (folder / f"{name}.yaml").write_text(text.replace("data: {", data))
        initial = [
            f"--model.init_from=[{folder}/heatmap/model]",
            f"--model.init_parts=[{{part: static.backbone, path: {folder}/heatmap/model, "
            "source: heatmap_net.backbone}]",
        ]
        run = [f"--config={folder / name}.yaml", f"--trainer.default_root_dir={folder / name}"]
        assert run_lightning("fit", [*run, *(initial if name == "pose" else [])]) == 0
    return folder


@pytest.mark.parametrize(("stage", "figure", "share"), [("heatmap", "peak_px", 0.8), ("pose", "mpjpe_mm", 0.85)])
def test_every_stage_learns_what_it_is_for(stages: Path, stage: str, figure: str, share: float) -> None:
    first, *_, last = validations(stages / stage, f"val/{figure}")
    assert last < share * first


def test_frozen_parts_keep_weights_and_statistics_and_drop_nothing_out(stages: Path) -> None:
    before, after = (load_pretrained(stages / name / "model").state_dict() for name in ("heatmap", "pose"))
    for name, tensor in before.items():
        assert torch.equal(after[name], tensor), name
        twin = name.replace("heatmap_net.", "static.")
        if name.startswith("heatmap_net.backbone.layer1."):
            assert torch.equal(after[twin], tensor), f"{twin} was frozen where heatmap_net.backbone had left it"
        elif name.startswith("heatmap_net.backbone.layer4.") and tensor.ndim == 4:
            assert not torch.equal(after[twin], tensor), f"{twin} has not learnt"
    stage = StageCLI([f"--config={stages / 'pose.yaml'}", "--model.frozen=[motion, static.backbone.layer1]"]).model
    frozen = [stage.network.motion, stage.network.static.backbone.layer1]
    for part in frozen:
        assert not any(module.training for module in part.modules())
        assert not any(parameter.requires_grad for parameter in part.parameters())
    assert stage.network.static.backbone.layer2.training
    x = torch.randn(1, 8, 16)
    assert torch.equal(stage.network.motion(x), stage.network.motion(x)), "neither dropout nor drop path"


def test_batches_are_windows_for_poses_and_frames_for_heatmaps_wherever_they_come_from(
    stages: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, shape in (("heatmap", (16, 1, 3, SIZE, SIZE)), ("pose", (4, 8, 1, 3, SIZE, SIZE))):
        args = [f"--config={stages / name}.yaml"]
        data = [StageCLI([*args, f"--data.in_memory={memory}"]).datamodule for memory in ("true", "false")]
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            stored, read = (next(iter(each.train_dataloader())) for each in data)
        assert (stored.images.shape, stored.name) == (shape, read.name)
        assert torch.equal(stored.images, read.images)
        assert torch.equal(stored.joints, read.joints)
        assert torch.equal(stored.rig.T_camera_device, read.rig.T_camera_device.float())
        assert [r.message for r in caplog.records] == (
            ["1 of 7 runs are shorter than a window of 8 frames and are left out (3 frames)"] * 2
            if name == "pose"
            else []
        )


def test_judged_windows_answer_every_frame_once(stages: Path) -> None:
    data = StageCLI([f"--config={stages / 'pose.yaml'}"]).datamodule
    batches = list(data.val_dataloader())
    answered = [n for b in batches for n, c in zip(b.name, b.counted.flatten().tolist(), strict=True) if c]
    assert answered == [f"validation/walk_{i}/frame_{j}" for i in range(2) for j in range(LENGTH)]


def test_killed_it_goes_on_with_the_next_window(stages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    arguments = [
        f"--config={stages / 'pose.yaml'}", "--trainer.max_steps=7", "--trainer.val_check_interval=3",
        "--checkpoint_every_n_steps=2", "--model.augmentation={}", "--data.in_memory=false", "--data.workers=1",
        "--model.ema_decay=0.9",
    ]  # fmt: skip
    code, told = fit(arguments, tmp_path / "whole")
    assert code == 0, told
    code, told = fit(arguments, tmp_path / "run", ("step", 5))
    assert code == -signal.SIGKILL, told
    code, told = fit(arguments, tmp_path / "run")
    assert code == 0, told
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_another_window_or_stride_is_refused_in_the_middle_of_an_epoch(stages: Path, video: Path) -> None:
    data = FrameData(str(video), VIEWS, SIZE, batch_size=4, workers=0, window=8, stride=4)
    state = {"epoch": 0, "batch": 1, "batches": 1, "order": data._order()}
    other = FrameData(str(video), VIEWS, SIZE, batch_size=4, workers=0, window=6, stride=4)
    other.load_state_dict(state)
    with pytest.raises(UserError, match=r"the number of training windows of (8|6) frames"):
        other.train_dataloader()


ABLATIONS = {
    "spatial only": ["--model.agegopose.static=null", "--model.agegopose.motion=null", "--model.frozen=[heatmap_net]"],
    "motion only": [
        "--model.agegopose.heatmap_net=null", "--model.agegopose.embedding=null",
        "--model.frozen=[static.backbone.layer1]",
    ],
    "no cross-attention": ["--model.agegopose.decoder.attention=false"],
    "other windows": ["--model.agegopose.window=4", "--data.stride=2"],
}  # fmt: skip


@pytest.mark.parametrize("name", ABLATIONS)
def test_the_papers_ablations_are_overrides(stages: Path, tmp_path: Path, name: str) -> None:
    short = ["--trainer.max_steps=1", "--trainer.val_check_interval=1", f"--trainer.default_root_dir={tmp_path}"]
    assert run_lightning("fit", [f"--config={stages / 'pose.yaml'}", *short, *ABLATIONS[name]]) == 0
    network = load_pretrained(tmp_path / "model")
    assert isinstance(network, AGEgoPose)
    parts = {"heatmap_net", "embedding", "static", "motion", "decoder"}
    missing = {"spatial only": {"static", "motion"}, "motion only": {"heatmap_net", "embedding"}}
    assert {part for part, _ in network.named_children()} == parts - missing.get(name, set())


@pytest.mark.parametrize(
    ("stage", "change", "told"),
    [
        ("pose", "--model.agegopose.window=20", "window is 20 frames long but the longest run .* has only 14"),
        ("pose", "--data.stride=0", "must be 1 or more"),
        ("pose", "--model.augmentation.blur=1.0", "windows of frames can only be given other light"),
        ("heatmap", "--model.augmentation.mirror=0.5", "mirror"),
        ("pose", "--model.frozen=[static.backbone.layer9]", "static.backbone.layer9.* has only .*layer1"),
        ("pose", "--model.init_parts=[{part: motor, path: x}]", "'motor' but the network has only"),
        ("pose", "--model.init_parts=[{part: motion, path: absent.pth}]", "absent.pth"),
        ("pose", "--model.loss.heatmap_loss=mae", "heatmap_loss"),
        ("pose", "--model.egotap={}", "both given"),
        ("pose", "--model.agegopose=null", "'loss.heatmap_loss' is 'bce'"),
    ],
)
def test_what_cannot_be_trained_is_told_in_one_sentence(
    stages: Path, stage: str, change: str, told: str, tmp_path: Path
) -> None:
    arguments = [f"--config={stages / stage}.yaml", "--trainer.max_steps=1", f"--trainer.default_root_dir={tmp_path}"]
    more = ["--model.loss.heatmap_loss=bce", "--model.frozen=[]"] if change.endswith("agegopose=null") else []
    with pytest.raises(UserError, match=told) as caught:
        run_lightning("fit", [*arguments, change, *more])
    assert "\n" not in str(caught.value)


def test_a_stream_has_no_windows(stages: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stream = "--data.stream={class_path: egorear.synth.stream.SynthStream, init_args: {size: 64}}"
    assert main(["fit", f"--config={stages / 'pose.yaml'}", stream]) == 2
    assert "'data.stream' gives single frames" in capsys.readouterr().err


def test_the_light_of_a_window_changes_as_a_whole() -> None:
    torch.manual_seed(3)
    images = torch.randint(0, 255, (2, 1, 1, 3, 8, 8), dtype=torch.uint8).expand(-1, 5, -1, -1, -1, -1)
    changed = Augmentation().light_of_windows(images)
    assert torch.equal(changed, changed[:, :1].expand_as(changed))
    plain = Augmentation(contrast=0.0, colour=0.0, brightness=0.0).light_of_windows(images)
    assert not torch.allclose(changed[0] - plain[0], changed[1] - plain[1])


def test_parts_come_from_torchvision_and_actionformer(tmp_path: Path) -> None:
    config = ResNetConfig(widths=(8, 8, 16, 16), blocks=(1, 1, 1, 1))
    network = torch.nn.ModuleDict({"static": torch.nn.ModuleDict({"backbone": ResNet(config)})})
    other = {n: torch.full_like(t, 2) for n, t in ResNet(config).state_dict().items() if "num_batches" not in n}
    torch.save({**other, "fc.weight": torch.zeros(10, 16), "fc.bias": torch.zeros(10)}, tmp_path / "resnet.pth")
    load_part(network, InitialPart("static.backbone", str(tmp_path / "resnet.pth")))
    assert all((t == 2).all() for n, t in network.state_dict().items() if "num_batches" not in n)

    motion = torch.nn.ModuleDict({"motion": MotionEncoder(MotionEncoderConfig(form="pyramid", local=1, whole=1))})
    blocks = {f"module.{n}": t for i in range(2) for n, t in agegopose_rule.block(f"backbone.branch.{i}.").items()}
    torch.save({"epoch": 10, "state_dict": blocks}, tmp_path / "actionformer.pth.tar")
    load_part(motion, InitialPart("motion", str(tmp_path / "actionformer.pth.tar")))
    given = blocks["module.backbone.branch.1.mlp.0.weight"].flatten()
    assert any(torch.equal(t.flatten(), given) for t in motion.state_dict().values())
    with pytest.raises(UserError, match=r"has no part 'heatmap_net', which 'model\.init_parts' names"):
        load_part(network, InitialPart("static", str(tmp_path / "resnet.pth"), "heatmap_net"))
    with pytest.raises(UserError, match=r"resnet\.pth cannot start 'static' of this network"):
        load_part(network, InitialPart("static", str(tmp_path / "resnet.pth")))
