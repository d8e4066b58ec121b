"""Which clothes a person wears: a documented distribution over kinds of outfits.

| kind     | share | worn                                                                         | hangs |
|----------|-------|------------------------------------------------------------------------------|-------|
| trousers | 0.51  | top and trousers, 0.15 of them wide, 0.2 with cuffs                          | no    |
| shorts   | 0.20  | top and shorts (0.75) or capris                                              | no    |
| skirt    | 0.11  | top tucked in, skirt: mini 0.35, midi 0.35, maxi 0.3; leggings with 0.3      | yes   |
| dress    | 0.08  | top and skirt of one cloth, same lengths; belt with 0.3, leggings with 0.2   | yes   |
| coat     | 0.05  | knee to calf, over top and trousers; open down the front with 0.5            | yes   |
| robe     | 0.05  | a yukata: to the ankle, crossed neckline, hanging sleeves, broad belt        | yes   |

So 0.29 of people wear something that hangs. Tops are sleeveless 0.12, T-shirts 0.5, long-sleeved 0.38 (half of these
with cuffs); with trousers or shorts 0.17 are hoodies with the hood on the back, and 0.2 of the rest are tucked in.
Feet: sneakers 0.4, leather shoes 0.2, boots 0.16, socks 0.12, bare 0.12. Gloves: 0.1, a fifth of them up the forearm.
"""

from dataclasses import dataclass, replace

import numpy as np

from egorear.synth.garments import CLOSE_M, Cut, Garment, Part

KINDS = {"trousers": 0.51, "shorts": 0.20, "skirt": 0.11, "dress": 0.08, "coat": 0.05, "robe": 0.05}
CLOSE_FITTING = ("trousers", "shorts")
FOOTWEAR = {"sneakers": 0.40, "leather": 0.20, "boots": 0.16, "socks": 0.12, "bare": 0.12}
GLOVES_SHARE = 0.1
HOODIE_SHARE = 0.17

SKIRT_HIDES_M = 0.25  # legs are seen up to this far under a hem, which rides up in splits and kicks
OPEN_HIDES_M = 0.3  # and so far beside the gap of an open coat
LAYER_M = 0.006  # an outer garment lies at least this far over the next
WAIST_M = 0.08  # height of waistbands
WRIST_M = 0.515  # way along the arm
SOLE_M = -0.938  # height of the upper edge of a sole

# Lengths people wear, as metres in a `Cut`.
SLEEVES = {"none": (0.02, 0.06), "short": (0.1, 0.24), "long": (0.36, 0.51)}
LEGS = {"shorts": (0.2, 0.42), "capris": (0.5, 0.75), "trousers": (0.78, 0.84)}
SKIRTS = ((-0.35, -0.2), (-0.6, -0.42), (-0.84, -0.7))
SKIRT_SHARES = (0.35, 0.35, 0.3)
COATS = (-0.7, -0.4)


@dataclass(frozen=True)
class Outfit:
    """kind: a key of `KINDS`; garments: outermost first; hood: whether the shirt has one, lying on the back."""

    kind: str
    garments: tuple[Garment, ...]
    hood: bool


def sample_outfit(rng: np.random.Generator, hanging: bool = False) -> Outfit:
    """Random clothes from the distribution above; if asked for, from the kinds of it that hang."""
    kind = _pick(rng, {kind: share for kind, share in KINDS.items() if kind not in CLOSE_FITTING or not hanging})
    hood = False
    if kind in CLOSE_FITTING:
        hood = rng.random() < HOODIE_SHARE
        layers = _top_and_trousers(rng, kind, hood)
    elif kind == "coat":
        layers = [*_coat(rng), *_top_and_trousers(rng, "trousers", hood)]
    elif kind == "robe":
        layers = _robe(rng)
    else:
        layers = _skirt_or_dress(rng, kind)
    return Outfit(kind, (*_gloves(rng), *_with_footwear(rng, layers)), hood)


def _top(rng: np.random.Generator, sleeve: float, bottom: float, over: float) -> Garment:
    """A shirt, blouse or jumper, `over` metres above what it is worn over."""
    cut = Cut(bottom=bottom, top=rng.uniform(0.5, 0.56), scoop=rng.uniform(0, 0.09), sleeve=sleeve)
    thickness, folds, flare = rng.uniform(0.002, 0.007) + over, rng.uniform(0, 0.014), rng.uniform(0, 0.04)
    gathered = sleeve > SLEEVES["long"][0] and rng.random() < 0.5
    return Garment(Part.SHIRT, "tights", cut, "top", thickness, folds, flare, gathered)


def _top_and_trousers(rng: np.random.Generator, kind: str, hoodie: bool) -> list[Garment]:
    thickness = rng.uniform(0.002, 0.006)
    if kind == "shorts":
        leg = _between(rng, LEGS["shorts"] if rng.random() < 0.75 else LEGS["capris"])
        wide = rng.uniform(0, 0.1)
    else:
        leg = _between(rng, LEGS["trousers"])
        wide = rng.uniform(0.04, 0.1) if rng.random() < 0.15 else rng.uniform(0, 0.025)
    cut = Cut(top=WAIST_M, leg_to=leg)
    folds, gathered = rng.uniform(0.001, 0.012), kind == "trousers" and rng.random() < 0.2
    trousers = Garment(Part.TROUSERS, "tights", cut, "bottom", thickness, folds, wide, gathered)
    if hoodie:
        cut = Cut(bottom=rng.uniform(-0.08, 0.02), top=0.55, scoop=rng.uniform(0, 0.03), sleeve=rng.uniform(0.44, 0.51))
        thickness, folds = rng.uniform(0.012, 0.018), rng.uniform(0.012, 0.022)
        top = Garment(Part.SHIRT, "tights", cut, "top", thickness, folds, 0.02, gathered=True)
        return [top, trousers]
    top = _top(rng, _sleeve(rng), rng.uniform(-0.1, 0.06), thickness + LAYER_M)
    # Tucked in, the trousers lie over the shirt.
    if rng.random() < 0.2:
        trousers = replace(trousers, thickness=top.thickness + LAYER_M)
        return [trousers, replace(top, cut=replace(top.cut, bottom=WAIST_M - CLOSE_M))]
    return [top, trousers]


def _sleeve(rng: np.random.Generator) -> float:
    return _between(rng, SLEEVES[_pick(rng, {"none": 0.12, "short": 0.5, "long": 0.38})])


def _skirt_or_dress(rng: np.random.Generator, kind: str) -> list[Garment]:
    top = _top(rng, _sleeve(rng), 0.0, 0.0)
    length = _between(rng, SKIRTS[rng.choice(3, p=SKIRT_SHARES)])
    folds, flare = rng.uniform(0.002, 0.016), rng.uniform(0, 0.16)
    thickness = top.thickness + top.folds + LAYER_M / 2
    skirt = Garment(
        Part.SKIRT, "skirt", Cut(bottom=length, top=WAIST_M), "bottom", thickness, folds, flare, hides=SKIRT_HIDES_M
    )
    layers = [skirt, top]
    if kind == "dress":
        layers = [replace(garment, part=Part.DRESS, cloth="top") for garment in layers]
        if rng.random() < 0.3:
            layers.insert(0, _belt(rng, thickness + folds, rng.uniform(0.03, 0.06)))
    if rng.random() < (0.2 if kind == "dress" else 0.3):  # leggings
        cut = Cut(top=0.02, leg_to=_between(rng, LEGS["trousers"]))
        layers.append(Garment(Part.TROUSERS, "tights", cut, "legs", 0.0015))
    return layers


def _belt(rng: np.random.Generator, over: float, width: float) -> Garment:
    cut = Cut(bottom=WAIST_M - 0.03, top=WAIST_M + width - 0.03)
    return Garment(Part.DRESS, "tights", cut, "belt", over + LAYER_M)


def _coat(rng: np.random.Generator) -> list[Garment]:
    """Two pieces of one cloth, with a gap down the front or a deep neckline."""
    thickness, length = rng.uniform(0.024, 0.034), _between(rng, COATS)
    sleeve, folds, flare = rng.uniform(0.47, 0.52), rng.uniform(0.004, 0.014), rng.uniform(0.02, 0.12)
    neck, gap, scoop = 0.55, None, rng.uniform(0.05, 0.2)
    if rng.random() < 0.5:
        gap, scoop = (rng.uniform(0.02, 0.05), rng.uniform(0.0, 0.08)), 0.0
    lower_gap = None if gap is None else (gap[0] + gap[1] * (neck - WAIST_M), gap[1])
    upper = Cut(bottom=WAIST_M - 0.08, top=neck, scoop=scoop, sleeve=sleeve, opening=gap)
    lower = Cut(bottom=length, top=WAIST_M, opening=lower_gap)
    hides = (SKIRT_HIDES_M, 0.05) if gap is None else (OPEN_HIDES_M, SKIRT_HIDES_M)
    return [
        Garment(Part.COAT, "skirt", lower, "coat", thickness + LAYER_M / 2, folds, flare, hides=hides[0]),
        Garment(Part.COAT, "tights", upper, "coat", thickness, folds, 0.01, hides=hides[1]),
    ]


def _robe(rng: np.random.Generator) -> list[Garment]:
    """A yukata: crossed neckline, wide sleeves that hang, a broad belt."""
    thickness, folds = rng.uniform(0.008, 0.014), rng.uniform(0.003, 0.009)
    sleeve = rng.uniform(0.38, 0.48)
    upper = Cut(bottom=0.0, top=0.56, scoop=rng.uniform(0.1, 0.18), sleeve=sleeve)
    lower = Cut(bottom=rng.uniform(-0.84, -0.76), top=WAIST_M)
    return [
        replace(_belt(rng, thickness + folds, rng.uniform(0.1, 0.18)), part=Part.ROBE),
        Garment(Part.ROBE, "skirt", lower, "top", thickness + LAYER_M / 2, folds, hides=SKIRT_HIDES_M),
        Garment(
            Part.ROBE, "tights", upper, "top", thickness, folds, 0.06, drop=rng.uniform(0.1, 0.2), hides=SKIRT_HIDES_M
        ),
    ]


def _with_footwear(rng: np.random.Generator, layers: list[Garment]) -> list[Garment]:
    kind = _pick(rng, FOOTWEAR)
    if kind == "bare":
        return layers
    if kind == "socks":
        return [*layers, Garment(Part.SHOES, "tights", Cut(leg_from=rng.uniform(0.6, 0.84)), "shoe", 0.002)]
    ankle = {"sneakers": (0.82, 0.86), "leather": (0.84, 0.87), "boots": (0.6, 0.8)}[kind]
    thickness = {"sneakers": 0.009, "leather": 0.005, "boots": 0.012}[kind]
    cut = Cut(leg_from=_between(rng, ankle))
    sole = replace(cut, top=SOLE_M)
    upper = Garment(Part.SHOES, "tights", replace(cut, bottom=SOLE_M), "shoe", thickness)
    shoe = [Garment(Part.SHOES, "tights", sole, "sole", thickness + 0.004), upper]
    # Boots go over trousers, trousers over shoes.
    return [*shoe, *layers] if kind == "boots" else [*layers, *shoe]


def _gloves(rng: np.random.Generator) -> list[Garment]:
    """Thin or thick gloves, to the wrist or up the forearm; they are cut from the body itself."""
    if rng.random() >= GLOVES_SHARE:
        return []
    wrist = rng.uniform(0.4, 0.47) if rng.random() < 0.2 else rng.uniform(0.49, WRIST_M)
    cut = Cut(sleeve=np.inf, arm_from=wrist)
    return [Garment(Part.GLOVES, "body", cut, "glove", rng.uniform(0.001, 0.006), 0.002)]


def _pick(rng: np.random.Generator, shares: dict[str, float]) -> str:
    weights = np.array(list(shares.values()))
    return list(shares)[rng.choice(len(shares), p=weights / weights.sum())]


def _between(rng: np.random.Generator, ends: tuple[float, float]) -> float:
    return float(rng.uniform(*ends))
