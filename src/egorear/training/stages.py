"""One training stage of EgoRear, EgoTAP or AG-EgoPose: a network, what is frozen in it, the loss of what it puts out.

The three stages of EgoRear are one module with three configurations (`configs/ego4view_syn`): a network without
refiner and lifter learns heatmaps; one with a refiner but no lifter learns to refine them, its estimators frozen;
the whole network learns poses. Those of EgoTAP too (`configs/unrealego`): joint heatmaps, limb heatmaps, and poses
from both, frozen. AG-EgoPose has two (`configs/egopw`): heatmaps from single frames, and poses from windows of them.
"""

import copy
import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torchmetrics import MeanMetric

from egorear.datasets.sample import Sample
from egorear.errors import UserError
from egorear.geometry.skeleton import EGO4VIEW, SKELETONS, Skeleton
from egorear.heatmaps import argmax_2d, to_image_pixels
from egorear.metrics.heatmap import HeatmapMSE
from egorear.metrics.pose import MPJPE, PAMPJPE
from egorear.models.agegopose import AGEgoPose, AGEgoPoseConfig, AGEgoPoseOutput
from egorear.models.attention import only_present
from egorear.models.egorear import EgoRear, EgoRearConfig, EgoRearOutput
from egorear.models.egotap import EgoTAP, EgoTAPConfig, EgoTAPOutput
from egorear.models.images import normalize
from egorear.models.pretrained import state_difference
from egorear.training.augmentation import Augmentation
from egorear.training.clip_losses import ClipTruth, clip_terms
from egorear.training.initial import InitialPart, load_part, load_parts, submodule
from egorear.training.losses import LossConfig, heatmap_targets, limb_targets, loss_terms, true_poses
from egorear.training.optimizer import AdamWConfig, average_weights
from egorear.training.schedule import Schedule

FINITE_CHECK_STEPS = 20  # looking at a loss makes a GPU wait: only every so many steps


class Stage(LightningModule):
    """Trains `network` on batches of `Sample`.

    network: what to build, hence what to learn. egotap, agegopose: build this network of EgoTAP or of AG-EgoPose
    instead; the latter learns poses from windows of frames, heatmaps from single ones.
    loss, optimizer, schedule: see there.
    frozen: parts of the network ("estimators"; dots lead inwards: "static.backbone.layer1") that keep their parameters
    and BatchNorm statistics and drop nothing out: they are in eval mode. (The releases of all three leave them in train
    mode, so that their statistics drift; we do not.)
    init_from: checkpoints or folders of earlier stages, whose parts are taken over (`initial.load_parts`).
    init_parts: single parts from anywhere, taken over after those (`initial.load_part`).
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
        agegopose: AGEgoPoseConfig | None = None,
        loss: LossConfig = LossConfig(),  # noqa: B008
        optimizer: AdamWConfig = AdamWConfig(),  # noqa: B008
        schedule: Schedule = Schedule(),  # noqa: B008
        frozen: tuple[str, ...] = (),
        init_from: tuple[str, ...] = (),
        init_parts: tuple[InitialPart, ...] = (),
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
        self.egotap, self.agegopose = egotap, agegopose
        self._check()
        self.network: EgoRear | EgoTAP | AGEgoPose
        if agegopose is not None:
            self.network = AGEgoPose(agegopose)
        else:
            self.network = EgoRear(network) if egotap is None else EgoTAP(egotap)
        for source in init_from:
            load_parts(self.network, source)
        for initial in init_parts:
            load_part(self.network, initial)
        for name in frozen:
            submodule(self.network, name, "model.frozen").requires_grad_(False)
        if channels_last:
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).requires_grad_(False) if ema_decay else None
        if compile:
            self.network.compile()
        self.mpjpe_mm, self.pa_mpjpe_mm = MPJPE(), PAMPJPE()
        self.mse_initial, self.mse_refined, self.mse_limbs = HeatmapMSE(), HeatmapMSE(), HeatmapMSE()
        self.peak_px = MeanMetric()
        self.train()  # Lightning does not call this before the first step

    @property
    def answer(self) -> EgoRear | EgoTAP | AGEgoPose:
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

    def setup(self, stage: str) -> None:
        """Refuses data whose joints the network does not learn (AG-EgoPose converts them) with a UserError."""
        if not isinstance(self.network, AGEgoPose):
            check_joints(self.network.config, self._joints)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuses the checkpoint of another network with a UserError."""
        if problem := state_difference(self.state_dict(), checkpoint["state_dict"]):
            raise UserError(f"the checkpoint that --ckpt_path names is of another configuration: {problem}")

    def training_step(self, batch: Sample, batch_idx: int) -> Float[Tensor, ""]:
        # Whatever is random in a step follows from its number, so that a resumed run repeats it.
        torch.manual_seed(_step_seed(self.seed, self.current_epoch, batch_idx, self.global_rank))
        terms = self._terms(batch) if self.agegopose is None else self._clip_terms(batch, self.agegopose)
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
            average_weights(self.average, self.network, self.ema_decay, self.global_step)

    def validation_step(self, batch: Sample, batch_idx: int) -> None:
        self._judge(batch, "val")

    def test_step(self, batch: Sample, batch_idx: int) -> None:
        self._judge(batch, "test")

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = self.optimizer.over(p for p in self.network.parameters() if p.requires_grad)
        self.trainer.fit_loop.setup_data()  # only then is the number of batches known
        per_epoch = self.trainer.num_training_batches / self.trainer.accumulate_grad_batches
        if math.isfinite(per_epoch):  # a stream has no epochs
            per_epoch = float(math.ceil(per_epoch))  # what is left at the end of an epoch is a step of its own
        total_steps = float(self.trainer.estimated_stepping_batches)

        def factor(step: int) -> float:
            return self.schedule.factor(step, per_epoch, total_steps)

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    @property
    def _joints(self) -> Skeleton:
        """Whose joints the batches tell."""
        data = None if self._trainer is None else getattr(self._trainer, "datamodule", None)
        return EGO4VIEW if data is None else data.skeleton

    def _terms(self, batch: Sample) -> dict[str, Float[Tensor, ""]]:
        if self.augmentation is None:
            images = normalize(batch.images)
        else:
            images, batch = self.augmentation(batch, self._joints)
        output = self.network(self._in_format(images), batch.rig, batch.present)
        return loss_terms(output, batch, self.loss, self.egotap)

    def _clip_terms(self, batch: Sample, network: AGEgoPoseConfig) -> dict[str, Float[Tensor, ""]]:
        if self.augmentation is None:
            images = normalize(batch.images)
        elif network.decoder is not None:
            images = self.augmentation.light_of_windows(batch.images)
        else:
            images, batch = self.augmentation(batch, self._joints)
        output, truth = self._clip(self.network, images, batch, network)
        return clip_terms(output, truth, self.loss, network.joints)

    def _clip(
        self, model: nn.Module, images: Float[Tensor, "*B V 3 H W"], batch: Sample, network: AGEgoPoseConfig
    ) -> tuple[AGEgoPoseOutput, ClipTruth]:
        """The answer to windows of one camera, or to single frames as windows of one, and the truth."""
        if images.ndim == 5:
            images, batch = images[:, None], batch.as_windows(1)
        output = model(self._in_format(images[:, :, 0]))
        return output, ClipTruth.of(batch, self._joints, network)

    def _check(self) -> None:
        if self.agegopose is None:
            if self.loss.heatmap_loss == "bce":
                raise UserError(
                    "'loss.heatmap_loss' is 'bce', which only 'model.agegopose' gives logits for: take 'mse'"
                )
            return
        if self.egotap is not None:
            raise UserError("'model.egotap' and 'model.agegopose' are both given but a stage trains one network")
        if self.augmentation is not None and self.augmentation.mirror:
            raise UserError("'augmentation.mirror' must be 0 for 'model.agegopose', whose one lens is not symmetric")

    def _in_format(self, images: Float[Tensor, "B V 3 H W"]) -> Float[Tensor, "B V 3 H W"]:
        return images.movedim(-3, -1).contiguous().movedim(-1, -3) if self.channels_last else images

    def _judge(self, batch: Sample, split: str) -> None:
        if self.agegopose is not None:
            self._judge_clip(batch, split, self.agegopose)
            return
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

    def _judge_clip(self, batch: Sample, split: str, network: AGEgoPoseConfig) -> None:
        output, truth = self._clip(self.answer, normalize(batch.images), batch, network)
        counted, size = truth.counted, len(truth.joints)
        if output.heatmap_logits is not None:
            maps = output.heatmap_logits[counted].float().sigmoid()
            self.mse_initial.update(maps, truth.heatmaps(maps.shape[-1], self.loss.sigma)[counted])
            self.log(f"{split}/heatmap_mse", self.mse_initial, batch_size=size)
            width = network.image_size
            peaks = to_image_pixels(argmax_2d(maps)[0], width, maps.shape[-1])
            away = torch.linalg.vector_norm(peaks - (truth.place[counted] * width - 0.5), dim=-1)
            self.peak_px.update(away, truth.seen[counted].float())
            self.log(f"{split}/peak_px", self.peak_px, batch_size=size)
        if output.poses is not None:
            for name, metric in {"mpjpe_mm": self.mpjpe_mm, "pa_mpjpe_mm": self.pa_mpjpe_mm}.items():
                metric.update(output.poses[counted].float(), truth.joints[counted])
                self.log(f"{split}/{name}", metric, prog_bar=True, batch_size=size)


def check_joints(network: EgoRearConfig | EgoTAPConfig, data: Skeleton) -> None:
    """Refuses joints that the losses would not know how to compare with the network's.

    Raises:
        UserError: they are of another set, or as many heatmaps or joints as the network has do not fit them.
    """
    name = next((name for name, skeleton in SKELETONS.items() if skeleton == data), "another set")
    if isinstance(network, EgoTAPConfig):
        if data != network.joints:
            raise UserError(f"the data have the joints of '{name}' but 'model.egotap.skeleton' is '{network.skeleton}'")
        return
    if data.heatmaps != tuple(range(1, len(data))):
        raise UserError(f"the data have the joints of '{name}', which only 'model.agegopose' can be trained with")
    if network.lifter is not None and data != EGO4VIEW:
        raise UserError(f"the data have the joints of '{name}' but 'model.network.lifter' answers those of 'ego4view'")
    poses = None if network.lifter is None else network.lifter.joints
    for field, ours, theirs in (
        ("heatmap_joints", network.heatmap_joints, len(data.heatmaps)),
        ("lifter.joints", poses, len(data)),
    ):
        if ours is not None and ours != theirs:
            raise UserError(f"'model.network.{field}' is {ours} but the data, joints of '{name}', need {theirs}")


def _step_seed(seed: int, epoch: int, batch: int, rank: int) -> int:
    """A number of its own for every step of every process."""
    return int(np.random.SeedSequence((seed, epoch, batch, rank)).generate_state(1, np.uint64)[0] >> np.uint64(1))
