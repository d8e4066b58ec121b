"""The controlled study: lifter and refiner alone, on heatmaps made from the truth (docs/controlled.md).

Image networks need days of training before cameras or refinement can be judged by them. Here a noise model takes
the image estimator's place, the same for every method, so that what differs between two cells is what they are
compared by: the cameras, or the refiner.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from egorear.errors import UserError
from egorear.geometry.rig import Rig
from egorear.metrics.errors import joint_errors_mm
from egorear.studies.cells import Cell, CellResult, refiner_of
from egorear.studies.limb_noise import believed_limb_maps
from egorear.studies.noise import NoiseModel, detect, draw, true_heatmaps
from egorear.studies.truth_data import Truth, select
from egorear.studies.truth_network import TruthEgoTAP, TruthNetwork, TruthNetworkConfig
from egorear.training.losses import bone_cosine, heatmap_loss, pose_loss
from egorear.training.optimizer import AdamWConfig
from egorear.training.schedule import Schedule

EVALUATION_SEED = 2**40  # of the test frames' noise: one for all cells and seeds, so that they can be compared by frame
SEEDS_APART = 2**20  # training steps are fewer, so that no two seeds share noise
EVALUATION_BATCH = 100


@dataclass(frozen=True)
class ControlledConfig:
    """network: the full one; a cell's method says which refiner and lifter it has. noise: in place of the images.

    refiner_steps: of the first stage, in which estimator and refiner learn heatmaps (the paper's second; its first,
    of the image estimator, has nothing to learn here). pose_steps: of the stage in which all learns poses and
    heatmaps. The baseline has the pose stage only; "egoposeformer_long" has it with as many steps as both.
    heatmap: weight of the heatmaps' mean squared error, summed over views; pose: of the MPJPE (cm), summed over poses;
    cosine: of the bones' negative cosines, summed over bones (EgoTAP only).
    """

    network: TruthNetworkConfig = field(default_factory=TruthNetworkConfig)
    noise: NoiseModel = field(default_factory=NoiseModel)
    refiner_steps: int = 1000
    pose_steps: int = 2000
    batch_size: int = 8
    lr: float = 2e-3
    weight_decay: float = 5e-4
    heatmap: float = 100.0
    pose: float = 0.1
    cosine: float = 1e-3
    warmup_steps: int = 100
    clip_norm: float = 5.0
    bf16: bool = True

    def __post_init__(self) -> None:
        if not 8 <= self.network.map_size <= 256 or self.network.map_size % 8:
            raise UserError(f"'network.map_size' is {self.network.map_size} but must be a multiple of 8 up to 256")
        if self.network.lifter is None:
            raise UserError("'network.lifter' must be there: the methods say which lifter a cell has")
        for name in ("pose_steps", "batch_size"):
            if getattr(self, name) < 1:
                raise UserError(f"'{name}' is {getattr(self, name)} but must be at least 1")
        if self.refiner_steps < 0:
            raise UserError(f"'refiner_steps' is {self.refiner_steps} but must not be negative")


Progress = Callable[[int, int, float], None]
"""Called with step, number of steps and loss."""


@dataclass(frozen=True)
class Frames:
    """A batch of frames as a cell's views see them. maps: perturbed heatmaps; target: the true ones. beside: what the
    lifter reads beside heatmaps, the rig or, for EgoTAP's, perturbed limb maps."""

    truth: Truth
    maps: Float[Tensor, "B V K H W"]
    target: Float[Tensor, "B V K H W"]
    beside: Rig | Float[Tensor, "B V 2 K H W"]


def run_cell(
    cell: Cell, train: Truth, test: Truth, config: ControlledConfig, progress: Progress | None = None
) -> CellResult:
    """Trains a cell's network on `train` and judges it by `test`; the same cell gives the same result on one machine.

    Every method sees the same frames with the same noise in the same order, as far as its stages go.

    Raises:
        UserError: the rigs of `train` or `test` lack a view of the cell, or the loss is not finite.
    """
    for truth in (train, test):
        truth.rig.select(cell.views)
    began = time.perf_counter()
    network, steps = train_cell(cell, train, config, progress)
    seconds = time.perf_counter() - began
    errors, aligned, final, initial = judge(network, test, cell.views, config)
    return CellResult(
        names=test.names,
        errors_mm=errors,
        aligned_mm=aligned,
        heatmap_mse=final,
        initial_heatmap_mse=initial,
        views=cell.views,
        steps=steps,
        seconds=seconds,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
    )


def train_cell(
    cell: Cell, train: Truth, config: ControlledConfig, progress: Progress | None = None
) -> tuple[TruthNetwork | TruthEgoTAP, int]:
    """The cell's network after all its stages, and how many steps they had together."""
    refiner = refiner_of(cell.method, config.network.refiner) if config.network.refiner else None
    torch.manual_seed(cell.seed)
    kind = TruthEgoTAP if cell.uses_egotap else TruthNetwork
    network = kind(replace(config.network, refiner=refiner), len(cell.views))
    network.start_at(train.joints.mean(0))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.train()
    stages = [(False, config.refiner_steps)] if refiner else []
    extra = config.refiner_steps if cell.method == "egoposeformer_long" else 0
    stages.append((True, config.pose_steps + extra))
    total, step = sum(steps for _, steps in stages), 0
    for lifts, steps in stages:
        parts = list(network.parameters())
        if not lifts:
            parts = [p for name, p in network.named_parameters() if not name.startswith("lifter")]
        optimizer = AdamWConfig(config.lr, config.weight_decay).over(parts)
        schedule = Schedule(warmup_steps=config.warmup_steps, decay="cosine")
        for i in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = config.lr * schedule.factor(i, 1.0, float(steps))
            # A pose stage sees the same batches whether or not a refiner stage came before it.
            frames = _batch(train, cell, config, i if lifts else i + SEEDS_APART // 2)
            loss = _loss(network, frames, config, lifts)
            if not loss.isfinite():
                raise UserError(f"the loss of {cell.name} is {loss.item()} at step {step}: lower 'lr'")
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_([p for p in parts if p.grad is not None], config.clip_norm)
            optimizer.step()
            step += 1
            if progress is not None:
                progress(step, total, loss.item())
    return network.eval(), total


@torch.no_grad()
def judge(
    network: TruthNetwork | TruthEgoTAP, test: Truth, views: tuple[str, ...], config: ControlledConfig
) -> tuple[Float[np.ndarray, "N J"], Float[np.ndarray, "N J"], Float[np.ndarray, "N V"], Float[np.ndarray, "N V"]]:
    """Errors of the joints (mm), the same after alignment, MSE of the final and of the initial heatmaps.

    The frames' noise is the same for every network.
    """
    rows = []
    for number, start in enumerate(range(0, len(test), EVALUATION_BATCH)):
        some = test.at(torch.arange(start, min(start + EVALUATION_BATCH, len(test))))
        frames = _perturbed(some, views, config, EVALUATION_SEED + number, isinstance(network, TruthEgoTAP))
        with torch.autocast("cpu", torch.bfloat16, enabled=config.bf16):
            poses, final = network(frames.maps, frames.beside)
        pose, joints = poses[:, -1].float(), some.joints
        error = [(each.float() - frames.target).square().mean((-3, -2, -1)) for each in (final, frames.maps)]
        rows.append((joint_errors_mm(pose, joints), joint_errors_mm(pose, joints, align=True), *error))
    errors, aligned, final, initial = (torch.cat(column).double().numpy() for column in zip(*rows, strict=True))
    return errors, aligned, final, initial


def _batch(train: Truth, cell: Cell, config: ControlledConfig, step: int) -> Frames:
    """The frames of a training step, which follow from seed and step alone: whatever the cell's cameras and method."""
    seed = cell.seed * SEEDS_APART + step
    chance = torch.Generator().manual_seed(seed)
    index = torch.randint(len(train), (config.batch_size,), generator=chance)
    return _perturbed(train.at(index), cell.views, config, seed, cell.uses_egotap)


def _perturbed(truth: Truth, views: tuple[str, ...], config: ControlledConfig, seed: int, limbs: bool) -> Frames:
    """The cell's views of these frames, with limb maps or with the rig.

    The noise of all the rig's views is drawn and then some are taken: a camera's errors do not depend on which
    others a cell has.
    """
    size = config.network.map_size
    found = detect(truth.places, truth.visibility, truth.rig.views, config.noise, size, seed)
    index = [truth.rig.views.index(view) for view in views]
    seen = select(truth, views)
    beside = believed_limb_maps(found, truth, views, config.noise, size, seed) if limbs else seen.rig
    return Frames(seen, draw(found, size)[:, index], true_heatmaps(seen.places, seen.visibility, size), beside)


def _loss(
    network: TruthNetwork | TruthEgoTAP, frames: Frames, config: ControlledConfig, lifts: bool
) -> Float[Tensor, ""]:
    with torch.autocast("cpu", torch.bfloat16, enabled=config.bf16):
        poses, final = network(frames.maps, frames.beside if lifts else None)
    loss = config.heatmap * heatmap_loss(final.float(), frames.target)
    if poses is not None:
        loss = loss + config.pose * 100 * pose_loss(poses.float(), frames.truth.joints)
    if poses is not None and isinstance(network, TruthEgoTAP):
        loss = loss - config.cosine * bone_cosine(poses[:, -1].float(), frames.truth.joints)
    return loss
