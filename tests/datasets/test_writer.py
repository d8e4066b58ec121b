"""What is written is read back, by a naive reader and by ours; what is half written is not there."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from tests.datasets.ego4view_files import NAMES, VIEWS, picture

from egorear.datasets.consistency import check_truth
from egorear.datasets.ego4view import Ego4ViewRW, Ego4ViewSyn, open_ego4view
from egorear.datasets.frame import FrameTruth, to_sample
from egorear.datasets.maps import ViewMaps, decode_maps, encode_maps
from egorear.datasets.rw_writer import RWWriter
from egorear.datasets.truth import BodyTruth, Visibility
from egorear.datasets.writer import SynWriter
from egorear.errors import UserError
from egorear.geometry.rig import ego4view_syn
from egorear.geometry.transforms import axis_angle_to_matrix

IMAGES = {view: np.ascontiguousarray(picture(64, v)[..., ::-1]) for v, view in enumerate(VIEWS)}


def frame_truth(seed: int = 0, action: str | None = "walk") -> FrameTruth:
    rng = np.random.default_rng(seed)
    T_device_world = np.eye(4)
    T_device_world[:3, :3] = axis_angle_to_matrix(torch.tensor([1.9, 0.3, -0.2], dtype=torch.float64)).numpy()
    T_device_world[:3, 3] = 0.1, 1.6, 0.2
    joints_device = rng.uniform((-0.4, 0.1, -0.2), (0.4, 1.4, 0.6), (16, 3))
    joints_world = (joints_device - T_device_world[:3, 3]) @ T_device_world[:3, :3]
    return FrameTruth(joints_world, T_device_world, rng.integers(0, 5, (4, 16), dtype=np.uint8), action)


def rich_truth(seed: int = 0) -> FrameTruth:
    """Everything a frame may tell."""
    rng = np.random.default_rng(seed)
    bones = rng.normal(size=(52, 4))
    bones /= np.linalg.norm(bones, axis=-1, keepdims=True)
    depth = rng.uniform(0.05, 4, (64, 64)).astype(np.float32)
    depth[:5] = np.inf
    normals = rng.normal(size=(64, 64, 3)).astype(np.float32)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    normals[:5] = 0
    maps = ViewMaps(depth, rng.integers(0, 14, (64, 64), dtype=np.uint8), np.full((64, 64), 255, np.uint8), normals)
    T = ego4view_syn().T_camera_device.numpy().astype(np.float64)
    T[:, 0, 3] += 0.01
    return replace(
        frame_truth(seed),
        timestamp_s=0.1 * seed,
        T_camera_device=T,
        body=BodyTruth(bones, rng.normal(size=3), rng.normal(size=10)),
        maps={"front_left": maps, "back_right": ViewMaps(depth_m=depth)},
    )


@pytest.fixture
def written(tmp_path):
    writer = SynWriter(tmp_path, ego4view_syn())
    for index in range(3):
        writer.write("anna", "1001", f"{index:04}", IMAGES, frame_truth(index))
    writer.write_splits({"train": ["anna"], "test": ["anna"]})
    return tmp_path


def test_a_naive_reader_finds_the_published_fields(written):
    frame = json.loads((written / "anna/1001/json_smplx_gendered/0001.json").read_text())
    truth = frame_truth(1)
    assert frame["action"] == "walk"
    assert list(frame["joints"]) == NAMES
    R, t = truth.T_device_world[:3, :3], truth.T_device_world[:3, 3]
    for j, name in enumerate(NAMES):
        stored = frame["joints"][name]
        device_cm = 100 * (R @ truth.joints_world[j] + t)
        np.testing.assert_allclose(stored["trans_blender"], truth.joints_world[j], atol=1e-6)
        np.testing.assert_allclose(stored["device_pts3d"], device_cm, atol=1e-4)
        # The published rig (cm): see the readme's device frame.
        x, y, z = device_cm
        np.testing.assert_allclose(stored["camera_front_left_pts3d"], (x + 6, y, z), atol=1e-3)
        np.testing.assert_allclose(stored["camera_back_right_pts3d"], (-x + 6, -y + 37, z), atol=1e-3)
        assert [stored[f"camera_{view}_visible"] for view in VIEWS] == truth.visible[:, j].tolist()
    image = cv2.imread(str(written / "anna/1001/fisheye_rgb/camera_back_left/0001.jpg"))
    assert np.abs(image.astype(int) - picture(64, 2)).mean() < 3


def test_places_and_turns_of_the_cameras_put_joints_back_into_the_world(written):
    frame = json.loads((written / "anna/1001/json_smplx_gendered/0000.json").read_text())
    for owner in ("device", *(f"camera_{view}" for view in VIEWS)):
        R = np.eye(3)
        for axis, angle in enumerate(frame["global_rot_blender"][owner]):  # x first, then y, then z
            turn = torch.zeros(3, dtype=torch.float64)
            turn[axis] = angle
            R = axis_angle_to_matrix(turn).numpy() @ R
        for joint in frame["joints"].values():
            world = R @ np.array(joint[f"{owner}_pts3d"]) / 100 + frame["global_trans_blender"][owner]
            np.testing.assert_allclose(world, joint["trans_blender"], atol=1e-5)


def test_our_reader_reads_what_was_written(written):
    dataset = Ego4ViewSyn(written, "train", image_size=64)
    truth, sample = frame_truth(2), dataset[2]
    R, t = truth.T_device_world[:3, :3], truth.T_device_world[:3, 3]
    np.testing.assert_allclose(sample.joints, truth.joints_world @ R.T + t, atol=1e-6)
    assert np.array_equal(sample.visible.numpy(), truth.visible)
    projected, in_view = sample.rig.project(sample.joints)
    torch.testing.assert_close(sample.joints_2d[in_view], projected[in_view], atol=1e-3, rtol=0)
    assert dataset.joints(2)[1] == "walk"
    assert dataset.rig.hash() == ego4view_syn().hash()


def test_what_was_written_agrees_with_itself(written):
    report = check_truth(Ego4ViewSyn(written, "test"))
    assert report.frames == 3
    assert list(report.views) == list(VIEWS)
    assert report.agrees(pixels=0.01, millimetres=0.01)


def test_a_wrong_rig_is_found_out(written):
    rig = ego4view_syn()
    shifted = rig.T_camera_device.clone()
    shifted[2, 0, 3] += 0.02
    report = check_truth(Ego4ViewSyn(written, "test", rig=rig.with_extrinsics(shifted)), limit=2)
    assert report.frames == 2
    assert not report.agrees()
    assert report.views["back_left"].max_mm == pytest.approx(20, abs=0.1)
    assert report.views["back_left"].median_px > 3
    assert report.views["back_right"].max_px < 0.01


def test_a_frame_is_complete_only_when_its_json_is_there(written):
    writer = SynWriter(written, ego4view_syn())
    assert writer.is_complete("anna", "1001", "0000")
    assert not writer.is_complete("anna", "1001", "0003")
    without_last = {view: IMAGES[view] for view in VIEWS[:3]}
    with pytest.raises(UserError, match="no image of view 'back_right'"):
        writer.write("anna", "1001", "0003", without_last, frame_truth())
    assert not writer.is_complete("anna", "1001", "0003")
    assert len(Ego4ViewSyn(written)) == 3


def test_a_frame_that_lost_an_image_is_not_complete(tmp_path):
    writer = SynWriter(tmp_path, ego4view_syn())
    writer.write("anna", "1001", "0000", IMAGES, frame_truth())
    assert writer.is_complete("anna", "1001", "0000")
    next(tmp_path.rglob("*.jpg")).unlink()
    assert not writer.is_complete("anna", "1001", "0000")


def test_no_temporary_file_is_left(written):
    assert not [path for path in written.rglob("*") if path.name.startswith(".")]


def test_a_folder_of_another_rig_is_refused(written):
    with pytest.raises(UserError, match=r"rig\.json is another rig"):
        SynWriter(written, ego4view_syn().select(VIEWS[:2]))


@pytest.mark.parametrize("part", ["", "..", ".hidden", "a/b", "a\\b"])
def test_names_stay_inside_the_root(tmp_path, part):
    with pytest.raises(UserError, match="must be a plain file name"):
        SynWriter(tmp_path, ego4view_syn()).write("anna", part, "0", IMAGES, frame_truth())


def test_values_that_are_not_finite_and_images_of_another_shape_are_refused(tmp_path):
    writer = SynWriter(tmp_path, ego4view_syn())
    broken = frame_truth()
    broken.joints_world[3] = np.nan
    with pytest.raises(UserError, match="must be finite"):
        writer.write("anna", "1", "0", IMAGES, broken)
    with pytest.raises(UserError, match="'front_left': the image is 64x32"):
        writer.write("anna", "1", "0", {**IMAGES, "front_left": IMAGES["front_left"][:32]}, frame_truth())


def test_no_action_is_written_where_none_is_known(tmp_path):
    writer = SynWriter(tmp_path, ego4view_syn())
    writer.write("anna", "1", "0", IMAGES, frame_truth(action=None))
    writer.write_splits({"train": ["anna"]})
    assert "action" not in json.loads((tmp_path / "anna/1/json_smplx_gendered/0.json").read_text())
    assert Ego4ViewSyn(tmp_path).joints(0)[1] is None


def test_everything_a_frame_may_tell_comes_back(tmp_path):
    writer = SynWriter(tmp_path, ego4view_syn())
    truth = rich_truth(3)
    writer.write("anna", "1", "0", IMAGES, truth)
    writer.write_splits({"train": ["anna"]})
    dataset = Ego4ViewSyn(tmp_path, "train", image_size=64)
    stored = dataset.truth(0)
    assert np.array_equal(stored.visibility, truth.visibility)
    assert np.array_equal(stored.visible, truth.visibility == Visibility.VISIBLE)
    assert stored.timestamp_s == pytest.approx(0.3)
    np.testing.assert_allclose(stored.T_device_world, truth.T_device_world, atol=1e-8)
    np.testing.assert_allclose(stored.T_camera_device, truth.T_camera_device, atol=1e-8)
    for name in ("bones", "root_m", "shape"):
        np.testing.assert_allclose(getattr(stored.body, name), getattr(truth.body, name), atol=1e-6)
    assert check_truth(dataset).agrees(pixels=0.01, millimetres=0.01), "by the extrinsics of the frame"
    sample = dataset[0]
    assert np.array_equal(sample.visibility, truth.visibility)
    streamed = to_sample(writer.rig, IMAGES, truth, sample.name)
    torch.testing.assert_close(streamed.rig.T_camera_device, sample.rig.T_camera_device, atol=1e-7, rtol=0)
    torch.testing.assert_close(streamed.joints, sample.joints, atol=1e-6, rtol=0)
    seen = sample.rig.project(sample.joints)[1]
    torch.testing.assert_close(streamed.joints_2d[seen], sample.joints_2d[seen], atol=1e-2, rtol=0)


def test_maps_come_back_to_the_last_bit_they_store(tmp_path):
    writer = SynWriter(tmp_path, ego4view_syn())
    writer.write("anna", "1", "0", IMAGES, truth := rich_truth())
    writer.write_splits({"train": ["anna"]})
    maps = Ego4ViewSyn(tmp_path, "train").maps(0)
    assert list(maps) == ["front_left", "back_right"]
    assert maps["back_right"].part is None
    wrote, read = truth.maps["front_left"], maps["front_left"]
    assert np.array_equal(read.part, wrote.part)
    assert np.array_equal(read.limb, wrote.limb)
    assert np.array_equal(np.isinf(read.depth_m), np.isinf(wrote.depth_m))
    near = np.isfinite(wrote.depth_m)
    assert np.abs(read.depth_m[near] - wrote.depth_m[near]).max() <= 0.000501
    assert not read.normals[:5].any()
    assert (read.normals[5:] * wrote.normals[5:]).sum(-1).min() > np.cos(np.radians(0.6))
    assert encode_maps(read)["depth"] == encode_maps(wrote)["depth"]


def test_damaged_maps_are_refused_by_name(tmp_path):
    good = encode_maps(rich_truth().maps["front_left"])
    limb = encode_maps(ViewMaps(limb=np.full((8, 8), 16, np.uint8)))["limb"]
    for kind, data, words in (
        ("depth", good["part"], "d.png must be a PNG image of 1 x 16 bits"),
        ("normals", good["limb"], "d.png must be a PNG image of 3 x 8 bits"),
        ("limb", limb, "d.png must hold joints 0 to 15"),
        ("part", good["part"][:-9], "d.png is truncated"),
    ):
        with pytest.raises(UserError, match=words):
            decode_maps({kind: ("d.png", data)})
    with pytest.raises(UserError, match="must be of one size"):
        decode_maps({"limb": ("a.png", good["limb"]), "part": ("b.png", limb)})


def test_the_other_layout_has_the_matrices_of_each_recording(tmp_path):
    writer, truths = RWWriter(tmp_path, ego4view_syn()), [rich_truth(1), frame_truth(2)]
    for sequence, truth in zip(("walk_1", "walk_2"), truths, strict=True):
        writer.write("anna", sequence, "0001", IMAGES, truth)
    writer.write_splits({"test": ["anna/walk_1", "anna/walk_2"]})
    dataset = open_ego4view(tmp_path, "test", image_size=64)
    assert isinstance(dataset, Ego4ViewRW)
    assert dataset.names == ["anna/walk_1/0001", "anna/walk_2/0001"]
    moved = ego4view_syn().T_camera_device.clone()
    moved[:, 0, 3] += 0.01
    torch.testing.assert_close(dataset[0].rig.T_camera_device, moved)
    torch.testing.assert_close(dataset[1].rig.T_camera_device, ego4view_syn().T_camera_device)
    assert check_truth(dataset).agrees(pixels=0.01, millimetres=0.01)
    with pytest.raises(UserError, match="one set a sequence"):
        writer.write("anna", "walk_2", "0002", IMAGES, rich_truth(2))
    with pytest.raises(UserError, match="must have no '-'"):
        writer.write("anna", "walk-2", "0002", IMAGES, frame_truth(2))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("timestamp", "soon", "'timestamp' must be a number"),
        ("timestamp", float("nan"), "'timestamp' must be a number"),
        ("T_device_world", [[1, 0, 0, 0]] * 4, "must be a rotation"),
        ("T_device_world", [[1, 0], [0, 1]], "4 x 4 finite numbers"),
        ("T_camera_device", [1], "must be an object of view names"),
        ("T_camera_device", {}, "'front_left'"),
        ("body", {"bones": [[1, 0, 0]]}, "'body.bones' must be n x 4"),
        ("body", {"bones": [[2, 0, 0, 0]], "root": [0, 0, 0], "shape": [0]}, "unit quaternions"),
    ],
)
def test_damage_to_our_own_fields_is_named(written, field, value, words):
    path = written / "anna/1001/json_smplx_gendered/0000.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(UserError, match=words):
        Ego4ViewSyn(written, "train").truth(0)


def test_reasons_must_be_known_and_agree_with_the_flags(written):
    path = written / "anna/1001/json_smplx_gendered/0000.json"
    for change, words in (
        ({"camera_back_left_visibility": "asleep"}, "joints.Head.camera_back_left_visibility' must be of"),
        ({"camera_back_left_visibility": "cloth", "camera_back_left_visible": True}, "contradicts"),
    ):
        content = json.loads(path.read_text())
        content["joints"]["Head"].update(change)
        path.write_text(json.dumps(content))
        with pytest.raises(UserError, match=words):
            Ego4ViewSyn(written, "train").truth(0)
