"""What a reader must know of a combined system: of which runs it is, and what has become of these since.

The numbers of a composite or an ensemble are those of its stored predictions. Here they are compared with what its
parts give, as far as the board holds these.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.core.errors import ResultError
from leaderboard.history.log import History
from leaderboard.results.composites import recombined_difference
from leaderboard.store.board_rows import BoardRun
from leaderboard.store.store import Store

Finding = tuple[str, str, tuple[str, ...]]
"""Word of a mark, one sentence, and the ids of the combined runs that it is about."""


def combination_findings(
    store: Store, history: History, combined: Sequence[BoardRun], runs: Mapping[str, BoardRun]
) -> list[Finding]:
    """Say how the runs of a row are combined of others, and what is wrong with it.

    Args:
        store: The board.
        history: Its log.
        combined: The combined runs of the row.
        runs: All runs of the board by id.
    """
    ids = tuple(run.run_id for run in combined)
    made = (combined[0].kind, _combination_sentence(combined), ids)
    return [made, *_lost_parts(combined, history, runs), *_other_parts(store, combined, runs)]


def _combination_sentence(combined: Sequence[BoardRun]) -> str:
    """How the runs of a combined system are combined of others, and of which."""
    parts = [", ".join(_part_words(part) for part in run.extra["parts"]) for run in combined]
    return f"Combined by {combined[0].spec['combine']}: {'; '.join(parts)}."


def _part_words(part: Mapping[str, Any]) -> str:
    return str(part["run_id"]) if part["name"] == part["run_id"] else f"{part['name']} {part['run_id']}"


def _lost_parts(combined: Sequence[BoardRun], history: History, runs: Mapping[str, BoardRun]) -> Iterator[Finding]:
    """Parts that were retracted, and parts that the board has never had; parts of parts are looked at too."""
    lost = {run.run_id: [part for part in _all_parts(run, runs) if part["run_id"] not in runs] for run in combined}
    for word, meaning, retracted in (
        ("retracted part", "Retracted", True),
        ("absent part", "Not on this board", False),
    ):
        found = {
            one: [p for p in parts if (p["run_id"] in history.retracted) == retracted] for one, parts in lost.items()
        }
        words = dict.fromkeys(_part_words(part) for parts in found.values() for part in parts)
        if words:
            yield word, f"{meaning}: {', '.join(words)}.", tuple(one for one, parts in found.items() if parts)


def _all_parts(run: BoardRun, runs: Mapping[str, BoardRun]) -> Iterator[Mapping[str, Any]]:
    """The parts of a run, and those of its parts that are combined themselves.

    They end: the id of what is combined is a hash of the ids of its parts, so that nothing is a part of itself.
    """
    for part in run.extra.get("parts", ()):
        yield part
        if part["run_id"] in runs:
            yield from _all_parts(runs[part["run_id"]], runs)


def _other_parts(store: Store, combined: Sequence[BoardRun], runs: Mapping[str, BoardRun]) -> Iterator[Finding]:
    """Runs whose stored predictions are not the combination of those of their parts, where these are on the board."""
    for run in combined:
        ids = [part["run_id"] for part in run.extra["parts"]]
        difference = _difference(store, run.run_id, ids) if all(one in runs for one in ids) else None
        if difference is not None:
            yield "other parts", f"Its parts say otherwise: {difference.rstrip('.')}.", (run.run_id,)


def _difference(store: Store, run_id: str, parts: Sequence[str]) -> str | None:
    try:
        return recombined_difference(store.result(run_id), {one: store.result(one) for one in parts})
    except ResultError as error:
        return error.message
