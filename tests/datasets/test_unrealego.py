"""UnrealEgo in each of its layouts, against files written without the reader, and against damaged ones."""

import json
import logging

import cv2
import numpy as np
import pytest
import torch
from tests.datasets.ego4view_files import write_rw, write_syn
from tests.datasets.unrealego_files import (
    DANCE,
    ENVIRONMENT,
    JUMP,
    NAMES,
    NPY,
    body,
    frame_json,
    frame_object,
    picture,
    write_images,
    write_json,
    write_lists,
    write_object,
    write_unrealego,
)  # fmt: skip

from egorear.cli.main import main
from egorear.datasets.consistency import check_truth
from egorear.datasets.conversion import Conversion, convert_frame
from egorear.datasets.frame import EncodedFrame
from egorear.datasets.opening import list_splits, open_dataset
from egorear.datasets.quarantine import BadFrame
from egorear.datasets.sample import Sample
from egorear.datasets.unrealego import ACTIONS, JOINTS, UnrealEgo, is_unrealego
from egorear.errors import UserError
from egorear.geometry.rig import unrealego

JSON = f"{DANCE}/json/frame_2.json"


@pytest.fixture(scope="session")
def raw_files(tmp_path_factory):
    return write_unrealego(tmp_path_factory.mktemp("raw"))


@pytest.fixture
def raw(tmp_path):
    """The truth alone, to be damaged."""
    for seed in (2, 10):
        write_json(tmp_path / DANCE, seed)
    write_lists(tmp_path, train=[DANCE])
    return tmp_path


@pytest.fixture
def motion(raw):
    """One frame with its pictures."""
    (raw / DANCE / "json/frame_10.json").unlink()
    write_images(raw / DANCE, 2)
    return raw


def edit(root, change) -> None:
    content = json.loads((root / JSON).read_text())
    change(content["joints"])
    (root / JSON).write_text(json.dumps(content))


def test_a_frame_is_read_as_it_was_written(raw_files):
    dataset = UnrealEgo(raw_files, "train", image_size=1024)
    sample = dataset[0]
    joints, pelvis = body(2)
    np.testing.assert_allclose(sample.joints, joints / 100, atol=1e-6)
    np.testing.assert_allclose(sample.pelvis, pelvis / 100, atol=1e-6)
    stored = frame_json(2)["joints"]
    for v, side in enumerate(("left", "right")):
        pixels = np.array([stored[name][f"camera_{side}_pts2d"] for name in NAMES])
        np.testing.assert_allclose(sample.joints_2d[v], pixels, atol=1e-4)
        inside = ((pixels >= -0.5) & (pixels < 1023.5)).all(1)
        assert sample.visible[v].tolist() == inside.tolist()
        assert 0 < inside.sum() < 16
        assert np.array_equal(sample.images[v].permute(1, 2, 0).numpy()[..., ::-1], picture(2, side))
    assert sample.rig.views == ("front_left", "front_right")
    assert sample.name == f"{DANCE}/frame_2"
    assert dataset.joints(0)[1] == "dancing"
    assert dataset.truth_file(0) == raw_files / JSON
    assert [path.name for path in dataset.files(0)] == ["frame_2.json", "final_2.png", "final_2.png"]
    assert dataset.maps(0) == {}


def test_the_rig_projects_the_joints_where_the_files_have_them(raw_files):
    dataset = UnrealEgo(raw_files)
    assert check_truth(dataset).agrees(pixels=1e-3, millimetres=1e-3)
    sample = dataset[0]
    pixels, _ = sample.rig.project(sample.joints)
    torch.testing.assert_close(pixels, sample.joints_2d, atol=1e-3, rtol=0)
    assert (unrealego().T_camera_device[:, 0, 3] * 100).tolist() == pytest.approx([-6, 6])


@pytest.mark.parametrize("kind", ["json_and_npy", "reprocessed"])
def test_preprocessed_frames_are_the_same_samples(raw_files, tmp_path, kind):
    expected, found = UnrealEgo(raw_files, "test"), UnrealEgo(write_unrealego(tmp_path, kind), "test")
    assert found.names == expected.names
    assert found.names == [f"{folder}/frame_{i}" for folder in (JUMP, DANCE) for i in (2, 10)]
    assert all(path.is_file() for index in range(len(found)) for path in found.files(index))
    assert len(found.files(0)) == (2 if kind == "json_and_npy" else 1)
    for index in range(len(found)):
        mine, theirs = found[index], expected[index]
        for field in ("joints", "pelvis", "joints_2d", "visible", "images"):
            torch.testing.assert_close(getattr(mine, field), getattr(theirs, field), atol=3e-5, rtol=0)
        assert mine.rig.hash() == theirs.rig.hash()
        assert (mine.joints - theirs.joints).abs().max() < 1e-6
        assert found.joints(index)[1] == expected.joints(index)[1] == ("jumping" if index < 2 else "dancing")
        local_pose = frame_object((2, 10)[index % 2], reprocessed=False)["gt_local_pose"]
        np.testing.assert_allclose(100 * (mine.joints - mine.pelvis), local_pose, atol=2e-5)
    assert check_truth(found).agrees(pixels=1e-3, millimetres=1e-3)


def test_pixels_that_a_file_lacks_are_projected(tmp_path):
    content = frame_object(2, reprocessed=True)
    write_object(tmp_path / DANCE, 2, {k: v for k, v in content.items() if not k.startswith("gt_camera_2d")})
    write_lists(tmp_path, train=[DANCE])
    sample = UnrealEgo(tmp_path, image_size=1024)[0]
    np.testing.assert_allclose(sample.joints_2d[1], content["gt_camera_2d_right"], atol=1e-3)


def test_original_files_alone_do_not_tell_where_the_body_is(tmp_path):
    dataset = UnrealEgo(write_unrealego(tmp_path, "original", seeds=(2,)))
    with pytest.raises(
        UserError, match=r"frame_2\.npy: 'gt_pelvis_left' is missing, .*put the 'json' folder beside it"
    ):
        dataset[0]


def test_views_are_delivered_in_the_order_asked_for(raw_files):
    whole = UnrealEgo(raw_files, image_size=64)[0]
    swapped = UnrealEgo(raw_files, image_size=64, views=("front_right", "front_left"))[0]
    for field in ("images", "joints_2d", "visible"):
        assert torch.equal(getattr(swapped, field), getattr(whole, field).flip(0))
    assert UnrealEgo(raw_files, image_size=64, views=("front_right",))[0].images.shape[0] == 1
    with pytest.raises(UserError, match="no view 'back_left'"):
        UnrealEgo(raw_files, views=("back_left",))


def test_samples_are_stacked_into_batches(raw_files):
    dataset = UnrealEgo(raw_files, image_size=32)
    batch = Sample.stack([dataset[0], dataset[1]])
    assert batch.pelvis.shape == (2, 3)
    assert batch.images.shape == (2, 2, 3, 32, 32)


def test_categories_are_actions(tmp_path):
    assert len(set(ACTIONS)) == 30
    assert len(set(JOINTS)) == 16
    expected = {"011": "crouching_and_turning", "022": "standing_and_moving_sideways", "030": "golf", "031": None}
    motions = [f"{ENVIRONMENT}/{category}/motion" for category in expected]
    for motion in motions:
        write_json(tmp_path / motion, 0)
    write_lists(tmp_path, train=motions)
    dataset = UnrealEgo(tmp_path)
    assert [dataset.joints(i)[1] for i in range(4)] == list(expected.values())


@pytest.mark.parametrize("prefix", ["./UnrealEgoData/", ""])
def test_lists_may_have_the_prefix_or_not(raw, prefix):
    write_lists(raw, prefix, train=[f"{DANCE}/"])
    assert UnrealEgo(raw).names == [f"{DANCE}/frame_2", f"{DANCE}/frame_10"]
    assert list_splits(raw) == ["train"]
    assert is_unrealego(raw)


def test_other_datasets_are_not_unrealego(tmp_path):
    write_syn(tmp_path / "syn")
    write_rw(tmp_path / "rw")
    egocap = tmp_path / "egocap"
    (egocap / "training_v000/S1" / NPY).mkdir(parents=True)
    (egocap / "train.txt").write_text("training_v000/S1\n")
    assert not any(is_unrealego(root) for root in (tmp_path, tmp_path / "syn", tmp_path / "rw", egocap))


def test_motions_nobody_downloaded_are_left_out_aloud(raw, caplog):
    write_lists(raw, train=[JUMP, DANCE])
    with caplog.at_level(logging.WARNING, "egorear"):
        assert len(UnrealEgo(raw)) == 2
    assert f"1 of the 2 motions that train.txt names are missing and left out, the first is {JUMP}" in caplog.text


def test_a_rig_beside_the_data_takes_the_place_of_the_published_one(raw):
    unrealego().select(["front_right"]).save(raw / "rig.json")
    assert UnrealEgo(raw).rig.views == ("front_right",)


def test_a_dataset_without_frames_is_refused(raw):
    with pytest.raises(UserError, match="split 'validation' has no frame"):
        UnrealEgo(raw, "validation")
    (raw / "train.txt").unlink()
    with pytest.raises(UserError, match=r"cannot read the list of frames .*train\.txt"):
        UnrealEgo(raw)


@pytest.mark.parametrize("line", ["../other", "./UnrealEgoData/../../etc", "/etc", "./elsewhere/x", "a\\b", "."])
def test_lists_do_not_lead_out_of_the_root(raw, line):
    (raw / "train.txt").write_text(f"{line}\n")
    with pytest.raises(UserError, match=r"train\.txt: '.*' must be the path of a folder inside"):
        UnrealEgo(raw)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda joints: joints.pop("pelvis"), r"'joints\.pelvis' is missing"),
        (lambda joints: joints.pop("calf_l"), r"'joints\.calf_l' is missing"),
        (
            lambda joints: joints["hand_l"].pop("camera_right_pts3d"),
            r"'joints\.hand_l\.camera_right_pts3d' must be a list",
        ),
        (lambda joints: joints["hand_l"].update(camera_left_pts3d=[float("nan"), 0, 0]), "must be a list of 3 finite"),
        (lambda joints: joints["hand_l"].update(camera_left_pts2d=[1.0, 10**400]), "must be a list of 2 finite"),
        (lambda joints: joints["hand_l"].update(camera_left_pts2d=[1.0, 2.0, 3.0]), "must be a list of 2 finite"),
        (lambda joints: joints["pelvis"].update(camera_left_pts3d=["1", 0, 0]), r"pelvis\.camera_left_pts3d' must be"),
        (lambda joints: joints["foot_r"].update(camera_left_pts3d=[1e5, 0, 0]), "must lie within 1000 cm"),
    ],
)
def test_damaged_truth_is_refused_by_file_and_field(raw, change, message):
    edit(raw, change)
    with pytest.raises(UserError, match=rf"frame_2\.json: .*{message}"):
        UnrealEgo(raw).joints(0)


@pytest.mark.parametrize("content", ["[]", '{"joints": []}', "{", ""])
def test_files_that_are_no_frames_are_refused(raw, content):
    (raw / JSON).write_text(content)
    with pytest.raises(UserError, match=r"frame_2\.json"):
        UnrealEgo(raw).joints(0)


def test_missing_and_truncated_pictures_are_named(motion):
    path = motion / DANCE / "fisheye_final_image/camera_left/final_2.png"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"camera_left.final_2\.png is truncated"):
        UnrealEgo(motion)[0]
    path.unlink()
    with pytest.raises(UserError, match=r"camera_left.final_2\.\w+ is missing"):
        UnrealEgo(motion)[0]
    write_object(motion / DANCE, 2, frame_object(2, reprocessed=False))  # not in the place of a picture that is lost
    with pytest.raises(UserError, match=r"camera_left.final_2\.\w+ is missing"):
        UnrealEgo(motion)[0]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("input_rgb_right", None, "'input_rgb_right' is missing"),
        ("input_rgb_right", np.zeros((256, 256, 3), np.float32), "must be an array of 3 x 256 x 256 finite"),
        ("input_rgb_right", np.full((3, 256, 256), 200.0), "must be an image normalised"),
        ("gt_local_pose", np.full((16, 3), np.nan), "must be an array of 16 x 3 finite"),
        ("gt_pelvis_left", None, "'gt_pelvis_left' is missing"),
        ("gt_pelvis_right", None, "'gt_pelvis_right' is missing"),
        ("gt_camera_2d_right", None, "'gt_camera_2d_right' is missing"),
        ("gt_camera_2d_right", np.array(["x"]), "must be an array of 16 x 2 finite"),
        ("name", {1, 2}, "asks for|other than plain values"),
    ],
)
def test_damaged_preprocessed_files_are_refused(tmp_path, key, value, message):
    content = {**frame_object(2, reprocessed=True), key: value}
    write_object(tmp_path / DANCE, 2, {k: v for k, v in content.items() if v is not None})
    write_lists(tmp_path, train=[DANCE])
    with pytest.raises(UserError, match=rf"frame_2\.npy.*({message})"):
        UnrealEgo(tmp_path)[0]


def swap_sides(joints) -> None:
    for joint in joints.values():
        for kind in ("pts2d", "pts3d"):
            left, right = f"camera_left_{kind}", f"camera_right_{kind}"
            joint[left], joint[right] = joint[right], joint[left]


def widen(joints) -> None:
    for joint in joints.values():
        joint["camera_left_pts3d"][0] -= 2


def collapse(joints) -> None:
    joints["calf_l"] = joints["thigh_l"]


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (swap_sides, "projection", "px from the projection of the 3D joint"),
        (widen, "projection|camera", "Head.camera_front_left|px from the projection"),
        (collapse, "limb", "LeftLeg.device_pts3d' is exactly where its parent LeftUpLeg is"),
    ],
)
def test_prepare_puts_aside_what_contradicts_itself(motion, change, kind, message):
    edit(motion, change)
    bad = convert_frame(UnrealEgo(motion), 0, Conversion(str(motion), size=64))
    assert isinstance(bad, BadFrame)
    assert bad.kind in kind.split("|")
    assert any(each in bad.reason for each in message.split("|"))
    assert bad.reason.startswith(JSON)
    assert not check_truth(UnrealEgo(motion)).agrees() or change is collapse


def test_prepare_keeps_everything_a_sample_has(motion):
    encoded = convert_frame(UnrealEgo(motion), 0, Conversion(str(motion), size=64))
    assert isinstance(encoded, EncodedFrame)
    content = json.loads(encoded.json)
    assert content["action"] == "dancing"
    np.testing.assert_allclose(content["pelvis_device_pts3d"], body(2)[1], atol=1e-9)
    assert set(encoded.images) == {"front_left", "front_right"}
    small = cv2.imdecode(np.frombuffer(encoded.images["front_right"], np.uint8), cv2.IMREAD_COLOR)
    expected = cv2.resize(picture(2, "right"), (64, 64), interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - expected).mean() < 4


@pytest.mark.parametrize("kind", ["raw", "reprocessed"])
def test_shards_hold_the_same_samples(raw_files, tmp_path, kind):
    source = raw_files if kind == "raw" else write_unrealego(tmp_path / "npy", kind, seeds=(2,))
    assert isinstance(open_dataset(source, "train"), UnrealEgo)
    assert main(["prepare", str(source), "--out", str(tmp_path / "out"), "--size", "64", "--workers", "1"]) == 0
    assert list_splits(tmp_path / "out") == list_splits(source) == ["train", "test"]
    shards, files = open_dataset(tmp_path / "out", "test", 64), open_dataset(source, "test", 64)
    assert shards.names == files.names
    for index in range(len(files)):
        mine, theirs = shards[index], files[index]
        for field in ("joints", "pelvis", "joints_2d", "visible"):
            assert torch.equal(getattr(mine, field), getattr(theirs, field))
        assert (mine.images.float() - theirs.images.float()).abs().mean() < 4
        assert shards.joints(index)[1] == files.joints(index)[1]
    assert mine.rig.hash() == theirs.rig.hash()
