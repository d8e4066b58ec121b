"""The figures of EgoRear (Akada et al., ICCV 2025) that a study is held against, as far as our copy can be read.

Tables 3 to 5 of the paper; "syn" is Ego4View-Syn, "rw" Ego4View-RW. Errors in mm, heatmap MSE in 1e-4 per pixel.
"""

from dataclasses import dataclass

from egorear.studies.cells import TAP, TAP_FULL

FRONT, REAR = ("front_left", "front_right"), ("back_left", "back_right")
LEFT, RIGHT, FOUR = (*FRONT, "back_left"), (*FRONT, "back_right"), (*FRONT, *REAR)
BASELINE, FULL = "egoposeformer", "egorear"

# Dataset, cameras and method to (MPJPE, PA-MPJPE); EgoPoseFormer's rows of three cameras are unreadable in our copy.
TABLE_3 = {
    "syn": {
        (REAR, BASELINE): (52.90, 43.99),
        (FRONT, TAP): (32.56, 27.44),
        (FRONT, TAP_FULL): (31.90, 26.85),
        (LEFT, TAP): (24.90, 21.33),
        (LEFT, TAP_FULL): (24.12, 20.63),
        (RIGHT, TAP): (25.08, 21.41),
        (RIGHT, TAP_FULL): (24.29, 20.73),
        (FOUR, TAP): (23.88, 20.93),
        (FOUR, TAP_FULL): (22.57, 19.80),
        (FRONT, BASELINE): (27.36, 23.31),
        (FRONT, FULL): (27.04, 23.18),
        (LEFT, FULL): (21.04, 18.60),
        (RIGHT, FULL): (21.50, 18.97),
        (FOUR, BASELINE): (20.20, 17.63),
        (FOUR, FULL): (19.25, 16.95),
    },
    "rw": {
        (REAR, BASELINE): (114.95, 100.11),
        (FRONT, TAP): (91.23, 79.10),
        (FRONT, TAP_FULL): (89.14, 77.28),
        (LEFT, TAP): (72.25, 65.36),
        (LEFT, TAP_FULL): (67.09, 61.27),
        (RIGHT, TAP): (72.41, 65.74),
        (RIGHT, TAP_FULL): (66.96, 61.08),
        (FOUR, TAP): (69.78, 64.19),
        (FOUR, TAP_FULL): (62.11, 57.13),
        (FRONT, BASELINE): (77.95, 67.4),
        (FRONT, FULL): (76.35, 67.97),
        (LEFT, FULL): (60.96, 55.83),
        (RIGHT, FULL): (60.17, 54.92),
        (FOUR, BASELINE): (63.38, 58.3),
        (FOUR, FULL): (56.94, 52.25),
    },
}

GROUPS = (
    *("head", "neck", "arms", "forearms", "hands", "upper_legs"),
    *("legs", "feet", "toes", "upper", "lower", "all"),
)

# Dataset and method to the MPJPE of each of `GROUPS`, four cameras.
TABLE_4 = {
    "syn": {
        BASELINE: (0.53, 3.87, 8.08, 13.54, 22.05, 15.30, 26.87, 35.45, 38.07, 11.48, 28.92, 20.20),
        FULL: (0.53, 4.17, 7.78, 12.94, 20.11, 14.79, 25.75, 34.08, 36.22, 10.80, 27.71, 19.25),
    },
    "rw": {
        BASELINE: (11.80, 16.36, 21.55, 34.30, 60.35, 44.33, 85.88, 115.40, 129.56, 32.57, 93.79, 63.38),
        FULL: (11.49, 15.89, 21.27, 30.90, 48.17, 42.32, 79.67, 103.46, 116.04, 28.51, 85.37, 56.94),
    },
}


@dataclass(frozen=True)
class Ablation:
    """A row of Table 5."""

    front_mse: float
    back_mse: float
    mpjpe_mm: float
    pa_mpjpe_mm: float


# Of Ego4View-Syn, four cameras.
TABLE_5 = {
    BASELINE: Ablation(2.30, 3.36, 20.20, 17.63),
    "no_anchor": Ablation(2.10, 2.76, 20.05, 17.71),
    "no_uncertainty": Ablation(1.67, 1.93, 19.67, 17.26),
    "no_embedding": Ablation(1.78, 1.84, 19.47, 17.17),
    "no_rgb_embedding": Ablation(1.69, 1.87, 19.45, 17.22),
    FULL: Ablation(1.68, 1.83, 19.25, 16.95),
}


def published(dataset: str, metric: str, views: tuple[str, ...], method: str) -> float | None:
    """The paper's figure of a metric (see `results.METRICS`), or None where it has none.

    dataset: "syn" or "rw".
    """
    if metric in ("mpjpe_mm", "pa_mpjpe_mm"):
        both = TABLE_3[dataset].get((views, method))
        if both is not None:
            return both[metric == "pa_mpjpe_mm"]
    if views != FOUR:
        return None
    if metric in GROUPS:
        row = TABLE_4[dataset].get(method)
        return None if row is None else row[GROUPS.index(metric)]
    ablation = TABLE_5.get(method) if dataset == "syn" else None
    return None if ablation is None else getattr(ablation, metric)
