"""Frames as they come: from cameras, or from a recording that is played in real time. Whoever takes them gets the
newest; what came in between is dropped and counted, so that no queue can grow and no pose be late."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

from egorear.errors import UserError
from egorear.geometry.rig import Rig
from egorear.tracking.capture import Capture, Device, Shot, open_device
from egorear.tracking.sources import FolderSource, Frame, Source, open_source, sources_by_view
from egorear.tracking.training_cameras import Image

PATIENCE_S = 0.05  # that the first camera's image waits for the others': pairs cameras of 20 frames/s and more
TOGETHER_S = 0.2  # images farther apart than this are not of one moment
LONGEST_READ_S = 2.0  # that the end waits for cameras that hang
LAST_CAMERA = 99  # OpenCV takes hundreds for the number of a driver
LOST_S = 2.0  # without any image: a moment in which nobody sees, and again after as long


@dataclass(frozen=True)
class Moment:
    """What the cameras saw at one time. images: RGB by view, None where a camera gives none (all: nobody sees).
    timestamp: seconds from the start, always later than the moment before: when the newest of the images was there; a
    recording's by its own clock. arrived: when the oldest of them was there, `time.monotonic()`."""

    name: str
    images: dict[str, Image | None]
    timestamp: float
    arrived: float


@runtime_checkable
class LiveSource(Protocol):
    """Moments until the source ends, or for ever. rig: of the cameras. remarks: what the user should know. dropped:
    moments (of cameras: images) that were not taken. losses: how often each view's camera was lost."""

    rig: Rig
    remarks: list[str]

    @property
    def dropped(self) -> int: ...

    @property
    def losses(self) -> dict[str, int]: ...

    def example(self) -> dict[str, Image | None]:
        """Images as those to come, to warm up with."""
        ...

    def __iter__(self) -> Iterator[Moment]: ...

    def close(self) -> None: ...


class Cameras:
    """Cameras, each read by a thread of its own (`capture.py`).

    devices: "camera:0", or a path, of each view's camera. opens: as `capture.open_device`. A camera that is not there,
    or gets lost, is None in the moments and opened again.

    Raises:
        UserError: no camera gives an image, or one has another aspect ratio than the rig says.
    """

    def __init__(
        self,
        devices: Mapping[str, str],
        rig: Rig,
        fps: float | None = None,
        opens: Callable[[str, tuple[int, int], float | None], Device] | None = None,
    ) -> None:
        self.rig = rig.select(tuple(devices))
        self._arrival = threading.Condition()
        self._captures: list[Capture] = []
        for view, device in devices.items():
            size = self.rig.cameras[view].width, self.rig.cameras[view].height
            opening = partial(opens or open_device, device, size, fps)
            self._captures.append(Capture(view, opening, self._arrival))
        try:
            missing = [capture.view for capture in self._captures if not capture.open()]
            named = ", ".join(f"{view}={devices[view]}" for view in missing)
            if len(missing) == len(devices):
                raise UserError(f"no camera gives images: {named}")
            self.remarks = [f"{named} gives no images; it is tried again and again"] if missing else []
            for view, image in self.example().items():
                _check_aspect(self.rig, view, image)
        except UserError:
            self.close()
            raise

    @property
    def dropped(self) -> int:
        return sum(capture.dropped for capture in self._captures)

    @property
    def losses(self) -> dict[str, int]:
        return {capture.view: capture.losses for capture in self._captures}

    def example(self) -> dict[str, Image | None]:
        return {c.view: None if c.newest is None else c.newest.image for c in self._captures}

    def __iter__(self) -> Iterator[Moment]:
        started = time.monotonic()
        for capture in self._captures:
            with self._arrival:
                capture.take()  # the one that it was opened with is old by now
            capture.start()
        for count in itertools.count():
            shots = self._next()
            arrived = [shot.arrived for shot in shots.values()] or [time.monotonic()]
            images = {c.view: shots[c.view].image if c.view in shots else None for c in self._captures}
            # By the oldest, two moments that share the image of a slow camera would be of one time.
            yield Moment(f"{count:06d}", images, max(arrived) - started, min(arrived))

    def close(self) -> None:
        for capture in self._captures:
            capture.stop()
        until = time.monotonic() + LONGEST_READ_S  # for all of them together
        for capture in self._captures:
            if capture.is_alive():
                capture.join(max(0.0, until - time.monotonic()))

    def _next(self) -> dict[str, Shot]:
        """The images of the next moment, of some cameras at least; none if there was none for long."""
        with self._arrival:
            while True:
                if not self._arrival.wait_for(self._fresh, LOST_S):
                    return {}
                self._arrival.wait_for(self._complete, PATIENCE_S)
                if self._fresh():  # else its camera was lost meanwhile, and what the others have was given before
                    break
            shots = {c.view: shot for c in self._captures if (shot := c.take()) is not None}
        newest = max((shot.arrived for shot in shots.values()), default=0.0)
        return {view: shot for view, shot in shots.items() if newest - shot.arrived <= TOGETHER_S}

    def _fresh(self) -> bool:
        return any(capture.fresh for capture in self._captures)

    def _complete(self) -> bool:
        """Whether every camera that gives images at all has a fresh one."""
        oldest = time.monotonic() - TOGETHER_S
        return all(c.fresh or c.newest is None or c.newest.arrived < oldest for c in self._captures)


class Playback:
    """A recording in real time, as cameras would give it."""

    def __init__(self, source: Source) -> None:
        self._first = next(iter(source))
        self.rig = self._first.rig
        self.remarks = source.remarks
        self.dropped = 0
        self.losses = dict.fromkeys(self.rig.views, 0)
        self._source = source
        self._arrival = threading.Condition()
        self._newest: tuple[Frame, float] | None = None
        self._stopped = threading.Event()
        self._ended = False
        self._error: Exception | None = None

    def example(self) -> dict[str, Image | None]:
        return dict(self._first.images)

    def __iter__(self) -> Iterator[Moment]:
        threading.Thread(target=self._play, name="playback", daemon=True).start()
        while True:
            with self._arrival:
                self._arrival.wait_for(lambda: self._newest is not None or self._ended)
                taken, self._newest = self._newest, None
            if taken is None:
                break
            frame, arrived = taken
            yield Moment(frame.name, dict(frame.images), frame.timestamp, arrived)
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        self._stopped.set()

    def _play(self) -> None:
        started = time.monotonic()
        try:
            for frame in self._source:
                for view, image in frame.images.items():
                    _check_aspect(frame.rig, view, image)
                if self._stopped.wait(max(0.0, started + frame.timestamp - time.monotonic())):
                    break
                with self._arrival:
                    self.dropped += self._newest is not None
                    self._newest = frame, time.monotonic()
                    self._arrival.notify_all()
        except Exception as error:  # told where the frames are taken
            self._error = error
        with self._arrival:
            self._ended = True
            self._arrival.notify_all()


def open_live_source(sources: Sequence[str], rig: Rig, fps: float | None = None) -> LiveSource:
    """What the arguments of `egorear live` name: `view=camera:0` or `view=/dev/video0` each; or folders or videos as
    `open_source` takes them.

    Raises:
        UserError: they are mixed, or cannot be read.
    """
    views_of = [source.partition("=")[::2] if "=" in source else ("", source) for source in sources]
    live = [path.startswith(("camera:", "/dev/")) and not path.startswith("/dev/shm/") for _, path in views_of]
    if not any(live):
        return Playback(_recording(sources, rig, fps))
    if not all(live):
        raise UserError("the sources are cameras and recordings mixed, but must all be of one kind")
    for view, path in views_of:
        if not view:
            raise UserError(f"source '{path}' must say which view it is, as in {rig.views[0]}={path}")
    devices = {view: str(path) for view, path in sources_by_view(sources, rig).items()}
    for view, device in devices.items():
        number = device.removeprefix("camera:")
        if not device.startswith("/") and not (number.isdecimal() and int(number) <= LAST_CAMERA):
            raise UserError(f"'{view}={device}' must have a number from 0 to {LAST_CAMERA} after 'camera:'")
    return Cameras(devices, rig, fps)


def _recording(sources: Sequence[str], rig: Rig, fps: float | None) -> Source:
    source = open_source(sources, rig, fps=fps)
    if fps is None and isinstance(source, FolderSource):
        source.remarks.append("folders of images tell no rate: played at 1 frame a second, unless --fps says otherwise")
    return source


def _check_aspect(rig: Rig, view: str, image: Image | None) -> None:
    camera = rig.cameras[view]
    if image is not None and not camera.same_aspect(width := image.shape[1], height := image.shape[0]):
        raise UserError(
            f"view '{view}' gives images of {width}x{height} but must have the aspect ratio of its camera in the rig, "
            f"{camera.width}x{camera.height}"
        )
