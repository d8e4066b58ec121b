"""Calibrations of other tools become the same rigs; broken ones are refused."""

import json
import math

import cv2
import numpy as np
import pytest
import torch

from egorear.errors import UserError
from egorear.geometry.calibration import read_rig
from egorear.geometry.cameras import DoubleSphere, KannalaBrandt, Pinhole
from egorear.geometry.rig import Rig, ego4view_syn

K = np.array([[200.0, 0, 321.5], [0, 205.0, 236.25], [0, 0, 1]])


def published(view):
    """The shipped camera of a view as Ego4View's calibration files write it."""
    camera = ego4view_syn().cameras[view]
    return {
        "name": f"camera_{view}_scaramuzza",
        "size": [872, 872],
        "imageCircleRadius": 436,
        "image_center": list(camera.center),
        "polynomialC2W": list(camera.cam_to_world),
        "polynomialW2C": list(camera.world_to_cam),
        "affine": [1.000199, -4.3e-05, -6.6e-05],
    }


def write(path, content):
    path.write_text(json.dumps(content))
    return path


def test_ego4view_in_one_file_is_the_shipped_rig(tmp_path):
    views = ego4view_syn().views
    content = {"_about": "text", **{f"camera_{view}": published(view) for view in reversed(views)}}
    rig = read_rig(write(tmp_path / "cameras.json", content))
    assert rig.views == views
    assert rig.hash() == ego4view_syn().hash()


def test_ego4view_in_a_folder_of_files_is_the_shipped_rig(tmp_path):
    for view in ego4view_syn().views:
        write(tmp_path / f"fisheye_{view}.json", published(view))
    assert read_rig(tmp_path).hash() == ego4view_syn().hash()


def test_ego4view_field_of_view_ends_at_the_image_circle():
    for camera in ego4view_syn().cameras.values():
        ray = torch.tensor([math.sin(camera.max_angle), 0.0, math.cos(camera.max_angle)], dtype=torch.float64)
        assert camera.project(ray)[0][0].item() - camera.principal_point[0] == pytest.approx(436, abs=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"polynomialW2C": None}, "polynomialW2C"),
        ({"polynomialW2C": published("front_left")["polynomialW2C"][::-1]}, "fold over"),
        ({"polynomialC2W": published("front_left")["polynomialC2W"][::-1]}, "disagree"),
        (
            {
                "polynomialC2W": published("front_left")["polynomialW2C"],
                "polynomialW2C": published("front_left")["polynomialC2W"],
            },
            "fold over|max_angle",
        ),
        ({"size": [872]}, "'size'"),
        ({"size": [-872, 872]}, "'width'"),
        ({"imageCircleRadius": "big"}, "imageCircleRadius"),
        ({"image_center": [426.0, 4420.0]}, "principal point"),
    ],
)
def test_a_wrong_ego4view_camera_is_refused_by_name(change, message, tmp_path):
    path = write(tmp_path / "cameras.json", {"camera_front_left": published("front_left") | change})
    with pytest.raises(UserError, match=message) as refusal:
        read_rig(path)
    assert str(refusal.value).startswith(f"{path}: camera 'front_left'")


def test_an_unknown_view_needs_its_extrinsics(tmp_path):
    entry = published("front_left")
    with pytest.raises(UserError, match="T_camera_device"):
        read_rig(write(tmp_path / "a.json", {"camera_top": entry}))
    entry["T_camera_device"] = np.eye(4).tolist()
    assert read_rig(write(tmp_path / "b.json", {"camera_top": entry})).views == ("top",)


def opencv_file(path, distortion, **fields):
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    storage.write("image_width", 640)
    storage.write("image_height", 480)
    storage.write("camera_matrix", K)
    storage.write("distortion_coefficients", np.array([distortion]))
    for name, value in fields.items():
        storage.write(name, value)
    storage.release()
    return path


def test_opencv_fisheye_and_pinhole(tmp_path):
    four = [0.05, -0.01, 0.002, -0.0003]
    rig = read_rig(opencv_file(tmp_path / "left.yaml", four, model="fisheye"))
    expected = KannalaBrandt(
        width=640, height=480, fx=200.0, fy=205.0, cx=321.5, cy=236.25, k1=0.05, k2=-0.01, k3=0.002, k4=-0.0003
    )
    assert rig.cameras["left"] == expected
    torch.testing.assert_close(rig.T_camera_device, torch.eye(4)[None])
    T = np.eye(4)
    T[0, 3] = 0.1
    other = read_rig(opencv_file(tmp_path / "b.yml", [-0.1, 0.01, 0.001, 0.0], camera_name="nose", T_camera_device=T))
    assert other.cameras["nose"] == Pinhole(
        width=640, height=480, fx=200.0, fy=205.0, cx=321.5, cy=236.25, k1=-0.1, k2=0.01, p1=0.001
    )
    assert other.T_camera_device[0, 0, 3].item() == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("%YAML:1.0\n---\nimage_width: 640\n", "'camera_matrix' is missing"),
        ("%YAML:1.0\n---\nK: !!opencv-matrix\n  rows: 90000\n  cols: 90000\n  dt: d\n  data: [1.]\n", "small matrix"),
        ("%YAML:1.0\n---\nK: [[[\n", "not an OpenCV FileStorage file|cannot read|missing"),
        ("cam0: [1, 2", "not valid YAML"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
        ("left: {}", "Kalibr camchain"),
        ("", "Kalibr camchain"),
    ],
)
def test_broken_yaml_is_refused(text, message, tmp_path):
    path = tmp_path / "calibration.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as refusal:
        read_rig(path)
    assert str(path) in str(refusal.value)


def test_unsupported_opencv_terms_are_refused(tmp_path):
    with pytest.raises(UserError, match="not supported"):
        read_rig(opencv_file(tmp_path / "a.yaml", [0.0, 0.0, 0.0, 0.0, 0.0, 0.4, 0.0, 0.0]))


CAMCHAIN = """
cam0:
  camera_model: pinhole
  distortion_model: equidistant
  intrinsics: [200.0, 205.0, 321.5, 236.25]
  distortion_coeffs: [0.05, -0.01, 0.002, -0.0003]
  resolution: [640, 480]
cam1:
  camera_model: pinhole
  distortion_model: radtan
  intrinsics: [400.0, 410.0, 320.0, 240.0]
  distortion_coeffs: [-0.1, 0.01, 0.001, 0.0]
  resolution: [640, 480]
  T_cn_cnm1: [[1, 0, 0, -0.1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
cam2:
  camera_model: ds
  distortion_model: none
  intrinsics: [-0.2, 0.6, 160.0, 161.0, 320.0, 240.0]
  resolution: [640, 480]
  T_cn_cnm1: [[0, 1, 0, 0], [-1, 0, 0, 0.2], [0, 0, 1, 0], [0, 0, 0, 1]]
"""


def test_kalibr_chains_its_cameras(tmp_path):
    path = tmp_path / "camchain.yaml"
    path.write_text(CAMCHAIN)
    rig = read_rig(path)
    assert [type(camera) for camera in rig.cameras.values()] == [KannalaBrandt, Pinhole, DoubleSphere]
    assert (rig.cameras["cam2"].xi, rig.cameras["cam2"].alpha, rig.cameras["cam2"].fx) == (-0.2, 0.6, 160.0)
    x, y, z = 0.3, 0.4, 1.0
    expected = [[x, y, z], [x - 0.1, y, z], [y, -(x - 0.1) + 0.2, z]]
    torch.testing.assert_close(rig.to_camera(torch.tensor([[x, y, z]]))[:, 0], torch.tensor(expected))


def test_kalibr_models_we_do_not_have_are_refused(tmp_path):
    path = tmp_path / "camchain.yaml"
    path.write_text(CAMCHAIN.replace("camera_model: ds", "camera_model: eucm"))
    with pytest.raises(UserError, match="camera 'cam2': 'camera_model' eucm"):
        read_rig(path)


def test_read_rig_takes_rig_files_and_shipped_names(tmp_path):
    rig = ego4view_syn()
    rig.save(tmp_path / "mine.json")
    assert read_rig(tmp_path / "mine.json").hash() == read_rig("ego4view_syn").hash() == rig.hash()
    assert isinstance(read_rig("ego4view_rw"), Rig)
    with pytest.raises(UserError, match="cannot read"):
        read_rig(tmp_path / "absent.json")
    with pytest.raises(UserError, match="cannot read"):
        read_rig(tmp_path / "absent.yaml")
