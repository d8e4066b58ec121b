"""3D plots: the person stands, and the picture shows what was given."""

import numpy as np
import pytest
import torch
from tests.people import STANDING

from egorear.geometry.skeleton import EGO4VIEW
from egorear.viewer.plot3d import FRONT, plot_pose, upright

pytest.importorskip("matplotlib")


def test_upright_stands_and_stays_right_handed():
    x, y, z = upright(STANDING)[[EGO4VIEW.index(n) for n in ("RightHand", "RightToeBase", "Head")]]
    assert x[0] > 0, "the right hand is to the right"
    assert y[1] > upright(STANDING)[EGO4VIEW.index("RightFoot"), 1], "toes point forward"
    assert z[2] > y[2], "the head is above the toes"
    assert np.linalg.det(upright(torch.eye(3))) == pytest.approx(1.0)


def test_the_picture_changes_with_the_pose_and_the_truth():
    alone = plot_pose(STANDING, height=200)
    assert alone.shape[0] == 200
    assert alone.dtype == np.uint8
    both = plot_pose(STANDING, STANDING + 0.2, height=200)
    assert both.shape == alone.shape
    assert (both != alone).any()
    assert plot_pose(STANDING, height=200, viewpoints=(FRONT,)).shape[1] * 2 == alone.shape[1]
