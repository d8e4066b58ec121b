"""Whether a network answers the joints that a dataset tells, asked before any frame is predicted."""

from typing import TYPE_CHECKING

from egorear.errors import UserError

if TYPE_CHECKING:
    from egorear.geometry.skeleton import Skeleton
    from egorear.tracking.tracker import PoseTracker


def check_joints(tracker: "PoseTracker", skeleton: "Skeleton", data: str) -> None:
    """Compares a network's joints with those of the dataset at `data`.

    Raises:
        UserError: they differ.
    """
    if tracker.skeleton != skeleton:
        raise UserError(
            f"'{tracker.model_id}' answers {len(tracker.skeleton)} joints ({', '.join(tracker.skeleton.names[:3])}, …) "
            f"but {data} tells {len(skeleton)} others ({', '.join(skeleton.names[:3])}, …)"
        )
