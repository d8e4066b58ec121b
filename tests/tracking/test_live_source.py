"""Live cameras and recordings in real time: the newest frame, what was dropped, and what happens to lost cameras."""

import time
from dataclasses import replace
from itertools import islice, pairwise

import cv2
import numpy as np
import pytest
from tests.cameras import Bench, FakeCamera, NoCamera
from tests.clips import square_rig, video
from tests.people import two_camera_rig

from egorear.errors import UserError
from egorear.tracking import capture, live_source
from egorear.tracking.live_source import Cameras, Playback, open_live_source
from egorear.tracking.sources import open_source

MONO, RIG = square_rig(), two_camera_rig()
SIZE = (160, 120)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(capture, "RETRY_S", 0.05)
    monkeypatch.setattr(live_source, "LONGEST_READ_S", 0.2)
    monkeypatch.setattr(live_source, "LOST_S", 0.2)


def mono(bench, **more):
    return Cameras({"front": "0"}, MONO, opens=bench, **more)


def stereo(bench):
    return Cameras({"front_left": "0", "front_right": "1"}, RIG, opens=bench)


def test_whoever_is_slow_gets_the_newest_image_and_the_others_are_counted():
    camera = FakeCamera(period=0.002)
    source = mono(Bench({"0": [camera]}), fps=25.0)
    numbers, moments = [], iter(source)
    for _ in range(5):
        newest = camera.count
        numbers.append(int(next(moments).images["front"][0, 0, 0]))
        assert numbers[-1] >= newest - 1  # nothing that waited in a queue
        time.sleep(0.05)
    source.close()
    assert camera.released
    assert all(b > a + 1 for a, b in pairwise(numbers))
    assert source.dropped >= numbers[-1] - 5


def test_the_image_that_a_camera_was_opened_with_is_not_given_late():
    source = mono(Bench({"0": [FakeCamera()]}))
    opened = time.monotonic()
    time.sleep(0.1)
    assert next(iter(source)).arrived > opened + 0.1
    source.close()


def test_cameras_are_asked_for_the_rigs_size_and_the_rate():
    bench = Bench({"0": [FakeCamera()]})
    mono(bench, fps=25.0).close()
    assert bench.asked == [("0", (1024, 1024), 25.0)]


def test_colours_are_rgb():
    class Red(FakeCamera):
        def read(self):
            found, image = super().read()
            image[:] = (0, 0, 255)
            return found, image

    source = mono(Bench({"0": [Red()]}))
    assert next(iter(source)).images["front"][0, 0].tolist() == [255, 0, 0]
    source.close()


class Late(FakeCamera):
    """Gives its images 20 ms after another one of the same period that was opened before it."""

    def read(self):
        if self.count == 1:  # the first one was for opening
            time.sleep(0.02)
        return super().read()


def test_images_of_one_moment_belong_together():
    first, late = FakeCamera(SIZE, 0.04), Late(SIZE, 0.04)
    source = stereo(Bench({"0": [first], "1": [late]}))
    moments = list(islice(source, 12))
    images = first.count + late.count
    source.close()
    # Were they not awaited, there would be a moment for each image.
    assert len(moments) < 0.75 * images
    whole = [moment for moment in moments if all(image is not None for image in moment.images.values())]
    assert len(whole) >= 9  # of 12: a busy machine may lose some
    since_oldest = []
    for moment in whole:
        times = [
            camera.times[int(image[0, 0, 0]) - 1]
            for camera, image in zip((first, late), moment.images.values(), strict=True)
        ]
        since_oldest.append((moment.arrived - min(times)) < 0.5 * (max(times) - min(times)))
    assert sum(since_oldest) >= 6
    assert [moment.name for moment in moments[:2]] == ["000000", "000001"]


def test_time_goes_on_although_a_slow_cameras_image_is_of_several_moments():
    source = stereo(Bench({"0": [FakeCamera(SIZE, 0.03)], "1": [FakeCamera(SIZE, 0.19)]}))
    moments = list(islice(source, 12))
    source.close()
    shared = [a for a, b in pairwise(moments) if a.images["front_right"] is b.images["front_right"]]
    assert shared
    assert all(a.timestamp < b.timestamp for a, b in pairwise(moments))


def test_an_image_that_is_lost_again_at_once_makes_no_moment_of_the_others_old_ones():
    left = FakeCamera(SIZE, 0.01, images=2)  # the first one is for opening
    source = stereo(Bench({"0": [left, NoCamera()], "1": [FakeCamera(SIZE, 0.15)]}))
    assert next(iter(source)).images["front_right"][0, 0, 0] == 2
    source.close()


def test_a_camera_whose_images_are_no_pictures_gives_none():
    class Flow(FakeCamera):
        def read(self):
            found, image = super().read()
            return found, image[..., :2]

    source = stereo(Bench({"0": [FakeCamera(SIZE)], "1": [Flow(SIZE)]}))
    assert next(iter(source)).images["front_right"] is None
    source.close()


def test_a_camera_that_dies_is_none_and_comes_back():
    dying, again = FakeCamera(SIZE, images=10), FakeCamera(SIZE)
    bench = Bench({"0": [FakeCamera(SIZE)], "1": [dying, NoCamera(), again]})
    source = stereo(bench)
    states, began = [], time.monotonic()
    for moment in source:
        state = moment.images["front_right"] is not None
        if not states or states[-1] != state:
            states.append(state)
        if states == [True, False, True] or time.monotonic() - began > 10:
            break
    source.close()
    assert states == [True, False, True]
    assert source.losses == {"front_left": 0, "front_right": 1}
    assert dying.released
    assert again.released


def test_a_camera_that_opencv_fails_on_is_lost_too():
    class Failing(FakeCamera):
        def read(self):
            if self.count == 3:
                raise cv2.error("select() timeout")
            return super().read()

    source = stereo(Bench({"0": [FakeCamera(SIZE)], "1": [Failing(SIZE), NoCamera()]}))
    assert any(moment.images["front_right"] is None for moment in islice(source, 40))
    source.close()


def test_a_camera_that_hangs_does_not_hold_the_others(monkeypatch):
    class Hanging(FakeCamera):
        def read(self):
            if self.count == 3:
                time.sleep(4.0)
            return super().read()

    monkeypatch.setattr(live_source, "PATIENCE_S", 0.5)
    source = stereo(Bench({"0": [FakeCamera(SIZE)], "1": [Hanging(SIZE)]}))
    began = time.monotonic()
    moments = iter(source)
    while next(moments).images["front_right"] is not None:
        pass
    assert time.monotonic() - began < 3
    began = time.monotonic()
    assert all(moment.images["front_right"] is None for moment in islice(moments, 4))
    assert time.monotonic() - began < 1.5  # nobody waits for it any more
    source.close()


def test_the_end_does_not_wait_for_each_camera_that_hangs(monkeypatch):
    class Hanging(FakeCamera):
        def read(self):
            if self.count == 1:
                time.sleep(2.0)
            return super().read()

    monkeypatch.setattr(live_source, "LONGEST_READ_S", 0.4)
    source = stereo(Bench({"0": [Hanging(SIZE)], "1": [Hanging(SIZE)]}))
    next(iter(source))
    began = time.monotonic()
    source.close()
    assert time.monotonic() - began < 0.75


def test_when_all_cameras_are_lost_nobody_sees():
    source = mono(Bench({"0": [FakeCamera(images=3), NoCamera()]}))
    began = time.monotonic()
    assert next(moment for moment in source if moment.images["front"] is None)
    assert time.monotonic() - began < 5
    source.close()


def test_one_of_two_cameras_is_enough_and_is_told():
    source = stereo(Bench({"0": [FakeCamera(SIZE)], "1": [NoCamera()]}))
    (remark,) = source.remarks
    assert remark.startswith("front_right=1 gives no images")
    assert next(iter(source)).images["front_right"] is None
    source.close()


def test_no_camera_at_all():
    with pytest.raises(UserError, match="no camera gives images: front_left=0, front_right=1"):
        stereo(Bench({"0": [NoCamera()], "1": [NoCamera()]}))


def test_a_camera_of_another_shape_is_refused_and_released():
    camera = FakeCamera((64, 48))
    with pytest.raises(UserError, match=r"'front' gives images of 64x48 .* 1024x1024"):
        mono(Bench({"0": [camera]}))
    assert camera.released


def test_opencv_itself(tmp_path):
    """A video stands for the camera: where it ends, the camera is lost and opened again."""
    writer = cv2.VideoWriter(str(tmp_path / "v.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 25.0, (64, 64))
    for image in video(5, 64):
        writer.write(image)
    writer.release()
    source = Cameras({"front": str(tmp_path / "v.mp4")}, MONO)
    assert next(iter(source)).images["front"].shape == (64, 64, 3)
    began = time.monotonic()
    while not source.losses["front"] > 1 and time.monotonic() - began < 10:
        time.sleep(0.01)
    source.close()
    assert source.losses["front"] > 1


@pytest.fixture
def recording(tmp_path):
    (tmp_path / "front").mkdir()
    for number, image in enumerate(video(12)):
        cv2.imwrite(str(tmp_path / "front" / f"{number:02d}.png"), image)
    return tmp_path


def test_a_recording_takes_as_long_as_it_took(recording):
    source = Playback(open_source([str(recording)], MONO, fps=40.0))
    began = time.monotonic()
    moments = []
    for moment in source:
        assert moment.arrived - began >= moment.timestamp
        moments.append(moment)
    assert 11 / 40 <= time.monotonic() - began < 5
    assert len(moments) + source.dropped == 12
    assert moments[-1].name == "11"
    last = cv2.imread(str(recording / "front" / "11.png"))[..., ::-1]
    np.testing.assert_array_equal(moments[-1].images["front"], last)


def test_folders_without_a_rate_say_how_fast_they_are_played(recording):
    (remark,) = open_live_source([str(recording)], MONO).remarks
    assert "played at 1 frame a second, unless --fps" in remark
    assert not open_live_source([str(recording)], MONO, fps=30.0).remarks


def test_what_is_not_taken_in_time_is_dropped(recording):
    source = Playback(open_source([str(recording)], MONO, fps=100.0))
    moments = []
    for moment in source:
        moments.append(moment.name)
        time.sleep(0.05)
    assert moments[-1] == "11"
    assert source.dropped == 12 - len(moments) > 3


def test_a_recording_that_turns_out_damaged_tells_it_at_the_end(recording):
    (recording / "front" / "05.png").write_bytes(b"no image")
    source = Playback(open_source([str(recording)], MONO, fps=100.0))
    with pytest.raises(UserError, match=r"05\.png"):
        list(source)


def test_a_recording_that_is_left_early_ends(recording):
    source = Playback(open_source([str(recording)], MONO, fps=1.0))
    moments = iter(source)
    next(moments)
    source.close()
    began = time.monotonic()
    assert list(moments) == []
    assert time.monotonic() - began < 0.5


@pytest.mark.parametrize(
    ("sources", "sentence"),
    [
        (["front_left=camera:0", "front_right=r.mp4"], "mixed"),
        (["front_left=camera:a", "front_right=camera:1"], "must have a number from 0 to 99 after 'camera:'"),
        (["front_left=camera:0", "front_right=camera:100"], "from 0 to 99 after"),
        (["camera:0"], "source 'camera:0' must say which view it is, as in front_left=camera:0"),
        (["front_left=camera:0", "/dev/video1"], "source '/dev/video1' must say which view"),
        (["front_left=camera:0"], "'front_right' of rig 'visor'"),
        (["left=camera:0", "front_right=camera:1"], "'left' in 'left=camera:0' is no view"),
    ],
)
def test_wrong_sources(sources, sentence):
    with pytest.raises(UserError, match=sentence):
        open_live_source(sources, RIG)


def test_cameras_in_another_order_are_the_same_rig(monkeypatch):
    bench = Bench({"camera:0": [FakeCamera(SIZE)], "camera:1": [FakeCamera(SIZE)]})
    monkeypatch.setattr(live_source, "open_device", bench)
    source = open_live_source(["front_right=camera:1", "front_left=camera:0"], RIG)
    source.close()
    assert source.rig.hash() == RIG.hash()


def test_a_recording_in_shared_memory_is_no_camera():
    with pytest.raises(UserError, match="/dev/shm/nothing, the source of view 'front', does not exist"):
        open_live_source(["front=/dev/shm/nothing"], MONO)


def test_cameras_by_number_and_path(monkeypatch):
    bench = Bench({"camera:0": [FakeCamera(SIZE)], "/dev/video7": [FakeCamera(SIZE)]})
    monkeypatch.setattr(live_source, "open_device", bench)
    source = open_live_source(["front_left=camera:0", "front_right=/dev/video7"], replace(RIG, name="other"))
    assert sorted(device for device, _, _ in bench.asked) == ["/dev/video7", "camera:0"]
    source.close()
