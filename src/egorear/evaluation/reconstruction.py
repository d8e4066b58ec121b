"""What an encoder of heatmaps keeps: the heatmap reconstruction test of EgoTAP (Kang and Lee, CVPR 2024, Table 3).

The network is frozen. A decoder learns to tell the ESTIMATED heatmaps, which are all that the encoder saw, from what
the encoder made of them; its error on unseen frames tells what of them was lost. Beside it stand two answers that look
at nothing: zeros, and (ours) each map's mean over the training frames, since a decoder that found no more than where a
joint usually is would beat zeros too.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32
from torch import Tensor, nn
from torch.utils.data import DataLoader

from egorear.datasets.frames import FrameDataset
from egorear.datasets.sample import Sample
from egorear.errors import UserError
from egorear.evaluation.bootstrap import ClusterBootstrap, Estimate
from egorear.models.egorear import EgoRear
from egorear.models.egotap import EgoTAP
from egorear.models.egotap_lifter import TAPLifter
from egorear.models.heatmap_encoders import fully_connected
from egorear.models.images import normalize

SEED = 128  # channels of the smallest map of the decoder, an eighth of the heatmaps' size
LEARNING_RATE = 1e-3

Progress = Callable[[Iterable[Sample], int, str], Iterable[Sample]]
"""Wraps batches, told how many and what they are for: a progress bar."""


@dataclass(frozen=True)
class Reconstruction:
    """Mean squared errors per pixel over all maps of the test frames.

    encoder: its kind. numbers: how many the encoder makes of one frame. error: of the decoder's maps; zeros, mean_map:
    of the answers that look at nothing. estimated, decoded: the maps of the middle test frame, for a picture.
    """

    encoder: str
    numbers: int
    frames: int
    recordings: int
    error: Estimate
    zeros: Estimate
    mean_map: Estimate
    frame: str
    estimated: Float32[np.ndarray, "V K h w"]
    decoded: Float32[np.ndarray, "V K h w"]


class MapDecoder(nn.Module):
    """Features to `maps` heatmaps of size²: three fully connected layers, then three transposed convolutions.

    Sizes as in the decoder that the published repository has and never uses, for its 64x64 maps, in proportion for
    others. Its last layer has no BatchNorm and LeakyReLU here, since estimated heatmaps are a linear layer's output
    and mostly near zero, and begins at zero, so that training starts at the error of "zeros".
    """

    def __init__(self, embedding: int, maps: int, size: int):
        super().__init__()
        self.side = size // 8
        flat = SEED * self.side**2
        self.expand = fully_connected(embedding, max(1, flat // 16), flat // 4, flat)
        layers = []
        for inputs, outputs in ((SEED, 64), (64, 32)):
            layers += [nn.ConvTranspose2d(inputs, outputs, 4, 2, 1), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2)]
        self.draw = nn.Sequential(*layers)
        self.last = nn.ConvTranspose2d(32, maps, 4, 2, 1)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, features: Float[Tensor, "N E"]) -> Float[Tensor, "N M h w"]:
        return self.last(self.draw(self.expand(features).unflatten(1, (SEED, self.side, self.side))))


class Trial:
    """One frozen network, on `device`, and the decoder of what its encoder makes.

    The decoder of an encoder with features for each map is shared by all maps and sees one map's features at a time;
    that of an encoder with one embedding draws all maps at once. seed: of the decoder's first values and of the order
    of the training frames.

    Raises:
        UserError: the network has no encoder of heatmaps, or its maps cannot be halved three times.
    """

    def __init__(self, network: nn.Module, seed: int = 0, device: torch.device | str = "cpu") -> None:
        if not isinstance(network, EgoTAP) or network.lifter is None:
            raise UserError(f"an EgoTAP with a lifter is needed, whose encoder can be tried, not {_kind(network)}")
        self.network = network.to(device).eval().requires_grad_(False)
        self.lifter: TAPLifter = network.lifter
        self.seed, self.device = seed, device
        views, joints, size, _ = self.lifter.shape
        if size % 8:
            raise UserError(f"the network's heatmaps have {size} pixels a side but must have a multiple of 8")
        encoder = self.lifter.encoder
        with torch.no_grad():
            embedded = encoder.embed(torch.zeros(1, views, joints, size, size, device=device))
        self.numbers, self.each = embedded.numel(), embedded.ndim > 2
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            decoder = MapDecoder(encoder.embedding, 1 if self.each else views * joints, size)
        self.decoder = decoder.to(device).eval()
        self.mean_map = torch.zeros(views, joints, size, size, device=device)

    def estimate(self, sample: Sample) -> Float[Tensor, "B V K h w"]:
        """The heatmaps that the network's lifter sees of a batch."""
        images, source = normalize(sample.images.to(self.device)), self.network.joint_maps
        if not isinstance(source, EgoRear):
            return source(images)  # type: ignore[misc]
        seen = source(images)
        return seen.heatmaps_initial if seen.heatmaps_refined is None else seen.heatmaps_refined

    def decode(self, maps: Float[Tensor, "B V K h w"]) -> Float[Tensor, "B V K h w"]:
        """The maps again, from what the encoder made of them."""
        with torch.no_grad():
            embedded = self.lifter.encoder.embed(maps)
        rows = embedded.flatten(0, 2) if self.each else embedded
        return self.decoder(rows).reshape(maps.shape)

    def train(self, data: FrameDataset, steps: int, batch: int, workers: int = 0, progress: Progress | None = None):
        """Trains the decoder on random frames of `data`, which has at least one: Adam, the learning rate falling from
        1e-3 to 0 along a cosine.

        Raises:
            UserError: a frame cannot be read.
        """
        optimizer = torch.optim.Adam(self.decoder.parameters(), LEARNING_RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        order = np.random.default_rng(self.seed)
        rounds = [order.permutation(len(data)) for _ in range(-(-steps * batch // len(data)))]
        indices = np.concatenate(rounds)[: steps * batch].reshape(steps, batch)
        self.decoder.train()
        self.mean_map.zero_()
        for sample in self._batches(data, indices.tolist(), workers, progress, "training the decoder"):
            with torch.no_grad():
                maps = self.estimate(sample)
                self.mean_map += maps.mean(0) / steps
            loss = F.mse_loss(self.decode(maps), maps)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        self.decoder.eval()

    @torch.no_grad()
    def test(
        self, data: FrameDataset, indices: list[int], batch: int, workers: int = 0, progress: Progress | None = None
    ) -> Reconstruction:
        """The errors on these frames, at least one.

        Raises:
            UserError: a frame cannot be read.
        """
        parts = [indices[start : start + batch] for start in range(0, len(indices), batch)]
        errors, names, pictures = [], [], None
        for sample in self._batches(data, parts, workers, progress, "testing"):
            maps = self.estimate(sample)
            decoded = self.decode(maps)
            answers = torch.stack((decoded, torch.zeros_like(maps), self.mean_map.expand_as(maps)))
            errors.append((answers - maps).square().flatten(2).mean(2).cpu())
            middle = len(indices) // 2 - len(names)
            if 0 <= middle < len(maps):
                pictures = (sample.name[middle], maps[middle].cpu().numpy(), decoded[middle].cpu().numpy())
            names += sample.name
        assert pictures is not None
        recordings = [name.rpartition("/")[0] for name in names]
        bootstrap = ClusterBootstrap(recordings, self.seed)
        error, zeros, mean_map = (bootstrap.mean(each) for each in torch.cat(errors, dim=1).double().numpy())
        kind, counts = self.lifter.config.encoder.kind, (len(names), len(set(recordings)))
        return Reconstruction(kind, self.numbers, *counts, error, zeros, mean_map, *pictures)

    def _batches(
        self, data: FrameDataset, parts: list[list[int]], workers: int, progress: Progress | None, what: str
    ) -> Iterable[Sample]:
        loader = DataLoader(data, batch_sampler=parts, collate_fn=Sample.stack, num_workers=workers)
        return loader if progress is None else progress(loader, len(parts), what)


def _kind(network: nn.Module) -> str:
    return f"{type(network).__name__} without one" if isinstance(network, EgoTAP) else type(network).__name__
