"""Shards made from published layouts: nothing lost, the bad put aside with a reason, the same bytes however made."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from tests.datasets.ego4view_files import NAMES, VIEWS, recording_matrices
from tests.datasets.test_writer import frame_truth, rich_truth

from egorear.cli.main import main
from egorear.datasets.consistency import check_truth
from egorear.datasets.frame import encode_frame
from egorear.datasets.images import decode_resized, decode_rgb, stored_size
from egorear.datasets.opening import list_splits, open_dataset
from egorear.datasets.quarantine import load_quarantine
from egorear.datasets.rw_writer import RWWriter
from egorear.datasets.sample import Sample
from egorear.datasets.shard_writer import Shard
from egorear.datasets.writer import SynWriter
from egorear.errors import UserError
from egorear.geometry.rig import ego4view_rw, ego4view_syn

FRAMES = 7


def scene(size: int, view: int, seed: int = 0) -> np.ndarray:
    """An RGB picture with soft shapes and a little noise."""
    rng = np.random.default_rng(10 * seed + view)
    soft = cv2.GaussianBlur(rng.uniform(0, 255, (size // 8, size // 8, 3)).astype(np.float32), (0, 0), 2)
    big = cv2.resize(cv2.normalize(soft, None, 20, 235, cv2.NORM_MINMAX), (size, size), interpolation=cv2.INTER_CUBIC)
    return np.clip(big + rng.normal(0, 3, big.shape), 0, 255).astype(np.uint8)


def write_syn(root: Path, size: int = 96, frames: int = FRAMES) -> Path:
    writer = SynWriter(root, ego4view_syn())
    for index in range(frames):
        images = {view: scene(size, v, index) for v, view in enumerate(VIEWS)}
        truth = rich_truth(index) if index == 1 and size == 64 else frame_truth(index)
        writer.write("anna", "1001", f"frame_{index}", images, truth)
    writer.write_splits({"train": ["anna"], "test": ["anna"]})
    return root


def prepare(source: Path, out: Path, *options: str) -> int:
    small = ("--size", "48", "--frames-per-shard", "3", "--split", "train")
    return main(["prepare", str(source), "--out", str(out), *small, *options])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def image(root: Path, frame: int, view: str) -> Path:
    return root / f"anna/1001/fisheye_rgb/camera_{view}/frame_{frame}.jpg"


def edit(root: Path, frame: int, change) -> None:
    path = root / f"anna/1001/json_smplx_gendered/frame_{frame}.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.square(a.astype(float) - b.astype(float)).mean()))


@pytest.fixture
def syn(tmp_path) -> Path:
    return write_syn(tmp_path / "raw")


def test_samples_are_those_of_the_raw_reader(syn, tmp_path):
    assert prepare(syn, tmp_path / "out") == 0
    raw, shards = open_dataset(syn, "train", 48), open_dataset(tmp_path / "out", "train", 48)
    assert shards.names == raw.names
    for index in range(FRAMES):
        mine, theirs = shards[index], raw[index]
        for field in ("joints", "joints_2d", "visible", "visibility"):
            assert torch.equal(getattr(mine, field), getattr(theirs, field))
        assert torch.equal(mine.rig.T_camera_device, theirs.rig.T_camera_device)
        assert mine.rig.cameras == theirs.rig.cameras
        assert psnr(mine.images.numpy(), theirs.images.numpy()) > 30
    assert check_truth(shards).agrees(0.01, 0.01)
    index = json.loads((tmp_path / "out/index.json").read_text())
    assert (index["source"], index["image_size"], index["rig"]) == ("raw", [48, 48], raw.rig.hash())
    assert list_splits(tmp_path / "out") == ["train"]


def test_what_has_the_size_already_is_kept_byte_for_byte_with_maps_and_body(tmp_path):
    raw = write_syn(tmp_path / "raw", size=64)
    assert prepare(raw, tmp_path / "out", "--size", "64") == 0
    old, new = open_dataset(raw, "train", 64), open_dataset(tmp_path / "out", "train", 64)
    assert all(new.image_file(1, view)[1] == old.image_file(1, view)[1] for view in VIEWS)
    assert new.frame(1).content == {**old.frame(1).content, "rig": old.rig.hash()}
    assert np.array_equal(new.maps(1)["front_left"].limb, old.maps(1)["front_left"].limb)
    assert prepare(tmp_path / "out", tmp_path / "again", "--size", "32") == 0
    assert open_dataset(tmp_path / "again", "train", 32).maps(1)["back_right"].depth_m.shape == (32, 32)


def test_extrinsics_of_recordings_survive(tmp_path):
    rig, raw = ego4view_rw(), tmp_path / "disk-1" / "raw"
    for number, shift in ((3, 0.06), (12, 0.07)):
        matrices = recording_matrices(shift)["coord_transformation_matrix"]
        truth = frame_truth(number)
        T = np.stack([np.array(matrices[f"device_to_camera_{view}"]) for view in VIEWS])
        frame = encode_frame(rig, {v: scene(64, i) for i, v in enumerate(VIEWS)}, truth.__class__(
            truth.joints_world, truth.T_device_world, truth.visibility, T_camera_device=T
        ))  # fmt: skip
        folder = f"seq_{number}"
        RWWriter(raw, rig).store("2024_07_24/S1".replace("/", "_"), folder, "0001", frame)
        (raw / "2024_07_24" / "S1").mkdir(parents=True, exist_ok=True)
        (raw / "2024_07_24_S1" / folder).rename(raw / "2024_07_24" / "S1" / f"{folder}-0")
        (raw / "2024_07_24_S1" / f"{folder}_metadata.json").rename(raw / f"2024_07_24/S1/{folder}_metadata.json")
        path = raw / f"2024_07_24/S1/{folder}-0/json_smplx/0001.json"
        content = json.loads(path.read_text())
        del content["T_camera_device"]  # only the recording's metadata tells, as in the published set
        path.write_text(json.dumps(content))
    (raw / "train.txt").write_text("2024_07_24/S1/seq_3-0\n2024_07_24/S1/seq_12-0\n")
    assert prepare(raw, tmp_path / "out") == 0
    old, new = open_dataset(raw, "train", 48), open_dataset(tmp_path / "out", "train", 48)
    assert new.names == ["2024_07_24/S1/seq_3-0/0001", "2024_07_24/S1/seq_12-0/0001"]
    for index, shift in enumerate((0.06, 0.07)):
        assert torch.equal(new[index].rig.T_camera_device, old[index].rig.T_camera_device)
        assert float(new[index].rig.T_camera_device[0, 0, 3]) == pytest.approx(shift)


def test_every_kind_of_bad_frame_is_put_aside_with_its_reason(syn, tmp_path, capfd):
    def cut(path: Path) -> None:
        path.write_bytes(path.read_bytes()[:200])

    def overwrite(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[1200:1700] = np.random.default_rng(0).integers(0, 256, 500, dtype=np.uint8).tobytes()
        path.write_bytes(bytes(data))

    hand = "LeftHand"
    image(syn, 0, "front_left").unlink()
    cut(image(syn, 1, "back_left"))
    overwrite(image(syn, 2, "back_right"))
    edit(syn, 3, lambda c: c["joints"][hand].update(device_pts3d=[float("nan"), 0, 0]))
    edit(syn, 4, lambda c: [j["camera_front_left_pts2d"].__setitem__(0, 1e4) for j in c["joints"].values()])
    edit(syn, 5, lambda c: c["joints"][hand].update(camera_back_left_pts3d=[0, 0, 900.0]))
    cv2.imwrite(str(image(syn, 6, "front_right")), np.zeros((48, 64, 3), np.uint8))
    write_syn(tmp_path / "more", frames=1)
    (tmp_path / "more" / "anna").rename(syn / "bert")
    (syn / "train.txt").write_text("anna\nbert\n")
    assert prepare(syn, tmp_path / "out") == 1, "most of it is bad"
    assert "of the frames of 'train' is bad" in capfd.readouterr().err
    assert open_dataset(tmp_path / "out", "train", 48).names == ["bert/1001/frame_0"]
    bad = list(load_quarantine(tmp_path / "out")["train"].values())
    found = [(each.kind, each.reason) for each in bad]
    words = ["missing", "truncated", "is damaged", "must be finite", "px from the", "mm from 'device", "is 64x48 but"]
    assert [each.frame for each in bad] == [f"anna/1001/frame_{i}" for i in range(7)]
    assert [kind for kind, _ in found] == ["image"] * 3 + ["truth", "projection", "camera", "image"]
    assert all(word in reason for word, (_, reason) in zip(words, found, strict=True))
    assert bad[6].file == "anna/1001/fisheye_rgb/camera_front_right/frame_6.jpg"
    assert str(tmp_path) not in (tmp_path / "out/quarantine.json").read_text()


def test_mended_frames_come_in_when_the_list_is_deleted(syn, tmp_path):
    path = image(syn, 4, "front_left")
    data = path.read_bytes()
    path.unlink()
    assert prepare(syn, tmp_path / "out", "--most-bad", "20") == 0
    path.write_bytes(data)
    (tmp_path / "out/quarantine.json").unlink()
    assert prepare(syn, tmp_path / "out") == 0
    assert prepare(syn, tmp_path / "at once") == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "at once")


@pytest.mark.parametrize("where", [("--workers", "2"), pytest.param(("--ray", "local"), marks=pytest.mark.slow)])
def test_whoever_helps_the_bytes_are_the_same(syn, tmp_path, where):
    image(syn, 4, "front_left").unlink()
    assert prepare(syn, tmp_path / "one", "--most-bad", "50") == 0
    assert prepare(syn, tmp_path / "two", "--most-bad", "50", *where) == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_killed_midway_it_goes_on_to_the_same_bytes(tmp_path):
    raw, out = write_syn(tmp_path / "raw", frames=40), tmp_path / "out"
    image(raw, 1, "front_left").unlink()
    command = [sys.executable, "-m", "egorear.cli.main", "prepare", str(raw), "--out", str(out)]
    options = ["--size", "48", "--frames-per-shard", "3", "--split", "train"]
    job = subprocess.Popen([*command, *options], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (out / "train-000001.tar").exists() and time.monotonic() < deadline:
        time.sleep(0.002)
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    (out / ".index.json.0123abcd.json").touch()  # what a kill at the worst moment leaves
    assert not json.loads((out / "index.json").read_text())["splits"]
    assert prepare(raw, out) == 0
    assert prepare(raw, tmp_path / "at once") == 0
    assert contents(out) == contents(tmp_path / "at once")
    assert main(["prepare", "--verify", str(out)]) == 0


def test_a_shard_damaged_since_is_made_again(syn, tmp_path):
    out = tmp_path / "out"
    assert prepare(syn, out) == 0
    before, path = contents(out), out / "train-000001.tar"
    path.write_bytes(path.read_bytes()[:600] + b"x" + path.read_bytes()[601:])
    assert main(["prepare", "--verify", str(out)]) == 1
    assert prepare(syn, out) == 0
    assert contents(out) == before


def test_a_full_disk_is_told_in_one_sentence_and_resumed(syn, tmp_path, monkeypatch, capsys):
    add, added = Shard.add, []

    def is_full(shard: Shard, *frame) -> None:
        added.append(frame)
        if len(added) > 4:
            raise OSError(28, "No space left on device")
        add(shard, *frame)

    with monkeypatch.context() as patch:
        patch.setattr(Shard, "add", is_full)
        assert prepare(syn, tmp_path / "out") == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert "train-000001.tar: No space left on device" in message
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]
    assert prepare(syn, tmp_path / "out") == 0


def test_what_cannot_be_done_is_told_in_one_sentence(syn, tmp_path, capsys):
    def refused(words: str, *arguments) -> None:
        assert prepare(*arguments) == 2
        assert words in capsys.readouterr().err

    out = tmp_path / "out"
    assert prepare(syn, out) == 0
    refused("made with another 'quality'", syn, out, "--quality", "80")
    refused("is the dataset to prepare", syn, syn)
    refused("'quality' is 0", syn, tmp_path / "new", "--quality", "0")
    refused("has no split 'validation'", syn, tmp_path / "new", "--split", "validation")
    refused("holds another dataset", out, write_syn(tmp_path / "other", frames=1))
    refused("has no split: it must hold", tmp_path, tmp_path / "new")
    (tmp_path / "file").write_text("")
    refused("cannot write", syn, tmp_path / "file" / "out")


def test_frames_of_several_stored_sizes_are_delivered_at_one(syn, tmp_path):
    write_syn(tmp_path / "large", size=200, frames=1)
    (tmp_path / "large" / "anna").rename(syn / "bert")
    (syn / "train.txt").write_text("anna\nbert\n")
    assert prepare(syn, tmp_path / "out") == 0
    for root in (syn, tmp_path / "out"):
        data = open_dataset(root, "train", 48)
        assert Sample.stack([data[0], data[FRAMES]]).images.shape == (2, 4, 3, 48, 48)
    assert {len(open_dataset(tmp_path / "out", "train").image(i, VIEWS[0])) for i in (0, FRAMES)} == {48}
    rig = ego4view_syn()
    swapped = replace(rig, cameras=dict(zip(VIEWS, reversed(rig.cameras.values()), strict=True)))
    other = open_dataset(syn, "train", 48, rig=swapped)
    with pytest.raises(UserError, match="different cameras"):
        Sample.stack([data[0], other[0]])


@pytest.mark.parametrize(("stored", "least_db"), [(872, 44), (512, 44), (300, 44), (256, 200), (200, 200)])
def test_decoding_at_a_reduced_size_loses_nothing_visible(stored, least_db):
    data = cv2.imencode(".jpg", scene(stored, 0), (cv2.IMWRITE_JPEG_QUALITY, 95))[1].tobytes()
    assert stored_size("x", data) == (stored, stored)
    quick, exact = (decode_resized("x", data, (stored, stored), (256, 256), exact) for exact in (False, True))
    assert quick.shape == exact.shape == (256, 256, 3)
    assert min(psnr(quick, exact) if (quick != exact).any() else 999, 999) >= least_db
    if stored == 256:
        assert np.array_equal(quick[..., ::-1], decode_rgb("x", data))


def test_the_official_loaders_sample_is_ours_but_for_the_filter(tmp_path):
    """The release decodes with PIL and resamples to 256 px with its bicubic filter, then normalises."""
    raw = write_syn(tmp_path / "raw", size=872, frames=1)
    sample = open_dataset(raw, "train", 256)[0]
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    content = json.loads(next(raw.rglob("frame_0.json")).read_text())
    for v, view in enumerate(VIEWS):
        with Image.open(image(raw, 0, view)) as picture:
            small = picture.convert("RGB").resize((256, 256), Image.Resampling.BICUBIC)
        theirs = (np.asarray(small) / 255 - mean) / deviation
        mine = (sample.images[v].numpy().transpose(1, 2, 0) / 255 - mean) / deviation
        assert np.abs(mine - theirs).mean() < 0.02  # of a standard deviation: one level of 256
        stored = np.array([content["joints"][name][f"camera_{view}_pts2d"] for name in NAMES])
        ours = (sample.joints_2d[v].numpy() + 0.5) * 872 / 256 - 0.5
        np.testing.assert_allclose(ours, stored, atol=1e-3)
    joints_cm = np.array([content["joints"][name]["device_pts3d"] for name in NAMES])
    np.testing.assert_allclose(100 * sample.joints.numpy(), joints_cm, atol=1e-4)
