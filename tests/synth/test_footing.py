import numpy as np
import pytest

from egorear.synth.body import BONES, pose_person, sample_person
from egorear.synth.footing import footed, pressed


@pytest.mark.parametrize("height", [-0.3, 0.4])
def test_a_standing_body_is_brought_to_the_floor(height: float) -> None:
    person = sample_person(np.random.default_rng(1))
    rotations = np.tile(np.eye(3, dtype=np.float32), (7, len(BONES), 1, 1))
    root = np.tile(np.array([1, 2, person.leg_length + height], np.float32), (7, 1))
    feet = footed(person, rotations, root)
    assert (feet[:, :2] == root[:, :2]).all()
    firm = person.looseness == 0
    lows = [pose_person(person, R, r)[0][firm, 2].min() for R, r in zip(rotations, feet, strict=True)]
    assert np.abs(lows).max() < 0.02


def test_nothing_stays_below_the_floor() -> None:
    flat = pressed(np.array([[1, 2, -0.1], [-3, -4, 0.5]], np.float32))
    np.testing.assert_array_equal(flat, np.array([[1, 2, 0], [-3, -4, 0.5]], np.float32))
