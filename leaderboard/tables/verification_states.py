"""How far the numbers of a row were checked: the verification state that the row has reached.

``claimed``: somebody prints them. ``recomputed``: they follow from predictions on this board. ``rerun``: the same spec
was run again, and gave them within a tolerance that the log states. ``confirmed``: its author's key says, after that,
that this is the system that was meant; a submission, which has no spec to run, is confirmed by its own key alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from leaderboard.history.log import History
from leaderboard.store.board_rows import BoardRun

VerificationState = Literal["claimed", "recomputed", "rerun", "confirmed"]
CLAIMED: VerificationState = "claimed"


def verification_state(runs: Sequence[BoardRun], history: History) -> VerificationState:
    """Find the verification state of a row: the lowest one that any of its runs has reached."""
    # A submission holds predictions and no spec: there is nothing to run again, and its author's key is all there is.
    again = [run.run_id in history.rerun or run.kind == "submission" for run in runs]
    if all(again) and all(run.run_id in history.confirmed for run in runs):
        return "confirmed"
    return "rerun" if all(run.run_id in history.rerun for run in runs) else "recomputed"
