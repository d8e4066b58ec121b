"""UnrealEgo and EgoCap made into shards, opened again and scored."""

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from tests.datasets import egocap_files, unrealego_files

from egorear.cli.main import main
from egorear.datasets.consistency import check_truth
from egorear.datasets.frame import FrameTruth, encode_frame
from egorear.datasets.index import Index
from egorear.datasets.opening import list_splits, open_dataset
from egorear.datasets.quarantine import load_quarantine
from egorear.datasets.sample import Sample
from egorear.datasets.truth import FrameFile
from egorear.errors import UserError
from egorear.geometry.rig import ego4view_syn
from egorear.geometry.skeleton import EGO4VIEW, EGOCAP, Skeleton
from egorear.poses import Poses
from egorear.training.memory import MemoryDataset


def prepare(source: Path, out: Path, *options: str) -> int:
    return main(["prepare", str(source), "--out", str(out), "--size", "64", "--frames-per-shard", "3", *options])


def assert_same(source: Path, out: Path, split: str) -> None:
    """Truth to the last bit; pictures but for the loss of a JPEG."""
    old, new = open_dataset(source, split, 64), open_dataset(out, split, 64)
    assert new.names == old.names
    assert new.skeleton is old.skeleton
    for index in range(len(old)):
        a, b = new[index], old[index]
        for field in ("joints", "joints_2d", "visible"):
            assert torch.equal(getattr(a, field), getattr(b, field))
        assert (a.pelvis is None) == (b.pelvis is None)
        assert a.pelvis is None or torch.equal(a.pelvis, b.pelvis)
        assert torch.equal(a.rig.T_camera_device, b.rig.T_camera_device)
        assert a.rig.cameras == b.rig.cameras
        assert (a.images.float() - b.images.float()).abs().mean() < 3
    assert check_truth(new).agrees(0.1, 0.01)


@pytest.mark.parametrize("kind", ["raw", "reprocessed"])
def test_unrealego_shards_are_unrealego(tmp_path, kind):
    source = unrealego_files.write_unrealego(tmp_path / "raw", kind)
    assert prepare(source, tmp_path / "out") == 0
    assert list_splits(tmp_path / "out") == ["train", "test"]
    for split in ("train", "test"):
        assert_same(source, tmp_path / "out", split)
    frame = open_dataset(tmp_path / "out", "train")
    assert frame.joints(0)[1] == "dancing"
    pelvis = unrealego_files.body(2)[1]
    np.testing.assert_allclose(frame[0].pelvis, pelvis / 100, atol=1e-6)
    assert Index.load(tmp_path / "out").skeleton is EGO4VIEW


def test_the_pelvis_reaches_batches_and_the_memory_of_a_training(tmp_path):
    source = unrealego_files.write_unrealego(tmp_path / "raw")
    prepare(source, tmp_path / "out")
    dataset = open_dataset(tmp_path / "out", "test", 32)
    samples = [dataset[index] for index in range(len(dataset))]
    batch = Sample.stack(samples)
    assert batch.pelvis is not None
    assert torch.equal(batch.select(["front_right"]).pelvis, batch.pelvis)
    assert batch.to("meta").pelvis.device.type == "meta"
    assert Sample.stack([samples[0], replace(samples[1], pelvis=None)]).pelvis is None
    for _ in range(2):  # decoded, then read from the cache
        memory = MemoryDataset(dataset, tmp_path / "cache").__getitems__([2, 0])
        assert torch.equal(memory.pelvis, batch.pelvis[[2, 0]])
        assert torch.equal(memory.joints, batch.joints[[2, 0]])


def frame_of(skeleton: Skeleton) -> FrameTruth:
    joints = np.random.default_rng(0).uniform(-1, 1, (len(skeleton), 3))
    T = np.eye(4)
    T[:3, 3] = 0.1, 0.2, -1.5
    seen = np.zeros((4, len(skeleton)), np.uint8)
    return FrameTruth(joints, T, seen, skeleton=EGOCAP)


def test_frames_of_any_skeleton_are_written_and_read_back():
    rig, images = ego4view_syn(), {view: np.zeros((32, 32, 3), np.uint8) for view in ego4view_syn().views}
    truth = frame_of(EGOCAP)
    content = json.loads(encode_frame(rig, images, truth).json)
    assert list(content["joints"]) == list(EGOCAP.names)
    read = FrameFile("f.json", content, EGOCAP).truth(rig.views)
    np.testing.assert_allclose(read.joints, truth.joints_device(), atol=1e-6)
    with pytest.raises(UserError, match=r"'joints\.Head' is missing"):
        FrameFile("f.json", content)
    with pytest.raises(UserError, match="'joints_world' has 16 joints but must have 18"):
        encode_frame(rig, images, frame_of(EGO4VIEW))
    for pelvis, told in (([0, 1], "3 finite numbers"), ([0, 0, 1001], "within 1000 cm"), ("x", "3 finite numbers")):
        with pytest.raises(UserError, match=rf"f.json: 'pelvis_device_pts3d' must .*{told}"):
            FrameFile("f.json", {**content, "pelvis_device_pts3d": pelvis}, EGOCAP).pelvis_m()


def test_egocap_shards_are_egocap(tmp_path):
    source = egocap_files.write_raw(tmp_path / "raw")
    assert prepare(source, tmp_path / "out") == 0
    for split in ("train", "validation", "test"):
        assert_same(source, tmp_path / "out", split)
    index = json.loads((tmp_path / "out/index.json").read_text())
    assert index["joints"] == list(EGOCAP.names)
    assert main(["prepare", "--verify", str(tmp_path / "out")]) == 0
    assert prepare(source, tmp_path / "out") == 0  # goes on with what is there
    memory = MemoryDataset(open_dataset(tmp_path / "out", "test", 32), tmp_path / "cache")
    assert memory.joints.shape == (2, 18, 3)
    assert memory.pelvis is None
    assert prepare(tmp_path / "out", tmp_path / "again", "--split", "test") == 0
    assert open_dataset(tmp_path / "again", "test").skeleton is EGOCAP


def test_preprocessed_egocap_becomes_shards(tmp_path):
    source = egocap_files.write_preprocessed(tmp_path / "npy")
    assert prepare(source, tmp_path / "out", "--split", "test") == 0
    assert_same(source, tmp_path / "out", "test")


def test_frames_that_contradict_themselves_are_put_aside(tmp_path):
    source = egocap_files.write_raw(tmp_path / "raw")
    with h5py.File(source / egocap_files.HDF5, "r+") as file:
        order = {
            (s, f): i for i, (s, (f, _)) in enumerate(zip(file["subject_index"], file["frame_index"], strict=True))
        }
        poses, points = file["pose_3d"][()], file["pose_2d"][()]
        poses[order[1, 2], 4] = poses[order[1, 2], 3]  # the left hand on its forearm
        points[order[1, 2], :, 4] = points[order[1, 2], :, 3]
        points[order[1, 11], 1, 7, 0] += 0.05
        points[order[2, 2], 0, 0] = 0.9  # where the camera is in its own picture means nothing
        poses[order[2, 11], 9, 1] = np.nan
        file["pose_3d"][...], file["pose_2d"][...] = poses, points
    broken = source / "training_v000/images/S3_v000_cam1_frame-0009.jpg"
    data = broken.read_bytes()
    broken.write_bytes(data[:2000] + bytes(range(256)) * 8 + data[4048:])
    (source / "training_v000/images/S4_v000_cam1_frame-0018.jpg").unlink()
    assert prepare(source, tmp_path / "out", "--split", "train") == 1  # so many are too many
    bad = load_quarantine(tmp_path / "out")["train"]
    assert {name.removeprefix("training_v000/"): each.kind for name, each in bad.items()} == {
        "S1/frame_2": "limb", "S1/frame_11": "projection", "S2/frame_11": "truth", "S3/frame_2": "image",
        "S4/frame_11": "image",
    }  # fmt: skip
    assert (
        "'joints.LeftHand.device_pts3d' is exactly where its parent LeftForeArm is"
        in bad["training_v000/S1/frame_2"].reason
    )
    assert "joints.RightForeArm.camera_front_right_pts2d" in bad["training_v000/S1/frame_11"].reason
    assert "damaged" in bad["training_v000/S3/frame_2"].reason


def test_cameras_of_unrealego_that_contradict_each_other_are_told(tmp_path):
    source = unrealego_files.write_unrealego(tmp_path / "raw")
    content = unrealego_files.frame_json(2)
    content["joints"]["calf_r"]["camera_right_pts3d"][0] += 3
    unrealego_files.write_json(source / unrealego_files.DANCE, 2, content)
    assert prepare(source, tmp_path / "out", "--split", "train") == 1
    (bad,) = load_quarantine(tmp_path / "out")["train"].values()
    assert bad.kind in ("camera", "projection")
    assert "joints.RightLeg" in bad.reason


def test_an_index_of_unknown_joints_is_refused(tmp_path):
    source = egocap_files.write_raw(tmp_path / "raw")
    prepare(source, tmp_path / "out", "--split", "test")
    path = tmp_path / "out/index.json"
    content = json.loads(path.read_text())
    content["joints"][3], content["joints"][4] = content["joints"][4], content["joints"][3]
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"index.json: 'joints': .* no known set in its order, .* the 16 of ego4view"):
        open_dataset(tmp_path / "out", "test")


def poses_of(dataset, names: tuple[str, ...], shift_m: float, path: Path) -> Path:
    """The truth with the left fingers that far off, in an order of joints."""
    joints = np.stack([dataset.joints(index)[0] for index in range(len(dataset))])
    joints[:, EGOCAP.index("LeftFinger"), 2] += shift_m
    joints = joints[:, [EGOCAP.index(name) for name in names]].astype(np.float32)
    confidence = np.ones(joints.shape[:2], np.float32)
    Poses(joints, confidence, dataset.names, np.zeros(len(joints)), "", "m", tuple(names)).save(path)
    return path


def test_egocap_is_scored_on_its_17_joints(tmp_path, capsys):
    source = egocap_files.write_raw(tmp_path / "raw")
    dataset = open_dataset(source, "test")
    evaluate = ["evaluate", "--data", str(source), "--baseline", "mean-pose", "--json"]
    for names in (EGOCAP.names, EGOCAP.names[:0:-1]):  # with the camera; without it and the other way round
        assert main([*evaluate, str(poses_of(dataset, names, 0.17, tmp_path / "poses.npz"))]) == 0
        report = json.loads(capsys.readouterr().out)
        assert report["overall"]["mpjpe_mm"] == pytest.approx(10, abs=1e-3)
        assert list(report["joints"]) == list(EGOCAP.names[1:])
        assert report["joints"]["LeftFinger"]["mpjpe_mm"] == pytest.approx(170, abs=1e-3)
        assert report["groups"]["fingers"]["mpjpe_mm"] == pytest.approx(85, abs=1e-3)
        assert report["groups"]["all"] == report["overall"]
        assert report["confidence"]["correct"] == pytest.approx(16 / 17)
    poses = poses_of(dataset, EGOCAP.names[:5], 0, tmp_path / "poses.npz")
    assert main([*evaluate, str(poses)]) == 2
    assert "no joint 'LeftFinger' in 'joint_names' but the dataset has Neck, LeftArm" in capsys.readouterr().err
