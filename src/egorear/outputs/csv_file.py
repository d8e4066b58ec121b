"""Writer of CSV: a row for each joint of each frame."""

import csv
import io
from pathlib import Path

from egorear.files import write_bytes
from egorear.poses import Poses

COLUMNS = ("frame", "timestamp", "joint", "x_m", "y_m", "z_m", "confidence")


def write_csv(path: str | Path, poses: Poses) -> None:
    """Writes the poses atomically: UTF-8, a header, seconds and metres with all their digits, axes as they are."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    frames = zip(poses.frame_names, poses.timestamps.tolist(), poses.joints, poses.confidence, strict=True)
    for name, timestamp, joints, confidence in frames:
        for joint, place, sure in zip(poses.joint_names, joints.tolist(), confidence.tolist(), strict=True):
            writer.writerow([name, timestamp, joint, *(f"{value:.9g}" for value in (*place, sure))])
    write_bytes(path, text.getvalue().encode("utf-8", "backslashreplace"))  # frames of files whose names are no text
