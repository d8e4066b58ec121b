"""Poses as OSC messages over UDP, for engines and avatars, as they come (docs/live.md). Needs python-osc.

`joints` is a message of our own: positions in the device frame. `vmc` is the VMC protocol (protocol.vmc.info):
rotations of Unity's humanoid bones, in Unity's axes.
"""

import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder
from pythonosc.udp_client import UDPClient

from egorear.errors import UserError
from egorear.geometry.skeleton import Skeleton
from egorear.outputs.axes import UNITY, points, rotations
from egorear.outputs.humanoid import Humanoid

Protocol = Literal["vmc", "joints"]

DATAGRAM_BYTES = 1400  # below what Ethernet carries in one piece
HEAD_BYTES, SIZE_BYTES = 16, 4  # of a bundle, and before each of its messages
NAMES_EVERY_S = 1.0
MEASURED = 150  # poses over which the bones are measured
PRESENT = (1, 3, 0)  # VMC: the bones are sent, calibrated, no mixed reality

SIDED = {
    "Shoulder": "Shoulder", "Arm": "UpperArm", "ForeArm": "LowerArm", "Hand": "Hand",
    "UpLeg": "UpperLeg", "Leg": "LowerLeg", "Foot": "Foot", "ToeBase": "Toes",
}  # fmt: skip
UNITY_BONES = {name: name for name in ("Hips", "Spine", "Neck", "Head")} | {
    f"{side}{ours}": f"{side}{theirs}" for side in ("Left", "Right") for ours, theirs in SIDED.items()
}
"""Unity's names (`HumanBodyBones`) of the humanoid's bones. It has none for a hand without fingers' joints."""


class OscOutput:
    """Sends each pose at once and keeps nothing: what the network does not take is counted in `unsent`.

    address: "host:port". skeleton: whose joints the poses have.

    Raises:
        UserError: the address is none, or the protocol needs joints that the skeleton has not.
    """

    def __init__(self, address: str, protocol: Protocol, skeleton: Skeleton) -> None:
        self._messages = MESSAGES[protocol](skeleton)
        self._client = UDPClient(*_resolved(address))
        self.unsent = 0

    def send(
        self, joints: Float[np.ndarray, "J 3"], confidence: Float[np.ndarray, "J"], number: int, seconds: float
    ) -> None:
        """One pose: metres, device frame. number: of the pose, from 0; seconds: since the start."""
        for bundle in _bundles(self._messages(joints, confidence, number, seconds)):
            try:
                self._client.send(bundle.build())
            except OSError:  # the network is down or its buffer full: the next pose is worth more than this one
                self.unsent += 1

    def close(self) -> None:
        self._client.close()


class JointMessages:
    """`/egorear/pose`: number (int), seconds, then x, y, z (metres, device frame) and confidence of each joint. Once a
    second before it `/egorear/joints`: the joints' names, so that whoever begins to listen knows them."""

    def __init__(self, skeleton: Skeleton) -> None:
        self._names = skeleton.names
        self._named = -NAMES_EVERY_S

    def __call__(
        self, joints: Float[np.ndarray, "J 3"], confidence: Float[np.ndarray, "J"], number: int, seconds: float
    ) -> list[OscMessage]:
        messages = []
        if (now := time.monotonic()) - self._named >= NAMES_EVERY_S:
            self._named = now
            messages.append(_message("/egorear/joints", *self._names))
        values = np.concatenate([joints, confidence[:, None]], axis=1)
        return [*messages, _message("/egorear/pose", number, float(seconds), *values.ravel().tolist())]


class VmcMessages:
    """The body as a marionette of VMC: `/VMC/Ext/OK`, `/VMC/Ext/T`, `/VMC/Ext/Root/Pos` and a `/VMC/Ext/Bone/Pos` for
    each bone, in Unity's axes (x right, y up, z forward, left-handed), metres.

    Nothing tells where the device is in the room. So the body stays below it, and its lowest joint stands on the floor.
    Bones have the lengths measured over the last poses.

    Raises:
        UserError: the skeleton lacks a joint that a humanoid needs.
    """

    def __init__(self, skeleton: Skeleton) -> None:
        self._humanoid = Humanoid(skeleton)
        self._seen: deque[Float[np.ndarray, "J 3"]] = deque(maxlen=MEASURED)

    def __call__(
        self, joints: Float[np.ndarray, "J 3"], confidence: Float[np.ndarray, "J"], number: int, seconds: float
    ) -> list[OscMessage]:
        self._seen.append(joints)
        pose = self._humanoid.solve(joints[None], self._humanoid.measure(np.stack(self._seen)))
        floor = points(UNITY, pose.forward()[0][0])[:, 1].min()
        places = points(UNITY, pose.offsets)
        places[0] = points(UNITY, pose.root[0]) - [0, floor, 0]
        turns = rotations(UNITY, pose.local[0])
        return [
            _message("/VMC/Ext/OK", *PRESENT),
            _message("/VMC/Ext/T", float(seconds)),
            _message("/VMC/Ext/Root/Pos", "root", *(0.0,) * 6, 1.0),
            *(
                _message("/VMC/Ext/Bone/Pos", UNITY_BONES[bone], *place.tolist(), *turn.tolist())
                for bone, place, turn in zip(pose.names, places, turns, strict=True)
                if bone in UNITY_BONES
            ),
        ]


MESSAGES: dict[Protocol, Callable[[Skeleton], JointMessages | VmcMessages]] = {
    "vmc": VmcMessages,
    "joints": JointMessages,
}


def _message(address: str, *values: int | float | str) -> OscMessage:
    builder = OscMessageBuilder(address)
    for value in values:
        builder.add_arg(value)
    return builder.build()


def _bundles(messages: Sequence[OscMessage]) -> list[OscBundleBuilder]:
    """The messages in their order, in as few bundles as go into a datagram each."""
    bundles, room = [], 0
    for message in messages:
        size = SIZE_BYTES + message.size
        if not bundles or size > room:
            bundles.append(OscBundleBuilder(IMMEDIATELY))
            room = DATAGRAM_BYTES - HEAD_BYTES
        bundles[-1].add_content(message)
        room -= size
    return bundles


def _resolved(address: str) -> tuple[str, int]:
    """Numeric host and port: a name would be looked up for every pose."""
    host, _, port = address.rpartition(":")
    try:
        if not host or not 0 < int(port) < 65536:
            raise ValueError
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)
        return str(found[0][4][0]), int(port)
    except ValueError:
        raise UserError(f"--osc is '{address}' but must be HOST:PORT, as in 127.0.0.1:39539") from None
    except OSError as error:
        raise UserError(f"--osc: there is no host '{host}': {error.strerror or error}") from error
