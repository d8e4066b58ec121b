"""Published checkpoints: our networks reproduce their outputs, and the import is strict and safe."""

import argparse
import pickle
from collections import defaultdict
from pathlib import Path, PureWindowsPath

import numpy as np
import pytest
import torch
from lightning.fabric.utilities.data import AttributeDict
from tests.models import golden_rule

from egorear.cli.main import main
from egorear.errors import UserError
from egorear.geometry.rig import ego4view_syn
from egorear.models import load_pretrained
from egorear.models.checkpoint import read_checkpoint
from egorear.models.official import from_official, guess_variants

GOLDENS = golden_rule.goldens()


@pytest.fixture(scope="module")
def heatmap2():
    return golden_rule.state_dict("heatmap2")


def extrinsics(variant: str) -> torch.Tensor | None:
    if variant == "egoposeformer":
        matrices = torch.eye(4).repeat(2, 2, 1, 1)
        matrices[:, :, :3, 3] = GOLDENS["egoposeformer.origin_3d"][:, :, 0] / 100
        return matrices
    return GOLDENS.get(f"{variant}.device_to_camera")


@pytest.mark.parametrize("variant", golden_rule.SHAPES)
def test_agrees_with_the_published_network(variant):
    network = from_official(golden_rule.state_dict(variant), variant)
    with torch.no_grad():
        out = network(golden_rule.images(variant), extrinsics(variant))
    found = {
        "poses": out.poses,
        "heatmap": out.heatmaps_initial,
        "heatmap_init": out.heatmaps_initial,
        "heatmap_refined": out.heatmaps_refined,
        "feature_refined": out.features_refined,
    }
    compared = 0
    for key, golden in GOLDENS.items():
        case, name = key.split(".")
        if case != variant or name not in found:
            continue
        ours = found[name]
        if name.startswith("heatmap"):
            ours = ours[..., 1::4, 2::4]
        elif name.startswith("feature"):
            ours = ours[..., ::16, 3::8, 5::8]
        assert (ours - golden).abs().max() < 1e-4 * golden.std(), key
        compared += 1
    assert compared


def test_a_pair_of_estimators_and_a_refiner_have_the_papers_sizes():
    def count(variant, prefix):
        shapes = golden_rule.SHAPES[variant]
        with torch.device("meta"):
            state = {name: torch.empty(shape) for name, shape in shapes.items() if name.startswith(prefix)}
        trained = [t for n, t in state.items() if not n.endswith(("mean", "var", "tracked", "shapes", "index"))]
        return sum(t.numel() for t in trained)

    assert count("heatmap2", "") == 11_843_279
    assert count("refiner", "heatmap_refiner_front_left") == 8_231_375


def test_syn_networks_have_their_rig_and_rw_networks_ask_for_it():
    syn = from_official(golden_rule.state_dict("syn2"), "syn2")
    rw = from_official(golden_rule.state_dict("rw2"), "rw2")
    images = golden_rule.images("syn2")[:1]
    with pytest.raises(UserError, match="fixed rig"):
        syn(images, torch.eye(4).repeat(1, 2, 1, 1))
    with pytest.raises(UserError, match="device_to_camera"):
        rw(images)


def test_a_missing_and_an_unexpected_tensor_are_named(heatmap2):
    missing = dict(heatmap2)
    del missing["conv_heatmap.bias"]
    with pytest.raises(UserError, match=r": 'conv_heatmap\.bias' is missing"):
        from_official(missing, "heatmap2")
    with pytest.raises(UserError, match="'surprise' is unexpected"):
        from_official(heatmap2 | {"surprise": torch.zeros(1)}, "heatmap2")


def test_changed_constants_are_refused():
    state = golden_rule.state_dict("syn2")
    name = next(name for name in state if name.endswith("spatial_shapes"))
    with pytest.raises(UserError, match="spatial_shapes"):
        from_official(state | {name: torch.tensor([[32, 32]])}, "syn2")


def test_shapes_tell_variants_apart_except_syn_from_rw(heatmap2):
    assert guess_variants(heatmap2) == ["heatmap2"]
    assert guess_variants(golden_rule.state_dict("syn2")) == ["syn2", "rw2"]


@pytest.mark.parametrize("prefix", ["network._orig_mod.", "network.", "_orig_mod.", ""])
def test_lightning_checkpoint_becomes_a_folder(tmp_path, heatmap2, prefix):
    checkpoint = {"epoch": 11, "state_dict": {prefix + name: t for name, t in heatmap2.items()}}
    torch.save(checkpoint, tmp_path / "last.ckpt")
    assert main(["weights", "import", str(tmp_path / "last.ckpt"), "--out", str(tmp_path / "out")]) == 0
    images = golden_rule.images("heatmap2")[:1]
    with torch.no_grad():
        ours = load_pretrained(tmp_path / "out")(images).heatmaps_initial
        expected = from_official(heatmap2, "heatmap2")(images).heatmaps_initial
    torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize(
    "value",
    [
        argparse.Namespace(lr=1e-3, views=["front_left"]),
        {"root": Path("/somewhere"), "drive": PureWindowsPath("c:/data")},
        {"best": np.float64(20.2), "mean": np.zeros(3), "counts": defaultdict(list, {"a": [1]}), "crop": slice(1, 2)},
        AttributeDict(model=AttributeDict(views=4)),
    ],
    ids=["namespace", "paths", "numpy", "lightning"],
)
def test_what_lightning_keeps_beside_the_tensors_does_not_matter(tmp_path, value):
    torch.save({"state_dict": {"a": torch.ones(2)}, "hyper_parameters": value, "epoch": 11}, tmp_path / "a.ckpt")
    content = read_checkpoint(tmp_path / "a.ckpt")
    assert content["epoch"] == 11
    assert content["state_dict"]["a"].tolist() == [1, 1]


def test_imported_syn_network_keeps_the_published_geometry(tmp_path):
    state = golden_rule.state_dict("syn2")
    torch.save({"state_dict": state}, tmp_path / "syn.ckpt")
    command = ["weights", "import", str(tmp_path / "syn.ckpt"), "--out", str(tmp_path)]
    assert main(command) == 2  # Syn or RW?
    assert main([*command, "--variant", "syn2"]) == 0
    network = load_pretrained(tmp_path)
    assert network.config.lifter.syn_anchor_defect
    images = golden_rule.images("syn2")[:1]
    with torch.no_grad():
        poses = network(images, ego4view_syn().select(network.config.views)).poses
        expected = from_official(state, "syn2")(images).poses
    torch.testing.assert_close(100 * poses, expected, atol=1e-3, rtol=0)


class Malice:
    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        import os

        return os.system, (f"touch {self.trace}",)


class Eager:
    """Runs a builtin, which torch does not block by its module."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return exec, (f"open({str(self.trace)!r}, 'w')",)


@pytest.mark.parametrize("harm", [Malice, Eager])
@pytest.mark.parametrize("save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_a_checkpoint_that_carries_code_is_refused_unexecuted(tmp_path, capsys, save, harm):
    trace = tmp_path / "executed"
    save({"state_dict": harm(trace)}, tmp_path / "evil.ckpt")
    assert main(["weights", "import", str(tmp_path / "evil.ckpt"), "--out", str(tmp_path / "out")]) == 2
    assert not trace.exists()
    assert not (tmp_path / "out").exists()
    assert "refused" in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["missing", "empty", "text", "truncated", "tensor", "folder"])
def test_files_that_are_no_checkpoint_get_one_sentence(tmp_path, capsys, heatmap2, damage):
    path = tmp_path / "file.ckpt"
    if damage == "truncated":
        torch.save({"state_dict": heatmap2}, path)
        path.write_bytes(path.read_bytes()[:100_000])
    elif damage == "folder":
        path.mkdir()
    elif damage == "tensor":
        torch.save(torch.zeros(3), path)
    elif damage != "missing":
        path.write_bytes(b"" if damage == "empty" else b"not a checkpoint\n")
    assert main(["weights", "import", str(path), "--out", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert str(path) in message
    assert message.count("\n") == 1


def test_list_names_networks_and_variants(capsys):
    assert main(["weights", "list"]) == 0
    printed = capsys.readouterr().out
    assert "egorear-nano" in printed
    assert "rw4" in printed
