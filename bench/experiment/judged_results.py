"""Results that are read within a block are judged: no run can have had the spec of one that was made up."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from bench.core.documents import specs_judged_by


def results_judged() -> AbstractContextManager[None]:
    """Have the spec of every result judged that is read within a block; once, however many blocks are around it."""
    return specs_judged_by(_judge)


def _judge(identity: Mapping[str, Any]) -> None:
    """Judge the spec of a result; what that takes is loaded by the first one."""
    from bench.experiment.judgement import judge

    judge(identity)
