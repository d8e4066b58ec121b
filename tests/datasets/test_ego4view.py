"""The readers against files written without them, and against damaged files."""

import json

import numpy as np
import pytest
import torch
from tests.datasets.ego4view_files import NAMES, VIEWS, frame_content, picture, write_rw, write_syn
from torch.utils.data import DataLoader

from egorear.datasets.ego4view import Ego4ViewRW, Ego4ViewSyn, natural_order, open_ego4view
from egorear.datasets.sample import Sample
from egorear.errors import UserError
from egorear.geometry.rig import ego4view_rw, ego4view_syn

FRAME = "rp_anna-1/1001/json_smplx_gendered/frame_2.json"


@pytest.fixture
def syn(tmp_path):
    root = tmp_path / "a-root with-dashes"
    write_syn(root)
    return root


def test_a_frame_is_read_as_it_was_written(syn):
    dataset = Ego4ViewSyn(syn, "train", image_size=32)
    sample, content = dataset[0], frame_content(0)
    assert sample.name == "rp_anna-1/1001/frame_2"
    assert sample.rig.views == VIEWS
    assert sample.images.shape == (4, 3, 32, 32)
    for j, name in enumerate(NAMES):
        stored = content["joints"][name]
        np.testing.assert_allclose(sample.joints[j], np.array(stored["device_pts3d"]) / 100, rtol=1e-6)
        for v, view in enumerate(VIEWS):
            x, y = stored[f"camera_{view}_pts2d"]
            expected = [(x + 0.5) * 32 / 872 - 0.5, (y + 0.5) * 32 / 872 - 0.5]
            np.testing.assert_allclose(sample.joints_2d[v, j], expected, atol=1e-4)
            assert sample.visible[v, j] == (-0.5 <= x < 871.5 and -0.5 <= y < 871.5)


def test_images_are_rgb_upright_and_of_their_view(syn):
    images = Ego4ViewSyn(syn, image_size=64)[0].images.int()
    for view in range(4):
        expected = torch.from_numpy(picture(64, view)[..., ::-1].transpose(2, 0, 1).astype(np.int32))
        assert (images[view] - expected).abs().float().mean() < 3


def test_frames_come_in_natural_order_and_match_their_names(syn):
    dataset = Ego4ViewSyn(syn, "test", image_size=16)
    assert dataset.names == ["rp_anna-1/1001/frame_2", "rp_anna-1/1001/frame_10"]
    assert [dataset[i].name for i in range(len(dataset))] == dataset.names
    assert sorted(["b", "a10", "a9", "10", "9", "a"], key=natural_order) == ["9", "10", "a", "a9", "a10", "b"]


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".png"])
def test_either_image_type_and_any_stored_size_will_do(tmp_path, suffix):
    write_syn(tmp_path, suffix=suffix, size=100)
    image = Ego4ViewSyn(tmp_path, image_size=50)[0].images[2].int()
    assert image.shape == (3, 50, 50)
    assert abs(int(image[0, 25, 25]) - 120) < 8


def test_uppercase_suffixes_are_found(syn):
    for path in list(syn.rglob("*.jpg")) + list(syn.rglob("*.json")):
        path.rename(path.with_suffix(path.suffix.upper()))
    assert Ego4ViewSyn(syn, image_size=16)[1].name == "rp_anna-1/1001/frame_10"


def test_views_are_delivered_in_the_order_asked_for(syn):
    whole = Ego4ViewSyn(syn, image_size=16)[0]
    part = Ego4ViewSyn(syn, image_size=16, views=("back_right", "front_left"))[0]
    assert part.rig.views == ("back_right", "front_left")
    for field in ("images", "joints_2d", "visible"):
        assert torch.equal(getattr(part, field), getattr(whole, field)[[3, 0]])
        assert torch.equal(getattr(whole.select(part.rig.views), field), getattr(part, field))


def test_the_rig_has_the_size_of_the_images(syn):
    sample = Ego4ViewSyn(syn, image_size=48)[0]
    pixels, _ = sample.rig.project(sample.joints)
    assert torch.allclose(pixels, ego4view_syn().resized(48, 48).project(sample.joints)[0])


def test_a_loader_stacks_samples_into_batches(syn):
    batch = next(iter(DataLoader(Ego4ViewSyn(syn, image_size=16), batch_size=2, collate_fn=Sample.stack)))
    assert batch.images.shape == (2, 4, 3, 16, 16)
    assert batch.rig.T_camera_device.shape == (2, 4, 4, 4)
    assert batch.rig.project(batch.joints)[0].shape == batch.joints_2d.shape
    assert batch.name == ["rp_anna-1/1001/frame_2", "rp_anna-1/1001/frame_10"]


def test_samples_of_different_sizes_are_not_stacked(syn):
    with pytest.raises(UserError, match="image sizes"):
        Sample.stack([Ego4ViewSyn(syn, image_size=16)[0], Ego4ViewSyn(syn, image_size=32)[0]])


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_real_recordings_have_their_own_extrinsics(tmp_path, suffix):
    root = tmp_path / "disk-1" / "Ego4View-rw"
    write_rw(root, suffix)
    dataset = open_ego4view(root, "test", image_size=16)
    assert isinstance(dataset, Ego4ViewRW)
    assert dataset.names[0] == "2024_07_24/S1/seq_3-0/0001"
    shifts = [float(dataset[i].rig.T_camera_device[0, 0, 3]) for i in range(3)]
    assert shifts == pytest.approx([0.06, 0.06, 0.07])
    assert dataset[0].rig.cameras == ego4view_rw().resized(16, 16).cameras
    assert dataset.files(0)[-1] == root / "2024_07_24/S1/seq_3_metadata.json"
    assert all(path.is_file() for path in dataset.files(0))


def test_a_rig_beside_the_data_takes_the_place_of_the_published_one(syn):
    ego4view_syn().select(VIEWS[:2]).save(syn / "rig.json")
    assert Ego4ViewSyn(syn, image_size=16)[0].rig.views == VIEWS[:2]


def test_the_action_is_told_without_reading_images(syn):
    (syn / FRAME).write_text(json.dumps({"action": "climb", **frame_content(0)}))
    for image in syn.rglob("*.jpg"):
        image.unlink()
    dataset = Ego4ViewSyn(syn)
    assert [dataset.joints(i)[1] for i in range(2)] == ["climb", None]


def cut_in_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_truncated_image_is_refused(tmp_path, suffix):
    write_syn(tmp_path, suffix=suffix)
    path = tmp_path / f"rp_anna-1/1001/fisheye_rgb/camera_back_left/frame_2{suffix}"
    cut_in_half(path)
    with pytest.raises(UserError, match=f"camera_back_left.frame_2{suffix} is truncated"):
        Ego4ViewSyn(tmp_path)[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "neither a JPEG nor a PNG"), (b"GIF89a", "neither"), (b"\xff\xd8 no image \xff\xd9", "cannot be decoded")],
)
def test_a_file_that_is_no_image_is_refused(syn, content, message):
    (syn / "rp_anna-1/1001/fisheye_rgb/camera_front_left/frame_2.jpg").write_bytes(content)
    with pytest.raises(UserError, match=message):
        Ego4ViewSyn(syn)[0]


def test_a_missing_view_is_named(syn):
    (syn / "rp_anna-1/1001/fisheye_rgb/camera_back_right/frame_2.jpg").unlink()
    with pytest.raises(UserError, match=r"camera_back_right.frame_2\.jpg is missing"):
        Ego4ViewSyn(syn)[0]
    assert Ego4ViewSyn(syn, views=VIEWS[:3])[0].images.shape[0] == 3


def test_an_image_of_another_shape_is_refused(syn):
    import cv2

    path = syn / "rp_anna-1/1001/fisheye_rgb/camera_front_left/frame_2.jpg"
    cv2.imwrite(str(path), np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(UserError, match="is 64x48 but must have the aspect ratio"):
        Ego4ViewSyn(syn)[0]


def damaged(field: str, value) -> dict:
    content = frame_content(0)
    content["joints"]["LeftHand"][field] = value
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (damaged("device_pts3d", [float("nan"), 0, 0]), r"LeftHand.device_pts3d' must be finite"),
        (damaged("device_pts3d", [10**400, 0, 0]), r"LeftHand.device_pts3d' must be finite"),
        (damaged("device_pts3d", [1001.0, 0, 0]), r"LeftHand.device_pts3d' must lie within 1000 cm"),
        (damaged("device_pts3d", [1.0, 0]), r"LeftHand.device_pts3d' must be a list of 3"),
        (damaged("device_pts3d", ["1", "2", "3"]), r"LeftHand.device_pts3d' must be a list of 3"),
        (damaged("camera_back_left_pts2d", [float("inf"), 0]), r"LeftHand.camera_back_left_pts2d' must be finite"),
        (damaged("camera_back_left_pts2d", None), r"LeftHand.camera_back_left_pts2d' must be a list of 2"),
        (damaged("camera_back_left_visible", True), r"Head.camera_back_left_visible' must be true or false"),
        ({"joints": {"Head": {}}}, r"joints.Neck' is missing"),
        ({"joints": []}, "'joints' must be an object"),
        ([], "'joints' must be an object"),
    ],
)
def test_damaged_truth_is_refused_by_file_and_field(syn, content, message):
    (syn / FRAME).write_text(json.dumps(content))
    with pytest.raises(UserError, match=rf"frame_2\.json: .*{message}"):
        Ego4ViewSyn(syn)[0]


def test_truncated_json_is_refused(syn):
    cut_in_half(syn / FRAME)
    with pytest.raises(UserError, match=r"frame_2\.json is not valid JSON"):
        Ego4ViewSyn(syn)[0]


def test_what_is_missing_of_a_dataset_is_named(syn, tmp_path):
    with pytest.raises(UserError, match=r"cannot read the list of frames .*train\.txt: there is no folder .*nowhere"):
        Ego4ViewSyn(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty is no dataset"):
        Ego4ViewSyn(tmp_path / "empty")
    (syn / "test.txt").unlink(missing_ok=True)
    with pytest.raises(UserError, match=r"cannot read .*test\.txt: .* has the splits train"):
        Ego4ViewSyn(syn, "test")
    with pytest.raises(UserError, match="split 'validation' has no frame"):
        Ego4ViewSyn(syn, "validation")
    with pytest.raises(UserError, match="'all' is no split"):
        Ego4ViewSyn(syn, "all")
    (syn / "train.txt").write_text("nobody\n")
    with pytest.raises(UserError, match=r"cannot list .*nobody"):
        Ego4ViewSyn(syn)


@pytest.mark.parametrize("line", ["../rp_anna-1", "/etc", "rp_anna-1/../..", "a\\b", "a\0b", "."])
def test_lists_do_not_lead_out_of_the_root(syn, line):
    (syn / "train.txt").write_text(f"{line}\n")
    with pytest.raises(UserError, match="must be the path of a folder inside"):
        Ego4ViewSyn(syn)


@pytest.mark.parametrize("damage", ["file", "view", "scale"])
def test_damaged_extrinsics_are_refused(tmp_path, damage):
    write_rw(tmp_path)
    path = tmp_path / "2024_07_24" / "S1" / "seq_3_metadata.json"
    content = json.loads(path.read_text())
    matrices = content["coord_transformation_matrix"]
    if damage == "file":
        path.unlink()
    elif damage == "view":
        del matrices["device_to_camera_back_left"]
    else:
        matrices["device_to_camera_back_left"][0][3] = 60.0
    if damage != "file":
        path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"seq_3_metadata\.json" + ("" if damage == "file" else ".*back_left")):
        Ego4ViewRW(tmp_path, "test")[0]
