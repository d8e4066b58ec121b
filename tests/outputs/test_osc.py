"""What a receiver on the other end of a real UDP socket gets."""

import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from pythonosc.osc_bundle import OscBundle
from pythonosc.osc_packet import OscPacket
from tests.people import STANDING

from egorear.errors import UserError
from egorear.geometry.skeleton import EGO4VIEW, EGOCAP, EGOPW, convert
from egorear.outputs import osc
from egorear.outputs.osc import OscOutput

CONFIDENCE = np.linspace(0, 1, 16, dtype=np.float32)
JOINTS = STANDING.numpy()


@pytest.fixture
def receiver():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(5)
        yield udp


def output(receiver, protocol, skeleton=EGO4VIEW):
    return OscOutput(f"localhost:{receiver.getsockname()[1]}", protocol, skeleton)


def received(receiver, until):
    """(address, arguments) of all messages, up to the first whose address and first argument are these; and the sizes
    of the datagrams."""
    messages, sizes = [], []
    while not any((message[0], message[1][0]) == until for message in messages):
        data = receiver.recv(65536)
        assert OscBundle.dgram_is_bundle(data)
        sizes.append(len(data))
        messages += [(timed.message.address, timed.message.params) for timed in OscPacket(data).messages]
    return messages, sizes


def marionette(receiver, joints, skeleton=EGO4VIEW):
    """What VMC tells of one pose: places and rotations of the bones by name."""
    sender = output(receiver, "vmc", skeleton)
    sender.send(joints, CONFIDENCE[: len(joints)], 0, 1.5)
    messages, sizes = received(receiver, ("/VMC/Ext/Bone/Pos", "RightHand"))
    sender.close()
    assert max(sizes) <= 1400
    assert [address for address, _ in messages[:3]] == ["/VMC/Ext/OK", "/VMC/Ext/T", "/VMC/Ext/Root/Pos"]
    assert messages[0][1] == [1, 3, 0]
    assert messages[1][1] == [1.5]
    assert messages[2][1] == ["root", 0, 0, 0, 0, 0, 0, 1]
    assert all(address == "/VMC/Ext/Bone/Pos" for address, _ in messages[3:])
    return {name: (np.array(values[:3]), np.array(values[3:])) for _, (name, *values) in messages[3:]}


def turn(q, vector):
    """What Unity's `Quaternion * Vector3` gives; the formula does not ask for the hand of the axes."""
    x, y, z, w = q
    return vector + 2 * np.cross([x, y, z], np.cross([x, y, z], vector) + w * np.asarray(vector))


PARENTS = {"Hips": None, "Spine": "Hips", "Neck": "Spine", "Head": "Neck"}
"""Unity's humanoid: bones and their parents."""
for side in ("Left", "Right"):
    PARENTS |= {f"{side}Shoulder": "Spine", f"{side}UpperLeg": "Hips"}
    for limb in ("Shoulder UpperArm LowerArm Hand", "UpperLeg LowerLeg Foot Toes"):
        bones = [side + bone for bone in limb.split()]
        PARENTS |= dict(zip(bones[1:], bones, strict=False))


def places(bones):
    """Where an avatar's bones are, as Unity puts its transforms together."""
    world = {}
    for name in sorted(bones, key=lambda name: len(chain(name))):
        place, rotation = np.zeros(3), np.array([0.0, 0, 0, 1])
        for bone in reversed(chain(name)):
            offset, local = bones[bone]
            place = place + turn(rotation, offset)
            rotation = multiply(rotation, local)
        world[name] = place
    return world


def chain(name):
    return [] if name is None else [name, *chain(PARENTS[name])]


def multiply(a, b):
    vector = a[3] * b[:3] + b[3] * a[:3] + np.cross(a[:3], b[:3])
    return np.array([*vector, a[3] * b[3] - a[:3] @ b[:3]])


def test_joints_arrive_as_they_were_sent(receiver):
    sender = output(receiver, "joints")
    for number in (0, 1):
        sender.send(JOINTS, CONFIDENCE, number, number / 30)
    messages, sizes = received(receiver, ("/egorear/pose", 1))
    sender.close()
    assert messages[0] == ("/egorear/joints", list(EGO4VIEW.names))
    assert [address for address, _ in messages] == ["/egorear/joints", "/egorear/pose", "/egorear/pose"]
    number, seconds, *values = messages[2][1]
    assert number == 1
    assert seconds == pytest.approx(1 / 30)
    np.testing.assert_array_equal(
        np.array(values, np.float32).reshape(16, 4), np.concatenate((JOINTS, CONFIDENCE[:, None]), 1)
    )
    assert len(sizes) == 2
    assert sender.unsent == 0


def test_the_example_of_a_receiver(receiver):
    port = receiver.getsockname()[1]
    receiver.close()
    example = Path(__file__).parents[2] / "examples" / "receive_live.py"
    with subprocess.Popen([sys.executable, str(example), str(port)], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        timer = threading.Timer(30, program.kill)
        timer.start()
        got = threading.Event()

        def send():
            while not got.wait(0.05):  # until the program has begun to listen
                sender = OscOutput(f"127.0.0.1:{port}", "joints", EGO4VIEW)
                sender.send(JOINTS, CONFIDENCE, 3, 0.1)
                sender.close()

        threading.Thread(target=send, daemon=True).start()
        first = program.stdout.readline()
        got.set()
        timer.cancel()
        program.kill()
    assert first == "3 0.100 s LeftHand -0.28 -0.15 +0.55 m, confidence 0.40\n"


def test_names_come_again_for_those_who_begin_to_listen_later(receiver, monkeypatch):
    monkeypatch.setattr(osc, "NAMES_EVERY_S", 0.0)
    sender = output(receiver, "joints")
    for number in range(3):
        sender.send(JOINTS, CONFIDENCE, number, 0.0)
    messages, _ = received(receiver, ("/egorear/pose", 2))
    assert [address for address, _ in messages] == 3 * ["/egorear/joints", "/egorear/pose"]


@pytest.mark.parametrize("skeleton", [EGO4VIEW, EGOPW])
def test_an_avatar_stands_as_the_wearer_does(receiver, skeleton):
    joints = convert(STANDING, EGO4VIEW, skeleton).numpy()
    bones = marionette(receiver, joints, skeleton)
    assert set(bones) == set(PARENTS) - (set() if skeleton is EGO4VIEW else {"Head"})
    found = places(bones)
    # Unity: x right, y up, z forward; the device: x right, y backward, z down. Each joint, up to a common height:
    ours = {"UpLeg": "UpperLeg", "Leg": "LowerLeg", "Arm": "UpperArm", "ForeArm": "LowerArm", "ToeBase": "Toes"}
    for name, (x, y, z) in zip(skeleton.names, joints, strict=True):
        side = next((side for side in ("Left", "Right") if name.startswith(side)), "")
        part = name.removeprefix(side)
        seen = found[side + ours.get(part, part)]
        np.testing.assert_allclose(seen, [x, 1.65 - z, -y], atol=1e-3)
    assert min(place[1] for place in found.values()) == pytest.approx(0, abs=1e-5)
    assert found["LeftHand"][2] > found["LeftLowerArm"][2]  # the hands are before the elbows


def test_a_t_pose_has_no_rotations(receiver):
    wide = JOINTS.copy()
    place = dict(zip(EGO4VIEW.names, wide, strict=True))
    for side, x in (("Left", -1.0), ("Right", 1.0)):
        for name, at in (
            ("UpLeg", (0.1 * x, 0.1, 0.8)), ("Leg", (0.1 * x, 0.1, 1.2)), ("Foot", (0.1 * x, 0.1, 1.6)),
            ("Arm", (0.2 * x, 0.1, 0.3)), ("ForeArm", (0.5 * x, 0.1, 0.3)), ("Hand", (0.8 * x, 0.1, 0.3)),
        ):  # fmt: skip
            place[f"{side}{name}"][:] = at
    place["Neck"][:] = 0, 0.1, 0.2
    bones = marionette(receiver, wide)
    for name in ("Hips", "Spine", "LeftUpperLeg", "RightUpperLeg", "LeftLowerLeg", "RightLowerLeg"):
        np.testing.assert_allclose(np.abs(bones[name][1]), [0, 0, 0, 1], atol=1e-3)
    assert places(bones)["LeftHand"][0] < -0.6  # a left-handed person's left is -x in Unity too
    assert places(bones)["LeftToes"][2] > places(bones)["LeftFoot"][2]  # looks along +z


def test_bones_do_not_tremble_with_the_joints(receiver):
    sender = output(receiver, "vmc")
    rng = np.random.default_rng(0)
    lengths = []
    for number in range(60):
        sender.send((JOINTS + rng.normal(0, 0.03, JOINTS.shape)).astype(np.float32), CONFIDENCE, number, number / 30)
        messages, _ = received(receiver, ("/VMC/Ext/Bone/Pos", "RightHand"))
        lengths += [np.linalg.norm(v[1:4]) for _, v in messages if v[0] == "LeftLowerLeg"]
    assert np.std(lengths[30:]) < 0.3 * 0.03


def test_a_network_that_is_down_is_counted_and_not_waited_for(receiver, monkeypatch):
    sender = output(receiver, "vmc")

    def refuse(content):
        raise BlockingIOError

    monkeypatch.setattr(sender._client, "send", refuse)
    sender.send(JOINTS, CONFIDENCE, 0, 0.0)
    assert sender.unsent == 2  # datagrams


@pytest.mark.parametrize(
    "address", ["39539", ":39539", "localhost:", "localhost:vmc", "localhost:0", "localhost:65536"]
)
def test_wrong_addresses(address):
    with pytest.raises(UserError, match="must be HOST:PORT"):
        OscOutput(address, "joints", EGO4VIEW)


def test_an_unknown_host():
    with pytest.raises(UserError, match="there is no host"):
        OscOutput("no.such.host.invalid:39539", "joints", EGO4VIEW)


def test_an_address_of_ip_version_6():
    sender = OscOutput("[::1]:39539", "joints", EGO4VIEW)
    sender.close()


def test_a_skeleton_without_what_a_humanoid_needs():
    bodiless = EGOCAP.__class__(("Neck", "Head"), (0, 0), {}, (), (0, 1), ())
    with pytest.raises(UserError, match="which a humanoid needs"):
        OscOutput("127.0.0.1:39539", "vmc", bodiless)
