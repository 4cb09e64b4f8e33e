"""Notices on files: what is true of many is said once, and who they are."""

import logging

from bench.api.repeated_notices import MOST_NAMES, RepeatedNotices
from bench.core.log import show_log


def test_a_reason_that_many_files_share_is_said_once_with_their_number(capsys):
    show_log()
    skips = RepeatedNotices("skipped", logging.WARNING)
    for number in range(MOST_NAMES + 3):
        skips.tell(f"ward/{number}.wav", f"ward/{number}.wav has 1 channel, but --channel is 2. Name another.")
    skips.tell("ward/a.wav", "ward/a.txt:3: 3 fields.")
    skips.tell("ward/b.wav", "ward/b.txt:3: 3 fields.")
    skips.tell("2.wav", "2.wav has 2 channels.")
    skips.tell("3.wav", "3.wav has 3 channels.")
    skips.end()
    skips.end()
    listed = ", ".join(f"ward/{number}.wav" for number in range(1, MOST_NAMES + 1))
    assert capsys.readouterr().err.splitlines() == [
        "warning: skipped: ward/0.wav has 1 channel, but --channel is 2. Name another.",
        "warning: skipped: ward/a.txt:3: 3 fields.",
        "warning: skipped: 2.wav has 2 channels.",
        "warning: skipped: 3.wav has 3 channels.",
        f"warning: skipped, as ward/0.wav: {MOST_NAMES + 2} more files: {listed} and 2 more",
        "warning: skipped, as ward/a.wav: 1 more file: ward/b.wav",
    ]
