"""The option --fps of commands that read or write poses."""

from egorear.errors import UserError


def check_fps(fps: float | None) -> None:
    """Refuses what is no rate; None, where the option was not given, is none to refuse.

    Raises:
        UserError: the rate is not positive, or beyond any camera's.
    """
    if fps is not None and not 0 < fps < 1e6:
        raise UserError(f"--fps is {fps} but must be a positive number of frames a second")
