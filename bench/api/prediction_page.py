"""Predictions as one page of HTML that needs nothing else, written recording after recording."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from bench.api.prediction_figures import recording_picture
from bench.api.prediction_notices import RESEARCH
from bench.api.prediction_values import PredictedRecording
from bench.api.prediction_writers import Emit
from bench.api.predictions import Predictions
from bench.core.text import capital, counted_noun, plain, plural
from bench.core.version import __version__
from bench.search.figures.html import COLOURS, inline
from leaderboard.render.pages import environment

TEMPLATE = "predictions.html.jinja"

MOST_PICTURES = 40
"""Recordings with a picture: each weighs some 100 KB, and a page of thousands opens nowhere."""

MOST_ROWS = 300
"""Cycles of a recording in its table."""

OPEN_ROWS = 12
"""Cycles of a recording up to which its table is open."""


class PageWriter:
    """Writes the page as recordings come.

    Args:
        emit: Where text goes.
    """

    def __init__(self, emit: Emit) -> None:
        self._emit, self._recordings = emit, 0
        self._parts: Any = environment("bench.api").get_template(TEMPLATE).module

    def begin(self, predictions: Predictions) -> None:
        """Write the head: the runs with their Scores, and what is to be known of them."""
        runs = predictions.runs
        words = f"Probabilities are the {predictions.system.combination} of {len(runs)} runs."
        self._emit(
            self._parts.head(
                "Predicted respiratory sounds",
                COLOURS,
                [_run_values(run) for run in runs],
                words if len(runs) > 1 else "",
                [RESEARCH, *map(capital, predictions.notices)],
            )
        )

    def add(self, recording: PredictedRecording) -> None:
        """Write a recording, with its picture as long as there are not too many."""
        self._recordings += 1
        is_labelled, units = recording.annotation is not None, plural(recording.unit)
        shown = recording.cycles[:MOST_ROWS]
        channel = f", channel {recording.channel} of {recording.channels}" if recording.channels > 1 else ""
        classes = list(recording.cycles[0].scores) if recording.cycles else []
        source = f"{units} of {recording.annotation.name}" if recording.annotation else "windows over the recording"
        heads = [(recording.unit, False), ("start", False), ("end", False), ("predicted", True)]
        heads += [("annotated", True)] if is_labelled else []
        self._emit(
            self._parts.recording(
                plain(f"{recording.file}{channel}"),
                plain(f"{recording.seconds:.1f} s at {recording.rate:,} Hz; {source}"),
                [plain(note) for note in recording.notes],
                self._picture(recording),
                [*heads, *((name, False) for name in classes)],
                [_row(cycle, is_labelled) for cycle in shown],
                counted_noun(len(recording.cycles), recording.unit),
                capital(units),
                len(recording.cycles) - len(shown),
                len(recording.cycles) <= OPEN_ROWS,
            )
        )

    def end(self, predictions: Predictions) -> None:
        """Write the files that were left out, and what made the page."""
        files = counted_noun(len(predictions.files) - len(predictions.skipped), "file")
        counts = capital(f"{predictions.units_in_words} of {files}")
        undrawn = self._recordings - MOST_PICTURES
        self._emit(
            self._parts.tail(
                [plain(skipped.error.message) for skipped in predictions.skipped],
                f"{counts}, classified by lungbench {__version__}. {RESEARCH}",
                f"The first {MOST_PICTURES} recordings have a picture; --figure FOLDER draws all."
                if undrawn > 0
                else "",
            )
        )

    def _picture(self, recording: PredictedRecording) -> Markup | str:
        if self._recordings > MOST_PICTURES:
            return ""
        svg = recording_picture(recording, "svg", bare=True)
        label = f"Waveform, spectrogram and class probabilities of {plain(recording.recording)}"
        return Markup(inline(svg, label, f"r{self._recordings}-"))


def _run_values(run: dict[str, Any]) -> dict[str, Any]:
    marks = [run["partial"]] if run["partial"] else []
    trained = f"{run['dataset_title']} ({run['task']})" + "".join(f", {mark}" for mark in marks)
    by_judged = list((run["metrics"] or {}).values())
    numbers = [f"{by_judged[0][name]:.2f}" for name in ("sp", "se", "score")] if by_judged else ["–"] * 3
    return {"words": [run["run_id"], run["weights"], run["model"], run["method"], plain(trained)], "numbers": numbers}


def _row(cycle: Any, is_labelled: bool) -> list[tuple[str, bool, bool]]:
    """Text of each cell, whether it is a word, and whether it is the chosen class's."""
    cells = [(str(cycle.cycle), False, False), (f"{cycle.start:.2f}", False, False), (f"{cycle.end:.2f}", False, False)]
    cells.append((cycle.predicted, True, False))
    if is_labelled:
        cells.append((cycle.label or "", True, False))
    return [*cells, *((f"{score:.3f}", False, name == cycle.predicted) for name, score in cycle.scores.items())]
