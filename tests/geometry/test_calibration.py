"""Calibrations of other tools become the same rigs; broken ones are refused."""

import hashlib
import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from egorear.errors import UserError
from egorear.geometry.calibration import read_rig
from egorear.geometry.calibration_scaramuzza import read_egopw
from egorear.geometry.cameras import DoubleSphere, KannalaBrandt, Pinhole
from egorear.geometry.rig import Rig, ego4view_syn, egopw

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
        ({"polynomialW2C": published("front_left")["polynomialW2C"][::-1]}, "'polynomialW2C' is reversed"),
        ({"polynomialC2W": published("front_left")["polynomialC2W"][::-1]}, "'polynomialC2W' is reversed"),
        (
            {
                "polynomialC2W": published("front_left")["polynomialW2C"],
                "polynomialW2C": published("front_left")["polynomialC2W"],
            },
            "are swapped: they must be cam to world and world to cam, lowest order first",
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


EGOPW = {
    "name": "egosyn", "sensor": [1, 1], "size": [1280, 1024], "animated": 0,
    "intrinsic": [[500, 0, 614.93216999, 0], [0, 500, 527.53465649, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
    "imageCircleRadius": 512.0,
    "polynomialC2W": [
        -2.924126419694919e2, 0.0, 1.075613595858202e-3, 2.072664555244253e-7, 4.493499097653669e-10,
        -1.192028310212584e-15, -1.822337421183959e-17,
    ],
    "polynomialW2C": [
        4.785893205484341e2, 3.503715828980770e2, 7.900065565120241e1, 6.228794005673283e1, 3.264466851189552e1,
        1.568380500967838e1, 7.766879336977007, 2.190791369989537, -1.084229689289942e-1, -1.903842667463734e-1,
        -2.776267870029922e-2,
    ],
    "affine": [9.997488697329212e-1, -2.240239372797548e-4, 3.318272123957599e-4],
    "extrinsic": np.eye(4).tolist(), "radial": 0,
}  # fmt: skip
C2W, W2C = EGOPW["polynomialC2W"], EGOPW["polynomialW2C"]
GLOBAL_CENTRE = (6.597087109684564e2, 5.300556618148025e2)


def centred(column, row):
    return EGOPW | {"intrinsic": [[500, 0, column, 0], [0, 500, row, 0], [0, 0, 1, 0], [0, 0, 0, 1]]}


def published_projection(points, centre):
    """Facts 3.6 of the reference: radius over atan(-z / r), every point, whatever the lens sees."""
    r = np.hypot(points[:, 0], points[:, 1])
    rho = np.polynomial.polynomial.polyval(np.arctan2(-points[:, 2], r), W2C)
    return points[:, :2] / np.where(r > 0, r, 1)[:, None] * np.where(r > 0, rho, 0)[:, None] + centre


def test_egopw_is_the_shipped_rig_and_comes_back_from_a_rig_file(tmp_path):
    rig = read_rig(write(tmp_path / "fisheye.json", EGOPW))
    assert rig.views == ("front",)
    assert rig.hash() == egopw().hash() == read_rig("egopw").hash()
    torch.testing.assert_close(rig.T_camera_device, torch.eye(4)[None])
    rig.save(tmp_path / "rig.json")
    assert read_rig(tmp_path / "rig.json").hash() == rig.hash()


@pytest.mark.parametrize("centre", [(614.93216999, 527.53465649), GLOBAL_CENTRE])
def test_egopw_projects_as_published_also_behind_the_lens(centre, tmp_path):
    camera = read_rig(write(tmp_path / "fisheye.json", centred(*centre))).cameras["front"]
    points = np.random.default_rng(0).standard_normal((200, 3)) * (0.5, 0.5, 0.6) + (0, 0, 0.6)
    pixels, valid = camera.project(torch.from_numpy(points))
    angles = np.arctan2(np.hypot(points[:, 0], points[:, 1]), points[:, 2])
    assert valid.tolist() == (angles <= camera.max_angle).tolist()
    assert 0 < (~valid).sum() < 50
    np.testing.assert_allclose(pixels, published_projection(points, centre), atol=1e-9)
    axis = camera.project(torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))[0]
    np.testing.assert_allclose(axis, centre, atol=1e-12)


@pytest.mark.parametrize(("golden", "centre"), [("fisheye", None), ("fisheye_global", GLOBAL_CENTRE)])
def test_egopw_projects_as_measured_on_the_release(golden, centre, tmp_path):
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(b"input.proj.points").digest()[:8], "little"))
    points = rng.standard_normal((40, 3)) * (0.5, 0.5, 0.6) + (0, 0, 0.6)
    points[-1] = (0, 0, 1)
    content = EGOPW if centre is None else centred(*centre)
    camera = read_rig(write(tmp_path / f"{golden}.json", content)).cameras["front"]
    with np.load(Path(__file__).parents[1] / "golden" / "agegopose_goldens.npz") as file:
        np.testing.assert_allclose(camera.project(torch.from_numpy(points))[0], file[f"I_proj_{golden}"], atol=1e-9)


def test_egopw_sees_to_the_image_circle(tmp_path):
    camera = read_rig(write(tmp_path / "fisheye.json", EGOPW)).cameras["front"]
    ray = torch.tensor([math.sin(camera.max_angle), 0.0, math.cos(camera.max_angle)], dtype=torch.float64)
    assert camera.project(ray)[0][0].item() - camera.principal_point[0] == pytest.approx(512, abs=1e-4)


def test_the_affine_counts_only_where_it_is_asked_for(tmp_path):
    path = write(tmp_path / "fisheye.json", EGOPW)
    points = np.random.default_rng(1).uniform((-0.5, -0.5, 0.1), (0.5, 0.5, 1), (50, 3))
    plain = published_projection(points, (0.0, 0.0))
    c, d, e = EGOPW["affine"]
    column, row = plain[:, 0], plain[:, 1]  # OCamCalib's x is the row
    expected = np.stack((614.93216999 + e * row + column, 527.53465649 + c * row + d * column), -1)
    camera = read_egopw(path, affine=True).cameras["front"]
    np.testing.assert_allclose(camera.project(torch.from_numpy(points))[0], expected, atol=1e-9)
    assert camera.disagreement_px() < 1e-3
    assert read_egopw(path).hash() == egopw().hash() != read_egopw(path, affine=True).hash()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"polynomialC2W": W2C, "polynomialW2C": C2W}, "'polynomialC2W' and 'polynomialW2C' are swapped: they must"),
        ({"polynomialC2W": C2W[::-1]}, "'polynomialC2W' is reversed: they must"),
        ({"polynomialW2C": W2C[::-1]}, "'polynomialW2C' is reversed: they must"),
        ({"polynomialC2W": C2W[::-1], "polynomialW2C": W2C[::-1]}, "'polynomialW2C' are reversed: they must"),
        ({"polynomialC2W": W2C[::-1], "polynomialW2C": C2W[::-1]}, "are swapped and reversed: they must"),
        ({"polynomialW2C": [2 * value for value in W2C]}, "fold over|disagree"),
        ({"polynomialC2W": []}, "'polynomialC2W' must be a list"),
        ({"polynomialC2W": None}, "'polynomialC2W' must be a list"),
        ({"size": [1280]}, "'size'"),
        ({"imageCircleRadius": -1}, "max_angle"),
        ({"intrinsic": [500, 614.9]}, "'intrinsic' must be 3x3 or 4x4 numbers"),
        ({"intrinsic": [[500, 0], [0, 500], [0, 0]]}, "'intrinsic' must be a list of 3"),
        ({"intrinsic": [[500, 0, 2000.0], [0, 500, 500.0], [0, 0, 1]]}, "principal point"),
    ],
)
def test_a_wrong_egopw_calibration_is_refused_in_one_sentence(change, message, tmp_path):
    path = write(tmp_path / "fisheye.json", EGOPW | change)
    with pytest.raises(UserError, match=message) as refusal:
        read_rig(path)
    assert str(refusal.value).startswith(f"{path}: camera 'front'")
    assert "\n" not in str(refusal.value)


def test_a_missing_field_of_egopw_is_named(tmp_path):
    for name in ("size", "imageCircleRadius", "polynomialC2W"):
        path = write(tmp_path / "fisheye.json", {key: value for key, value in EGOPW.items() if key != name})
        with pytest.raises(UserError, match=f"'{name}' is missing"):
            read_rig(path)
    path = write(tmp_path / "fisheye.json", {key: value for key, value in EGOPW.items() if key != "affine"})
    assert read_egopw(path).hash() == egopw().hash()
    with pytest.raises(UserError, match="'affine' is missing"):
        read_egopw(path, affine=True)


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
        ("image_width: 640\ncamera_matrix: {rows: 3, cols: 3, data: []}\n", "%YAML:1.0; write others as a rig file"),
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


@pytest.mark.parametrize("content", [{"value0": {"intrinsics": []}}, {"camera_matrix": {"data": []}}, [1, 2], {}])
def test_json_of_another_tool_is_told_what_is_read(content, tmp_path):
    path = write(tmp_path / "other.json", content)
    with pytest.raises(UserError, match="no calibration that egorear reads") as refusal:
        read_rig(path)
    assert str(path) in str(refusal.value)


def test_a_rig_file_without_its_schema_and_a_folder_without_calibrations_are_told_as_such(tmp_path):
    with pytest.raises(UserError, match="'schema' must be"):
        read_rig(write(tmp_path / "mine.json", {"cameras": []}))
    (tmp_path / "frames").mkdir()
    with pytest.raises(UserError, match="frames is a folder that holds no calibration"):
        read_rig(tmp_path / "frames")


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
