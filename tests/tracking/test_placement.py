"""A body's place from the rays of its joints must be the place it was projected from."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.people import STANDING, TINY, pictures, two_camera_rig

from egorear.errors import UserError
from egorear.geometry.rig import ego4view_syn, unrealego
from egorear.heatmaps import gaussian_heatmaps
from egorear.models.egoposeformer import EgoPoseFormer, EgoPoseFormerConfig
from egorear.models.egotap import EgoTAP, EgoTAPConfig, EgoTAPOutput
from egorear.models.egotap_lifter import TAPLifterConfig
from egorear.models.heatmap_encoders import MapEncoderConfig
from egorear.models.pretrained import save_pretrained
from egorear.tracking import PoseTracker
from egorear.tracking.placement import place
from egorear.tracking.pose_network import PoseNetwork

RIG = ego4view_syn()
BODY = STANDING[None]


def trust(pixels, in_view):
    return in_view.to(pixels)


@settings(max_examples=30, deadline=None)
@given(
    views=st.lists(st.sampled_from(RIG.views), min_size=1, unique=True),
    stands=st.tuples(*[st.floats(-0.1, 0.1)] * 3),
    origin=st.tuples(*[st.floats(-2.0, 2.0)] * 3),
)
def test_exact_pixels_give_the_exact_place(views, stands, origin):
    """Of any cameras, one included, and wherever the shape's origin is."""
    rig = RIG.select(views)
    joints = BODY + torch.tensor(stands)
    pixels, in_view = rig.project(joints)
    moved = torch.tensor(origin)
    t = place(joints - moved, pixels, trust(pixels, in_view), rig)
    torch.testing.assert_close(t[0], moved, atol=2e-3, rtol=0)


def test_each_frame_by_itself_and_with_its_own_extrinsics():
    joints = torch.cat((BODY, BODY + 0.05, BODY - 0.05))
    T = RIG.T_camera_device.repeat(3, 1, 1, 1)
    T[1, :, :3, 3] += 0.02
    rig = RIG.with_extrinsics(T)
    pixels, in_view = rig.project(joints)
    shape = joints - joints[:, 8:9]
    t = place(shape, pixels, trust(pixels, in_view), rig)
    torch.testing.assert_close(t, joints[:, 8], atol=1e-3, rtol=0)
    alone = place(shape[1:2], pixels[1:2], trust(pixels, in_view)[1:2], RIG.with_extrinsics(T[1]))
    torch.testing.assert_close(t[1:2], alone, atol=1e-5, rtol=0)


def test_peaks_on_other_limbs_hardly_move_it():
    pixels, in_view = RIG.project(BODY)
    pixels[0, :, [6, 12]] = pixels[0, :, [7, 13]]  # hand and foot of the other side
    pixels[0, 0, 10] = torch.tensor([100.0, 400.0])
    t = place(BODY, pixels, trust(pixels, in_view), RIG)
    assert t.norm() < 0.03
    assert place(BODY, pixels, 0.0 * trust(pixels, in_view), RIG).eq(0).all()  # nothing seen, nothing known


def test_pixels_outside_the_lens_do_not_count():
    pixels, in_view = RIG.project(BODY)
    weights = torch.ones_like(trust(pixels, in_view))
    pixels[~in_view] = -5000.0
    t = place(BODY + 1.0, pixels, weights, RIG)
    torch.testing.assert_close(t, torch.full((1, 3), -1.0), atol=1e-3, rtol=0)


class TruthAboutTheShape(EgoTAP):
    """Answers what UnrealEgo's published networks would at best: the shape about the hips, and true heatmaps."""

    body = STANDING - STANDING[8:10].mean(0)

    def forward(self, images, rig=None, present=None):
        pixels, in_view = rig.project(STANDING)
        maps = gaussian_heatmaps(pixels, self.config.image_size, self.config.image_size // 4)[:, 1:]
        maps = maps * in_view[:, 1:, None, None]
        count = len(images)
        return EgoTAPOutput(self.body.expand(count, 1, -1, -1), maps.expand(count, -1, -1, -1, -1))


@pytest.mark.parametrize("rig", [unrealego(), two_camera_rig()], ids=["its own rig", "another"])
def test_networks_relative_to_the_pelvis_answer_in_the_device_frame(rig):
    """To within what whole heatmap pixels can tell, also through re-rendered lenses in other places."""
    encoder = MapEncoderConfig(kind="cnn", width=32, hidden=(16, 16), features=8)
    config = EgoTAPConfig(origin="pelvis", lifter=TAPLifterConfig(encoder=encoder))
    tracker = PoseTracker(PoseNetwork(TruthAboutTheShape(config), unrealego(), None), "published")
    pose = tracker(pictures(rig), rig)
    assert (pose.joints - STANDING).norm(dim=-1).max() < 0.02


def test_a_network_that_makes_no_heatmaps_is_refused(tmp_path):
    small = replace(EgoPoseFormerConfig(), encoder=TINY.encoder, lifter=replace(TINY.lifter, proposal="pooled"))
    save_pretrained(EgoPoseFormer(small), tmp_path)
    with pytest.raises(UserError, match="EgoPoseFormer, whose poses are relative to the pelvis"):
        PoseTracker.from_pretrained(tmp_path)
