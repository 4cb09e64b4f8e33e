"""What systems, runs and published results are called in the tables, in lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.core.datasets import extent_words
from bench.core.text import setting_words
from leaderboard.render.cells import Values
from leaderboard.results.schema import COMBINED
from leaderboard.tables.titles import system_title

_DIGEST = 64
"""Letters of a SHA-256 in hex; a label shows the first eight."""

_MAY_BE_NONE = ("init_from", "partial", "weights_sha256")
"""Fields of a spec of which None means that there is no such thing."""


def system_lines(row: Values) -> list[str]:
    """What a system is called: its name, what it started from, and what tells it apart, as far as there is any."""
    if "reference" in row:
        return [row["reference"]]
    differs = dict(row.get("differs", {}))
    lines = [f"{row['name']} (submitted)"] if row.get("name") else [system_title(row)]
    told_apart = differs.pop("pretrain", None) is not None
    # A submission or a combined system says no start, and lacks fields of a spec because nobody has said them.
    is_run = not row.get("name") and row.get("kind") not in COMBINED
    if told_apart or (is_run and row["pretrain"] != "none"):
        lines.append("from scratch" if row["pretrain"] == "none" else f"from {row['pretrain']}")
    study = row.get("study")
    tuned = f"{'tuned on the TEST SET' if study['objective'] == 'test' else 'tuned'}: {study['name']}" if study else ""
    told = _differences(differs, row.get("chosen", {}), is_run)
    return [*lines, *(text for text in (told, tuned) if text)]


def _differences(differs: Mapping[str, Any], chosen: Mapping[str, Any], is_run: bool) -> str:
    """The fields that tell a row from others of its name: by their last word, or in full where two share it."""
    short = [name.rpartition(".")[2] for name in differs]
    words = [word if short.count(word) == 1 else name for name, word in zip(differs, short, strict=True)]
    return ", ".join(
        f"{word} chosen ({', '.join(map(setting_words, chosen[name]))})"
        if name in chosen
        else _setting(name, word, differs[name], is_run)
        for name, word in zip(differs, words, strict=True)
    )


def _setting(name: str, word: str, value: Any, is_run: bool) -> str:
    """``alpha 0.5``; ``without alpha`` where there is no such option, or a setting is switched off or empty.

    A field that is not in the spec of a run has its default (``default sampler``): specs leave later ones out.
    """
    if is_run and value is None and "." not in name and name not in _MAY_BE_NONE:
        return f"default {word}"
    if value is None or value is False or value == "":
        return f"without {word}"
    if value is True:
        return f"with {word}"
    text = ", ".join(map(setting_words, value)) if isinstance(value, list) else setting_words(value)
    is_digest = len(text) == _DIGEST and set(text) <= set("0123456789abcdef")
    return f"{word} {text[:8]}" if is_digest else f"{word} {text}"


def run_lines(row: Values) -> list[str]:
    """What a run is called: its system, and the study or the composite that it belongs to."""
    role = [f"{row['kind']} of {row['study']}"] if row.get("study") else []
    if row.get("kind") == "part":
        role.append("part of a composite")
    return [row.get("name") or system_title(row), *role]


def published_lines(row: Values) -> list[str]:
    """Name and architecture of a published system; whose numbers they are, where not its authors'."""
    name = row["system"] + (" (re-run by others)" if row["kind"] == "reproduction" else "")
    start = "" if row["pretrain"] == "-" else f" from {row['pretrain']}"
    return [name, f"{row['architecture']}{start}"]


def data_words(dataset: str, partial: str | None, task: str | None = None, *, is_simulated: bool) -> str:
    """What a run was made on, in the words that the board uses for it.

    Args:
        dataset: Id of the data set.
        partial: How much of it there was, in words; None where all of it was.
        task: Id of the task, where it is not that of the four classes.
        is_simulated: Whether the data were made by a program.
    """
    size = extent_words(partial, simulated=is_simulated)
    return size or dataset if task is None else ", ".join(filter(None, [dataset, task, size]))
