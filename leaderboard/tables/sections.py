"""Which runs stand in one section of a table: those that were judged on the same cycles, as the same task.

There is a section for each data set, task and tested part, and nothing is pooled across them. Within a part every other
set of judged cycles has a section of its own. Only the hash of the judged cycles makes a set the official one, whatever
a run's spec says.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from bench.core.datasets import DATASETS
from leaderboard.results.judged_set import short
from leaderboard.results.schema import UNRANKED
from leaderboard.statistics.tested_parts import on_each_part, tested_part
from leaderboard.store.board_rows import BoardRun
from leaderboard.tasks import OFFICIAL_SPLIT, JudgedTask, is_first_task

SIMULATED = "simulated"
NOT_OFFICIAL = "not the official test cycles"
PATIENTS_SEEN = "patients seen in training"


class SectionKey(NamedTuple):
    """What the runs of one section share.

    Attributes:
        title: What they were judged on, in words.
        judged_set: Hash of the judged cycles; None without predictions.
    """

    title: str
    judged_set: str | None


def ranked_kinds(runs: Iterable[BoardRun]) -> list[BoardRun]:
    """The runs that stand for a system: no trials of a search, no parts of a composite."""
    return [run for run in runs if run.kind not in UNRANKED]


def section_key(run: BoardRun) -> SectionKey:
    """The key that runs share which may be compared with each other, each on the part that it is seen on."""
    return SectionKey(section_title(run), run.judged_set)


def section_titles(runs: Iterable[BoardRun]) -> dict[SectionKey, str]:
    """The titles of all sections by their keys.

    Where the words are those of several judged sets, each title has the beginning of the set's hash too.

    Args:
        runs: Runs on each part.
    """
    first = {section_key(run): run for run in ranked_kinds(runs) if run.metrics}
    words = [key.title for key in first]
    return {
        key: f"{key.title} ({short(key.judged_set)})"
        if words.count(key.title) > 1 or claims_official_set_wrongly(run)
        else key.title
        for key, run in first.items()
    }


def section_title(run: BoardRun) -> str:
    """Say what a run was judged on: data set, task, part, how much of the set, whether it is not the official one."""
    judged = run.judged_task
    where = data_title(judged)
    part = tested_part(run)
    seen = f" ({PATIENTS_SEEN})" if part.patients_seen else ""
    if judged.simulated:
        named = where if is_first_task(judged.task) else f"{where}, {part.title}{seen}"
        return f"{named}, {run.partial}" if run.partial else named
    if run.partial:
        # Of the set that is meant where none is named, the words have always stood alone.
        is_primary = judged.card is not None and judged.card.primary and is_first_task(judged.task)
        return run.partial if is_primary else f"{where}, {part.title}{seen}, {run.partial}"
    if run.spec["split"] != OFFICIAL_SPLIT:
        return f"{where}, split {run.spec['split']}"
    if _claims_wrongly(run):
        return f"{where}, {NOT_OFFICIAL}" + (f", {part.title}{seen}" if judged.task.other_parts else "")
    if judged.card is None and not judged.task.other_parts:
        return where  # of a set that nobody has declared here, nothing is the official part
    return f"{where}, {part.title}{seen}"


def data_title(judged: JudgedTask) -> str:
    """Name a data set and its task; the task of the four classes goes without saying."""
    named = judged.title if is_first_task(judged.task) else f"{judged.title}, {judged.task.title}"
    if not judged.simulated:
        return named
    # The set that is made on the spot needs no name.
    return SIMULATED if goes_unsaid(judged) else f"{SIMULATED}: {named}"


def is_ranked(run: BoardRun) -> bool:
    """Whether a run's section is ranked: the whole of a real, registered set by its official split.

    Where the official test cycles are pinned, they must be those; where they are not, runs on the same cycles are
    ranked among themselves.
    """
    judged = run.judged_task
    whole = not run.partial and run.spec["split"] == OFFICIAL_SPLIT
    if judged.simulated or judged.card is None or not whole:
        return False
    return judged.is_official(run.judged_set) or not judged.is_pinned


def is_official(run: BoardRun) -> bool:
    """Whether a run was judged on the pinned official test cycles of the whole of its data set."""
    return is_ranked(run) and run.judged_task.is_pinned


def claims_official_set_wrongly(run: BoardRun) -> bool:
    """Whether a run says that it was judged on the official test cycles, and was not."""
    return bool(run.metrics) and not run.judged_task.simulated and not run.partial and _claims_wrongly(run)


def _claims_wrongly(run: BoardRun) -> bool:
    judged = run.judged_task
    return run.spec["split"] == OFFICIAL_SPLIT and judged.is_pinned and not judged.is_official(run.judged_set)


def goes_unsaid(judged: JudgedTask) -> bool:
    """Whether documents name no data set and task: the four classes of the set that is meant where none is named.

    Those of the simulated set that is made on the spot go unsaid too.
    """
    meant = (DATASETS.primary().card.id, DATASETS.simulated().card.id)
    return is_first_task(judged.task) and judged.dataset in meant


SectionOrder = tuple[bool, bool, str, int, int, str]


def section_order(run: BoardRun, title: str) -> SectionOrder:
    """The key by which sections are sorted: ranked ones first, simulated ones last.

    Among themselves they go by data set, then by task and part as the card lists them; those of the four classes by
    their titles.
    """
    judged, tasks = run.judged_task, [] if run.judged_task.card is None else run.judged_task.card.tasks
    ids = [task.id for task in tasks]
    task = ids.index(judged.task.id) if judged.task.id in ids else len(ids)
    part = [one.id for one in judged.task.parts].index(tested_part(run).id)
    alone = is_first_task(judged.task)
    words = title if alone else data_title(judged).removesuffix(f", {judged.task.title}")
    place = (0, 0) if alone else (task, part)
    return (not is_ranked(run), judged.simulated, words, *place, title)


def runs_on_parts(runs: Iterable[BoardRun]) -> list[BoardRun]:
    """Each run once for every part that it was judged on."""
    return list(on_each_part(runs))
