"""The action classes: every frame of motion carries one, so that errors can be told by action as the papers do."""

import re

ACTIONS = (
    "stand", "walk", "run", "march", "side_step", "back_step", "crouch", "jump", "squat", "lunge", "kick", "punch",
    "reach", "manipulate", "lift", "carry", "throw", "open_door", "wave", "clap", "phone", "arms_crossed",
    "hands_on_hips", "hands_behind", "sit", "kneel", "crawl", "push_up", "lie", "get_up", "stretch", "twist",
    "look_up", "look_down", "look_around", "bend", "dance", "acrobatics", "climb", "fence", "wash", "other",
)  # fmt: skip
"""All labels; "other" is a recording of which nothing is known."""

_CMU_CLIPS = {
    "02_01": "walk", "02_02": "walk", "02_03": "run", "02_04": "jump", "02_05": "punch", "02_06": "bend",
    "02_07": "fence", "02_08": "fence", "02_09": "fence", "02_10": "wash",
}  # fmt: skip
_CMU_SUBJECTS = {
    "01": "climb", "03": "walk", "05": "dance", "07": "walk", "08": "walk", "09": "run", "39": "walk", "60": "dance",
    "61": "dance",
}  # fmt: skip
_CMU = re.compile(r"(\d\d\d?)_(\d\d\d?)(?:_poses|_stageii)?")
_WORDS = {
    "getup": "get_up", "get_up": "get_up", "ground": "get_up", "spinkick": "kick", "backflip": "acrobatics",
    "sideflip": "acrobatics", "flip": "acrobatics", "cartwheel": "acrobatics", "handstand": "acrobatics",
    "roll": "acrobatics", "climb": "climb", "hang": "climb", "crawl": "crawl", "crouch": "crouch", "stealth": "crouch",
    "sneak": "crouch", "pushup": "push_up", "push_up": "push_up", "dance": "dance", "salsa": "dance", "spin": "dance",
    "kick": "kick", "punch": "punch", "box": "punch", "fight": "punch", "sword": "fence", "fence": "fence",
    "throw": "throw", "lift": "lift", "carry": "carry", "door": "open_door", "wave": "wave", "clap": "clap",
    "phone": "phone", "wash": "wash", "squat": "squat", "lunge": "lunge", "kneel": "kneel", "sit": "sit",
    "lying": "lie", "stretch": "stretch", "twist": "twist", "look": "look_around", "bend": "bend", "reach": "reach",
    "jump": "jump", "hop": "jump", "side_step": "side_step", "sidestep": "side_step", "sprint": "run", "run": "run",
    "jog": "run", "walk": "walk", "stride": "walk", "turn": "walk", "stand": "stand", "idle": "stand",
}  # fmt: skip


def action_of(name: str) -> str:
    """The label of a recorded clip by its name: a number of the CMU database, else the first known word in it."""
    name = name.lower()
    if number := _CMU.fullmatch(name):
        return _CMU_CLIPS.get(f"{number[1]}_{number[2]}", _CMU_SUBJECTS.get(number[1], "other"))
    if name in ACTIONS:
        return name
    return next((action for word, action in _WORDS.items() if word in name), "other")


def ungrounded(name: str) -> bool:
    """CMU's subjects 01 and 03 stand on a climbing frame and on ramps that were not recorded."""
    number = _CMU.fullmatch(name.lower())
    return number is not None and number[1] in ("01", "03")
