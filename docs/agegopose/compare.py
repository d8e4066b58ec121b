"""Trains the ablations of AG-EgoPose side by side: every one sees the same windows of the same frames, through the same
frozen heatmap network, in the same order. What is frozen is looked at once per frame and kept on disk.

    python docs/agegopose/compare.py --data DATASET --heatmaps runs/agegopose_nano/heatmap/model \
        --out runs/agegopose_compare --seed 1 \
        both both_t1 both_t8 spatial motion no_attention no_identity pyramid causal

Each ends as a folder that `egorear predict` takes, with its poses of the test frames in it, every frame answered once.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.lib.format import open_memmap
from torch import Tensor
from torch.utils.data import DataLoader

from egorear.datasets.opening import open_dataset
from egorear.datasets.sample import Sample
from egorear.datasets.windows import covering, runs, windows
from egorear.geometry.skeleton import convert
from egorear.metrics.errors import joint_errors_mm
from egorear.models import MODELS, AGEgoPose, AGEgoPoseConfig, load_pretrained, save_pretrained
from egorear.models.agegopose import AGEgoPoseOutput, FrameFeatures
from egorear.models.images import normalize
from egorear.poses import Poses
from egorear.training.clip_losses import bone_direction_loss, bone_length_loss, position_loss
from egorear.training.optimizer import AdamWConfig
from egorear.training.schedule import Schedule
from egorear.training.side_by_side import Recipe, SideBySide

NANO = MODELS["agegopose-nano"][0]
assert isinstance(NANO, AGEgoPoseConfig)
assert NANO.decoder is not None
assert NANO.embedding is not None
assert NANO.motion is not None
OPTIMIZER, SCHEDULE = AdamWConfig(weight_decay=0.0), Schedule(100, decay="cosine", floor=0.05)
ABLATIONS: dict[str, AGEgoPoseConfig] = {
    "both": NANO,
    "spatial": replace(NANO, static=None, motion=None),
    "motion": replace(NANO, embedding=None),
    "no_attention": replace(NANO, decoder=replace(NANO.decoder, attention=False)),
    "no_identity": replace(NANO, embedding=replace(NANO.embedding, identity=False)),
    "pyramid": replace(NANO, motion=replace(NANO.motion, form="pyramid", local=2, whole=3)),
    "causal": replace(NANO, motion=replace(NANO.motion, causal=True)),
}
"""both_t1, both_t8 …: windows of so many frames in place of all."""


def config_of(name: str, view: str, window: int) -> AGEgoPoseConfig:
    """The network of that name for one camera and windows of that length."""
    kind, short, frames = name.partition("_t")
    return replace(ABLATIONS[kind if short else name], views=(view,), window=int(frames) if short else window)


class Frames:
    """What the frozen heatmap network makes of every frame of a split, once, and the truth on the network's joints.

    heatmaps: after the sigmoid, float16. trunk: the backbone's third stage, float16.
    """

    def __init__(self, data: Path, split: str, network: AGEgoPose, cache: Path) -> None:
        dataset = open_dataset(data, split, NANO.image_size, network.config.views)
        self.names, self.rig = dataset.names, dataset.rig
        folder = cache / split
        if not (folder / "done").exists():
            folder.mkdir(parents=True, exist_ok=True)
            arrays: dict[str, np.memmap] = {}
            start = 0
            for batch in DataLoader(dataset, 64, collate_fn=Sample.stack):
                with torch.inference_mode():
                    parts = {name: each.numpy() for name, each in look(network, batch).items()}
                parts["joints"] = convert(batch.joints, dataset.skeleton, NANO.joints).numpy()
                for name, values in parts.items():
                    if start == 0:
                        shape = (len(dataset), *values.shape[1:])
                        arrays[name] = open_memmap(folder / f"{name}.npy", "w+", values.dtype, shape)
                    arrays[name][start : start + len(values)] = values
                start += len(batch.joints)
            for array in arrays.values():
                array.flush()
            (folder / "done").touch()
        self.heatmaps, self.trunk, self.joints = (
            np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("heatmaps", "trunk", "joints")
        )

    def take(self, index: np.ndarray) -> tuple[Float[Tensor, "*B K h w"], Float[Tensor, "*B C i j"], Tensor]:
        """Heatmaps, third stage and joints of frames, float32."""
        return tuple(torch.from_numpy(a[index]).float() for a in (self.heatmaps, self.trunk, self.joints))  # type: ignore[return-value]


def look(network: AGEgoPose, batch: Sample) -> dict[str, Tensor]:
    """What is frozen of the network, on single frames."""
    net = network.heatmap_net
    assert net is not None
    kept: list[Tensor] = []
    hook = net.backbone.layer3.register_forward_hook(lambda *call: kept.append(call[2]))
    logits = net(normalize(batch.images[:, 0]))
    hook.remove()
    return {"heatmaps": logits.sigmoid().half(), "trunk": kept[0].half()}


def answer(
    network: AGEgoPose, heatmaps: Float[Tensor, "B T K h w"], trunk: Float[Tensor, "B T C i j"]
) -> AGEgoPoseOutput:
    """The network from what was kept of the frames, cut into its own windows."""
    length = min(network.config.window, heatmaps.shape[1])
    heatmaps, trunk = (each.flatten(0, 1).unflatten(0, (-1, length)) for each in (heatmaps, trunk))
    found = FrameFeatures()
    if network.embedding is not None:
        found.joint_features = network.embedding(heatmaps)
    if network.static is not None:
        static = network.static
        vectors = static.backbone.layer4(trunk.flatten(0, 1)).mean(dim=(-2, -1))
        found.static_features = static.norm(static.project(vectors)).unflatten(0, trunk.shape[:2])
    return network.lift(found)


def build(name: str, heatmap_net: AGEgoPose, window: int) -> AGEgoPose:
    """An untrained network whose trunk, and where its static encoder begins, are the heatmap network's. What of it is
    frozen keeps its statistics too."""
    network = AGEgoPose(config_of(name, heatmap_net.config.views[0], window)).train()
    assert heatmap_net.heatmap_net is not None
    assert network.heatmap_net is not None or name == "motion"
    if network.heatmap_net is not None:
        network.heatmap_net.load_state_dict(heatmap_net.heatmap_net.state_dict())
        network.heatmap_net.requires_grad_(False).eval()
    if network.static is not None:
        network.static.backbone.load_state_dict(heatmap_net.heatmap_net.backbone.state_dict())
        network.static.backbone.requires_grad_(False).eval()
        network.static.backbone.layer4.requires_grad_(True).train()
    return network


def pose_loss(network: AGEgoPose, batch: tuple[Tensor, Tensor, Tensor]) -> Float[Tensor, ""]:
    """The paper's, with its weights, on windows of `Frames.take`."""
    with torch.autocast("cpu", torch.bfloat16):
        output = answer(network, *batch[:2])
    assert output.poses is not None
    poses, joints = output.poses.float().flatten(0, 1), batch[2].flatten(0, 1)
    bones = 0.1 * bone_length_loss(poses, joints, NANO.joints) + 0.01 * bone_direction_loss(poses, joints, NANO.joints)
    return position_loss(poses, joints) + bones


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="+")
    for name in ("data", "heatmaps", "out"):
        parser.add_argument(f"--{name}", required=True, type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--batch", type=int, default=6, help="windows")
    parser.add_argument("--window", type=int, default=NANO.window, help="frames")
    args = parser.parse_args()
    torch.set_num_threads(1)
    seen = load_pretrained(args.heatmaps)
    assert isinstance(seen, AGEgoPose)
    kept = args.out / "frames"
    train = Frames(args.data, "train", seen, kept)
    clips = windows(runs(train.names), args.window, max(1, args.window // 2))

    def take(chosen: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        return train.take(np.array([list(clips[i]) for i in chosen]))

    recipe = Recipe(args.steps, args.batch, args.seed, OPTIMIZER, SCHEDULE)
    training = SideBySide(
        args.names, lambda name: build(name, seen, args.window), recipe, args.out / f"seed_{args.seed}" / "last.ckpt"
    )
    networks = training.run(len(clips), take, pose_loss)
    test = Frames(args.data, "test", seen, kept)
    print(f"mean pose: {_told(torch.from_numpy(train.joints[:]).mean(0).expand(len(test.names), -1, -1), test)}")
    for name, network in networks.items():
        folder = args.out / f"{name}-{args.seed}"
        save_pretrained(network, folder)
        test.rig.save(folder / "rig.json")
        joints = predict(network, test)
        print(f"{name} seed {args.seed}: {_told(joints, test)}", flush=True)
        Poses(
            joints=joints.numpy(),
            confidence=np.array(test.heatmaps.max(axis=(-2, -1)), np.float32),
            frame_names=test.names,
            timestamps=np.arange(len(test.names), dtype=np.float64),
            rig_hash=test.rig.hash(),
            model_id=f"{name}-{args.seed}",
            joint_names=NANO.joints.names,
        ).save(folder / "poses.npz")


@torch.inference_mode()
def predict(network: AGEgoPose, test: Frames) -> Float[Tensor, "N J 3"]:
    """The pose of every frame, m."""
    found = torch.empty(test.joints.shape)
    for window, counted in covering(runs(test.names), network.config.window):
        heatmaps, trunk, _ = test.take(np.array([list(window)]))
        poses = answer(network, heatmaps, trunk).poses
        assert poses is not None
        found[list(window[counted])] = poses.flatten(0, 1)[counted]
    return found


def _told(joints: Float[Tensor, "N J 3"], test: Frames) -> str:
    target = torch.from_numpy(np.array(test.joints))
    errors = [joint_errors_mm(joints, target, align).mean().item() for align in (False, True)]
    return f"MPJPE {errors[0]:.2f} mm, PA-MPJPE {errors[1]:.2f} mm"


if __name__ == "__main__":
    main()
