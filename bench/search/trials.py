"""Trials that are done again in the place of failed ones, and what that makes of their number."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.trial import FrozenTrial

RETRY_OF = "retry_of"
"""Attribute of a trial: the failed one in whose place it stands."""


def originals(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that count towards a study's number; those that stand in the place of failed ones do not."""
    return [trial for trial in trials if RETRY_OF not in trial.user_attrs]


def tried_again(trials: Sequence[FrozenTrial]) -> set[int]:
    """Numbers of failed trials that others stand in the place of."""
    return {int(trial.user_attrs[RETRY_OF]) for trial in trials if RETRY_OF in trial.user_attrs}
