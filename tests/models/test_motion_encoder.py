"""The motion encoder: the published blocks to the digit, who sees whom, and a stream that answers like the video."""

import re
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models import agegopose_rule as rule
from torch import Tensor

from egorear.errors import UserError
from egorear.models.motion_block import FIRST_SCALE, Band, MotionBlock, ScaledDropPath
from egorear.models.motion_encoder import MotionEncoder, MotionEncoderConfig

GOLDENS = rule.goldens()
NAMES = (  # of our tensors, and what the published blocks call them
    (r"^norm_attention\.", "ln1."),
    (r"^norm_mlp\.", "ln2."),
    (r"^attention\.(query|key|value)\.conv\.", r"attn.\1_conv.conv."),
    (r"^attention\.(query|key|value)\.norm\.", r"attn.\1_norm."),
    (r"^attention\.(query|key|value)\.linear\.", r"attn.\1."),
    (r"^attention\.output\.", "attn.proj."),
    (r"^residual_attention\.", "drop_path_attn."),
    (r"^residual_mlp\.", "drop_path_mlp."),
)
TINY = MotionEncoderConfig(width=8, heads=2, mlp=12, local=2, whole=2, window=4)
CAUSAL = replace(TINY, causal=True, reach=6)


def fill(block: MotionBlock, state: dict[str, Tensor]) -> None:
    """Loads a published block."""
    for name, parameter in block.named_parameters():
        theirs = name
        for pattern, replacement in NAMES:
            theirs = re.sub(pattern, replacement, theirs)
        parameter.data = state[theirs].reshape(parameter.shape)


def close(found: Tensor, golden: str) -> None:
    expected = GOLDENS[golden]
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=5e-5, msg=lambda text: f"{golden}: {text}")


def random(config: MotionEncoderConfig, seed: int = 0) -> MotionEncoder:
    """An encoder in eval mode whose blocks count, which those of a new one hardly do."""
    torch.manual_seed(seed)
    encoder = MotionEncoder(config).eval()
    for name, parameter in encoder.named_parameters():
        if name.endswith(".scale"):
            torch.nn.init.normal_(parameter, 1.0, 0.2)
    return encoder


def influence(encoder: MotionEncoder, frames: int) -> Tensor:
    """Which frames (columns) each frame's answer (rows) depends on."""
    encoder.double()
    x = torch.randn(1, frames, encoder.config.width, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda x: encoder(x).sum(dim=(0, 2)), x)
    return jacobian.abs().sum(dim=(1, 3)) > 0


@pytest.mark.parametrize(
    ("case", "prefix", "band", "stride", "frames"),
    [
        ("local_s1", "encoder.actionformer_model.model.backbone.stem.0.", Band(4, 4), 1, 16),
        ("local_s2", f"{rule.BRANCH}0.", Band(4, 4), 2, 32),
        ("global_s2", f"{rule.BRANCH}2.", Band(), 2, 16),
        ("global_s1", "unit.global_s1.", Band(), 1, 16),
    ],
)
@torch.no_grad()
def test_a_published_block_alone(case: str, prefix: str, band: Band, stride: int, frames: int) -> None:
    block = MotionBlock(384, 4, 1536, band, stride).eval()
    fill(block, {name.removeprefix(prefix): value for name, value in rule.block(prefix).items()})
    x = rule.normal_input(f"input.unit.{case}", (2, 384, frames)).transpose(1, 2)
    visible = band.visible(frames // stride, x.device)
    close(block.attention(x, visible).transpose(1, 2), f"G_{case}_attn")
    close(block(x, visible).transpose(1, 2), f"G_{case}_block")


@pytest.mark.parametrize(("case", "batch", "window", "levels"), [("B", 2, 32, 5), ("C", 1, 64, 6), ("D", 1, 128, 7)])
@torch.no_grad()
def test_the_published_pyramid(case: str, batch: int, window: int, levels: int) -> None:
    encoder = MotionEncoder(MotionEncoderConfig(form="pyramid", local=2, whole=levels - 2)).eval()
    seen = []
    for i, block in enumerate(encoder.blocks):
        prefix = f"{rule.BRANCH}{i}."
        fill(block, {name.removeprefix(prefix): value for name, value in rule.block(prefix).items()})
        block.register_forward_hook(lambda *call: seen.append(call[-1].transpose(1, 2)))
    projector = rule.state_dict("pose", window, "encoder.actionformer_model.channel_projector.")
    encoder.projector.load_state_dict(
        {name: value.flatten(1) if value.ndim == 3 else value for name, value in projector.items()}
    )
    close(encoder(rule.normal_input(f"input.static.B{batch}T{window}", (batch, window, 384))), f"{case}{window}_Fm")
    assert len(seen) == levels
    for i, scale in enumerate(seen):
        close(scale, f"{case}{window}_scale{i}")


@pytest.mark.parametrize(("batch", "frames"), [(2, 16), (1, 64)])
@torch.no_grad()
def test_the_papers_stack(batch: int, frames: int) -> None:
    encoder = MotionEncoder().eval()
    seen = []
    for i, block in enumerate(encoder.blocks):
        prefix = f"paper_branch.{i}."
        fill(block, {name.removeprefix(prefix): value for name, value in rule.block(prefix).items()})
        block.register_forward_hook(lambda *call: seen.append(call[-1]))
    close(encoder(rule.normal_input(f"input.static.B{batch}T{frames}", (batch, frames, 384))), f"H{frames}_Fm")
    close(seen[3], f"H{frames}_after4")
    if frames == 16:
        close(seen[0], "H16_after1")


def test_the_papers_sizes() -> None:
    def size(**changes) -> int:
        with torch.device("meta"):
            encoder = MotionEncoder(replace(MotionEncoderConfig(), **changes))
        return sum(parameter.numel() for parameter in encoder.parameters())

    assert size() == 8 * 1_780_992
    for whole, blocks, projector in ((3, 8_904_960, 737_664), (4, 10_685_952, 885_120), (5, 12_466_944, 1_032_576)):
        assert size(form="pyramid", local=2, whole=whole) == blocks + projector


@pytest.mark.parametrize(
    ("levels", "fitting"), [(5, {32, 96, 160, 224}), (6, {64, 192}), (7, {128, 256})], ids=["32", "64", "128"]
)
def test_a_pyramid_takes_the_videos_that_give_it_its_levels(levels: int, fitting: set[int]) -> None:
    encoder = MotionEncoder(replace(TINY, form="pyramid", whole=levels - 2))
    assert {frames for frames in range(257) if encoder.config.fits(frames)} == fitting
    for frames in sorted({8, 16, 24, 32, 40, 48, 64, 96, 128, 256} - fitting):
        with pytest.raises(UserError, match=f"the video has {frames} frames .* {levels} levels takes {min(fitting)}, "):
            encoder(torch.zeros(1, frames, 8))
    assert encoder(torch.zeros(1, min(fitting), 8)).shape == (1, min(fitting), 8)


@given(half=st.integers(1, 4), local=st.integers(0, 2), frames=st.integers(1, 16))
@settings(max_examples=15, deadline=None)
def test_local_blocks_see_near_frames_and_the_others_all(half: int, local: int, frames: int) -> None:
    near = random(replace(TINY, window=2 * half, local=local, whole=0)) if local else None
    distance = (torch.arange(frames)[:, None] - torch.arange(frames)).abs()
    if near is not None:
        assert torch.equal(influence(near, frames), distance <= local * (half + 1))
    assert influence(random(replace(TINY, local=local, whole=1)), frames).all()


@given(half=st.integers(1, 3), reach=st.integers(1, 5), blocks=st.sampled_from([(1, 0), (0, 1), (2, 0), (1, 1)]))
@settings(max_examples=15, deadline=None)
def test_a_causal_encoder_sees_a_bounded_past_and_no_future(half: int, reach: int, blocks: tuple[int, int]) -> None:
    local, whole = blocks
    config = replace(CAUSAL, window=2 * half, reach=reach, local=local, whole=whole)
    age = torch.arange(20)[:, None] - torch.arange(20)
    past = local * (half + 2) + whole * (reach + 2)
    assert torch.equal(influence(random(config), 20), (age >= 0) & (age <= past))


@given(
    half=st.integers(1, 4),
    reach=st.integers(1, 10),
    blocks=st.sampled_from([(1, 0), (0, 1), (2, 2)]),
    batch=st.integers(1, 3),
    seed=st.integers(0, 99),
)
@settings(max_examples=10, deadline=None)
@torch.no_grad()
def test_a_stream_answers_like_the_whole_video(half, reach, blocks, batch, seed) -> None:
    local, whole = blocks
    encoder = random(replace(CAUSAL, window=2 * half, reach=reach, local=local, whole=whole), seed)
    x = torch.randn(batch, 4 * reach + 30, 8)
    state = encoder.start(batch)
    answers = torch.stack([encoder.step(frame, state) for frame in x.unbind(1)], dim=1)
    torch.testing.assert_close(answers, encoder(x), rtol=0, atol=1e-5)
    assert state.frames == x.shape[1]


@torch.no_grad()
def test_the_papers_size_streams_with_memory_that_does_not_grow() -> None:
    encoder = random(replace(MotionEncoderConfig(), causal=True, reach=9))
    x = torch.randn(2, 40, 384)
    state = encoder.start(2)
    answers, sizes = [], set()
    for frame in x.unbind(1):
        answers.append(encoder.step(frame, state))
        parts = [part for block in state.blocks for part in vars(block).values()]
        sizes.add(sum(part.untyped_storage().nbytes() for part in parts))
    torch.testing.assert_close(torch.stack(answers, dim=1), encoder(x), rtol=0, atol=1e-5)
    # After the first step `recent` is two of three frames; then nothing changes.
    assert len(sizes) == 1
    floats = 4 * 2 * (3 * 384 + 2 * 5 * 384) + 4 * 2 * (3 * 384 + 2 * 10 * 384)
    assert sizes == {4 * floats}


@torch.no_grad()
def test_a_window_that_reaches_far_enough_back_answers_like_the_whole_video() -> None:
    encoder = random(CAUSAL)
    x = torch.randn(1, 120, 8)
    far = 2 * (2 + 2) + 2 * (6 + 2)
    for end in (50, 120):
        window = encoder(x[:, end - far - 1 : end])
        torch.testing.assert_close(window[:, -1], encoder(x)[:, end - 1], rtol=0, atol=1e-6)


def test_a_new_encoder_is_nearly_the_identity_and_every_parameter_learns() -> None:
    for config in (TINY, CAUSAL, replace(TINY, form="pyramid", local=2, whole=1)):
        encoder = MotionEncoder(config)
        x = torch.randn(3, 24, 8)
        if encoder.projector is None:
            torch.testing.assert_close(encoder.eval()(x), x, rtol=0, atol=100 * FIRST_SCALE)
        encoder.train()(x).square().sum().backward()
        assert not [name for name, parameter in encoder.named_parameters() if not parameter.grad.any()]


def test_a_dropped_path_is_dropped_for_all_frames_of_a_sample_and_made_up_for() -> None:
    torch.manual_seed(0)
    path, x = ScaledDropPath(5, 0.25), torch.randn(4000, 3, 5)
    kept = path(x) / (FIRST_SCALE * x)
    whole = (kept[:, :1, :1] > 0.5).float() / (1 - 0.25)
    torch.testing.assert_close(kept, whole.expand_as(kept))
    assert whole.mean().item() == pytest.approx(1, abs=0.03)
    torch.testing.assert_close(path.eval()(x), FIRST_SCALE * x)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"width": 10, "heads": 4}, "'motion.width' is 10"),
        ({"window": 5}, "'motion.window' is 5"),
        ({"window": 0}, "'motion.window' is 0"),
        ({"local": 0, "whole": 0}, "at least one block"),
        ({"causal": True, "form": "pyramid"}, "'motion.causal' goes with"),
        ({"causal": True, "reach": 0}, "'motion.reach' is 0"),
        ({"dropout": 1.0}, "'motion.dropout' is 1.0"),
        ({"drop_path": -0.1}, "'motion.drop_path' is -0.1"),
    ],
)
def test_impossible_encoders_are_refused(changes: dict, told: str) -> None:
    with pytest.raises(UserError, match=told):
        replace(TINY, **changes)


def test_only_a_causal_encoder_streams() -> None:
    with pytest.raises(UserError, match=r"'motion\.causal: true'"):
        MotionEncoder(TINY).start(1)
    with pytest.raises(ValueError, match="can stream"):
        MotionBlock(8, 2, 8, Band(2, 1)).start(1, "cpu")
