"""The other end of `egorear live`: a program that gets the wearer's hands as they come.

    pip install "egorear[live]"
    python examples/receive_live.py 9000
    egorear live SOURCE… --rig my_headset.json --protocol joints --osc 127.0.0.1:9000     # in another terminal

Positions are in metres in the device frame: x to the wearer's right, y backward, z down (docs/live.md).
"""

import sys

from pythonosc.dispatcher import Dispatcher
from pythonosc.osc_server import BlockingOSCUDPServer

names: list[str] = []


def on_joints(address: str, *joint_names: str) -> None:
    """The order of the joints; comes once a second."""
    names[:] = joint_names


def on_pose(address: str, number: int, seconds: float, *values: float) -> None:
    """One pose: x, y, z and confidence of each joint."""
    joints = {name: values[4 * i : 4 * i + 4] for i, name in enumerate(names)}
    for hand in ("LeftHand", "RightHand"):
        if hand in joints:
            x, y, z, confidence = joints[hand]
            print(
                f"{number} {seconds:.3f} s {hand} {x:+.2f} {y:+.2f} {z:+.2f} m, confidence {confidence:.2f}", flush=True
            )


dispatcher = Dispatcher()
dispatcher.map("/egorear/joints", on_joints)
dispatcher.map("/egorear/pose", on_pose)
BlockingOSCUDPServer(("127.0.0.1", int(sys.argv[1])), dispatcher).serve_forever()
