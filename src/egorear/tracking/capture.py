"""One camera in a thread of its own, which keeps the newest frame and nothing else: whoever asks late gets a new frame,
not an old one. A camera that is lost is opened again and again until it is back."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np

from egorear.tracking.training_cameras import Image

RETRY_S = 1.0  # between attempts to open a camera that is not there


@runtime_checkable
class Device(Protocol):
    """What is asked of a `cv2.VideoCapture`."""

    def isOpened(self) -> bool: ...
    def read(self) -> Any: ...
    def release(self) -> None: ...


@dataclass(frozen=True)
class Shot:
    """One image of one camera: RGB. number: of the camera's frames, from 0. arrived: `time.monotonic()`, seconds."""

    image: Image
    number: int
    arrived: float


class Capture(threading.Thread):
    """Reads one camera until `stop`.

    opens: opens the camera, or gives a device that is not open. arrival: is notified of every frame, and guards what
    follows. newest: the last frame, none while the camera is lost. dropped: frames that nobody took before the next one
    came. losses: how often the camera was lost.
    """

    def __init__(self, view: str, opens: Callable[[], Device], arrival: threading.Condition) -> None:
        super().__init__(name=f"camera {view}", daemon=True)
        self.view = view
        self.newest: Shot | None = None
        self.dropped = 0
        self.losses = 0
        self._opens = opens
        self._arrival = arrival
        self._stopped = threading.Event()
        self._taken = -1
        self._device: Device | None = None
        self._count = 0

    def open(self) -> bool:
        """Opens the camera and waits for its first image; whether there is one. To be called before `start`."""
        self._device = self._opens()
        return self._device.isOpened() and self._read()

    def take(self) -> Shot | None:
        """The newest frame, which is then no longer `fresh`. The caller holds `arrival`."""
        if self.newest is not None:
            self._taken = self.newest.number
        return self.newest

    @property
    def fresh(self) -> bool:
        """Whether there is a frame that nobody took. The caller holds `arrival`."""
        return self.newest is not None and self.newest.number > self._taken

    def run(self) -> None:
        while not self._stopped.is_set():
            if not self._read():
                self._lose()
                if not self._stopped.wait(RETRY_S):
                    self._device = self._opens()
        self._release()

    def stop(self) -> None:
        """Has the thread release the camera and end; one whose camera hangs ends with the process."""
        self._stopped.set()
        if not self.is_alive():
            self._release()

    def _read(self) -> bool:
        image = None
        with suppress(cv2.error):  # how some drivers say that the camera is gone, and cvtColor that it is no picture
            if self._device is not None and self._device.isOpened():
                found, read = self._device.read()
                if found and read is not None:
                    image = cv2.cvtColor(read, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
        if image is None:
            return False
        with self._arrival:
            self.dropped += self.fresh
            # Timed in here, so that an image is never older than one that was taken before it came.
            self.newest = Shot(image, self._count, time.monotonic())
            self._count += 1
            self._arrival.notify_all()
        return True

    def _lose(self) -> None:
        self._release()
        with self._arrival:
            self.losses += self.newest is not None
            self.newest = None
            self._arrival.notify_all()

    def _release(self) -> None:
        if self._device is not None:
            self._device.release()
            self._device = None


def open_device(device: str, size: tuple[int, int], fps: float | None) -> Device:
    """A camera, "camera:0" or a path, asked for images of that (width, height) and rate; it gives what it can."""
    number = device.removeprefix("camera:")
    capture = cv2.VideoCapture(int(number) if number.isdecimal() else device)
    for name, value in (
        (cv2.CAP_PROP_FRAME_WIDTH, size[0]),
        (cv2.CAP_PROP_FRAME_HEIGHT, size[1]),
        (cv2.CAP_PROP_FPS, fps),
        (cv2.CAP_PROP_BUFFERSIZE, 1),  # else the driver's queue hands out old frames
    ):
        if value is not None:
            capture.set(name, value)
    return capture
