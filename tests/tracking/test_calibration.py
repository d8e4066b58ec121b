"""Calibration: the curves find the truth behind made-up confidences, survive little data, and their file is checked."""

import json

import numpy as np
import pytest
import torch
from tests.people import pictures, save_tiny

from egorear.errors import UserError
from egorear.geometry.rig import ego4view_syn
from egorear.metrics.confidence import expected_calibration_error
from egorear.tracking import PoseTracker
from egorear.tracking.calibration import FILE, Calibration, Platt, hash_weights, out_of_fold

RIG = ego4view_syn()
VIEWS = RIG.views
TRUE = Platt(
    scale=torch.linspace(0.5, 2, 16), bias=torch.linspace(2, -2, 16), lost=-torch.linspace(0.2, 2, 64).view(4, 16)
)


def answers(frames: int, seed: int = 0):
    """Raw confidences, views there, and joints that are right as often as `TRUE` says."""
    generator = torch.Generator().manual_seed(seed)
    raw = torch.rand(frames, 16, generator=generator)
    present = torch.rand(frames, 4, generator=generator) < 0.7
    return raw, present, torch.rand(frames, 16, generator=generator) < TRUE.apply(raw, present)


def test_the_curves_behind_the_data_are_found():
    platt = Platt.fit(*answers(6000))
    torch.testing.assert_close(platt.scale, TRUE.scale, atol=0.2, rtol=0)
    torch.testing.assert_close(platt.bias, TRUE.bias, atol=0.25, rtol=0)
    torch.testing.assert_close(platt.lost, TRUE.lost, atol=0.35, rtol=0)
    raw, present, correct = answers(6000, seed=1)
    before, after = (expected_calibration_error(c, correct) for c in (raw, platt.apply(raw, present)))
    assert before > 0.08
    assert after < 0.02


def test_confidence_rises_with_the_raw_one_and_falls_with_a_lost_view():
    platt = Platt.fit(*answers(300))
    raw = torch.linspace(0, 1, 50)[:, None].expand(-1, 16)
    there = torch.ones(50, 4, dtype=torch.bool)
    whole = platt.apply(raw, there)
    assert (whole.diff(dim=0) >= 0).all()
    assert ((whole > 0) & (whole < 1)).all()
    gone = there.clone()
    gone[:, 3] = False
    assert (platt.apply(raw, gone) <= whole).all()


@pytest.mark.parametrize("right", [True, False])
def test_one_frame_and_one_kind_of_answer_give_finite_curves(right):
    raw, there = torch.full((1, 16), 1.0), torch.ones(1, 4, dtype=torch.bool)
    platt = Platt.fit(raw, there, torch.full((1, 16), right))
    for values in (platt.scale, platt.bias, platt.lost):
        assert values.isfinite().all()
    assert (platt.scale > 0).all()


def test_joints_with_few_frames_follow_the_others():
    """Three frames say nothing of one joint by itself; without the shared prior its curve would be a step."""
    raw = torch.rand(3, 16, generator=torch.Generator().manual_seed(0))
    correct = raw > 0.5
    correct[:, 0] = ~correct[:, 0]
    platt = Platt.fit(raw, torch.ones(3, 4, dtype=torch.bool), correct)
    assert (platt.scale.max() / platt.scale.min()).item() < 10
    assert platt.scale[0] < platt.scale[1:].mean()


def test_cross_validation_tells_what_new_recordings_would_show():
    """Each sequence is right or wrong as a whole: nothing can be learned of another one from it."""
    generator = torch.Generator().manual_seed(0)
    sequences = [f"s{i // 10}" for i in range(100)]
    luck = torch.rand(10, 16, generator=generator) < 0.5
    raw, there = torch.rand(100, 16, generator=generator), torch.ones(100, 4, dtype=torch.bool)
    correct = luck.repeat_interleave(10, dim=0)
    unseen = out_of_fold(raw, there, correct, sequences)
    assert unseen is not None
    seen = Platt.fit(raw, there, correct).apply(raw, there)
    assert expected_calibration_error(unseen, correct) > expected_calibration_error(seen, correct) + 0.01
    alone = Platt.fit(raw[50:], there[50:], correct[50:])
    halves = out_of_fold(raw, there, correct, ["a"] * 50 + ["b"] * 50)
    assert halves is not None
    torch.testing.assert_close(halves[:50], alone.apply(raw[:50], there[:50]))
    assert out_of_fold(raw, there, correct, ["one"] * 100) is None


def calibration(folder, **changes) -> Calibration:
    known = {"raw": "peaks", "weights": hash_weights(folder), "data": "made up", "frames": 9, "ece_before": 0.2}
    return Calibration(TRUE, VIEWS, **(known | {"ece_after": None} | changes))


@pytest.fixture
def folder(tmp_path):
    return save_tiny(tmp_path / "tiny")


def test_the_tracker_uses_what_lies_beside_the_weights(folder):
    frame = pictures(RIG, size=(64, 64))
    raw = PoseTracker.from_pretrained(folder)(frame, RIG)
    calibration(folder).save(folder)
    assert Calibration.load(folder).data == "made up"
    calibrated, without = (PoseTracker.from_pretrained(folder, calibrated=use)(frame, RIG) for use in (True, False))
    torch.testing.assert_close(without.confidence, raw.confidence)
    torch.testing.assert_close(calibrated.joints, raw.joints)
    there = torch.ones(1, 4, dtype=torch.bool)
    torch.testing.assert_close(calibrated.confidence, TRUE.apply(raw.confidence[None], there)[0], atol=1e-4, rtol=0)
    lossy = frame | {"back_left": None}
    there[0, VIEWS.index("back_left")] = False
    expected = TRUE.apply(PoseTracker.from_pretrained(folder, calibrated=False)(lossy, RIG).confidence[None], there)
    found = PoseTracker.from_pretrained(folder)(lossy, RIG).confidence
    torch.testing.assert_close(found, expected[0], atol=1e-4, rtol=0)


@pytest.mark.parametrize("changes", [{"weights": "0" * 64}, {"raw": "head"}])
def test_a_calibration_of_other_weights_is_refused(folder, changes):
    calibration(folder, **changes).save(folder)
    with pytest.raises(UserError, match="belongs to other weights"):
        PoseTracker.from_pretrained(folder)
    assert PoseTracker.from_pretrained(folder, calibrated=False).network.calibration is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", "other"),
        ("version", 2),
        ("within_mm", 150),
        ("raw", ["head"]),
        ("joint_names", ["Head"]),
        ("scale", [1.0] * 15),
        ("scale", [-1.0] * 16),
        ("bias", ["0"] * 16),
        ("bias", [float("nan")] * 16),
        ("lost", {"front_left": [0.0]}),
        ("lost", {}),
        ("weights", 7),
        ("frames", True),
        ("ece_before", 2.0),
    ],
)
def test_a_damaged_file_is_told_by_its_field(folder, field, value):
    path = calibration(folder).save(folder)
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(UserError, match=rf"{FILE}: '{field}' must be"):
        Calibration.load(folder)


def test_no_json_at_all(folder):
    (folder / FILE).write_text("[1]")
    with pytest.raises(UserError, match="'schema'"):
        Calibration.load(folder)
    (folder / FILE).write_bytes(np.zeros(9).tobytes())
    with pytest.raises(UserError, match="not valid JSON"):
        PoseTracker.from_pretrained(folder)
