"""One training stage of EgoRear or EgoTAP: a network, what is frozen in it, and the loss of what it puts out.

The three stages of EgoRear are one module with three configurations (`configs/ego4view_syn`): a network without
refiner and lifter learns heatmaps; one with a refiner but no lifter learns to refine them, its estimators frozen;
the whole network learns poses. Those of EgoTAP too (`configs/unrealego`): joint heatmaps, limb heatmaps, and poses
from both, frozen.
"""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from egorear.datasets.sample import Sample
from egorear.errors import UserError
from egorear.metrics.heatmap import HeatmapMSE
from egorear.metrics.pose import MPJPE, PAMPJPE
from egorear.models.attention import only_present
from egorear.models.egorear import EgoRear, EgoRearConfig, EgoRearOutput
from egorear.models.egotap import EgoTAP, EgoTAPConfig, EgoTAPOutput
from egorear.models.images import normalize
from egorear.models.pretrained import state_difference
from egorear.training.augmentation import Augmentation
from egorear.training.initial import load_parts
from egorear.training.losses import LossConfig, heatmap_targets, limb_targets, loss_terms, true_poses
from egorear.training.schedule import Schedule

FINITE_CHECK_STEPS = 20  # looking at a loss makes a GPU wait: only every so many steps


@dataclass(frozen=True)
class AdamWConfig:
    """The optimizer. weight_decay spares biases and the parameters of norms; without any, it is Adam."""

    lr: float = 1e-3
    weight_decay: float = 5e-4
    eps: float = 1e-8


class Stage(LightningModule):
    """Trains `network` on batches of `Sample`.

    network: what to build, hence what to learn. egotap: build this network of EgoTAP instead.
    loss, optimizer, schedule: see there.
    frozen: parts of the network ("estimators") that keep their parameters and BatchNorm statistics.
    (The releases of both leave frozen estimators in train mode, so that their statistics drift; we do not.)
    init_from: checkpoints or folders of earlier stages, whose parts are taken over (`initial.load_parts`).
    augmentation: of the training images; None for the official recipe.
    ema_decay: keep an exponential average of the weights, which is validated and exported instead.
    compile, channels_last: torch.compile, and NHWC memory: faster on most devices, the results stay.
    seed: of what is random in a step (augmentation, dropout), see `training_step`.

    Raises:
        UserError: the configuration or what it starts from does not fit the network.
    """

    def __init__(
        self,
        network: EgoRearConfig = EgoRearConfig(),  # noqa: B008 (frozen, as the others)
        egotap: EgoTAPConfig | None = None,
        loss: LossConfig = LossConfig(),  # noqa: B008
        optimizer: AdamWConfig = AdamWConfig(),
        schedule: Schedule = Schedule(),  # noqa: B008
        frozen: tuple[str, ...] = (),
        init_from: tuple[str, ...] = (),
        augmentation: Augmentation | None = None,
        ema_decay: float | None = None,
        compile: bool = False,
        channels_last: bool = False,
        seed: int = 42,
    ) -> None:
        super().__init__()
        self.seed = seed
        self.loss, self.optimizer, self.schedule = loss, optimizer, schedule
        self.frozen, self.augmentation, self.ema_decay = frozen, augmentation, ema_decay
        self.channels_last = channels_last
        self.egotap = egotap
        self.network: EgoRear | EgoTAP = EgoRear(network) if egotap is None else EgoTAP(egotap)
        for source in init_from:
            load_parts(self.network, source)
        for name in frozen:
            if name not in dict(self.network.named_children()):
                parts = ", ".join(part for part, _ in self.network.named_children())
                raise UserError(f"'model.frozen' names '{name}' but the network has only {parts}")
            self.network.get_submodule(name).requires_grad_(False)
        if channels_last:
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).requires_grad_(False) if ema_decay else None
        if compile:
            self.network.compile()
        self.mpjpe_mm, self.pa_mpjpe_mm = MPJPE(), PAMPJPE()
        self.mse_initial, self.mse_refined, self.mse_limbs = HeatmapMSE(), HeatmapMSE(), HeatmapMSE()
        self.train()  # Lightning does not call this before the first step

    @property
    def answer(self) -> EgoRear | EgoTAP:
        """The network to validate, test and export."""
        return self.network if self.average is None else self.average

    def train(self, mode: bool = True) -> "Stage":
        """As usual, but what is frozen stays in eval mode, and so does the average."""
        super().train(mode)
        for part in [self.network.get_submodule(name) for name in self.frozen]:
            part.eval()
        if self.average is not None:
            self.average.eval()
        return self

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuses the checkpoint of another network with a UserError."""
        if problem := state_difference(self.state_dict(), checkpoint["state_dict"]):
            raise UserError(f"the checkpoint that --ckpt_path names is of another configuration: {problem}")

    def training_step(self, batch: Sample, batch_idx: int) -> Float[Tensor, ""]:
        # Whatever is random in a step follows from its number, so that a resumed run repeats it.
        torch.manual_seed(_step_seed(self.seed, self.current_epoch, batch_idx, self.global_rank))
        if self.augmentation is None:
            images = normalize(batch.images)
        else:
            images, batch = self.augmentation(batch)
        output = self.network(self._in_format(images), batch.rig, batch.present)
        terms = loss_terms(output, batch, self.loss, self.egotap)
        loss = torch.stack(list(terms.values())).sum()
        if batch_idx % FINITE_CHECK_STEPS == 0 and not loss.isfinite():
            raise UserError(
                f"the loss is {loss.item()} at step {self.global_step}: lower 'model.optimizer.lr' or look at the "
                "data, then continue from the last checkpoint with --ckpt_path last"
            )
        self.log("loss", loss, prog_bar=True, batch_size=len(batch.joints))
        self.log_dict({f"loss/{name}": term for name, term in terms.items()}, batch_size=len(batch.joints))
        return loss

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """As usual, then averages the weights: before any checkpoint of the step is written."""
        super().optimizer_step(*args, **kwargs)
        if self.average is not None and self.ema_decay is not None:
            # The average of a young run forgets its random start quickly.
            average_weights(
                self.average, self.network, min(self.ema_decay, (1 + self.global_step) / (10 + self.global_step))
            )

    def validation_step(self, batch: Sample, batch_idx: int) -> None:
        self._judge(batch, "val")

    def test_step(self, batch: Sample, batch_idx: int) -> None:
        self._judge(batch, "test")

    def configure_optimizers(self) -> OptimizerLRScheduler:
        learned = [p for p in self.network.parameters() if p.requires_grad]
        matrices = {"params": [p for p in learned if p.ndim > 1], "weight_decay": self.optimizer.weight_decay}
        vectors = {"params": [p for p in learned if p.ndim <= 1], "weight_decay": 0.0}
        optimizer = torch.optim.AdamW([matrices, vectors], lr=self.optimizer.lr, eps=self.optimizer.eps)
        self.trainer.fit_loop.setup_data()  # only then is the number of batches known
        per_epoch = self.trainer.num_training_batches / self.trainer.accumulate_grad_batches
        total_steps = float(self.trainer.estimated_stepping_batches)

        def factor(step: int) -> float:
            return self.schedule.factor(step, per_epoch, total_steps)

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _in_format(self, images: Float[Tensor, "B V 3 H W"]) -> Float[Tensor, "B V 3 H W"]:
        return images.movedim(-3, -1).contiguous().movedim(-1, -3) if self.channels_last else images

    def _judge(self, batch: Sample, split: str) -> None:
        images = self._in_format(normalize(batch.images))
        output: EgoRearOutput = self.answer(images, batch.rig, batch.present)
        maps = {
            "initial": (output.heatmaps_initial, self.mse_initial),
            "refined": (output.heatmaps_refined, self.mse_refined),
        }
        for name, (heatmaps, metric) in maps.items():
            if heatmaps is not None:
                target = heatmap_targets(batch, heatmaps.shape[-1], self.loss.sigma, self.egotap is not None)
                target = only_present(target, batch.present)
                metric.update(heatmaps.float(), target)
                self.log(f"{split}/heatmap_mse_{name}", metric, batch_size=len(batch.joints))
        if isinstance(output, EgoTAPOutput) and output.limb_maps is not None and self.egotap is not None:
            limbs = output.limb_maps.float()
            target, _ = limb_targets(batch, limbs.shape[-1], self.loss.sigma, self.egotap.joints)
            self.mse_limbs.update(limbs.flatten(2, 3), only_present(target, batch.present).flatten(2, 3))
            self.log(f"{split}/limb_mse", self.mse_limbs, batch_size=len(batch.joints))
        if output.poses is not None:
            origin, scored = "device", list(range(batch.joints.shape[-2]))
            if self.egotap is not None:
                origin, scored = self.egotap.origin, list(self.egotap.joints.groups["all"])
            pose, truth = output.poses[:, -1, scored].float(), true_poses(batch, origin)[:, scored]
            for name, metric in {"mpjpe_mm": self.mpjpe_mm, "pa_mpjpe_mm": self.pa_mpjpe_mm}.items():
                metric.update(pose, truth)
                self.log(f"{split}/{name}", metric, prog_bar=True, batch_size=len(batch.joints))


def _step_seed(seed: int, epoch: int, batch: int, rank: int) -> int:
    """A number of its own for every step of every process."""
    return int(np.random.SeedSequence((seed, epoch, batch, rank)).generate_state(1, np.uint64)[0] >> np.uint64(1))


@torch.no_grad()
def average_weights(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Moves an average of weights towards the network; what is counted, not averaged, is copied."""
    current = network.state_dict()
    for name, tensor in average.state_dict().items():
        if tensor.is_floating_point():
            tensor.lerp_(current[name], 1 - decay)
        else:
            tensor.copy_(current[name])
