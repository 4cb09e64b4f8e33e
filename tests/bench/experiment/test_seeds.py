"""Seeds as a user writes them."""

from __future__ import annotations

import pytest

from bench.core.errors import SpecError
from bench.core.text import LARGEST_WHOLE
from bench.experiment.seeds import MOST_SEEDS, parse_seeds


@pytest.mark.parametrize(
    ("seed", "seeds", "found"),
    [
        (None, None, [1]),
        (7, None, [7]),
        (0, None, [0]),
        (None, "3", [3]),
        (None, "1-5", [1, 2, 3, 4, 5]),
        (None, "4-4", [4]),
        (None, "3,1,2", [3, 1, 2]),
        (None, " 1 , 5-6 ,2", [1, 5, 6, 2]),
        (None, "1-3,2-4,1", [1, 2, 3, 4]),
        (None, "007", [7]),
        (None, f"{2**32 - 1}", [2**32 - 1]),
    ],
)
def test_seeds_are_read_in_their_order_and_each_once(seed, seeds, found):
    assert parse_seeds(seed, seeds) == found


@pytest.mark.parametrize("seeds", ["", ",", "1,", "1;2", "-1", "1-", "1--2", "a", "1.0", "1_0", "٣", "1-2-3", "1 2"])
def test_what_is_no_list_of_seeds_is_told_with_two_that_are(seeds):
    with pytest.raises(SpecError, match="must look like 1-5 or 1,3,7") as caught:
        parse_seeds(None, seeds)
    assert f"'{seeds}'" in caught.value.message


def test_a_range_of_seeds_has_a_bound_and_so_have_all_together():
    assert len(parse_seeds(None, "1-1000")) == 1000
    for odd in ("1-1001", "5-4", f"0-{10**18}"):
        with pytest.raises(SpecError, match=f"'{odd}' is no range of up to 1,000 seeds"):
            parse_seeds(None, odd)
    ranges = ",".join(f"{first}-{first + 999}" for first in range(0, MOST_SEEDS, 1000))
    assert len(parse_seeds(None, ranges)) == MOST_SEEDS
    with pytest.raises(SpecError, match="more than 10,000 seeds") as caught:
        parse_seeds(None, f"{ranges},{MOST_SEEDS}")
    assert len(caught.value.message) < 200


def test_a_seed_beyond_what_a_run_can_have_is_refused_as_a_seed():
    for read in (lambda number: parse_seeds(number, None), lambda number: parse_seeds(None, str(number))):
        with pytest.raises(SpecError, match=r"seed is .* must be at most"):
            read(LARGEST_WHOLE)
    with pytest.raises(SpecError, match="Give --seed or --seeds, not both"):
        parse_seeds(1, "1-2")
