"""Numbers on the command line keep to the bounds that their options have."""

import pytest


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("watch --every 0", "'--every': 0 is below 0.2"),
        ("watch --every 1e9", "'--every': 1e9 is above 3,600.0"),
        ("watch --every 1_0", "'--every': '1_0' is no number"),
        ("predict run sound.wav --batch 0", "'--batch': 0 is below 1"),
        ("run --nodes -1", "'--nodes': -1 is below 1"),
        ("data prepare --workers 0", "'--workers': 0 is below 1"),
    ],
)
def test_what_lies_outside_of_an_options_bounds_is_wrong_usage(bench, words, message):
    assert f"Invalid value for {message}." in " ".join(bench(*words.split(), code=2).err.split())
