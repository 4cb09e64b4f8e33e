"""What a result was judged on, for those who print it."""

from __future__ import annotations

from leaderboard.results.schema import task_of as task_of
from leaderboard.tasks import JudgedTask as JudgedTask
from leaderboard.tasks import is_first_task


def judged_words(judged: JudgedTask, partial: str | None) -> str:
    """What a result was judged on, in words: ``ICBHI 2017, official split``.

    Args:
        judged: The task.
        partial: How much of the data set it is, where not all of it.
    """
    if judged.simulated:
        data = ", ".join(filter(None, ("simulated data", partial)))
    elif is_first_task(judged.task):
        data = partial or f"{judged.title}, {judged.task.main.title}"
    else:
        data = ", ".join(filter(None, (judged.title, partial)))
    return data if is_first_task(judged.task) else f"{data} · {judged.task.title}"
