"""Poses of a folder of frames: one sub-folder per camera, images of one moment share their name.

    python examples/predict_folder.py FRAMES RIG.json

Prints where the wearer's hands are, in metres right of, in front of and below the headset.
"""

import sys
from itertools import islice

from egorear.geometry.calibration import read_rig
from egorear.geometry.skeleton import EGO4VIEW
from egorear.tracking import PoseTracker
from egorear.tracking.sources import open_source

BATCH = 8


def main(folder: str, rig_file: str) -> None:
    rig = read_rig(rig_file)
    tracker = PoseTracker.from_pretrained("egorear-nano")
    frames = iter(open_source([folder], rig))
    while batch := list(islice(frames, BATCH)):
        poses = tracker.predict([frame.images for frame in batch], rig)
        for frame, joints, confidence in zip(batch, poses.joints, poses.confidence, strict=True):
            for name in ("LeftHand", "RightHand"):
                right, back, down = joints[EGO4VIEW.index(name)].tolist()
                sure = confidence[EGO4VIEW.index(name)].item()
                print(f"{frame.name} {name:9} {right:+.2f} {-back:+.2f} {down:+.2f}  confidence {sure:.2f}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
