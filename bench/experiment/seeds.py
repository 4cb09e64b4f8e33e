"""The seeds of runs as a user writes them: ``1-5`` or ``1,3,7``."""

from __future__ import annotations

import re

from bench.core.errors import SpecError
from bench.core.text import echoed
from bench.experiment.spec import check_field

MOST_SEEDS = 10_000
_SEEDS = re.compile(r"([0-9]{1,20})(?:-([0-9]{1,20}))?")


def parse_seeds(seed: int | None, seeds: str | None, option: str = "--seeds") -> list[int]:
    """Read ``--seed N`` or ``--seeds 1-5`` (also ``1,3,7``).

    Args:
        seed: The one seed, where it is given by itself.
        seeds: The text of several seeds.
        option: Name of the option that the text was given with, for messages.

    Raises:
        SpecError: If both are given or the text is no list of seeds.
    """
    if seeds is None:
        return [check_field("seed", 1 if seed is None else seed)]
    if seed is not None:
        raise SpecError("Give --seed or --seeds, not both.")
    found: list[int] = []
    for part in seeds.split(","):
        read = _SEEDS.fullmatch(part.strip(" "))
        if read is None:
            raise SpecError(f"{option} is '{echoed(seeds)}', but must look like 1-5 or 1,3,7.")
        low, high = int(read[1]), int(read[2] or read[1])
        if high < low or high - low > 999:
            raise SpecError(f"{option} is '{echoed(seeds)}': '{echoed(part)}' is no range of up to 1,000 seeds.")
        found.extend(range(low, high + 1))
        if len(found) > MOST_SEEDS:
            raise SpecError(f"{option} is '{echoed(seeds)}', which is more than {MOST_SEEDS:,} seeds.")
    return [check_field("seed", number) for number in dict.fromkeys(found)]
