"""The pose decoder: the published one to the digit, any number of tokens in any order, and its ablations."""

import re
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models import agegopose_rule as rule
from torch import Tensor

from egorear.errors import UserError
from egorear.models.pose_decoder import PoseDecoder, PoseDecoderConfig

GOLDENS = rule.goldens()
TINY = PoseDecoderConfig(dim=8, heads=2, layers=2, mlp=16, head=(8, 6))
JOINTS = 5
NAMES = {"joint_queries": "queries", "motion_proj": "motion", "memory_proj": "memory", "pose_head": "head"}


def tiny(tokens: int | None = 6, motion: int | None = 7, **changes) -> PoseDecoder:
    torch.manual_seed(0)
    decoder = PoseDecoder(replace(TINY, **changes), JOINTS, tokens, motion).eval()
    for name, parameter in decoder.named_parameters():
        if name == "queries" or name.endswith("bias"):
            torch.nn.init.normal_(parameter)
    return decoder


def close(found: Tensor, golden: str) -> None:
    expected = GOLDENS[golden]
    torch.testing.assert_close(
        found[: len(expected)], expected, rtol=0, atol=5e-5, msg=lambda text: f"{golden}: {text}"
    )


@pytest.mark.parametrize("case", ["B32", "C64", "H16"])
@torch.no_grad()
def test_the_published_decoder(case: str) -> None:
    decoder = PoseDecoder(PoseDecoderConfig(), 15, 128, 384).eval()
    state = rule.state_dict("pose", part="pose_decoder.")
    for theirs, ours in NAMES.items():
        state = {re.sub(f"^{theirs}", ours, name): value for name, value in state.items()}
    decoder.load_state_dict(state)
    tokens = GOLDENS[f"{case}_He"].flatten(0, 1)
    motion = GOLDENS[f"{case}_Fm"].flatten(0, 1)[: len(tokens)]
    parts: dict[str, Tensor] = {}
    for name in ("memory", "decoder", "decoder.layers.0", "decoder.layers.1"):
        decoder.get_submodule(name).register_forward_hook(lambda *call, name=name: parts.update({name: call[-1]}))
    expected = GOLDENS[f"{case}_pose"].flatten(0, 1)[: len(tokens)]
    torch.testing.assert_close(decoder(tokens, motion), expected, rtol=0, atol=5e-6)
    if case != "H16":
        close(parts["memory"], f"{case}_M")
        close(parts["decoder"], f"{case}_Fd")
        for i in range(2):
            close(parts[f"decoder.layers.{i}"][0], f"{case}_dec{i}_f0")


def test_the_papers_size_and_start() -> None:
    decoder = PoseDecoder(PoseDecoderConfig(), 15, 128, 384)
    assert sum(parameter.numel() for parameter in decoder.parameters()) == 919_299
    assert decoder.queries.std().item() == pytest.approx(0.02, rel=0.1)
    weight = decoder.memory[0].weight
    assert weight.abs().max().item() == pytest.approx((6 / sum(weight.shape)) ** 0.5, rel=0.01)
    assert not decoder.motion.bias.any()


@given(count=st.integers(1, 40), seed=st.integers(0, 99))
@settings(max_examples=10, deadline=None)
@torch.no_grad()
def test_any_number_of_tokens_in_any_order(count: int, seed: int) -> None:
    decoder = tiny()
    tokens, motion = torch.randn(3, count, 6), torch.randn(3, 7)
    poses = decoder(tokens, motion)
    assert poses.shape == (3, JOINTS, 3)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(decoder(tokens[:, order], motion), poses, rtol=0, atol=1e-5)
    # A frame is decoded by itself.
    torch.testing.assert_close(decoder(tokens[1:2], motion[1:2]), poses[1:2], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("tokens", "motion", "attention"),
    [(6, 7, True), (6, None, True), (None, 7, True), (6, 7, False), (6, None, False)],
    ids=["full", "spatial only", "motion only", "no attention", "spatial only, no attention"],
)
def test_each_ablation_reads_what_it_has_and_every_parameter_learns(tokens, motion, attention) -> None:
    decoder = tiny(tokens, motion, attention=attention).train()
    given = (
        None if tokens is None else torch.randn(4, JOINTS, tokens, requires_grad=True),
        None if motion is None else torch.randn(4, motion, requires_grad=True),
    )
    poses = decoder(*given)
    assert poses.shape == (4, JOINTS, 3)
    assert (poses[:, 0] - poses[:, 1]).abs().min() > 1e-5
    poses.square().sum().backward()
    assert not [name for name, parameter in decoder.named_parameters() if not parameter.grad.any()]
    assert all(part is None or part.grad.any() for part in given)


@torch.no_grad()
def test_motion_alone_is_one_memory_for_all_joints() -> None:
    decoder, motion = tiny(None), torch.randn(2, 7)
    seen = []
    decoder.memory.register_forward_hook(lambda *call: seen.append(call[-1]))
    decoder(None, motion)
    assert seen[0].shape == (2, JOINTS, 8)
    assert torch.equal(seen[0], seen[0][:, :1].expand_as(seen[0]))


@torch.no_grad()
def test_without_attention_a_joint_is_made_of_its_own_token() -> None:
    decoder, tokens, motion = tiny(attention=False), torch.randn(2, JOINTS, 6), torch.randn(2, 7)
    changed = tokens.clone()
    changed[:, 2] += 1
    same = (decoder(changed, motion) == decoder(tokens, motion)).all(dim=-1).all(dim=0)
    assert same.tolist() == [True, True, False, True, True]
    with pytest.raises(UserError, match=r"was given 10 tokens but .* 5 joints"):
        decoder(tokens.repeat(1, 2, 1), motion)


@torch.no_grad()
def test_positions_are_not_rounded_in_half_precision() -> None:
    decoder, tokens, motion = tiny(), torch.randn(2, JOINTS, 6), torch.randn(2, 7)
    with torch.autocast("cpu", torch.bfloat16):
        poses = decoder(tokens, motion)
    assert poses.dtype == torch.float32
    assert not torch.equal(poses, poses.bfloat16().float())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"dim": 9}, "'decoder.dim' is 9"),
        ({"layers": 0}, "'decoder.layers' is 0"),
        ({"dropout": 1.0}, "'decoder.dropout' is 1.0"),
        ({"tokens": None, "motion": None}, "needs joint tokens, a motion feature or both"),
        ({"tokens": None, "attention": False}, "does not tell joints apart"),
    ],
)
def test_impossible_decoders_are_refused(changes: dict, told: str) -> None:
    with pytest.raises(UserError, match=told):
        tiny(**changes)
