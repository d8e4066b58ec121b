"""From features of consecutive frames to poses, a frame at a time or in windows: the part of AG-EgoPose that looks
along time, fed as a stream. The frames' images are not needed any more."""

from abc import ABC, abstractmethod
from collections import deque

import torch
from jaxtyping import Float
from torch import Tensor

from egorear.errors import UserError
from egorear.models.agegopose import AGEgoPose, FrameFeatures
from egorear.models.motion_encoder import MotionState


class TemporalLift(ABC):
    """Takes frames of one run without a gap and answers them in their order, each once."""

    @abstractmethod
    def push(self, features: FrameFeatures) -> Float[Tensor, "M J 3"]:
        """Takes the next N frames ("N ..."); returns the poses (metres, camera frame) of the M oldest frames that had
        none yet and now are final."""

    @abstractmethod
    def flush(self) -> Float[Tensor, "M J 3"]:
        """Ends the run: the poses of all frames that have none yet; the next push begins another run."""


def temporal_lift(model: AGEgoPose, delay: int = 0, hop: int = 1) -> TemporalLift:
    """The way that suits the network. delay, hop: as in `WindowLift`, which networks that answer at once do not take.

    Raises:
        UserError: the network makes no poses, or delay and hop do not suit it or its window.
    """
    if model.decoder is None:
        raise UserError("the network makes no poses: it was saved before its last training stage")
    if answers_at_once(model):
        if (delay, hop) != (0, 1):
            raise UserError(f"'delay' is {delay} and 'hop' is {hop} but this network needs no window: leave both out")
        return DirectLift(model)
    return WindowLift(model, delay, hop)


def answers_at_once(model: AGEgoPose) -> bool:
    """Whether no later frame has a part in a frame's pose: motion is causal, or there is none."""
    return model.config.motion is None or model.config.motion.causal


class DirectLift(TemporalLift):
    """Each frame at once: a causal network goes on from the keys and values it remembers, one without motion has
    nothing to remember."""

    def __init__(self, model: AGEgoPose) -> None:
        self._model = model
        self._state: MotionState | None = None

    def push(self, features: FrameFeatures) -> Float[Tensor, "M J 3"]:
        motion = None
        if self._model.motion is not None:
            static = features.static_features
            assert static is not None
            if self._state is None:
                self._state = self._model.motion.start(1, static.device)
            motion = torch.cat([self._model.motion.step(frame[None], self._state) for frame in static])
        return self._model.decode(features.joint_features, motion)

    def flush(self) -> Float[Tensor, "M J 3"]:
        self._state = None
        return _no_poses(self._model)


class WindowLift(TemporalLift):
    """A window over the last T frames moves on by `hop`, and answers what has `delay` frames behind it.

    The k-th window (k = 1, 2 ...) ends with frame k·hop + delay - 1 of the run, counted from 0, and gives the poses of
    the `hop` frames that end `delay` before it. With delay 0 and hop T these are windows side by side. The first ones
    of a run have fewer than T frames behind them: they are as short as that. The last one, when the run ends, ends with
    it and answers all that is left. A network that takes T frames only (the published form) sees a short window's first
    frame repeated before it.

    Kept are the static features of T frames, and the joint features of those without a pose, at most delay + hop.

    Raises:
        UserError: delay is negative, hop is not positive, or both together are longer than the window.
    """

    def __init__(self, model: AGEgoPose, delay: int = 0, hop: int = 1) -> None:
        window = model.config.window
        if delay < 0 or hop < 1 or delay + hop > window:
            raise UserError(
                f"'delay' is {delay} and 'hop' is {hop} but must be at least 0 and 1, and together at most the "
                f"window of {window} frames"
            )
        self._model = model
        self._due = delay + hop
        self._hop = hop
        self._static: deque[Float[Tensor, "C"]] = deque(maxlen=window)
        self._tokens: deque[Float[Tensor, "K E"] | None] = deque()  # of the frames without a pose

    def push(self, features: FrameFeatures) -> Float[Tensor, "M J 3"]:
        assert features.static_features is not None
        poses = [_no_poses(self._model)]
        for i, static in enumerate(features.static_features):
            self._static.append(static)
            self._tokens.append(None if features.joint_features is None else features.joint_features[i])
            if len(self._tokens) == self._due:
                poses.append(self._answer(self._hop))
        return torch.cat(poses)

    def flush(self) -> Float[Tensor, "M J 3"]:
        poses = self._answer(len(self._tokens)) if self._tokens else _no_poses(self._model)
        self._static.clear()
        return poses

    def _answer(self, count: int) -> Float[Tensor, "M J 3"]:
        """Poses of the oldest `count` frames that have none, from the window that ends with the newest frame."""
        motion_encoder = self._model.motion
        assert motion_encoder is not None
        first = len(self._static) - len(self._tokens)
        window = torch.stack(tuple(self._static))
        missing = self._model.config.window - len(window) if motion_encoder.config.form == "pyramid" else 0
        motion = motion_encoder(torch.cat((window[:1].expand(missing, -1), window))[None])[0, missing:]
        tokens = [self._tokens.popleft() for _ in range(count)]
        joint_features = None if tokens[0] is None else torch.stack(tokens)  # type: ignore[arg-type]
        return self._model.decode(joint_features, motion[first : first + count])


def _no_poses(model: AGEgoPose) -> Float[Tensor, "0 J 3"]:
    return next(model.parameters()).new_empty(0, len(model.config.joints), 3)
