"""Propagation Potential and Effect (EgoTAP, Kang et al., CVPR 2024, section 4.3.2), and what of them is noise.

Of a joint and its parent, with e the distance to the truth (mm), NP a network without propagation along the skeleton
and P one with it:

    PP = e_NP(child) - e_NP(parent)      how much better than the child its parent is known
    PE = e_NP(child) - e_P(child)        how much better P knows the child

The paper regresses PE on PP and takes the positive slope for a sign that propagation helps where the parent is known
better. **That slope is positive without any propagation:** e_NP(child) is in both, so whatever NP got wrong by chance
on a frame raises both (regression to the mean). With a second network without propagation, NP' (another seed), the
slope falls apart into two parts that add up exactly:

    slope of e_NP(child) - e_P(child)    on PP      the paper's
  = slope of e_NP(child) - e_NP'(child)  on PP      the null: nothing propagates here
  + slope of e_NP'(child) - e_P(child)   on PP      crossed: the effect on a network whose chance errors are not in PP

Noise of PP itself still draws the crossed slope towards zero; PP' of the second network as the regressor, with PP as
its instrument, takes that out (`corrected`). And a PE that only grows with the child's error, whatever the parent's,
has a positive slope still; `given_child` therefore fits both errors apart: what is claimed for propagation is that the
parent's coefficient is negative.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from egorear.errors import UserError
from egorear.evaluation.bootstrap import ClusterBootstrap, Estimate
from egorear.evaluation.matching import TruthSource, joint_order
from egorear.evaluation.regression import Line, coefficients, line
from egorear.metrics.errors import joint_errors_mm
from egorear.poses import Poses

Errors = Float[np.ndarray, "N M"]


@dataclass(frozen=True)
class Samples:
    """Errors (mm) of M joints that have a parent, and of their parents, in N frames.

    joints: name of each child with its parent's. recordings: of each frame, what stands before its name's last "/".
    child, parent: of the network without propagation; propagated: the child of the one with it; null_child,
    null_parent: of the second network without, if there is one.
    """

    joints: dict[str, str]
    recordings: list[str]
    child: Errors
    parent: Errors
    propagated: Errors
    null_child: Errors | None = None
    null_parent: Errors | None = None

    @property
    def potential(self) -> Errors:
        """PP."""
        return self.child - self.parent

    @property
    def effect(self) -> Errors:
        """PE."""
        return self.child - self.propagated

    @property
    def null_effect(self) -> Errors | None:
        """PE of a network that propagates nothing either."""
        return None if self.null_child is None else self.child - self.null_child

    @property
    def crossed_effect(self) -> Errors | None:
        """PE against the second network without propagation."""
        return None if self.null_child is None else self.null_child - self.propagated


@dataclass(frozen=True)
class Figures:
    """The paper's figures of some samples.

    Shares in per cent: of PE above 0, of PP above 0, of both (the first quadrant). mean_positive_mm, mean_negative_mm:
    of the PE above and below 0; none where there is none. line: PE on PP; null, crossed: the two parts of its slope
    (see the file's text). A line is none where all PP are the same.
    """

    samples: int
    potential_mm: Estimate
    effect_mm: Estimate
    effect_positive: float
    potential_positive: float
    both_positive: float
    mean_positive_mm: float | None
    mean_negative_mm: float | None
    line: Line | None
    null: Line | None
    crossed: Line | None


@dataclass(frozen=True)
class GivenChild:
    """By how many mm PE rises for each mm of the child's and of the parent's error, each at the same value of the
    other: within joints (each joint's means taken off), noise of the errors taken out as in `corrected`."""

    child: Estimate
    parent: Estimate


@dataclass(frozen=True)
class PropagationReport:
    """overall: all joints that have a parent; joints: each of them, by the child's name. corrected: the crossed slope
    without the noise of PP. corrected, given_child: only with a second network without propagation."""

    frames: int
    recordings: int
    overall: Figures
    joints: dict[str, Figures]
    corrected: Estimate | None
    given_child: GivenChild | None


def sample(without: Poses, propagating: Poses, dataset: TruthSource, null: Poses | None = None) -> Samples:
    """Errors of predictions of the same frames. Joints are found by name, frames too. The root is nobody's child, and
    no parent where it is not scored (`groups["all"]`).

    null: of a network without propagation that was trained independently of `without`, the same otherwise.

    Raises:
        UserError: the frames are not the same, one is not in the dataset, a name occurs twice, a joint is missing, or
            a truth file is damaged.
    """
    every = {"without propagation": without, "with propagation": propagating}
    if null is not None:
        every["of the null"] = null
    rows = {what: _rows(poses, what) for what, poses in every.items()}
    names = list(rows["without propagation"])
    for what, index in rows.items():
        for missing, owner, other in (
            (set(names) - set(index), "without propagation", what),
            (set(index) - set(names), what, "without propagation"),
        ):
            if missing:
                raise UserError(
                    f"{len(missing)} frames of the poses {owner} (first: '{min(missing)}') are not in those {other}: "
                    "predict the same frames with every network"
                )
    known = {name: index for index, name in enumerate(dataset.names)}
    if unknown := [name for name in names if name not in known]:
        raise UserError(f"{len(unknown)} frames of the poses (first: '{unknown[0]}') are not in the dataset")
    skeleton = dataset.skeleton
    scored = list(skeleton.groups["all"])
    truth = torch.from_numpy(np.stack([dataset.joints(known[name])[0][scored] for name in names])).double()
    errors = {}
    for what, poses in every.items():
        joints = poses.joints[[rows[what][name] for name in names]][:, joint_order(poses.joint_names, skeleton)]
        errors[what] = joint_errors_mm(torch.from_numpy(joints).double(), truth).numpy()
    pairs = [(c, p) for c, p in enumerate(skeleton.parents) if c != p and {c, p} <= set(scored)]
    children, parents = ([scored.index(pair[end]) for pair in pairs] for end in (0, 1))
    base, second = errors["without propagation"], errors.get("of the null")
    return Samples(
        joints={skeleton.names[c]: skeleton.names[p] for c, p in pairs},
        recordings=[name.rpartition("/")[0] for name in names],
        child=base[:, children],
        parent=base[:, parents],
        propagated=errors["with propagation"][:, children],
        null_child=None if second is None else second[:, children],
        null_parent=None if second is None else second[:, parents],
    )


def summarise(samples: Samples, seed: int = 0) -> PropagationReport:
    """The figures of all samples and of each joint. seed: of the bootstrap over recordings."""
    bootstrap = ClusterBootstrap(samples.recordings, seed)
    everything = slice(None)
    corrected = given_child = None
    if samples.null_child is not None and samples.null_parent is not None and samples.crossed_effect is not None:
        regressors = np.stack((samples.null_child, samples.null_parent), axis=-1)
        instruments = np.stack((samples.child, samples.parent), axis=-1)
        (corrected,) = coefficients(
            samples.crossed_effect,
            (samples.null_child - samples.null_parent)[..., None],
            bootstrap,
            samples.potential[..., None],
        )
        within = [each - each.mean(0) for each in (samples.crossed_effect, regressors, instruments)]
        given_child = GivenChild(*coefficients(within[0], within[1], bootstrap, within[2]))
    return PropagationReport(
        frames=len(samples.recordings),
        recordings=len(set(samples.recordings)),
        overall=_figures(samples, everything, bootstrap),
        joints={name: _figures(samples, slice(m, m + 1), bootstrap) for m, name in enumerate(samples.joints)},
        corrected=corrected,
        given_child=given_child,
    )


def _figures(samples: Samples, joints: slice, bootstrap: ClusterBootstrap) -> Figures:
    potential, effect = samples.potential[:, joints], samples.effect[:, joints]
    null, crossed = (
        None if each is None else line(potential, each[:, joints], bootstrap)
        for each in (samples.null_effect, samples.crossed_effect)
    )
    return Figures(
        samples=effect.size,
        potential_mm=bootstrap.mean(potential.mean(1)),
        effect_mm=bootstrap.mean(effect.mean(1)),
        effect_positive=100 * float((effect > 0).mean()),
        potential_positive=100 * float((potential > 0).mean()),
        both_positive=100 * float(((effect > 0) & (potential > 0)).mean()),
        mean_positive_mm=float(effect[effect > 0].mean()) if (effect > 0).any() else None,
        mean_negative_mm=float(effect[effect < 0].mean()) if (effect < 0).any() else None,
        line=line(potential, effect, bootstrap),
        null=null,
        crossed=crossed,
    )


def _rows(poses: Poses, what: str) -> dict[str, int]:
    """Where each frame stands."""
    rows = {name: row for row, name in enumerate(poses.frame_names)}
    if not rows:
        raise UserError(f"the poses {what} have no frame")
    if len(rows) < len(poses):
        twice = next(name for row, name in enumerate(poses.frame_names) if rows[name] != row)
        raise UserError(f"frame '{twice}' occurs more than once in the poses {what}")
    return rows
