"""Rigs: extrinsics, batches, and a file that refuses what is not a calibration."""

import copy
import json

import pytest
import torch
from tests.geometry.lenses import CAMERAS

from egorear.errors import UserError
from egorear.geometry.rig import Rig, ego4view_rw, ego4view_syn
from egorear.geometry.transforms import axis_angle_to_matrix, rigid


@pytest.fixture(scope="module")
def mixed():
    """Every lens model on one device, each camera somewhere else."""
    draw = torch.Generator().manual_seed(1)
    R = axis_angle_to_matrix(torch.randn(len(CAMERAS), 3, generator=draw) * 0.3)
    return Rig("mixed", CAMERAS, rigid(R, torch.randn(len(CAMERAS), 3, generator=draw) * 0.1))


def device_points(*shape):
    return torch.randn(*shape, 3, generator=torch.Generator().manual_seed(2)) * 0.5 + torch.tensor([0.0, 0.2, 0.5])


def test_ego4view_syn_places_its_cameras_as_published():
    rig = ego4view_syn()
    assert rig.views == ("front_left", "front_right", "back_left", "back_right")
    x, y, z = 10.0, 20.0, 30.0  # cm
    expected = [[x + 6, y, z], [x - 6, y, z], [-x - 6, -y + 37, z], [-x + 6, -y + 37, z]]
    seen = rig.to_camera(torch.tensor([[x, y, z]]) / 100)[:, 0] * 100
    torch.testing.assert_close(seen, torch.tensor(expected))
    assert ego4view_rw().cameras == rig.cameras


def test_in_view_means_inside_field_of_view_and_image():
    rig = ego4view_syn().select(["front_left"])
    camera = rig.cameras["front_left"]
    inside, beyond = torch.tensor([0.0, -435.0]), torch.tensor([445.0, 0.0])  # of the image circle; both in the image
    pixels = torch.tensor(camera.principal_point) + torch.stack((inside, beyond))
    assert camera.contains(pixels).all()
    assert camera.unproject(pixels)[1].tolist() == [True, False]
    angle = torch.tensor([85.5, 86.3]).deg2rad()
    device = torch.tensor([0.06, 0.0, 0.0])
    up_and_right = torch.stack(
        (angle.sin() * torch.tensor([0, 1]), angle.sin() * torch.tensor([-1, 0]), angle.cos()), -1
    )
    pixels, in_view = rig.project(up_and_right - device)
    assert camera.contains(pixels[0]).all()
    assert in_view.tolist() == [[True, False]]


def test_a_batch_with_own_extrinsics_is_its_samples(mixed):
    points = device_points(3, 5)
    moved = mixed.T_camera_device.repeat(3, 1, 1, 1)
    moved[1, :, :3, 3] += 0.05
    batched = mixed.with_extrinsics(moved)
    pixels, in_view = batched.project(points)
    assert pixels.shape == (3, len(CAMERAS), 5, 2)
    for sample in range(3):
        one, one_in_view = mixed.with_extrinsics(moved[sample]).project(points[sample])
        torch.testing.assert_close(pixels[sample], one)
        assert torch.equal(in_view[sample], one_in_view)
    torch.testing.assert_close(mixed.project(points)[0], mixed.expand(3).project(points)[0])


def test_mixed_precision_leaves_the_geometry_alone(mixed):
    points = device_points(7)
    with torch.autocast("cpu", torch.bfloat16):
        mixed_precision, _ = mixed.project(points)
    torch.testing.assert_close(mixed_precision, mixed.project(points)[0])


def test_select_and_resize(mixed):
    small = mixed.select(["fisheye", "front_left"]).resized(256, 256)
    assert small.views == ("fisheye", "front_left")
    points = device_points(4)
    pixels, _ = mixed.project(points)
    order = [mixed.views.index(view) for view in small.views]
    size = torch.tensor([[[640.0, 480.0]], [[872.0, 872.0]]])
    torch.testing.assert_close(small.project(points)[0], (pixels[order] + 0.5) * 256 / size - 0.5, atol=1e-3, rtol=0)
    with pytest.raises(UserError, match="no view 'top'"):
        mixed.select(["top"])


def test_a_saved_rig_is_the_same_rig(mixed, tmp_path):
    rig = mixed.resized(300, 200)
    rig = Rig(
        rig.name, {view: camera.cropped(3, 5, 100, 90) for view, camera in rig.cameras.items()}, rig.T_camera_device
    )
    rig.save(tmp_path / "rig.json")
    loaded = Rig.load(tmp_path / "rig.json")
    points = device_points(6)
    torch.testing.assert_close(loaded.project(points)[0], rig.project(points)[0], atol=1e-3, rtol=1e-5)
    assert loaded.views == rig.views
    assert loaded.hash() == rig.hash()


def test_the_hash_names_the_content_not_the_file(tmp_path):
    rig = ego4view_syn()
    content = rig.to_dict()
    shuffled = {key: content[key] for key in reversed(content)} | {"name": "another name"}
    (tmp_path / "rig.json").write_text(json.dumps(shuffled, indent=7))
    assert Rig.load(tmp_path / "rig.json").hash() == rig.hash() == rig.to(dtype=torch.float64).hash()
    assert rig.resized(256, 256).hash() != rig.hash()
    content["cameras"][0]["parameters"]["cam_to_world"][3] *= 1.01  # the smallest of coefficients counts
    assert Rig.from_dict(content).hash() != rig.hash()
    assert rig.select(["front_right", "front_left"]).hash() != rig.select(["front_left", "front_right"]).hash()


def test_batched_extrinsics_have_no_file(mixed):
    with pytest.raises(UserError, match="batched"):
        mixed.expand(2).to_dict()


def with_matrix(change):
    def apply(content):
        change(content["cameras"][1]["T_camera_device"])

    return apply


def translate(matrix, distance):
    matrix[0][3] = distance


REFUSED = {
    "schema": (lambda c: c.update(schema="rig"), "'schema' must be"),
    "version": (lambda c: c.update(version=2), "reads version 1"),
    "no cameras": (lambda c: c.update(cameras=[]), "at least one"),
    "camera is text": (lambda c: c["cameras"].append("x"), "camera 4: 'name'"),
    "name twice": (lambda c: c["cameras"][1].update(name="front_left"), "no other camera"),
    "name of a path": (lambda c: c["cameras"][1].update(name="../left"), "'../left' cannot name camera 1"),
    "unknown field": (lambda c: c["cameras"][1].update(colour="red"), "'colour' is not a field .*T_camera_device"),
    "beyond the model": (lambda c: c["cameras"][1].update(max_angle_deg=190), "'max_angle_deg' is 190 but"),
    "unknown model": (lambda c: c["cameras"][1].update(model=["omni"]), "'model' is .* must be one of"),
    "size is text": (lambda c: c["cameras"][1].update(width="872"), "'width' is '872' but"),
    "size is huge": (lambda c: c["cameras"][1].update(width=10**400), "'width' is 1000.* but .* at most"),
    "size is zero": (lambda c: c["cameras"][1].update(width=0), "'width' is 0 but"),
    "missing parameter": (lambda c: c["cameras"][1]["parameters"].pop("center"), "'center' is missing"),
    "unknown parameter": (lambda c: c["cameras"][1]["parameters"].update(k1=1.0), "'k1' is not a parameter"),
    "wrong length": (lambda c: c["cameras"][1]["parameters"].update(center=[1.0]), "'center' must be a list of 2"),
    "not a number": (lambda c: c["cameras"][1]["parameters"].update(center=[1.0, "2"]), "'center' must be a list"),
    "boolean": (lambda c: c["cameras"][1].update(max_angle_deg=True), "'max_angle_deg' is True but"),
    "infinite": (lambda c: c["cameras"][1]["parameters"].update(center=[1e999, 2.0]), "finite numbers"),
    "swapped": (
        lambda c: c["cameras"][1]["parameters"]["cam_to_world"].reverse(),
        "'cam_to_world' .* and 'world_to_cam' .* disagree",
    ),
    "mask elsewhere": (lambda c: c["cameras"][1].update(mask="../../secret.png"), "'mask' is"),
    "no matrix": (lambda c: c["cameras"][1].pop("T_camera_device"), "four rows"),
    "matrix 3x4": (with_matrix(lambda T: T.pop()), "four rows"),
    "centimetres": (with_matrix(lambda T: translate(T, 37.0)), "must be in metres"),
    "scaled": (with_matrix(lambda T: T[0].__setitem__(0, 1.1)), "must be rigid"),
    "mirrored": (with_matrix(lambda T: T[0].__setitem__(0, -1.0)), "must be rigid"),
    "singular": (with_matrix(lambda T: T[0].__setitem__(0, 0.0)), "must be rigid"),
    "transposed": (with_matrix(lambda T: T[3].__setitem__(0, 0.3)), "last row"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_file_is_refused_in_one_sentence_naming_file_and_field(case, tmp_path):
    change, message = REFUSED[case]
    content = copy.deepcopy(ego4view_syn().to_dict())
    change(content)
    path = tmp_path / "rig.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=message) as refusal:
        Rig.load(path)
    assert str(refusal.value).startswith(str(path))
    assert "\n" not in str(refusal.value)


def test_a_name_that_occurs_twice_is_refused(tmp_path):
    text = json.dumps(ego4view_syn().to_dict())
    (tmp_path / "rig.json").write_text(text.replace('"center":', '"center": [1.0, 2.0], "center":', 1))
    with pytest.raises(UserError, match=r"rig\.json is not valid JSON: 'center' occurs twice"):
        Rig.load(tmp_path / "rig.json")


def test_extrinsics_of_a_sequence_are_checked():
    rig = ego4view_rw()
    T = rig.T_camera_device.clone()
    T[2, :3, 3] *= 100
    with pytest.raises(UserError, match=r"camera 'back_left'.*metres"):
        rig.with_extrinsics(T)
    with pytest.raises(UserError, match="one for each"):
        rig.with_extrinsics(rig.T_camera_device[:2])
