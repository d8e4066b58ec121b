"""The Propagation Network of EgoTAP (Kang and Lee, CVPR 2024, section 3.3): states of joints flow from the root of
the skeleton to its ends, by the paper's Propagation Unit or by the LSTMs it is compared with (section 4.3.2).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from egorear.errors import UserError
from egorear.models.heatmap_encoders import draw_weights

Levels = tuple[tuple[list[int], list[int]], ...]
"""Steps of a recursion: nodes that are computed together, and whose states they continue; 0 is the root."""


@dataclass(frozen=True)
class PropagationConfig:
    """The defaults are the paper's.

    cell: "pu" is the Propagation Unit; the others are the paper's ablations (Table 2): an LSTM of joint and relational
    features concatenated, of both in alternation, of joint features alone; "relation": both features as they are,
    nothing propagated; "none": joint features as they are.
    order: "tree" takes each joint's state from its parent (eq. 9); "chain" from the joint before it in the list, which
    is what the published code of the Propagation Unit does, so that its weights need it.
    hidden: width of the states; the published networks have 512 for "pu" and "lstm_concat", 256 for the other LSTMs.
    """

    cell: Literal["pu", "lstm_concat", "lstm_alternate", "lstm", "relation", "none"] = "pu"
    order: Literal["tree", "chain"] = "tree"
    hidden: int = 512
    layers: int = 2

    def __post_init__(self) -> None:
        if self.hidden < 1 or self.layers < 1:
            raise UserError(
                f"'propagation' has {self.layers} layers of {self.hidden} but must have one or more of each"
            )

    @property
    def uses_relations(self) -> bool:
        """Whether relational features, and so limb heatmaps, are needed."""
        return self.cell not in ("lstm", "none")

    @property
    def recurrent(self) -> bool:
        """Whether anything is propagated."""
        return self.cell not in ("relation", "none")


class PropagationNetwork(nn.Module):
    """Joint features, and relational ones, to propagated features.

    parents: of all joints, the root (index 0) first and its own parent; it has no features, its state is zero.
    joint_width, relation_width: numbers per joint. `width`: numbers per joint that come out.

    Raises:
        UserError: a joint stands before its parent, or alternating features are not equally wide.
    """

    def __init__(self, config: PropagationConfig, parents: tuple[int, ...], joint_width: int, relation_width: int):
        super().__init__()
        self.config = config
        if any(parent >= joint for joint, parent in enumerate(parents) if joint):
            raise UserError(f"'parents' is {parents} but every joint must come after its parent")
        both = joint_width + relation_width
        if config.cell == "lstm_alternate" and joint_width != relation_width:
            raise UserError(
                f"joint features are {joint_width} wide and relational ones {relation_width} but must agree"
            )
        self.width = config.hidden if config.recurrent else {"relation": both, "none": joint_width}[config.cell]
        self.layers = nn.ModuleList()
        if not config.recurrent:
            return
        sources = parents if config.order == "tree" else tuple(max(joint - 1, 0) for joint in range(len(parents)))
        if config.cell == "lstm_alternate":
            sources = _two_steps(sources)
        self.levels = _levels(sources)
        for layer in range(config.layers):
            width = config.hidden if layer else both if config.cell == "lstm_concat" else joint_width
            relation = relation_width if config.cell == "pu" and not layer else 0
            self.layers.append(RecurrentLayer(width, config.hidden, relation, gated=config.cell == "pu"))

    def forward(
        self, joint: Float[Tensor, "B K F"], relation: Float[Tensor, "B K R"] | None = None
    ) -> Float[Tensor, "B K {self.width}"]:
        """Propagated features, those of joint k + 1 in row k; the last layer's hidden states if there are layers.

        Raises:
            UserError: relational features are missing.
        """
        cell = self.config.cell
        if not self.config.uses_relations:
            x = joint
        elif relation is None:
            raise UserError(f"a propagation by '{cell}' needs relational features, and was given none")
        elif cell == "lstm_alternate":
            x = torch.stack((relation, joint), dim=2).flatten(1, 2)
        else:
            x = joint if cell == "pu" else torch.cat((joint, relation), dim=-1)
        # A layer needs of the others only the joint's own hidden state, so that it can run over all joints at once.
        for layer in self.layers:
            x, _ = layer(x, relation, self.levels)
        return x[:, 1::2] if cell == "lstm_alternate" else x


class RecurrentLayer(nn.Module):
    """One layer of Propagation Units (gated, eq. 10 to 13) or of LSTM cells over a tree of nodes.

    gated: how much of the parent's hidden state and of the relational features passes is told by the input.
    relation: width of the relational features, 0 if there are none. Gates stand in PyTorch's order: input, forget,
    candidate, output.
    """

    def __init__(self, width: int, hidden: int, relation: int = 0, *, gated: bool):
        super().__init__()
        self.passing = nn.Linear(width, hidden + relation) if gated else None
        self.input = nn.Linear(width, 4 * hidden)
        self.relation = nn.Linear(relation, 4 * hidden) if relation else None
        self.hidden = nn.Linear(hidden, 4 * hidden)
        if gated:
            draw_weights(self)
        else:  # as torch.nn.LSTM
            for parameter in self.parameters():
                nn.init.uniform_(parameter, -(hidden**-0.5), hidden**-0.5)

    def forward(
        self, x: Float[Tensor, "B N F"], relation: Float[Tensor, "B _ R"] | None, levels: Levels
    ) -> tuple[Float[Tensor, "B N H"], Float[Tensor, "B N H"]]:
        """Hidden and cell states of all nodes."""
        # All but the way from the parent's state is the same for every node, and done at once.
        gates, size = self.input(x), self.hidden.in_features
        passing = None if self.passing is None else self.passing(x).sigmoid()
        if self.relation is not None and passing is not None:
            gates = gates + self.relation(passing[..., size:] * relation)
        # States of the root and of nodes as they come, in lists: no index has to go to a device.
        root = gates.new_zeros(x.shape[0], size)
        hidden, cell = [root] + [root] * gates.shape[1], [root] + [root] * gates.shape[1]
        of_node = gates.unbind(1)
        for nodes, sources in levels:
            from_parent = torch.stack([hidden[source] for source in sources], dim=1)
            if passing is not None:
                from_parent = torch.stack([passing[:, node - 1, :size] for node in nodes], dim=1) * from_parent
            level = torch.stack([of_node[node - 1] for node in nodes], dim=1) + self.hidden(from_parent)
            i, f, candidate, o = level.chunk(4, dim=-1)
            c = f.sigmoid() * torch.stack([cell[source] for source in sources], dim=1)
            c = c + i.sigmoid() * candidate.tanh()
            h = o.sigmoid() * c.tanh()
            for node, node_h, node_c in zip(nodes, h.unbind(1), c.unbind(1), strict=True):
                hidden[node], cell[node] = node_h, node_c
        return torch.stack(hidden[1:], dim=1), torch.stack(cell[1:], dim=1)


def _levels(sources: tuple[int, ...]) -> Levels:
    """Nodes by their depth below the root, 0; with the source of each."""
    depth = [0] * len(sources)
    levels: dict[int, tuple[list[int], list[int]]] = {}
    for node, source in enumerate(sources[1:], 1):
        depth[node] = depth[source] + 1
        nodes, their_sources = levels.setdefault(depth[node], ([], []))
        nodes.append(node)
        their_sources.append(source)
    return tuple(levels[level] for level in sorted(levels))


def _two_steps(sources: tuple[int, ...]) -> tuple[int, ...]:
    """Two nodes for each: the first continues the second of the source, the second continues the first."""
    doubled = [0]
    for index in range(1, len(sources)):
        doubled += [2 * sources[index], 2 * index - 1]
    return tuple(doubled)
