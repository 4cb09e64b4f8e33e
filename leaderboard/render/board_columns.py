"""The columns of the board's tables: what stands in each kind of section, and how it is laid out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from leaderboard.render.cells import Column, FilledColumn, Values
from leaderboard.render.numbers import interval_lines, mean_lines, number, seeds
from leaderboard.render.system_names import data_words, published_lines, run_lines, system_lines
from leaderboard.results.inputs import notable
from leaderboard.tables.marks import mark_words
from leaderboard.tasks import judged_task

Lines = Callable[[Values], Sequence[str]]


# --- what cells say ---------------------------------------------------------------------------------------------


def ranks(row: Values) -> str:
    """The ranks that the data leave open: ``2–7``, or one; nothing where a row is not ranked."""
    best, worst = row["ranks"] or (row["rank"], row["rank"])
    return "" if best is None else f"{best}" if best == worst else f"{best}–{worst}"


def _text(name: str, form: Callable[[Any], str] = str) -> Lines:
    """A field as one line, a dash where the row has none."""
    return lambda row: ["–" if row[name] is None else form(row[name])]


def _mean(name: str, part: str | None = None) -> Lines:
    """A mean with its deviation, of the row itself or of a part of it; nothing where its task has no such thing."""

    def lines(row: Values) -> list[str]:
        values = row[part] if part else row
        if values is None or name not in values:
            return []
        return mean_lines(values[name], values[f"{name}_std"])

    return lines


def _score(row: Values) -> list[str]:
    return mean_lines(row["score"], row["score_std"]) + (["(–)"] if row["degenerate"] else interval_lines(row["ci95"]))


def _rate(side: str, sign: str = "") -> Lines:
    """A rate, or a difference where there is a sign, with deviation and interval as far as it has them."""

    def lines(row: Values) -> list[str]:
        values = row[side]
        return mean_lines(values["value"], values.get("std"), sign) + interval_lines(values["ci95"], sign)

    return lines


def _by_seed(row: Values) -> list[str]:
    return [f"{seed}: {number(score)}" for seed, score in zip(row["seeds"], row["scores"], strict=True)]


def _disjoint(row: Values) -> list[str]:
    return [number(None if row["patient_disjoint"] is None else row["patient_disjoint"]["score"])]


def _inputs(row: Values) -> list[str]:
    """What a system uses beside the sound of one cycle, as far as it is declared, and what is not."""
    said = notable(row["inputs"]) if "inputs" in row else []
    return [text.removeprefix("inputs ") for text in said]


def _state(row: Values) -> list[str]:
    return [row["state"]] if row.get("state") else []


def _date(row: Values) -> list[str]:
    return [str(row["created"])[:10]] if row.get("created") else []


def _optimism(row: Values) -> list[str]:
    """What choosing the epoch on the test part gave, against the last epoch and, where there is one, best-val."""
    of_val = row["optimism_of_val"]
    return [number(row["optimism"], "+"), *([f"({of_val:+.2f})"] if of_val is not None else [])]


def _either_lines(row: Values) -> list[str]:
    """What a system is called: a printed one with its architecture, one of the board as the board calls it."""
    return [row["system"], row["architecture"]] if row["printed"] else list(system_lines(row))


def _venue(row: Values) -> list[str]:
    if not row["printed"]:
        return []
    venue, year = row["venue"], str(row["year"])
    return [venue if year in venue else f"{venue} {year}"]


def _printed_doubts(row: Values) -> list[str]:
    return row["doubts"] if row["printed"] else []


def _source(row: Values) -> list[str]:
    return [row["source"]] if row["printed"] else []


def _doubts(row: Values) -> list[str]:
    return [*row["doubts"], *filter(None, [row["note"]])]


def _trained_on(row: Values) -> list[str]:
    return [row["trained_on"]["dataset"], row["trained_on"]["task"]]


def _judged_on(row: Values) -> list[str]:
    """What a run that was trained elsewhere was judged on: data set, task and part, and what must be said of it."""
    there, unofficial = row["judged_on"], row["official"] is False and not row["partial"]
    said = {
        row["partial"]: bool(row["partial"]),
        "not the official test cycles": unofficial,
        "patients seen in training": row["patients_seen"],
    }
    return [there["dataset"], there["task"], row["part_title"], *(words for words, holds in said.items() if holds)]


def _sources(row: Values) -> list[str]:
    """Where a published system and its code are found, each place once."""
    return list(dict.fromkeys(filter(None, [row["source"], row["code"]])))


def _data(row: Values) -> list[str]:
    is_simulated = row["simulated"] if "simulated" in row else judged_task(row).simulated
    return [data_words(row["dataset"], row["partial"], row.get("task"), is_simulated=is_simulated)]


# --- the columns of each kind of section ------------------------------------------------------------------------


def _column(head: str, lines: Lines, *, optional: bool = False, **layout: Any) -> FilledColumn:
    return FilledColumn(Column(head, **layout), lines, optional=optional)


_MARKS = _column("marks", mark_words, number=False, wrap=True, optional=True)
_STATE = _column("state", _state, number=False, expendable=1, optional=True)

_MEANS = (
    _column("AS", _mean("as"), expendable=4, optional=True),
    _column("HS", _mean("hs"), expendable=4, optional=True),
)
"""Arithmetic and harmonic mean of Sp and Se, where a task's Score is made of them."""

COLUMNS: Mapping[str, Sequence[FilledColumn]] = {
    "systems": (
        _column("#", lambda row: [ranks(row)], card="title"),
        _column("system", system_lines, number=False, share=2, wrap=True, comfort=16, card="title"),
        _column("seeds", _text("seeds", seeds), expendable=2),
        _column("Sp", _mean("sp"), expendable=3),
        _column("Se", _mean("se"), expendable=3),
        *_MEANS,
        _column("Score", _score, card="lead"),
        _column("disjoint", _disjoint, expendable=5),
        _column("2-class", _mean("score", "two_class"), expendable=7, optional=True),
        _column("optimism", _optimism, expendable=4),
        _STATE,
        _MARKS,
        _column("inputs", _inputs, number=False, wrap=True, expendable=6, optional=True),
        _column("date", _date, number=False, expendable=9, optional=True),
    ),
    "compared": (
        _column("", _text("side"), number=False, card="title"),
        _column("system", system_lines, number=False, wrap=True, card="title"),
        _column("Score of each seed", _by_seed, number=False, wrap=True, card="lead"),
        _column("optimism", lambda row: [number(row["optimism"], "+")], expendable=2),
        _STATE,
        _MARKS,
    ),
    "comparison": (
        _column("", _text("what"), number=False, wrap=True, card="title"),
        _column("A", _rate("a"), card="lead"),
        _column("B", _rate("b"), card="lead"),
        _column("A − B", _rate("difference", "+"), card="lead"),
    ),
    "parts": (
        _column("part", _text("part"), number=False, card="title"),
        _column("cycles", _text("cycles"), expendable=2),
        _column("patients", _text("patients"), expendable=2),
        _column("Sp", _mean("sp"), expendable=1),
        _column("Se", _mean("se"), expendable=1),
        *_MEANS,
        _column("Score", _mean("score"), card="lead"),
    ),
    "recall": (
        _column("class", _text("part"), number=False, card="title"),
        _column("cycles", _text("cycles"), expendable=1),
        _column("recall", _mean("recall"), card="lead"),
    ),
    "published": (
        _column("#", lambda row: [str(row["rank"] or "")], card="title"),
        _column("system", published_lines, number=False, share=2, wrap=True, comfort=16, card="title"),
        _column("venue", _text("venue"), number=False, wrap=True, comfort=10, expendable=3, linked=True),
        _column("Sp", _mean("sp"), expendable=2),
        _column("Se", _mean("se"), expendable=2),
        _column("Score", _mean("score"), card="lead"),
        _column("rule", _text("protocol"), number=False, expendable=4),
        _STATE,
        _MARKS,
        _column("doubts and notes", _doubts, number=False, share=3, wrap=True, comfort=24, expendable=1, linked=True),
        _column("source and code", _sources, number=False, pages_only=True, linked=True),
    ),
    "dataset": (
        _column("system", _either_lines, number=False, share=2, wrap=True, comfort=16, card="title"),
        _STATE,
        _column("seeds", _text("seeds", seeds), expendable=4),
        _column("Sp", _mean("sp"), expendable=2),
        _column("Se", _mean("se"), expendable=2),
        *_MEANS,
        _column("Score", _score, card="lead"),
        _column("venue", _venue, number=False, wrap=True, expendable=3, optional=True),
        _MARKS,
        _column("doubts", _printed_doubts, number=False, share=3, wrap=True, comfort=24, expendable=1, optional=True),
        _column("source", _source, number=False, wrap=True, expendable=5, optional=True, linked=True),
    ),
    "transfer": (
        _column("trained on", _trained_on, number=False, share=2, wrap=True, comfort=14, card="title"),
        _column("judged on", _judged_on, number=False, share=2, wrap=True, comfort=14, card="title"),
        _column("system", system_lines, number=False, share=2, wrap=True, comfort=16, card="title"),
        _column("seeds", _text("seeds", seeds), expendable=2),
        _column("cycles", _text("cycles"), expendable=4),
        _column("Sp", _mean("sp"), expendable=1),
        _column("Se", _mean("se"), expendable=1),
        _column("AS", _mean("as"), expendable=3),
        _column("HS", _mean("hs"), expendable=3),
        _column("Score", _score, card="lead"),
    ),
    "failed": (
        _column("run", lambda row: [row["run_ids"][0]], number=False),
        _column("system", system_lines, number=False, wrap=True, comfort=16, card="title"),
        _column("seed", _text("seeds", seeds)),
        _column("error", _text("error"), number=False, share=2, wrap=True, comfort=16, card="lead"),
    ),
    "runs": (
        _column("run", _text("run_id"), number=False),
        _column("system", run_lines, number=False, wrap=True, comfort=16, card="title"),
        _column("seed", _text("seed")),
        _column("data", _data, number=False, wrap=True),
        _column("status", _text("status"), number=False, expendable=3),
        _column("Score", _text("score", number), card="lead"),
        _STATE,
        _MARKS,
        _column("created", lambda row: [row["created"][:10]], number=False, expendable=4),
    ),
}
"""What the kinds of :class:`leaderboard.tables.board_tables.Section` show; ``#`` where their rows are ranked."""
