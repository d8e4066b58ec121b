"""Cameras that are none, as `cv2.VideoCapture` would show them."""

import threading
import time

import numpy as np


class FakeCamera:
    """Gives an image every `period` seconds, whose number, from 1, stands in all its pixels; so many of them (None: no
    end), after which it is lost. times: when."""

    def __init__(self, size=(64, 64), period=0.005, images=None):
        self.size, self.period, self.left = size, period, images
        self.count = 0
        self.times = []
        self.released = False

    def isOpened(self):
        return not self.released

    def read(self):
        time.sleep(self.period)
        if self.left is not None and self.count >= self.left:
            return False, None
        self.count += 1
        self.times.append(time.monotonic())
        return True, np.full((self.size[1], self.size[0], 3), self.count % 256, np.uint8)

    def release(self):
        self.released = True


class NoCamera(FakeCamera):
    """A device that does not open."""

    def isOpened(self):
        return False


class Bench:
    """Opens prepared cameras: for each device a list, one for each time it is opened, the last one again and again."""

    def __init__(self, devices):
        self.devices = {name: list(cameras) for name, cameras in devices.items()}
        self.asked = []
        self.all = [camera for cameras in self.devices.values() for camera in cameras]
        self.lock = threading.Lock()

    def __call__(self, device, size, fps):
        with self.lock:
            self.asked.append((device, size, fps))
            cameras = self.devices[device]
            return cameras.pop(0) if len(cameras) > 1 else cameras[0]
