"""Reliability of stored predictions: the right joints of the right frames are judged, at 100 mm."""

import math
from dataclasses import replace

import numpy as np
import pytest

from egorear.errors import UserError
from egorear.evaluation.reliability import by_part, judged_joints, reliability, reliability_of
from egorear.geometry.skeleton import EGO4VIEW, EGOCAP, EGOPW
from egorear.poses import Poses
from egorear.viewer.reliability_plot import plot_reliability

NAMES = ["a/s/1", "a/s/2", "b/s/1"]


class Truth:
    """Every joint of frame i at height i."""

    names = NAMES
    skeleton = EGO4VIEW

    def joints(self, index):
        return np.full((16, 3), float(index)), None


def poses(offsets_m, confidence, names=NAMES) -> Poses:
    """Joints that are off by `offsets_m` (frames x joints) along x."""
    joints = np.stack([Truth().joints(NAMES.index(name))[0] for name in names]).astype(np.float32)
    joints[..., 0] += np.asarray(offsets_m, np.float32)
    said = np.broadcast_to(np.asarray(confidence, np.float32), joints.shape[:2]).copy()
    return Poses(joints, said, list(names), np.arange(len(names), dtype=np.float64), "", "m", EGO4VIEW.names)


def test_what_is_within_100_mm_is_correct():
    offsets = np.tile([0.09, 0.11], (3, 8))
    found = reliability(poses(offsets, np.where(offsets < 0.1, 0.8, 0.3)), Truth())
    assert found.frames == 3
    assert found.correct == 0.5
    assert found.auroc == 1
    assert found.mean_confidence == pytest.approx(0.55)
    assert found.ece == pytest.approx((0.2 + 0.3) / 2, abs=1e-6)
    assert found.row() == {"frames": 3, "ece": found.ece, "auroc": 1, "mean_confidence": found.mean_confidence} | {
        "correct": 0.5
    }


def test_frames_and_joints_are_matched_by_name():
    """Order of frames and joints changes nothing; frames of one side only are left out."""
    rng = np.random.default_rng(0)
    offsets, confidence = rng.uniform(0, 0.2, (3, 16)), rng.random((3, 16)).astype(np.float32)
    straight = poses(offsets, confidence)
    order, joints = [2, 0], rng.permutation(16)
    shuffled = replace(
        straight,
        joints=straight.joints[order][:, joints],
        confidence=confidence[order][:, joints],
        frame_names=[NAMES[i] for i in order],
        timestamps=straight.timestamps[order],
        joint_names=tuple(EGO4VIEW.names[j] for j in joints),
    )
    names, said, correct = judged_joints(shuffled, Truth())
    assert names == [NAMES[0], NAMES[2]]
    np.testing.assert_array_equal(said, confidence[[0, 2]])
    np.testing.assert_array_equal(correct, offsets[[0, 2]] <= 0.1)


def test_parts_hold_every_joint_once():
    confidence = np.tile(np.linspace(0, 1, 16), (2, 1))
    parts = by_part(confidence, confidence > 0.5)
    assert list(parts) == ["head", "neck", "arms", "forearms", "hands", "upper_legs", "legs", "feet", "toes"]
    assert parts["toes"].mean_confidence == pytest.approx(confidence[0, 14:].mean())
    assert parts["toes"].correct == 1
    assert math.isnan(parts["toes"].auroc)
    assert parts["toes"].row()["auroc"] is None


@pytest.mark.parametrize("skeleton", [EGOPW, EGOCAP], ids=["egopw", "egocap"])
def test_parts_of_other_joint_sets(skeleton):
    names = [skeleton.names[joint] for joint in skeleton.groups["all"]]  # the columns: what is scored
    confidence = np.tile(np.linspace(0, 1, len(names)), (2, 1))
    parts = by_part(confidence, confidence > 0.5, skeleton)
    assert "head" not in parts
    feet = [confidence[0, names.index(name)] for name in ("LeftFoot", "RightFoot")]
    assert parts["feet"].mean_confidence == pytest.approx(np.mean(feet))
    assert parts["neck"].mean_confidence == 0


def test_nothing_in_common_and_missing_joints():
    with pytest.raises(UserError, match="no frame of the poses"):
        reliability(replace(poses(np.zeros((3, 16)), 0.5), frame_names=["x", "y", "z"]), Truth())
    with pytest.raises(UserError, match="no joint 'Head'"):
        reliability(replace(poses(np.zeros((3, 16)), 0.5), joint_names=("Kopf", *EGO4VIEW.names[1:])), Truth())


def test_the_plot_is_a_picture(tmp_path):
    rng = np.random.default_rng(0)
    confidence = rng.random((50, 16))
    correct = rng.random((50, 16)) < confidence
    each = reliability_of(confidence, correct)
    plot_reliability({"raw": each, "calibrated": each}, by_part(confidence, correct), tmp_path / "plot.png", "title")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["plot.png"]
