"""Comparisons joint by joint: known differences, their intervals, and what cannot be compared."""

import numpy as np
import pytest

from egorear.errors import UserError
from egorear.evaluation.joint_comparison import compare
from egorear.geometry.skeleton import EGO4VIEW, EGOPW
from egorear.poses import Poses

RECORDINGS, LENGTH = 12, 5
HAND, FOOT = EGO4VIEW.index("LeftHand"), EGO4VIEW.index("RightFoot")
UP = np.array((0, 0, 1.0))


class Truth:
    """Twelve recordings of five frames, poses at random."""

    skeleton = EGO4VIEW

    def __init__(self):
        self.names = [f"anna/{recording}/{frame}" for recording in range(RECORDINGS) for frame in range(LENGTH)]
        self.poses = np.random.default_rng(0).uniform(-1, 1, (len(self.names), 16, 3))

    def joints(self, index):
        return self.poses[index], None


def poses_of(joints, names, joint_names=EGO4VIEW.names) -> Poses:
    joints = np.asarray(joints, np.float32)
    confidence = np.ones(joints.shape[:2], np.float32)
    return Poses(joints, confidence, list(names), np.zeros(len(joints)), "", "m", tuple(joint_names))


def off(truth, **joints_m) -> Poses:
    """The truth with joints that far up, one number or one for each frame."""
    joints = truth.poses.copy()
    for name, metres in joints_m.items():
        joints[:, EGO4VIEW.index(name)] += np.multiply.outer(metres * np.ones(len(joints)), UP)
    return poses_of(joints, truth.names)


def test_the_joint_that_motion_helps_is_told():
    truth = Truth()
    report = compare({"spatial": off(truth, LeftHand=0.16, RightFoot=0.02), "full": off(truth, LeftHand=0.08)}, truth)
    assert (report.runs, report.frames, report.recordings) == (["spatial", "full"], 60, 12)
    hand = report.joints["LeftHand"]["mpjpe_mm"]
    assert hand.values["spatial"].value == pytest.approx(160, abs=1e-3)
    assert hand.values["full"].value == pytest.approx(80, abs=1e-3)
    assert list(hand.differences) == ["full"]
    assert hand.differences["full"].value == pytest.approx(-80, abs=1e-3)
    assert report.groups["hands"]["mpjpe_mm"].differences["full"].value == pytest.approx(-40, abs=1e-3)
    assert report.groups["all"]["mpjpe_mm"].differences["full"].value == pytest.approx(-100 / 16, abs=1e-3)
    assert report.joints["Neck"]["mpjpe_mm"].differences["full"].value == pytest.approx(0, abs=1e-3)
    aligned = report.joints["LeftHand"]["pa_mpjpe_mm"].values["full"].value
    assert 0 < aligned < 80
    assert next(name for _, name, _ in report.rows()) == "all"
    assert len(report.rows()) == len(EGO4VIEW.groups) + 16


def test_a_difference_is_paired_and_its_interval_is_that_of_recordings():
    truth = Truth()
    rng = np.random.default_rng(1)
    hard = np.repeat(rng.uniform(0.05, 0.5, RECORDINGS), LENGTH)  # recordings differ much
    gain = np.repeat(rng.uniform(0.005, 0.015, RECORDINGS), LENGTH)  # but every one gains
    report = compare({"a": off(truth, LeftHand=hard), "b": off(truth, LeftHand=hard - gain)}, truth)
    hand = report.joints["LeftHand"]["mpjpe_mm"]
    difference, value = hand.differences["b"], hand.values["a"]
    assert -15 < difference.low < difference.value < difference.high < -5
    assert value.high - value.low > 10 * (difference.high - difference.low)
    # As many frames drawn one by one would make an interval narrower by the square root of a recording's length.
    expected = 2 * 1.96 * 1000 * gain[::LENGTH].std() / RECORDINGS**0.5
    assert difference.high - difference.low == pytest.approx(expected, rel=0.1)


def test_one_recording_tells_nothing_of_others():
    truth = Truth()
    truth.names = [f"anna/1/{index}" for index in range(len(truth.names))]
    report = compare({"a": off(truth, LeftHand=0.1), "b": off(truth, LeftHand=0.2)}, truth)
    difference = report.joints["LeftHand"]["mpjpe_mm"].differences["b"]
    assert (report.recordings, difference.low, difference.high) == (1, None, None)
    assert difference.value == pytest.approx(100, abs=1e-3)


def test_frames_are_matched_by_name_and_joint_sets_by_what_all_have():
    truth = Truth()
    order = [EGO4VIEW.index(name) for name in EGOPW.names]
    a = off(truth, LeftHand=0.1)
    b = poses_of(off(truth, LeftHand=0.3).joints[::-1][:, order], truth.names[::-1], EGOPW.names)
    for runs in ({"a": a, "b": b}, {"b": b, "a": a}):
        report = compare(runs, truth)
        assert report.joints_left_out == ["Head"]
        assert list(report.joints) == list(EGO4VIEW.names[1:])
        values = report.joints["LeftHand"]["mpjpe_mm"].values
        assert values["a"].value == pytest.approx(100, abs=1e-3)
        assert values["b"].value == pytest.approx(300, abs=1e-3)


def test_what_cannot_be_compared_is_refused():
    truth = Truth()
    a, b = off(truth, LeftHand=0.1), off(truth, LeftHand=0.2)
    with pytest.raises(UserError, match="two or more"):
        compare({"a": a}, truth)
    with pytest.raises(UserError, match="a and copy are the same poses"):
        compare({"a": a, "b": b, "copy": a}, truth)
    fewer = poses_of(b.joints[:-1], truth.names[:-1])
    for runs in ({"a": a, "b": fewer}, {"b": fewer, "a": a}):
        with pytest.raises(UserError, match=r"1 frames of a \(first: 'anna/11/4'\) are not in b"):
            compare(runs, truth)
    with pytest.raises(UserError, match="'anna/0/0' occurs more than once in b"):
        compare({"a": a, "b": poses_of(b.joints, [truth.names[0], *truth.names[:-1]])}, truth)
    elsewhere = [name.replace("11/4", "12/0") for name in truth.names]
    with pytest.raises(UserError, match=r"1 frames of the poses \(first: 'anna/12/0'\) are not in the dataset"):
        compare({"a": poses_of(a.joints, elsewhere), "b": poses_of(b.joints, elsewhere)}, truth)
    broken = poses_of(b.joints[:, :9], truth.names, EGO4VIEW.names[:9])
    with pytest.raises(UserError, match="b: the poses have no joint 'RightUpLeg'"):
        compare({"a": a, "b": broken}, truth)
