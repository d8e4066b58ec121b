"""The device's path through the world: read, checked, interpolated."""

import numpy as np
import pytest

from egorear.errors import UserError
from egorear.geometry.rotations import about
from egorear.outputs.device_poses import read_device_poses
from egorear.poses import Poses

HEADER = "timestamp,px,py,pz,qx,qy,qz,qw\n"
QUARTER = "0,0,0.70710678,0.70710678"  # 90° about z
STILL = "0,0,0,1"


def poses_at(*timestamps: float, names: tuple[str, ...] = ()) -> Poses:
    count = len(timestamps)
    return Poses(
        joints=np.zeros((count, 1, 3), np.float32),
        confidence=np.ones((count, 1), np.float32),
        frame_names=list(names) or [str(i) for i in range(count)],
        timestamps=np.array(timestamps),
        rig_hash="",
        model_id="",
        joint_names=("Head",),
    )


def test_between_two_timestamps_it_moves_straight_and_turns_the_short_way(tmp_path):
    path = tmp_path / "device.csv"
    path.write_text(HEADER + f"0,0,0,0,{STILL}\n1,2,4,6,0,0,-0.70710678,-0.70710678\n3,2,4,6,{QUARTER}\n")
    T = read_device_poses(path).at(poses_at(0.0, 0.25, 1.0, 2.0, 3.0))
    np.testing.assert_allclose(T[:, :3, 3], [[0, 0, 0], [0.5, 1, 1.5], [2, 4, 6], [2, 4, 6], [2, 4, 6]], atol=1e-9)
    expected = about(np.array([0.0, 0.0, 1.0]), np.radians(np.array([0, 22.5, 90, 90, 90])))
    np.testing.assert_allclose(T[:, :3, :3], expected, atol=1e-7)


def test_by_frame_names_in_any_order_of_rows_and_columns(tmp_path):
    path = tmp_path / "device.csv"
    path.write_text(f"qx,qy,qz,qw,pz,py,px,note,frame\n{QUARTER},3,2,1,,b/2\n{STILL},0,0,0,x,b/1\n")
    T = read_device_poses(path).at(poses_at(0.0, 1.0, names=("b/1", "b/2")))
    np.testing.assert_allclose(T[:, :3, 3], [[0, 0, 0], [1, 2, 3]])
    np.testing.assert_allclose(T[1, :3, 0], [0, 1, 0], atol=1e-7)  # x of the device is y of the world
    with pytest.raises(UserError, match="frame 'b/3', which the poses have, is missing"):
        read_device_poses(path).at(poses_at(0.0, names=("b/3",)))


def test_as_spreadsheets_and_people_write_it(tmp_path):
    """A byte order mark, spaces after the commas, lines that end in CR LF, an empty one."""
    path = tmp_path / "device.csv"
    text = f"{HEADER}0,1,2,3,{STILL}\n\n1,3,2,1,{STILL}\n".replace(",", ", ").replace("\n", "\r\n")
    path.write_bytes(text.encode("utf-8-sig"))
    np.testing.assert_allclose(read_device_poses(path).at(poses_at(0.5))[0, :3, 3], [2, 2, 2])


@pytest.mark.parametrize("timestamp", [-0.1, 1.1])
def test_nothing_is_made_up_before_the_first_and_after_the_last(tmp_path, timestamp):
    path = tmp_path / "device.csv"
    path.write_text(HEADER + f"0,0,0,0,{STILL}\n1,0,0,0,{STILL}\n")
    with pytest.raises(UserError, match=f"from 0 to 1 s, but a pose is at {timestamp} s"):
        read_device_poses(path).at(poses_at(0.5, timestamp))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a header and at least one row"),
        (HEADER, "a header and at least one row"),
        ("timestamp,px,py,pz,qx,qy,qz\n0,0,0,0,0,0,1\n", "column 'qw' is missing"),
        (HEADER.replace(",", ";") + "0;0;0;0;0;0;0;1\n", "which is .timestamp;px;.* with commas between them"),
        (HEADER.strip() + f",py\n0,0,0,0,{STILL},9\n", "column 'py' is in its header twice"),
        ("time,px,py,pz,qx,qy,qz,qw\n0,0,0,0,0,0,0,1\n", "a column 'timestamp' or 'frame'"),
        (HEADER + f"0,0,0,0,{STILL}\n1,0,zero,0,{STILL}\n", "row 3: 'py' is 'zero' but must be a finite number"),
        (HEADER + f"0,0,nan,0,{STILL}\n", "row 2: 'py' is 'nan' but must be"),
        (HEADER + "0,0,0,0,0,0,0\n", "row 2: 'qw' is None but must be"),
        (HEADER + "0,0,0,0,0,0,0,0.9\n", "row 2: the quaternion has length 0.9 but must have 1"),
        (HEADER + f"1,0,0,0,{STILL}\n1,0,0,0,{STILL}\n", "row 3: 'timestamp' 1 does not come after 1"),
        (HEADER + f"inf,0,0,0,{STILL}\n", "row 2: 'timestamp' is 'inf' but must be"),
        (f"frame,px,py,pz,qx,qy,qz,qw\na,0,0,0,{STILL}\na,0,0,0,{STILL}\n", "row 3: frame 'a' was in row 2 already"),
        (f"px,py,pz,qx,qy,qz,qw,frame\n0,0,0,{STILL}\n", "row 2: 'frame' is missing"),
        ("\xff\xfe".encode("latin-1"), "is not a CSV file"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_place(tmp_path, text, message):
    path = tmp_path / "device.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=message) as error:
        read_device_poses(path)
    assert str(path) in str(error.value)
