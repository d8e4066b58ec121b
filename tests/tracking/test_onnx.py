"""What stands around an exported network. The export itself: tests/cli/test_export.py."""

import json
import math
from dataclasses import replace

import pytest
import torch
from tests.people import TINY
from torch.nn import functional as F

from egorear.errors import UserError
from egorear.files import write_json
from egorear.geometry.rig import ego4view_syn
from egorear.geometry.skeleton import EGO4VIEW
from egorear.models.egorear import EgoRear
from egorear.tracking.calibration import sha256_of
from egorear.tracking.onnx_export import describe, sample_by_gather
from egorear.tracking.onnx_network import OnnxNetwork
from egorear.tracking.onnx_parity import Parity, with_views_lost
from egorear.tracking.pose_network import PoseNetwork

LENSES = ego4view_syn().resized(64, 64)


def test_gathering_is_grid_sampling():
    """Between pixels, on the border and far outside."""
    maps, grid = torch.randn(2, 3, 5, 7), torch.rand(2, 4, 6, 2) * 3 - 1.5
    grid[0, 0] = torch.tensor([[-1.0, -1.0], [1.0, 1.0], [-1.2, 0.0], [0.0, 1.01], [1e4, -1e4], [0.0, 0.0]])
    expected = F.grid_sample(maps, grid, align_corners=False)
    torch.testing.assert_close(sample_by_gather(maps, grid, 0, 0, False), expected, atol=1e-5, rtol=0)


def test_an_export_is_refused_that_says_something_else_or_nothing():
    same = Parity(4, 0.0, 0.0, 0.0, 0, 0.0, 0.0)
    assert same.holds
    assert replace(same, joints_max_mm=0.1).holds
    assert not replace(same, joints_max_mm=0.11).holds
    assert not replace(same, joints_max_mm=math.nan).holds
    for name in ("confidence_max", "scores_2d_max"):
        assert replace(same, **{name: 0.001}).holds
        assert not replace(same, **{name: 0.01}).holds
        assert not replace(same, **{name: math.nan}).holds
    assert replace(same, peaks_moved=3, joints_2d_max_px=90.0).holds  # of two peaks as high as each other
    assert not replace(same, joints_2d_max_px=math.nan).holds


def test_every_set_of_views_is_compared_and_lost_ones_are_noise():
    images = torch.zeros(5, 4, 3, 8, 8, dtype=torch.uint8)
    given = images, LENSES.T_camera_device, torch.ones(5, 4, dtype=torch.bool)
    (whole, *lost), (_, last) = with_views_lost(given, first=0, rounds=2), with_views_lost(given, first=10, rounds=1)
    assert whole[2].all()
    shown, present = (torch.cat(parts) for parts in list(zip(*lost, last, strict=True))[::2])
    assert len({tuple(row) for row in present.tolist()}) == 14  # all but none and all of them
    assert present.any(dim=1).all()
    assert not shown[present].any()
    assert (shown[~present].flatten(1) > 0).any(dim=1).all()
    (alone,) = with_views_lost((images[:, :1], LENSES.T_camera_device[:1], given[2][:, :1]), first=0, rounds=2)
    assert alone[2].all()


class Echo:
    """A session of a graph of two frames: joints are the images' mean, scores whether the view is there."""

    def run(self, _, given):
        assert given["images"].shape == (2, 4, 3, 8, 8)
        mean = torch.from_numpy(given["images"]).float().mean((1, 2, 3, 4))
        joints = mean[:, None, None].expand(2, 16, 3)
        scores = torch.from_numpy(given["present"]).float()[..., None].expand(2, 4, 15)
        return [part.numpy() for part in (joints, joints[..., 0], torch.zeros(2, 4, 15, 2), scores)]


def test_a_graph_of_a_fixed_number_of_frames_serves_any():
    network = OnnxNetwork(Echo(), "echo", LENSES, EGO4VIEW, "device", batch=2)
    images = torch.arange(1, 4, dtype=torch.uint8)[:, None, None, None, None].expand(3, 4, 3, 8, 8)
    present = torch.tensor([[True] * 4, [True, False, False, False], [False, True, True, True]])
    answer = network(images, LENSES.T_camera_device, present)
    torch.testing.assert_close(answer.joints[:, 0, 0], torch.tensor([1.0, 2.0, 3.0]))
    torch.testing.assert_close(answer.scores_2d[..., 0], present.float())
    assert answer.confidence.shape == (3, 16)


@pytest.fixture
def folder(tmp_path):
    """An export whose file is none, but the one described."""
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    about = describe(PoseNetwork(EgoRear(TINY), ego4view_syn(), None), "tiny", "grid", None)
    write_json(tmp_path / "export.json", about | {"sha256": sha256_of(tmp_path / "model.onnx")})
    return tmp_path


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("schema", "other", "'schema' and 'version' must be"),
        ("version", 2, "'schema' and 'version' must be"),
        ("model_id", 3, "'model_id' must be text"),
        ("skeleton", ["ego4view"], "'skeleton' must be one of ego4view"),
        ("origin", "moon", "'origin' must be"),
        ("batch", 0, "'batch' must be null or a number of frames above 0"),
        ("batch", True, "'batch' must be null or a number of frames above 0"),
        ("rig", {}, "'rig': 'schema' must be"),
        ("sha256", "0" * 64, "is damaged or not the one that"),
    ],
)
def test_a_description_that_is_wrong_is_told(folder, field, value, sentence):
    content = json.loads((folder / "export.json").read_text())
    write_json(folder / "export.json", content | {field: value})
    with pytest.raises(UserError, match=sentence):
        OnnxNetwork.load(folder)


def test_a_file_that_is_no_network_or_missing_is_told(folder):
    pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")
    with pytest.raises(UserError, match=r"cannot open .*model\.onnx"):
        OnnxNetwork.load(folder)
    with pytest.raises(UserError, match="device 'xpu' cannot be used"):
        OnnxNetwork.load(folder, "xpu")
    (folder / "model.onnx").unlink()
    with pytest.raises(UserError, match=r"cannot read .*model\.onnx"):
        OnnxNetwork.load(folder)
