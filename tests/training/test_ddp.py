"""Several processes train one network and judge it as one process does."""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.training.runs import assert_same_run, run_two, state

from egorear.cli.fit import run_lightning
from egorear.errors import UserError
from egorear.training.data import FrameData

SHORT = [
    "--data.batch_size=8", "--trainer.max_steps=5", "--trainer.val_check_interval=2", "--checkpoint_every_n_steps=2",
    "--model.ema_decay=0.9", "--model.augmentation={}", "--model.schedule.decay=epochs", "--ckpt_path=last",
]  # fmt: skip


@pytest.fixture
def short(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return [*arguments, *SHORT]


def scores(folder: Path) -> dict[str, float]:
    """Of a folder's first validation."""
    with (folder / "logs" / "version_0" / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row.get("val/mpjpe_mm")]
    return {name: float(value) for name, value in rows[0].items() if name.startswith("val/")}


def test_stopped_and_continued_two_processes_end_with_the_same_bits(short: list[str], tmp_path: Path) -> None:
    folders = whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    whole_run, resumed_run = ([*short, f"--trainer.default_root_dir={folder}"] for folder in folders)
    log = tmp_path / "run.log"
    assert run_two("fit", whole_run, log) == [0, 0]
    # The second process alone is told to stop: both do, after the same batch.
    assert sorted(run_two("fit", resumed_run, log, told_to_stop=("batch", 4))) == [1, 130]
    assert 3 <= state(resumed)["global_step"] < 5
    assert run_two("fit", resumed_run, log) == [0, 0]
    assert_same_run(whole, resumed)
    assert log.with_suffix(".0").read_text().count("validation") > 0
    assert "validation" not in log.with_suffix(".1").read_text(), "the first process alone tells how it goes"

    # 10 frames in batches of 3: the processes judge 5 each, and the figures are those of one process.
    judged = [f"--ckpt_path={whole}/checkpoints/last.ckpt", "--data.val_batch_size=3"]
    together, alone = tmp_path / "together", tmp_path / "alone"
    assert run_two("validate", [*short, *judged, f"--trainer.default_root_dir={together}"], log) == [0, 0]
    assert run_lightning("validate", [*short, *judged, f"--trainer.default_root_dir={alone}"]) == 0
    assert scores(together) == pytest.approx(scores(alone), rel=1e-5)
    assert len(scores(alone)) == 4


def test_the_command_starts_its_processes_and_one_sentence_ends_them_all(
    short: list[str], dataset: Path, tmp_path: Path
) -> None:
    root = tmp_path / "damaged"
    shutil.copytree(dataset, root)
    frames = sorted((root / "train").rglob("*.json"))
    for frame in frames[1:]:  # whoever meets one first tells it
        frame.write_text(frame.read_text().replace('"device_pts3d":[', '"device_pts3d":[NaN,', 1))
    extra = [f"--data.root={root}", "--data.in_memory=false", "--data.workers=0", "--trainer.accelerator=cpu",
             "--trainer.devices=2", "--trainer.strategy=ddp_find_unused_parameters_true"]  # fmt: skip
    script = Path(sys.executable).with_name("egorear")
    start = [str(script)] if script.exists() else [sys.executable, "-m", "egorear.cli.main"]
    done = subprocess.run([*start, "fit", *short, *extra], capture_output=True, text=True, env={**os.environ})
    assert done.returncode == 2, done.stderr
    assert "'joints.Head.device_pts3d'" in done.stderr
    assert "Traceback" not in done.stderr


def test_too_few_frames_are_told_before_processes_are_started(dataset: Path) -> None:
    data = FrameData(str(dataset), ("front_left", "front_right"), 64)
    data.check("test", ranks=4)
    with pytest.raises(UserError, match=r"has 4 frames in 'test', which 5 processes cannot share"):
        data.check("test", ranks=5)
