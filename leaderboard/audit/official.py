"""Counts of the official split of ICBHI 2017, by which a table that names no cycle can be judged.

Sources: the 920 annotation files and the split file; the Patch-Mix paper (section 3.1) for the sums.
"""

from __future__ import annotations

TRAIN = (2063, 1215, 501, 363)
"""Cycles of the training part by class: normal, crackle, wheeze, both; 4,142 together."""

TEST = (1579, 649, 385, 143)
"""Cycles of the test part by class; 2,756 together."""

DISJOINT_TEST = (1560, 617, 373, 86)
"""Cycles of the test part without patients 156 and 218, who were trained on too; 2,636 together."""

NORMAL, ABNORMAL = TEST[0], sum(TEST[1:])
"""What Sp and Se are divided by: 1,579 and 1,177 cycles."""

CYCLES = sum(TRAIN) + sum(TEST)
"""All 6,898 cycles."""


def split_words(train: int | None, test: int | None) -> str | None:
    """Say what is wrong with the numbers of cycles of a split, as the end of a sentence; None where nothing is.

    Args:
        train: Number of cycles of the training part, where known.
        test: Number of cycles of the test part, where known.
    """
    if (train is None or train == sum(TRAIN)) and (test is None or test == sum(TEST)):
        return None
    if test == sum(DISJOINT_TEST):
        return (
            "the test part without patients 156 and 218, whose numbers stand beside the official ones, not among them"
        )
    share = _share(train, test)
    if abs(share - 0.8) < 0.03:
        return "an 80-20 split, not the official 60-40 one"
    if abs(share - 0.6) < 0.03:
        return "about 60-40, but not the official split, as when recordings or cycles are drawn at random"
    if not 0.4 < share < 0.95:
        return "another set, or a part of it, than the official 4,142 training and 2,756 test cycles"
    return f"{100 * share:.0f}-{100 - 100 * share:.0f}, not the official 60-40 split"


def _share(train: int | None, test: int | None) -> float:
    """The share of the training part, of the whole set where only one part is known."""
    if train is not None and test is not None:
        return train / max(train + test, 1)
    return train / CYCLES if train is not None else 1 - (test or 0) / CYCLES
