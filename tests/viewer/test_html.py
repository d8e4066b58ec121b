"""The page: its numbers are those of the poses, no frame's name gets out of its place, and it draws without a word."""

import base64
import hashlib
import json
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.people import STANDING, write_dataset

from egorear.datasets.opening import open_dataset
from egorear.geometry.rig import ego4view_syn
from egorear.geometry.skeleton import EGO4VIEW
from egorear.poses import Poses
from egorear.viewer.html import write_page
from egorear.viewer.scene import Scene, scene_of_dataset

HOSTILE = "</script><script>alert(1)</script><!--<img src=x onerror=alert(2)>&amp;\u2028"


def poses_of(names: list[str]) -> Poses:
    rng = np.random.default_rng(0)
    frames = len(names)
    return Poses(
        joints=(STANDING.numpy() + rng.normal(0, 0.02, (frames, 16, 3))).astype(np.float32),
        confidence=rng.random((frames, 16), dtype=np.float32),
        frame_names=names,
        timestamps=np.arange(frames) / 2,
        rig_hash=ego4view_syn().hash(),
        model_id="tiny",
        joint_names=EGO4VIEW.names,
    )


class Elements(HTMLParser):
    """Every tag with its attributes and the text in it, up to the next tag."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[tuple[str, dict, str]] = []
        self.open = False
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs), ""))
        self.open = True

    def handle_endtag(self, tag):
        self.open = False

    def handle_data(self, data):
        if self.open:
            self.found[-1] = (*self.found[-1][:2], self.found[-1][2] + data)

    def of(self, tag: str, **attributes: str) -> list[tuple[dict, str]]:
        wanted = attributes.items()
        return [(attrs, text) for name, attrs, text in self.found if name == tag and wanted <= attrs.items()]


def recording(page: Path) -> dict:
    ((_, text),) = Elements(page).of("script", id="recording")
    return json.loads(text)


def floats(text: str, *shape: int) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4").reshape(shape)


def walked(page: Path, anchor: str = "", look: str = "") -> dict:
    """What the page shows in node, opened at an anchor; "look": also where, from all sides. See page_stub.js."""
    if (node := shutil.which("node")) is None:
        pytest.skip("node is not installed, so that the page's scripts cannot be run")
    stub = Path(__file__).parent / "page_stub.js"
    done = subprocess.run([node, str(stub), str(page), anchor, look], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Scene:
    """Three frames with truth and pictures, and one that is not in the dataset."""
    dataset = open_dataset(write_dataset(tmp_path_factory.mktemp("data")), "test")
    return scene_of_dataset(poses_of([*dataset.names, "anna/s2/g0"]), dataset)


def test_the_numbers_are_those_of_the_poses_to_the_last_bit(tmp_path, scene):
    assert write_page(tmp_path / "a.html", scene, "title", 10**7) == [0, 1, 2]
    told, poses = recording(tmp_path / "a.html"), scene.poses
    assert np.array_equal(floats(told["joints"], 4, 16, 3), poses.joints)
    assert np.array_equal(floats(told["confidence"], 4, 16), poses.confidence)
    assert np.array_equal(floats(told["truth"], 4, 16, 3), scene.truth, equal_nan=True)
    truth = np.stack([STANDING.numpy() + 0.01 * index for index in range(3)])
    errors = 1000 * np.linalg.norm(poses.joints[:3] - truth, axis=-1)
    np.testing.assert_allclose(floats(told["errors_mm"], 4, 16)[:3], errors, atol=0.01)
    assert np.isnan(floats(told["errors_mm"], 4, 16)[3]).all()
    assert told["frame_names"] == poses.frame_names
    assert told["timestamps"] == poses.timestamps.tolist()
    places = floats(told["T_device_camera"], -1, 4, 4, 4) @ scene.rig.T_camera_device.numpy()
    np.testing.assert_allclose(places[0], np.broadcast_to(np.eye(4), (4, 4, 4)), atol=1e-6)
    assert told["rig_of_frame"] == [0, 0, 0, -1]


def test_pictures_are_jpegs_with_the_pose_drawn_in(tmp_path, scene):
    write_page(tmp_path / "a.html", scene, "title", 10**7)
    pictures = recording(tmp_path / "a.html")["pictures"]
    assert list(pictures) == ["0", "1", "2"]
    assert list(pictures["0"]) == list(scene.rig.views)
    data = base64.b64decode(pictures["0"]["front_left"].removeprefix("data:image/jpeg;base64,"))
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (240, 240, 3)


def test_pictures_stay_within_their_budget(tmp_path, scene):
    sizes = {}
    for budget in (0, 10**5, 2 * 10**5, 10**7):
        pictured = write_page(tmp_path / "a.html", scene, "title", budget)
        pictures = recording(tmp_path / "a.html")["pictures"]
        assert [int(frame) for frame in pictures] == pictured
        assert sum(len(each) for views in pictures.values() for each in views.values()) <= budget
        sizes[budget] = len(pictured)
    assert sizes[0] == 0
    assert sizes[10**7] == 3


def test_no_name_gets_out_of_its_place(tmp_path, scene):
    poses = replace(scene.poses, frame_names=[HOSTILE, "b", "c", "d"], model_id=HOSTILE)
    page = tmp_path / "a.html"
    write_page(page, Scene(poses), HOSTILE)
    elements = Elements(page)
    assert len(elements.of("script")) == 2
    assert not elements.of("img")
    assert not [attrs for _, attrs, _ in elements.found if "onerror" in attrs]
    told = recording(page)
    assert told["frame_names"][0] == told["model_id"] == told["title"] == HOSTILE
    assert elements.of("title")[0][1] == HOSTILE
    assert walked(page)["title"] == HOSTILE


def test_only_the_pages_own_script_may_run_and_nothing_is_fetched(tmp_path, scene):
    page = tmp_path / "a.html"
    write_page(page, scene, "title", 10**7)
    elements = Elements(page)
    policy = elements.of("meta", **{"http-equiv": "Content-Security-Policy"})[0][0]["content"]
    script = elements.of("script")[1][1]
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{allowed}'" in policy
    assert "default-src 'none'" in policy
    text = page.read_text()
    assert "http://" not in text
    assert "https://" not in text


def test_the_page_shows_every_frame(tmp_path, scene):
    page = tmp_path / "a.html"
    write_page(page, scene, "a/poses.npz", 10**7)
    seen, pictures = walked(page, "#2"), recording(page)["pictures"]
    assert seen["opened"].startswith("frame 2 of 4")
    assert seen["title"] == "a/poses.npz"
    assert "rig " + scene.poses.rig_hash in seen["about"]
    assert seen["first"]["frame"].startswith("frame 1 of 4   0.000 s   anna/s1/f0   mean error")
    assert seen["first"]["pictures"] == list(pictures["0"].values())
    head = seen["first"]["table"][0]
    assert head == ["Head", f"{scene.poses.confidence[0, 0]:.2f}", f"{scene.errors_mm[0, 0]:.0f}"]
    assert seen["after_1500_ms"]["frame"].startswith("frame 4 of 4")  # two a second
    last = seen["last"]
    assert last["frame"] == "frame 4 of 4   1.500 s   anna/s2/g0"  # no truth, hence no error
    assert last["table"][0][2] == "-"
    assert last["pictures"] == list(pictures["2"].values())
    assert "pictures of frame 3" in last["which"]
    assert "mm" not in seen["first"]["which"]
    assert seen["calls"]["arc"] > 16
    assert seen["calls"]["lineTo"] > 200


def test_the_pose_stands_upright_and_is_seen_from_where_the_button_says(tmp_path, scene):
    page = tmp_path / "a.html"
    write_page(page, scene, "title")
    seen = walked(page, look="look")
    assert ") m   confidence 0." in seen["hover"]
    places = seen["places"]
    for look in ("front", "left", "right", "behind"):
        head, knee, foot = (places[look][joint][1] for joint in ("Neck", "LeftLeg", "LeftToeBase"))
        assert head < knee < foot  # pixels count downward
    left, right = "LeftForeArm", "RightForeArm"
    assert places["front"][left][0] > places["front"][right][0]
    assert places["behind"][left][0] < places["behind"][right][0]
    assert places["above"][left][0] > places["above"][right][0]  # the eye leans over from the front
    assert places["left"]["LeftHand"][0] < places["left"]["LeftArm"][0]  # hands are before the wearer
    assert places["right"]["RightHand"][0] > places["right"]["RightArm"][0]


def test_poses_alone_are_a_page_too(tmp_path):
    page = tmp_path / "a.html"
    assert write_page(page, Scene(poses_of(["only"])), "alone", 10**7) == []
    seen = walked(page, "#nothing")
    assert seen["opened"] == seen["last"]["frame"]
    assert seen["last"]["frame"] == "frame 1 of 1   0.000 s   only"
    assert seen["last"]["table"][0][2] is None
    assert not seen["last"]["pictures"]
