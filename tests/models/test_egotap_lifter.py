"""EgoTAP's lifter: states flow along the skeleton as the paper has it, features belong to their maps, and any set of
views will do."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from egorear.errors import UserError
from egorear.geometry.skeleton import EGO4VIEW, EGOCAP
from egorear.models.egotap_lifter import TAPLifter, TAPLifterConfig
from egorear.models.heatmap_encoders import MapEncoderConfig, map_encoder, patched
from egorear.models.propagation import PropagationConfig, PropagationNetwork
from egorear.models.proposal import FullPrecisionLinear

CELLS = ("pu", "lstm_concat", "lstm_alternate", "lstm", "relation", "none")
ENCODERS = ("grid", "channel", "cnn")
SIZE, JOINTS = 16, 15
TINY = TAPLifterConfig(
    encoder=MapEncoderConfig(patches=2, width=32, heads=4, layers=2, mlp=48, hidden=(24, 20), features=6),
    limb_hidden=(20, 16),
    propagation=PropagationConfig(hidden=10),
)


def tiny(views: int = 2, kind: str = "grid", seed: int = 0, **changes) -> TAPLifter:
    torch.manual_seed(seed)
    config = replace(TINY, encoder=replace(TINY.encoder, kind=kind), **changes)
    return TAPLifter(config, EGO4VIEW, views, SIZE).eval()


def maps(views: int = 2, batch: int = 2, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Of joints and limbs."""
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(batch, views, JOINTS, SIZE, SIZE, generator=generator),
        torch.randn(batch, views, 2, JOINTS, SIZE, SIZE, generator=generator),
    )


def propagation(cell: str, order: str = "tree", skeleton=EGO4VIEW, width: int = 5, **changes) -> PropagationNetwork:
    torch.manual_seed(2)
    config = PropagationConfig(cell, order, **({"hidden": 7} | changes))
    return PropagationNetwork(config, skeleton.parents, width, width)


def features(joints: int = JOINTS, width: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(2, joints, width, generator=generator), torch.randn(2, joints, width, generator=generator)


def unit(network: PropagationNetwork, joint: Tensor, relation: Tensor, parents: list[int]) -> Tensor:
    """The paper's Propagation Units, joint by joint: equations 9 to 13."""
    hidden = network.config.hidden
    states = {0: [(torch.zeros(len(joint), hidden),) * 2] * len(network.layers)}
    for k, parent in enumerate(parents):
        x, states[k + 1] = joint[:, k], []
        for layer, (h, c) in zip(network.layers, states[parent], strict=True):
            gate = layer.passing(x).sigmoid()
            gates = layer.input(x) + layer.hidden(gate[:, :hidden] * h)
            if layer.relation is not None:
                gates = gates + layer.relation(gate[:, hidden:] * relation[:, k])
            i, f, new, o = gates.split(hidden, dim=-1)
            c = f.sigmoid() * c + i.sigmoid() * new.tanh()
            x = o.sigmoid() * c.tanh()
            states[k + 1].append((x, c))
    return torch.stack([states[k + 1][-1][0] for k in range(len(parents))], dim=1)


def lstm(network: PropagationNetwork, steps: list[Tensor], parents: list[int]) -> Tensor:
    """PyTorch's own cells, joint by joint; steps: the inputs of each joint's steps, "B K F"."""
    cells = []
    for layer in network.layers:
        cell = nn.LSTMCell(layer.input.in_features, network.config.hidden)
        cell.weight_ih, cell.bias_ih = layer.input.weight, layer.input.bias
        cell.weight_hh, cell.bias_hh = layer.hidden.weight, layer.hidden.bias
        cells.append(cell)
    states = {0: [(torch.zeros(2, network.config.hidden),) * 2] * len(cells)}
    for k, parent in enumerate(parents):
        state = states[parent]
        for step in steps:
            x, after = step[:, k], []
            for cell, before in zip(cells, state, strict=True):
                after.append(cell(x, before))
                x = after[-1][0]
            state = after
        states[k + 1] = state
    return torch.stack([states[k + 1][-1][0] for k in range(len(parents))], dim=1)


@pytest.mark.parametrize("skeleton", [EGO4VIEW, EGOCAP])
@pytest.mark.parametrize("order", ["tree", "chain"])
@pytest.mark.parametrize("cell", CELLS[:4])
@torch.no_grad()
def test_states_flow_joint_by_joint_as_the_paper_says(cell, order, skeleton):
    joints = len(skeleton) - 1
    network, (joint, relation) = propagation(cell, order, skeleton), features(joints)
    parents = list(skeleton.parents[1:]) if order == "tree" else list(range(joints))
    if cell == "pu":
        expected = unit(network, joint, relation, parents)
    else:
        both = torch.cat((joint, relation), dim=-1)
        steps = {"lstm": [joint], "lstm_concat": [both], "lstm_alternate": [relation, joint]}[cell]
        expected = lstm(network, steps, parents)
    torch.testing.assert_close(network(joint, relation), expected, rtol=0, atol=1e-6)


@torch.no_grad()
def test_a_chain_is_a_tree_for_the_first_two_joints_only():
    tree, chain = (propagation("pu", order)(*features()) for order in ("tree", "chain"))
    same = [torch.allclose(tree[:, k], chain[:, k], atol=1e-7) for k in range(JOINTS)]
    assert same == [True, True] + [False] * 13


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("order", ["tree", "chain"])
def test_a_joint_knows_of_its_ancestors_and_nothing_else(cell, order):
    network, (joint, relation) = propagation(cell, order), features()
    network.double()
    jacobian = torch.autograd.functional.jacobian(
        lambda x: network(x, relation[:1].double()).sum(dim=(0, 2)), joint[:1].double()
    )
    influence = jacobian.abs().sum(dim=(1, 3)) > 0
    for k in range(JOINTS):
        if cell in ("relation", "none"):
            ancestors = {k}
        elif order == "chain":
            ancestors = set(range(k + 1))
        else:
            line, j = set(), k + 1
            while j:
                line.add(j - 1)
                j = EGO4VIEW.parents[j]
            ancestors = line
        assert set(influence[k].nonzero().flatten().tolist()) == ancestors


@torch.no_grad()
def test_without_recurrence_features_stay_as_they_are():
    joint, relation = features()
    assert torch.equal(propagation("none")(joint, None), joint)
    assert torch.equal(propagation("relation")(joint, relation), torch.cat((joint, relation), dim=-1))


@pytest.mark.parametrize("kind", ENCODERS)
@pytest.mark.parametrize("cell", CELLS)
def test_every_encoder_and_cell_learns(kind, cell):
    network = tiny(kind=kind, propagation=PropagationConfig(cell, hidden=10)).train()
    joint_maps, limb_maps = maps(batch=3)
    lifted = network(joint_maps, limb_maps if network.config.propagation.uses_relations else None)
    assert lifted.poses_cm.shape == (3, 16, 3)
    assert (lifted.relation_features is None) == (cell in ("lstm", "none"))
    lifted.poses_cm.square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.ndim < 2 or parameter.grad.any(), name


@pytest.mark.parametrize("kind", ENCODERS)
@pytest.mark.parametrize("views", [1, 3, 4])
def test_any_number_of_views_trains(views, kind):
    network = tiny(views, kind).train()
    lifted = network(*maps(views, batch=3))
    assert lifted.poses_cm.shape == (3, 16, 3)
    assert lifted.joint_features.shape == lifted.relation_features.shape == (3, JOINTS, 6 * views)
    lifted.poses_cm.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("kind", ENCODERS)
@torch.no_grad()
def test_an_absent_view_has_no_influence_and_no_features(kind):
    network = tiny(3, kind)
    present = torch.tensor([[True, False, True], [False, True, False], [True, True, True]])
    joint_maps, limb_maps = maps(3, batch=3)
    lifted = network(joint_maps, limb_maps, present)
    others = [each.clone() for each in (joint_maps, limb_maps)]
    for each in others:
        each[~present] = torch.nan
    again = network(*others, present)
    for name in ("poses_cm", "joint_features", "relation_features", "propagated_features"):
        assert torch.equal(getattr(lifted, name), getattr(again, name)), name
    for feature in (lifted.joint_features, lifted.relation_features):
        of_view = feature.unflatten(-1, (3, -1)).transpose(1, 2)
        assert not of_view[~present].any()
        assert of_view[present].flatten(1).any(dim=1).all()
    whole = network(joint_maps, limb_maps)
    torch.testing.assert_close(whole.poses_cm[2], lifted.poses_cm[2], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(whole.poses_cm[:2], lifted.poses_cm[:2], atol=1e-3)


def test_an_absent_view_disturbs_no_training():
    present, gradients = torch.tensor([[True, False], [True, True]]), []
    for value in (0.0, torch.nan):
        network, (joint_maps, limb_maps) = tiny().train(), maps()
        joint_maps[~present], limb_maps[~present] = value, value
        network(joint_maps, limb_maps, present).poses_cm.square().sum().backward()
        gradients.append([p.grad for p in network.parameters()] + list(network.buffers()))
    for a, b in zip(*gradients, strict=True):
        assert torch.equal(a, b)


@torch.no_grad()
def test_the_grid_gives_a_map_features_of_its_own_and_the_others_do_not():
    """Without attention nothing can pass from map to map."""
    joint_maps = maps()[0]
    changed = joint_maps.clone()
    changed[:, 1, 4] += 1
    for kind in ENCODERS:
        torch.manual_seed(0)
        config = replace(TINY.encoder, kind=kind, layers=0)
        encoder = map_encoder(config, 2, JOINTS, SIZE).eval()
        moved = (encoder(changed) - encoder(joint_maps)).abs().amax(dim=(0, 3)) > 1e-6
        if kind == "grid":
            assert moved.nonzero().tolist() == [[1, 4]]
        else:
            assert moved.all()


@pytest.mark.parametrize("kind", ENCODERS)
@torch.no_grad()
def test_embeddings_have_the_width_they_say(kind):
    encoder, joint_maps = tiny(kind=kind).encoder, maps()[0]
    embedded = encoder.embed(joint_maps)
    assert embedded.shape[-1] == encoder.embedding
    if kind == "grid":
        assert torch.equal(embedded, encoder(joint_maps))
    else:
        assert embedded.shape == (2, 20)


def test_patches_run_row_by_row():
    image = torch.arange(36.0).view(6, 6)
    assert patched(image, 3)[:2].tolist() == [[0, 1, 6, 7], [2, 3, 8, 9]]
    assert patched(image, 3)[3].tolist() == [12, 13, 18, 19]


@torch.no_grad()
def test_the_root_is_told_by_the_global_layer_or_stands_at_the_origin():
    published, ours = (tiny(published_rows=rows)(*maps()).poses_cm for rows in (True, False))
    assert torch.equal(published.roll(1, dims=1), ours)
    network = tiny(root="origin", unit_cm=20.0)
    lifted = network(*maps())
    rows = torch.cat((lifted.joint_features, lifted.propagated_features), dim=-1) @ network.joint_head.weight.T
    torch.testing.assert_close(lifted.poses_cm[:, 1:], 20 * (rows + network.joint_head.bias))
    assert not lifted.poses_cm[:, 0].any()


@torch.no_grad()
def test_half_precision_spares_the_pose():
    for cell in CELLS:
        network = tiny(propagation=PropagationConfig(cell, hidden=10))
        exact = network(*maps())
        with torch.autocast("cpu", torch.bfloat16):
            rough = network(*maps())
        assert rough.poses_cm.dtype == torch.float32
        torch.testing.assert_close(
            rough.poses_cm, exact.poses_cm, rtol=0.1, atol=0.1 * exact.poses_cm.abs().max().item()
        )


def test_is_as_large_as_the_published_network():
    unused = 1_050_624
    for skeleton, root, parameters in ((EGO4VIEW, "head", 96_984_329), (EGOCAP, "origin", 96_938_243)):
        with torch.device("meta"):
            network = TAPLifter(TAPLifterConfig(root=root), skeleton, 2, 64)
        assert sum(p.numel() for p in network.parameters()) == parameters - unused


def test_starts_at_the_published_scale():
    for cell in ("pu", "lstm_concat"):
        network = tiny(propagation=PropagationConfig(cell, hidden=64))
        for name, module in network.named_modules():
            if not isinstance(module, nn.Linear):
                continue
            if cell == "lstm_concat" and name.startswith("propagation."):  # as torch.nn.LSTM
                assert module.weight.abs().max() <= 1 / 8
                assert module.bias.any()
                continue
            assert not module.bias.any(), name
            if module.weight.numel() > 500 and not isinstance(module, FullPrecisionLinear):
                expected = (2 / module.in_features) ** 0.5
                assert module.weight.std().item() == pytest.approx(expected, rel=0.15), name
    assert not network.encoder.mask.any()
    assert network.encoder.position.std().item() == pytest.approx(0.02, rel=0.1)


def test_wrong_maps_and_impossible_networks_are_told_in_a_sentence():
    network, (joint_maps, _) = tiny(), maps()
    with pytest.raises(UserError, match=r"needs limb maps too, \(B, 2, 2, 15, 16, 16\)"):
        network(joint_maps)
    for wrong in (maps(3), [each[..., :14, :, :] for each in maps()], [each[..., :8, :8] for each in maps()]):
        with pytest.raises(UserError, match=r"this lifter takes \(B, 2, 15, 16, 16\)"):
            network(*wrong)
    with pytest.raises(UserError, match="0 views"):
        TAPLifter(TINY, EGO4VIEW, 0, SIZE)
    with pytest.raises(UserError, match=r"size is 15 but must be a multiple of 'encoder\.patches', 2"):
        TAPLifter(TINY, EGO4VIEW, 2, 15)
    with pytest.raises(UserError, match="size is 12 but must be a multiple of 8"):
        map_encoder(replace(TINY.encoder, kind="cnn"), 2, JOINTS, 12)
    with pytest.raises(UserError, match=r"'encoder\.width' is 30"):
        MapEncoderConfig(width=30, heads=4)
    for name in ("patches", "width", "heads", "mlp", "features"):
        with pytest.raises(UserError, match=rf"'encoder\.{name}' is 0 but must be positive"):
            replace(TINY.encoder, **{name: 0})
    with pytest.raises(UserError, match=r"'encoder\.hidden' is \(0, 1\)"):
        replace(TINY.encoder, hidden=(0, 1))
    with pytest.raises(UserError, match="0 layers"):
        PropagationConfig(layers=0)
    with pytest.raises(UserError, match="needs relational features"):
        propagation("pu")(features()[0])
    with pytest.raises(UserError, match="must come after its parent"):
        PropagationNetwork(PropagationConfig(), (0, 2, 0), 4, 4)
    with pytest.raises(UserError, match="must agree"):
        PropagationNetwork(PropagationConfig("lstm_alternate"), (0, 0), 4, 5)
