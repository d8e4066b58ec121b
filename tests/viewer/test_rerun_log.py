"""The Rerun recording, read back by Rerun's own reader: poses in space, and in each view where its lens shows them."""

import subprocess
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.people import two_camera_rig, write_dataset
from tests.viewer.test_html import poses_of

from egorear.datasets.opening import open_dataset
from egorear.errors import UserError
from egorear.viewer.scene import Scene, scene_of_dataset

pytest.importorskip("rerun", reason="rerun-sdk (the extra 'view', 170 MB) is not installed")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    from egorear.viewer.rerun_log import write_rerun

    folder = tmp_path_factory.mktemp("rerun")
    dataset = open_dataset(write_dataset(folder / "data"), "test")
    scene = scene_of_dataset(poses_of([*dataset.names, "anna/s2/g0"]), dataset)
    assert write_rerun(folder / "a.rrd", scene, "title", 10**7) == [0, 1, 2]
    assert [path.name for path in folder.iterdir() if path.suffix] == ["a.rrd"]
    return scene, folder / "a.rrd"


def column(path, entity: str, component: str) -> dict[int, list]:
    """A component of an entity by frame."""
    from rerun.chunk import RrdReader

    rows = {}
    for chunk in RrdReader(path).stream():
        if str(chunk.entity_path) == entity:
            batch = chunk.to_record_batch()
            rows |= dict(zip(batch.column("frame").to_pylist(), batch.column(component).to_pylist(), strict=True))
    return rows


def test_joints_are_those_of_the_poses(written):
    scene, path = written
    rows = column(path, "/device/pose/joints", "Points3D:positions")
    assert list(rows) == [0, 1, 2, 3]
    for frame, joints in rows.items():
        assert np.array_equal(np.array(joints, np.float32), scene.poses.joints[frame])
    assert column(path, "/device/pose/joints", "Points3D:labels")[0] == list(scene.poses.joint_names)


def test_truth_and_error_only_where_there_is_truth(written):
    scene, path = written
    strips = column(path, "/device/truth", "LineStrips3D:strips")
    assert [len(strips[frame]) for frame in range(4)] == [len(scene.skeleton.bones)] * 3 + [0]
    errors = column(path, "/curves/mean_error_mm", "Scalars:scalars")
    assert list(errors) == [0, 1, 2]
    assert errors[1][0] == pytest.approx(scene.errors_mm[1].mean(), abs=1e-3)


def test_poses_lie_in_the_pictures_where_our_lenses_show_them(written):
    scene, path = written
    pictures = column(path, "/views/back_left/picture", "EncodedImage:blob")
    assert list(pictures) == [0, 1, 2]
    strips = column(path, "/views/back_left/pose", "LineStrips2D:strips")[0]
    ends = np.array([end for strip in strips for end in (strip[0], strip[-1])]) - 0.5
    pixels, seen = scene.rig.resized(64, 64).project(torch.from_numpy(scene.poses.joints))
    expected = pixels[0, scene.rig.views.index("back_left")][seen[0, scene.rig.views.index("back_left")]].numpy()
    assert len(expected) > 4
    for pixel in expected:
        assert np.abs(ends - pixel).sum(-1).min() < 1e-3


def test_the_viewer_is_opened_for_this_machine_only(written, monkeypatch):
    from egorear.viewer import rerun_log

    ran = []
    monkeypatch.setattr(
        rerun_log.subprocess, "run", lambda argv: ran.append(argv) or subprocess.CompletedProcess(argv, 1)
    )
    with pytest.raises(UserError, match="does not open here"):
        rerun_log.show_rerun(written[1])
    assert ran[0][2:] == ["rerun_cli", "--new", "--bind", "127.0.0.1", str(written[1])]


def test_a_view_may_have_any_name(tmp_path):
    from egorear.viewer.rerun_log import write_rerun

    rig = two_camera_rig()
    rig = replace(rig, cameras={"left / eye": rig.cameras["front_left"], "über": rig.cameras["front_right"]})
    write_rerun(tmp_path / "a.rrd", Scene(poses_of(["only"]), None, [rig]), "named")
    assert column(tmp_path / "a.rrd", "/views/left\\ \\/\\ eye/pose", "LineStrips2D:strips")[0]


def test_poses_alone_are_a_recording_too(tmp_path):
    from egorear.viewer.rerun_log import write_rerun

    assert write_rerun(tmp_path / "a.rrd", Scene(poses_of(["only"])), "alone", 10**7) == []
    assert len(column(tmp_path / "a.rrd", "/device/pose/joints", "Points3D:positions")) == 1
