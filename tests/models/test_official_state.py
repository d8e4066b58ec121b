"""What is said of a published checkpoint names tensors as its file does; weights that are not finite are refused."""

import math
import re

import pytest
import torch
from tests.models import agegopose_rule, egotap_rule, golden_rule
from torch import Tensor

from egorear.cli.main import main
from egorear.errors import UserError
from egorear.models import egotap_official
from egorear.models.agegopose_official import ACTIONFORMER, load_actionformer, our_names
from egorear.models.egotap_official import lifter_name
from egorear.models.motion_encoder import MotionEncoder
from egorear.models.official import from_official
from egorear.models.official_names import CONSTANTS, to_our_names
from egorear.models.official_state import PublishedState
from egorear.models.pretrained import not_finite
from egorear.models.unet_official import unet_name


def hollow(shapes: dict[str, list[int]]) -> dict[str, Tensor]:
    """A checkpoint in which each tensor is one number."""
    return {
        name: torch.tensor(0 if name.endswith("tracked") else 0.0).expand(shape)
        for name, shape in shapes.items()
        if not name.endswith(CONSTANTS)
    }


def of_egotap(net: str, cell: str = "PU") -> dict[str, Tensor]:
    return hollow({name: entry["shape"] for name, entry in egotap_rule.entries(net, cell).items()})


def of_agegopose(net: str, part: str = "") -> dict[str, Tensor]:
    entries = agegopose_rule.ENTRIES[net].items()
    state = {name: entry.get("shape_T32", entry["shape"]) for name, entry in entries}
    return hollow({name.removeprefix(part): shape for name, shape in state.items() if name.startswith(part)})


def wrapped(state: dict[str, Tensor], wrapper: str) -> dict[str, Tensor]:
    return {wrapper + name: tensor for name, tensor in state.items()}


def test_a_tensor_that_is_missing_is_told_by_its_published_name_or_as_one_of_ours():
    """The published name is never a wrong one; it has the file's own prefix."""
    cases = {f"lifter of {cell}": ("lifter", cell) for cell in ("PU", *egotap_rule.CELLS)}
    states = {
        name: PublishedState(wrapped(of_egotap(net, cell), "module."), lifter_name)
        for name, (net, cell) in cases.items()
    }
    states["joint_heatmap"] = PublishedState(wrapped(of_egotap("joint_heatmap"), "module."), unet_name)
    for variant, shapes in golden_rule.SHAPES.items():
        states[variant] = to_our_names(wrapped(hollow(shapes), "network."), 64, "estimators.all.")
    for case, state in states.items():
        told = 0
        for ours, names in list(state.names.items()):
            del state.names[ours]
            called = state.called(ours)
            state.names[ours] = names
            assert called in {f"'{ours}' (our name)", *(f"'{name}'" for name in names)}, case
            told += "our name" not in called
        assert told > 0.7 * len(state.names), case


FILES = {
    # What it is: its tensors, one of them in the middle of the network.
    "heatmap2": (hollow(golden_rule.SHAPES["heatmap2"]), "encoder.neck.lateral_convs.1.0.weight"),
    "refiner": (hollow(golden_rule.SHAPES["refiner"]), "heatmap_refiner_front_left.fc_query.0.bias"),
    "egoposeformer": (hollow(golden_rule.SHAPES["egoposeformer"]), "layers.1.spatial_attn.q_proj.weight"),
    "egotap.joint_heatmap": (of_egotap("joint_heatmap"), "after_backbone.layer2_1x1.0.weight"),
    "egotap.lifter": (of_egotap("lifter"), "skel_sequential_layer.lstm_custom.layers.1.x2h.weight"),
    "agegopose.heatmap": (of_agegopose("heatmap"), "after_backbone.layer2_1x1.0.weight"),
    "decoder": (of_agegopose("pose", "pose_decoder."), "memory_proj.2.weight"),
    "encoder": (of_agegopose("pose", "encoder."), "resnet.4.0.conv3.weight"),
    "actionformer": (wrapped(of_agegopose("pose", ACTIONFORMER), "module."), "module.backbone.branch.2.mlp.0.bias"),
}


def read(kind: str, state: dict[str, Tensor]) -> None:
    if kind in ("decoder", "encoder"):
        our_names(state, kind)
    elif kind == "actionformer":
        load_actionformer(MotionEncoder(), state)
    else:
        from_official(state, kind)


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("fault", ["shape", "type", "unexpected", "NaN", "infinite", "beyond float32"])
def test_a_faulty_tensor_is_told_by_its_name_in_the_file(kind, fault, monkeypatch):
    monkeypatch.setattr(egotap_official, "guess_parts", lambda _state: [])  # a hint, which takes time
    state, name = FILES[kind]
    tensor = state[name].clone()
    last = (0,) * tensor.ndim
    if fault == "shape":
        change, told = {name: torch.zeros(2, 3)}, r" has shape \(2, 3\) but must have"
    elif fault == "type":
        change, told = {name: tensor.int()}, r" is torch\.int32 but must be torch\.float32"
    elif fault == "unexpected":
        name = f"{name}_2"
        change, told = {name: tensor}, " is unexpected"
    else:
        if fault == "beyond float32":
            tensor = tensor.double()
        tensor[last] = {"NaN": math.nan, "infinite": -math.inf, "beyond float32": 1e39}[fault]
        change, told = {name: tensor}, " holds NaN or infinite values$"
    with pytest.raises(UserError, match=rf"'{re.escape(name)}'( \(in our layout\))?{told}"):
        read(kind, state | change)


def test_large_weights_are_finite():
    largest = torch.finfo(torch.float32).max
    assert not_finite({"large": torch.full((4,), largest), "half": torch.full((4,), 6e4).half()}) == ""
    assert not_finite({"both": torch.tensor([math.inf, -math.inf])}) == "'both' holds NaN or infinite values"


@pytest.mark.parametrize("variant", [None, "heatmap2"])
def test_a_file_with_nan_is_not_imported(tmp_path, capsys, variant):
    state, name = FILES["heatmap2"]
    path = tmp_path / "broken.ckpt"
    torch.save({"state_dict": state | {name: torch.full(state[name].shape, math.nan)}}, path)
    told = [] if variant is None else ["--variant", variant]
    assert main(["weights", "import", str(path), "--out", str(tmp_path / "out"), *told]) == 2
    assert capsys.readouterr().err.endswith(f"{path}: '{name}' holds NaN or infinite values\n")
    assert not (tmp_path / "out").exists()
