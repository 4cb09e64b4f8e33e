"""Predictions: a trained run, or several, on sound files that it has never seen."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.api.calls import api_call
from bench.api.frames import data_frame
from bench.api.heard_recordings import Origin, RecordingReader, checked_channel
from bench.api.prediction_notices import described_runs, notices
from bench.api.prediction_values import PredictedCycle, PredictedRecording, SkippedFile, row_names
from bench.api.repeated_notices import RepeatedNotices
from bench.api.requests import FilePath, plugin_files
from bench.api.trained_systems import OWN_PRECISION, USUAL_POOLING, Opening, open_system
from bench.core.errors import BenchError, SpecError
from bench.core.files import temporary_folder
from bench.core.paths import cache_folder, home_folder
from bench.core.text import counted_noun, echoed
from bench.data.heard_cycles import CycleFinder, Windows
from bench.data.sound_files import NotFound, SoundFile, find_sound_files
from bench.engine.prediction import Heard, Scored, TrainedSystem, scores_of
from leaderboard.metrics import predicted_classes

if TYPE_CHECKING:
    from bench.api.trained_systems import RunReference
    from bench.experiment.consent import Allow

__all__ = ["PredictedCycle", "PredictedRecording", "Predictions", "SkippedFile", "predict"]

USUAL_WINDOW = 5.0
"""Seconds of a window where the run's front-end has no length of its own."""

UNKNOWN_DEVICE = (
    "nothing says what recorded it, so that the part for all other devices scored it; --recorded-with names the device"
)

Progress = Callable[[int, int], None]
"""Called with the number of files that are done, and of all."""


class Predictions:
    """Predictions that are made while they are asked for: recording after recording, in memory that does not grow.

    Going through them anew classifies anew.

    Args:
        system: The trained system.
        files: What is heard.
        finder: Finds the cycles.
        channel: Number of the channel of files with several, ``all``, or None to refuse these.
        device: What recorded them; None for what names and annotations say.
        batch: Rows of a forward pass.
        on_progress: Told of files that are done.

    Attributes:
        classes: Names of the classes, the normal one first.
        notices: Sentences on what is to be known of the runs.
        runs: The runs as JSON objects: id, weights, system, data, Scores.
        skipped: The files that were left out, as far as predictions were asked for.
        cycles: Number of cycles, events or windows that were classified.
        units: The same by what they are: ``cycle``, ``event``, ``recording``, ``window``.
        seconds: How long that took, with reading.
    """

    def __init__(
        self,
        system: TrainedSystem,
        files: Sequence[SoundFile | NotFound],
        finder: CycleFinder,
        channel: str | None,
        device: str | None,
        batch: int,
        on_progress: Progress | None = None,
    ) -> None:
        self.system, self.files, self.batch = system, files, batch
        self.classes = system.runs[0].classes
        self.notices = notices(system)
        self.runs = described_runs(system)
        self.skipped: list[SkippedFile] = []
        self.cycles, self.units, self.seconds = 0, Counter[str](), 0.0
        self._skips, self._notes = RepeatedNotices("skipped", logging.WARNING), RepeatedNotices("note", logging.INFO)
        self._reader = RecordingReader(finder, channel, device, self._notes.tell)
        self._on_progress = on_progress

    def __repr__(self) -> str:
        names = " + ".join(run.run.name for run in self.system.runs)
        return f"<{type(self).__name__} of {len(self.files)} files by {names}>"

    @property
    def cycles_per_second(self) -> float | None:
        """How many cycles, events or windows were classified in a second, with reading; None before the first."""
        return round(self.cycles / self.seconds, 2) if self.seconds and self.cycles else None

    @property
    def units_in_words(self) -> str:
        """What was classified, by what it is: ``3 cycles and 12 windows``; ``nothing`` before the first."""
        return " and ".join(counted_noun(number, unit) for unit, number in self.units.items()) or "nothing"

    def __iter__(self) -> Iterator[PredictedRecording]:
        """Classify; what cannot be is named in the log and kept in :attr:`skipped`, and the next file comes."""
        self.skipped, self.cycles, self.seconds = [], 0, 0.0
        self.units.clear()
        try:
            yield from self._classified()
        finally:
            self._skips.end()
            self._notes.end()

    def _classified(self) -> Iterator[PredictedRecording]:
        with temporary_folder("bench-sound") as folder:
            began = time.monotonic()
            for scored in scores_of(self.system, self._heard(folder), self.batch):
                made = None
                if scored.error is None:
                    made = self._predicted(scored)
                else:
                    self._skip(scored.of.file.shown, scored.error)
                self.seconds += time.monotonic() - began
                if made is not None:
                    self.cycles += len(made.cycles)
                    self.units[made.unit] += len(made.cycles)
                    yield made
                # Whoever takes the predictions may draw or write them, which is no part of the speed.
                began = time.monotonic()

    def rows(self) -> Iterator[dict[str, Any]]:
        """A flat row for each cycle, with the columns of :func:`bench.api.prediction_values.row_names`."""
        for recording in self:
            yield from recording.rows()

    def frame(self) -> Any:
        """All rows as a data frame of pandas, or of polars where that alone is installed.

        Raises:
            SpecError: If neither is installed.
        """
        rows = list(self.rows())
        return data_frame({name: [row[name] for row in rows] for name in row_names(self.classes)})

    def _heard(self, folder: Path) -> Iterator[Heard[Origin] | Scored[Origin]]:
        for done, file in enumerate(self.files, start=1):
            yield from self._reader.read(file, folder)
            if self._on_progress is not None:
                self._on_progress(done, len(self.files))

    def _skip(self, shown: str, error: BenchError) -> None:
        self.skipped.append(SkippedFile(shown, error))
        self._skips.tell(shown, f"{error.message}{f' {error.hint}' if error.hint else ''}")

    def _predicted(self, scored: Scored[Origin]) -> PredictedRecording:
        origin, scores = scored.of, scored.scores
        assert origin.found is not None
        assert scores is not None
        device = self._reader.device_of(origin.found)
        notes = origin.found.notes
        if self.system.asks_for_device and not device:
            notes += (f"{echoed(origin.file.shown, 300)}: {UNKNOWN_DEVICE}",)
            self._notes.tell(origin.file.shown, notes[-1])
        chosen = predicted_classes(scores, len(self.classes)).tolist()
        cycles = tuple(
            PredictedCycle(
                cycle.index,
                cycle.start,
                min(cycle.end, origin.seconds),
                self.classes[number],
                dict(zip(self.classes, row, strict=True)),
                origin.found.label_of(cycle),
            )
            for cycle, row, number in zip(origin.found.cycles, scores.tolist(), chosen, strict=True)
        )
        return PredictedRecording(
            origin.file.shown,
            origin.path,
            origin.channel,
            origin.sound_channels,
            origin.rate,
            origin.seconds,
            "windows" if origin.found.annotation is None else "annotation",
            origin.found.unit,
            origin.found.annotation,
            device,
            notes,
            cycles,
        )


@api_call
def predict(
    run: RunReference | Sequence[RunReference],
    paths: FilePath | Sequence[FilePath],
    *,
    combine: str = USUAL_POOLING,
    cycles: str = "auto",
    window: float | None = None,
    hop: float | None = None,
    channel: int | str | None = None,
    recorded_with: str | None = None,
    batch: int | None = None,
    device: str = "auto",
    precision: str = OWN_PRECISION,
    home: FilePath | None = None,
    cache: FilePath | None = None,
    plugins: FilePath | Sequence[FilePath] = (),
    allow: Allow | None = None,
    on_progress: Progress | None = None,
) -> Predictions:
    """Classify the respiratory cycles of sound files with a trained run, or with several.

    Nothing is read before the predictions are gone through. They are for research, and no diagnosis.

    Args:
        run: Id of a finished run, the beginning of it, or the folder of one, wherever it lies; after a colon
            ``best-test``, ``best-val`` or ``last`` (the default) for its weights. A composite or an ensemble stands for
            its parts. Several are combined.
        paths: Sound files, folders (looked through to their depth), patterns as ``ward/**/*.wav``, or ``-`` for a sound
            on the standard input.
        combine: How the probabilities of several runs become one: ``mean``, ``product`` or ``max``.
        cycles: ``annotations`` for the cycles of an annotation beside each file, ``windows`` over the whole of it, or
            ``auto``: an annotation where there is one.
        window: Seconds of a window (default: the length that the run's front-end brings cycles to).
        hop: Seconds from the beginning of one window to that of the next (default: half a window).
        channel: Number of the channel that is heard of files with several, from 1, or ``all`` for each by itself. By
            default such files are left out.
        recorded_with: Device that recorded the files, for runs that treat devices differently (default: what their
            names say).
        batch: Rows of a forward pass (default: as in the run's evaluations).
        device: ``auto``, ``cpu`` or ``cuda``.
        precision: ``run`` for that of the run (fp32 in place of fp16 on a CPU), ``fp32``, ``bf16`` or ``fp16``.
        home: Results folder, where runs are found by their ids.
        cache: Cache folder.
        plugins: Files of models, methods, front-ends or data sets of your own.
        allow: Asked whether a plug-in may be run that the run's spec alone names; without it none is.
        on_progress: Called with the number of files that are done, and of all.

    Returns:
        The predictions: go through them, or take ``rows()`` or ``frame()``.

    Raises:
        SpecError: If there is no such run, it keeps no such weights, or an option has no such value.
        WeightsError: If weights are damaged, or those of something else.
    """
    from bench.experiment.plugins import load_plugins

    references: list[Any] = list(run) if isinstance(run, list | tuple) else [run]
    words = [paths] if isinstance(paths, str | Path) else list(paths)
    named = plugin_files(plugins)
    wanted = checked_channel(channel)
    if batch is not None and batch < 1:
        raise SpecError(f"batch is {batch}, but must be at least 1.")
    if not words:
        raise SpecError("No sound file is named.", "Name files, folders or patterns, or - for the standard input.")
    load_plugins(named)
    opening = Opening(device, precision, cache_folder(cache), named, allow)
    system = open_system(references, combine, home_folder(home), opening)
    first = system.runs[0]
    if cycles == "annotations" and (window is not None or hop is not None):
        raise SpecError("--window and --hop are of windows, but cycles is annotations.", "Leave them out, or use auto.")
    finder = CycleFinder(cycles, _windows(system, window, hop), first.judged.dataset, first.judged.task)
    rows = batch or first.spec.distribution.eval_batch
    files = list(find_sound_files(words, finder.annotation_endings))
    return Predictions(system, files, finder, wanted, recorded_with, rows, on_progress)


def _windows(system: TrainedSystem, window: float | None, hop: float | None) -> Windows:
    own = getattr(system.runs[0].chosen.options, "seconds", USUAL_WINDOW)
    length = float(own) if window is None else window
    return Windows(length, length / 2 if hop is None else hop)
