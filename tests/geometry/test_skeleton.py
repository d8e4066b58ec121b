"""The Ego4View joint set."""

from egorear.geometry.skeleton import EGO4VIEW, HEATMAP_JOINTS


def test_the_tree_hangs_from_the_head():
    assert EGO4VIEW.parents == (0, 0, 1, 1, 2, 3, 4, 5, 2, 3, 8, 9, 10, 11, 12, 13)
    for joint in range(len(EGO4VIEW)):
        while joint != EGO4VIEW.parents[joint]:
            assert EGO4VIEW.parents[joint] < joint  # parents first: one pass walks the tree
            joint = EGO4VIEW.parents[joint]
        assert EGO4VIEW.names[joint] == "Head"


def test_mirroring_swaps_left_and_right_and_keeps_the_tree():
    swap = {"Left": "Right", "Righ": "Left"}
    for joint, other in enumerate(EGO4VIEW.mirror):
        name = EGO4VIEW.names[joint]
        expected = name if name[:4] not in swap else swap[name[:4]] + name[4 if name[:4] == "Left" else 5 :]
        assert EGO4VIEW.names[other] == expected
        assert EGO4VIEW.mirror[EGO4VIEW.parents[joint]] == EGO4VIEW.parents[other]


def test_groups_partition_the_body():
    parts = ("head", "neck", "arms", "forearms", "hands", "upper_legs", "legs", "feet", "toes")
    assert sorted(joint for part in parts for joint in EGO4VIEW.groups[part]) == list(range(16))
    assert EGO4VIEW.groups["upper"] + EGO4VIEW.groups["lower"] == EGO4VIEW.groups["all"]


def test_heatmaps_leave_out_the_head_and_the_hips_are_joined():
    assert EGO4VIEW.names[1:] == HEATMAP_JOINTS
    assert len(EGO4VIEW.bones) == 16
    assert (EGO4VIEW.index("LeftUpLeg"), EGO4VIEW.index("RightUpLeg")) in EGO4VIEW.bones
