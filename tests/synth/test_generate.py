"""The data engine as a job: the same bytes whoever renders them, resumable, and true to its own pictures."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from egorear.cli.main import main
from egorear.datasets.consistency import check_truth
from egorear.datasets.ego4view import open_ego4view
from egorear.geometry.cameras import KannalaBrandt
from egorear.geometry.rig import Rig
from egorear.synth.generate import FRAMES_PER_TAKE, plan


def synth(out: Path, *options: str) -> int:
    return main(["synth", "--out", str(out), "--size", "48", "--samples", "1", *options])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("synth") / "data"
    assert synth(out, "--frames", "30", "--seed", "3") == 0
    return out


def test_the_same_bytes_with_two_workers(rendered, tmp_path):
    assert synth(tmp_path / "two", "--frames", "30", "--seed", "3", "--workers", "2") == 0
    assert contents(tmp_path / "two") == contents(rendered)


def test_a_longer_job_begins_with_the_frames_of_a_shorter_one(tmp_path):
    assert synth(tmp_path / "long", "--frames", "12", "--split", "test") == 0
    assert synth(tmp_path / "short", "--frames", "3", "--split", "test") == 0
    long = contents(tmp_path / "long")
    assert all(long[name] == data for name, data in contents(tmp_path / "short").items())


def test_resuming_renders_only_what_is_missing(rendered, tmp_path):
    out = tmp_path / "data"
    assert synth(out, "--frames", "30", "--seed", "3") == 0
    kept = next(out.rglob("*000001.json"))
    lost = next(out.rglob("*000002.json"))
    before = kept.stat().st_mtime_ns
    lost.unlink()
    assert synth(out, "--frames", "30", "--seed", "3") == 0
    assert contents(out) == contents(rendered)
    assert kept.stat().st_mtime_ns == before


def test_interrupted_it_ends_with_whole_files_and_goes_on(tmp_path):
    out = tmp_path / "data"
    command = [sys.executable, "-m", "egorear.cli.main", "synth", "--out", str(out), "--size", "48", "--samples", "1"]
    command += ["--frames", "400", "--split", "train", "--workers", "2"]
    job = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 120
    while not list(out.rglob("*.json"))[2:] and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(job.pid, signal.SIGINT)  # as a terminal does
    _, errors = job.communicate(timeout=60)
    assert job.returncode == 1
    assert "Traceback" not in errors
    assert not [p for p in out.rglob(".*")], "no temporary file stays behind"
    for record in out.rglob("json_smplx_gendered/*.json"):
        images = record.parent.parent / "fisheye_rgb"
        assert len(list(images.glob(f"*/{record.stem}.jpg"))) == 4


def test_what_the_folder_holds_is_not_mixed_with_another_job(rendered, capsys):
    assert synth(rendered, "--frames", "30", "--seed", "4") == 2
    message = capsys.readouterr().err
    assert "seed" in message
    assert "synth.json" in message


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--frames", "0"], "--frames"),
        (["--frames", "5", "--rig", "nowhere.json"], "nowhere.json"),
        (["--frames", "5", "--motion", "nowhere.bvh"], "nowhere.bvh"),
    ],
)
def test_bad_options_are_named_in_one_sentence(tmp_path, capsys, options, word):
    assert synth(tmp_path / "data", *options) == 2
    message = capsys.readouterr().err.strip()
    assert word in message
    assert "\n" not in message


def test_unwritable_folder_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert synth(tmp_path / "file" / "data", "--frames", "1") == 2
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_splits_do_not_share_people(rendered):
    lists = {split: (rendered / f"{split}.txt").read_text().split() for split in ("train", "validation", "test")}
    assert all(lists.values())
    assert len({name for names in lists.values() for name in names}) == sum(map(len, lists.values()))
    assert {take.split for take in plan(30, "all")} == set(lists)
    assert max(take.frames for take in plan(1000, "all")) == FRAMES_PER_TAKE


def test_stored_truth_agrees_with_itself(rendered):
    report = check_truth(open_ego4view(rendered, "train", 48))
    assert report.agrees(pixels=0.01, millimetres=0.01)


def test_a_rig_of_one_camera_of_another_model(tmp_path):
    camera = KannalaBrandt(width=64, height=48, fx=20.0, fy=20.0, cx=31.5, cy=23.5, k1=0.0, k2=0.0, k3=0.0, k4=0.0)
    Rig("mine", {"chin": camera}, torch.eye(4)[None]).save(tmp_path / "rig.json")
    assert synth(tmp_path / "data", "--frames", "2", "--split", "train", "--rig", str(tmp_path / "rig.json")) == 0
    sample = open_ego4view(tmp_path / "data", "train", (64, 48), views=("chin",))[0]
    assert sample.images.shape == (1, 3, 48, 64)
    assert np.isfinite(sample.joints.numpy()).all()
