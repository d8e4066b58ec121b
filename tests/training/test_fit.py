"""`egorear fit` learns, freezes, hands on and refuses as documented."""

import copy
import csv
import errno
import shutil
import sys
from pathlib import Path

import pytest
import torch
from tests.datasets import egopw_files

from egorear.cli.fit import run_lightning
from egorear.cli.main import main
from egorear.errors import UserError
from egorear.geometry.skeleton import EGO4VIEW, EGOCAP, EGOPW
from egorear.models import EgoRearConfig, EgoTAPConfig, load_pretrained
from egorear.models.lifter import LifterConfig
from egorear.training.checkpoints import SafeCheckpointIO
from egorear.training.cli import StageCLI
from egorear.training.optimizer import average_weights
from egorear.training.stages import check_joints


def validations(run: Path, name: str) -> list[float]:
    with (run / "logs" / "version_0" / "metrics.csv").open() as file:
        return [float(row[name]) for row in csv.DictReader(file) if row.get(name)]


def test_a_short_run_learns_and_exports_what_it_judged(arguments: list[str], tmp_path: Path) -> None:
    # Validated seldom enough that the last time is the best for certain, whatever the number of threads.
    assert run_lightning("fit", [*arguments, "--model.ema_decay=0.9", "--trainer.val_check_interval=40"]) == 0
    first, *_, last = validations(tmp_path / "run", "val/mpjpe_mm")
    assert last < 0.7 * first
    exported = load_pretrained(tmp_path / "run" / "model").state_dict()
    checkpoint = torch.load(tmp_path / "run" / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    averaged = {key.removeprefix("average."): t for key, t in checkpoint.items() if key.startswith("average.")}
    assert all(torch.equal(exported[name], tensor) for name, tensor in averaged.items())
    assert any(not torch.equal(exported[name], checkpoint[f"network.{name}"]) for name in exported)


def test_stages_hand_on_their_parts_and_frozen_means_frozen(arguments: list[str], tmp_path: Path) -> None:
    short = [*arguments, "--trainer.max_steps=6", "--trainer.val_check_interval=6", "--data.in_memory=false",
             "--data.workers=0"]  # fmt: skip
    heatmap, refiner = tmp_path / "heatmap", tmp_path / "refiner"
    assert run_lightning("fit", [*short, "--model.network.refiner=null", "--model.network.lifter=null",
                                 f"--trainer.default_root_dir={heatmap}"]) == 0  # fmt: skip
    assert (
        run_lightning(
            "fit",
            [
                *short,
                f"--trainer.default_root_dir={refiner}",
                "--model.network.lifter=null",
                f"--model.init_from=[{heatmap}/model]",
                "--model.frozen=[estimators]",
            ],
        )
        == 0
    )
    before, after = load_pretrained(heatmap / "model"), load_pretrained(refiner / "model")
    trained = after.state_dict()
    for name, tensor in before.state_dict().items():
        assert torch.equal(tensor, trained[name]), f"{name} (parameters or BatchNorm statistics) has changed"
    # What was not frozen has learnt (the seed makes both starts alike), and any earlier stage starts the next one.
    start = StageCLI(short).model.network
    pose = StageCLI([*short, f"--model.init_from=[{refiner}/checkpoints/best.ckpt]"]).model.network
    learnt = after.refiners["all"].own[0].weight
    assert not torch.equal(start.refiners["all"].own[0].weight, learnt)
    assert torch.equal(pose.refiners["all"].own[0].weight, learnt)


def test_the_average_goes_part_of_the_way(arguments: list[str], tmp_path: Path) -> None:
    stage = StageCLI([*arguments, "--model.ema_decay=0.5"]).model
    start = copy.deepcopy(stage.average.state_dict())
    with torch.no_grad():
        for parameter in stage.network.parameters():
            parameter.add_(1.0)
    name = next(name for name, _ in stage.network.named_parameters())
    average_weights(stage.average, stage.network, 0.5, step=1000)
    torch.testing.assert_close(stage.average.state_dict()[name], start[name] + 0.5)
    average_weights(stage.average, stage.network, 0.5, step=0)  # a young one forgets nine tenths
    torch.testing.assert_close(stage.average.state_dict()[name], start[name] + 0.95)


@pytest.mark.parametrize(("steps", "rate"), [(3, 1e-2), (4, 1e-3)])
def test_an_epoch_ends_with_a_step_of_the_batches_that_are_left(
    steps: int, rate: float, arguments: list[str], tmp_path: Path
) -> None:
    # 6 batches an epoch, hence steps of 5 and of 1: the third epoch begins after the fourth.
    run = [f"--trainer.max_steps={steps}", "--trainer.accumulate_grad_batches=5", "--trainer.limit_val_batches=0"]
    decay = ["--model.schedule.decay=epochs", "--model.schedule.milestones=[2]", "--model.schedule.warmup_steps=0"]
    assert run_lightning("fit", [*arguments, *run, *decay]) == 0
    checkpoint = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["optimizer_states"][0]["param_groups"][0]["lr"] == pytest.approx(rate)


def test_interrupted_it_exits_with_1(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("egorear.training.stages.loss_terms", interrupt)
    assert main(["fit", *arguments]) == 1
    assert "egorear fit: interrupted" in capsys.readouterr().err


def test_a_full_disk_is_told_and_leaves_the_old_checkpoint(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 245952 vs 245840")

    last = tmp_path / "last.ckpt"
    last.write_text("the old one")
    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UserError, match=r"cannot write the checkpoint .*last\.ckpt"):
        SafeCheckpointIO().save_checkpoint({}, last)
    assert last.read_text() == "the old one"
    assert [path.name for path in tmp_path.glob("*.ckpt")] == ["last.ckpt"]
    assert not list(tmp_path.glob(".*"))


def test_a_log_that_cannot_be_written_is_told(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("lightning.pytorch.loggers.csv_logs.ExperimentWriter.save", full)
    assert main(["fit", *arguments, "--trainer.max_steps=2"]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("egorear fit: error: the run in")
    assert told.endswith("No space left on device")


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        (["--data.root=/nowhere"], "/nowhere/train.txt"),
        (["--trainer.default_root_dir=/dev/null/run"], "cannot write into the folder /dev/null/run"),
        (["--data.batch_size=0"], "'data.batch_size' is 0 but must be at least 1"),
        (["--data.workers=-1"], "'data.workers' is -1 but must be at least 0"),
        ([f"--config={sys.executable}"], "not a text file"),
        (["--model.network.heads=shallow"], "model.network.heads"),
        (["--model.depth=3"], "model.depth"),
        (["--model.frozen=[backbone]"], "'backbone'"),
        (["--ckpt_path=absent.ckpt"], "absent.ckpt"),
        (["--model.init_from=[absent]"], "absent"),
        (["--trainer.max_steps=-1", "--trainer.max_epochs=-1"], "trainer.max_steps"),
        (["--model.optimizer.lr=1e30"], "learning rate|model.optimizer.lr|not finite"),
    ],
)
def test_bad_input_is_told_in_one_sentence(arguments: list[str], extra: list[str], told: str) -> None:
    with pytest.raises(UserError, match=told) as caught:
        run_lightning("fit", [*arguments, *extra])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("network", "skeleton", "told"),
    [
        (EgoRearConfig(), EGOPW, "'egopw', which only 'model.agegopose'"),
        (EgoRearConfig(lifter=None), EGOCAP, "'model.network.heatmap_joints' is 15 but .* 'egocap', need 17"),
        (EgoRearConfig(heatmap_joints=17), EGOCAP, "'egocap' but 'model.network.lifter' answers those of 'ego4view'"),
        (EgoRearConfig(lifter=LifterConfig(joints=18)), EGO4VIEW, "'model.network.lifter.joints' is 18 but"),
        (EgoTAPConfig(), EGOCAP, "'egocap' but 'model.egotap.skeleton' is 'ego4view'"),
        (EgoRearConfig(), EGO4VIEW, None),
        (EgoRearConfig(heatmap_joints=17, lifter=None), EGOCAP, None),
        (EgoTAPConfig(skeleton="egocap"), EGOCAP, None),
    ],
)
def test_joints_that_the_network_does_not_learn_are_refused(network, skeleton, told) -> None:
    if told is None:
        check_joints(network, skeleton)
        return
    with pytest.raises(UserError, match=told):
        check_joints(network, skeleton)


def test_data_of_other_joints_are_told_before_the_first_step(arguments: list[str], tmp_path: Path) -> None:
    root = egopw_files.write_egopw(tmp_path / "egopw")
    lists = root / "train_test_directory"
    shutil.copy(lists / "test_egopw.txt", lists / "validation_egopw.txt")
    with pytest.raises(UserError, match="'egopw'"):
        run_lightning("fit", [*arguments, f"--data.root={root}", "--model.network.views=[front]"])


def test_a_wrong_field_is_told_with_its_file(arguments: list[str], tmp_path: Path) -> None:
    more = tmp_path / "more.yaml"
    more.write_text("trainer: {max_step: 3}")
    with pytest.raises(UserError, match=rf"^{more}: .*'max_step'"):
        run_lightning("fit", [*arguments, f"--config={more}"])
    with pytest.raises(UserError, match=r"^Parser key \"data.batch_size\""):
        run_lightning("fit", [*arguments, "--data.batch_size=many"])


def test_damaged_truth_is_told_in_one_sentence_though_a_worker_found_it(
    arguments: list[str], dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(dataset, tmp_path / "damaged")
    frame = next((tmp_path / "damaged" / "train").rglob("*.json"))
    frame.write_text(frame.read_text().replace('"device_pts3d":[', '"device_pts3d":[NaN,', 1))
    told = [f"--data.root={tmp_path / 'damaged'}", "--data.in_memory=false", "--data.workers=1"]
    assert main(["fit", *arguments, *told]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"egorear fit: error: {frame}: 'joints.Head.device_pts3d'")


def test_a_checkpoint_that_is_none_is_refused(arguments: list[str], tmp_path: Path) -> None:
    broken, strange = tmp_path / "broken.ckpt", tmp_path / "strange.ckpt"
    broken.write_bytes(b"PK\x03\x04 cut off")
    torch.save({"state_dict": {"network.elsewhere.weight": torch.zeros(2)}}, strange)
    for path, told in ((broken, "not a whole checkpoint"), (strange, "no part of this network")):
        with pytest.raises(UserError, match=told):
            StageCLI([*arguments, f"--model.init_from=[{path}]"])
    with pytest.raises(UserError, match="not written by"):
        run_lightning("validate", [*arguments, f"--ckpt_path={strange}"])
    fit = [*arguments, "--trainer.max_steps=1", "--trainer.val_check_interval=1"]
    assert run_lightning("fit", fit) == 0
    ours = tmp_path / "run" / "checkpoints" / "best.ckpt"
    with pytest.raises(UserError, match="another configuration"):
        run_lightning("validate", [*arguments, "--model.network.heads=deep", f"--ckpt_path={ours}"])


def test_a_checkpoint_can_be_judged_without_the_stage_before(arguments: list[str], tmp_path: Path) -> None:
    assert run_lightning("fit", [*arguments, "--trainer.max_steps=2", "--trainer.val_check_interval=2"]) == 0
    gone = ["--model.init_from=[gone]", f"--ckpt_path={tmp_path / 'run' / 'checkpoints' / 'best.ckpt'}"]
    for command in ("validate", "test"):
        assert run_lightning(command, [*arguments, *gone]) == 0
