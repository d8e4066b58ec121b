"""What the paper found, each with our figure and a verdict."""

from dataclasses import dataclass
from typing import Literal

from egorear.studies.cells import TAP, TAP_FULL
from egorear.studies.config import Row, StudyConfig
from egorear.studies.published import BASELINE, FULL
from egorear.studies.results import Figure, Results

Verdict = Literal["reproduced", "seen", "not seen", "contradicted", "not judged"]

LONG = "egoposeformer_long"
TITLES = {
    "egoposeformer": "EgoPoseFormer",
    "egoposeformer_long": "EgoPoseFormer, as many steps in all",
    "egorear": "EgoRear (with refinement)",
    "no_anchor": "no 2D anchors",
    "no_uncertainty": "no uncertainty",
    "no_embedding": "no image and heatmap embedding",
    "no_rgb_embedding": "no image embedding",
    "egotap": "EgoTAP",
    "egotap_egorear": "EgoTAP + EgoRear",
}
UNITS = {"mpjpe_mm": "mm", "front_mse": "1e-4", "back_mse": "1e-4"}


@dataclass(frozen=True)
class Finding:
    """A gain: how much lower an error is. topic: "rear cameras", "refinement", "lifters", "ablation". claim: in words.
    percent: of the larger error. ours: the paper does not claim it. learnt: all networks compared have learnt enough to
    be better than a constant pose."""

    topic: str
    claim: str
    metric: str
    gain: Figure
    percent: Figure | None = None
    ours: bool = False
    learnt: bool = True

    @property
    def verdict(self) -> Verdict:
        """ "reproduced" ("seen" if it is our claim) and "contradicted" where the 95 % interval leaves out zero."""
        if self.gain.low is None or self.gain.high is None or not self.learnt:
            return "not judged"
        if self.gain.low > 0:
            return "seen" if self.ours else "reproduced"
        return "contradicted" if self.gain.high < 0 else "not seen"


def findings(results: Results, config: StudyConfig) -> list[Finding]:
    """Everything that the cells done so far can say about the paper's claims."""
    return [
        *_rear_cameras(results, config),
        *_refinement(results, config, BASELINE, FULL),
        *_refinement(results, config, TAP, TAP_FULL, of=" EgoTAP"),
        *_lifters(results, config),
        *_ablations(results, config),
    ]


def _rear_cameras(results: Results, config: StudyConfig) -> list[Finding]:
    """More cameras are better: every two rows of which one has all cameras of the other, for each method."""
    found = []
    for method in dict.fromkeys(method for row in config.rows for method in row.methods):
        for few in config.rows:
            for many in config.rows:
                if set(few.views) < set(many.views):
                    claim = f"{TITLES[method]}: {many.name} better than {few.name}"
                    found += _gain("rear cameras", claim, results, "mpjpe_mm", (few, method), (many, method))
    return found


def _refinement(results: Results, config: StudyConfig, plain: str, refined: str, of: str = "") -> list[Finding]:
    """A method is better with refined heatmaps than without, and the more so with rear cameras. of: whose gain, for
    the claim."""
    found = []
    both = [row for row in config.rows if {plain, refined} <= set(row.methods)]
    for row in both:
        claim = f"{row.name}: refinement helps{of}"
        found += _gain("refinement", claim, results, "mpjpe_mm", (row, plain), (row, refined))
    last = config.row(config.ablations.row)
    for row in both:
        if len(row.views) == 2 and set(row.views) < set(last.views):
            setups = [((each.views, plain), (each.views, refined)) for each in (row, last)]
            if (gain := results.interaction("mpjpe_mm", *setups)) is not None:
                claim = f"refinement helps{of} more with {last.name} than with {row.name}"
                learnt = all(results.has_learnt(setup) for pair in setups for setup in pair)
                found.append(Finding("refinement", claim, "mpjpe_mm", gain, learnt=learnt))
    return found


def _lifters(results: Results, config: StudyConfig) -> list[Finding]:
    """EgoPoseFormer is better than EgoTAP, both without refinement and both with it."""
    found = []
    for worse, better, names in (
        (TAP, BASELINE, "EgoPoseFormer better than EgoTAP"),
        (TAP_FULL, FULL, "with refinement, EgoPoseFormer better than EgoTAP"),
    ):
        for row in config.rows:
            if {worse, better} <= set(row.methods):
                claim = f"{row.name}: {names}"
                found += _gain("lifters", claim, results, "mpjpe_mm", (row, worse), (row, better))
    return found


def _ablations(results: Results, config: StudyConfig) -> list[Finding]:
    """The full method is better than each variant, in poses and in heatmaps."""
    found, row = [], config.row(config.ablations.row)
    for method in config.ablations.methods:
        for metric, what in (("mpjpe_mm", "poses"), ("front_mse", "front heatmaps"), ("back_mse", "rear heatmaps")):
            if method != FULL and (method, metric) != (BASELINE, "mpjpe_mm"):
                claim = f"{what} better than with: {TITLES[method]}"
                found += _gain("ablation", claim, results, metric, (row, method), (row, FULL), method == LONG)
    return found


def _gain(
    topic: str,
    claim: str,
    results: Results,
    metric: str,
    worse: tuple[Row, str],
    better: tuple[Row, str],
    ours: bool = False,
) -> list[Finding]:
    """The finding, if its cells are done and the paper's own figures do not say the opposite."""
    setups = (worse[0].views, worse[1]), (better[0].views, better[1])
    both = results.difference(metric, *setups)
    if both is None or (both[0].published is not None and both[0].published <= 0):
        return []
    return [Finding(topic, claim, metric, *both, ours, all(map(results.has_learnt, setups)))]
