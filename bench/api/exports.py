"""Trained runs as files for other programs: a traced torch program, ONNX, weights; each tried before it is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.api.calls import api_call
from bench.api.requests import FilePath, plugin_files
from bench.api.words import known_word
from bench.core.errors import SpecError
from bench.core.paths import cache_folder, home_folder
from leaderboard.results.schema import COMBINED, kind_of

if TYPE_CHECKING:
    from bench.api.run_result import Run
    from bench.engine.trained import TrainedRun
    from leaderboard.results.run_folder import RunFolder

ENDINGS: Mapping[str, str] = {"torch": ".pt2", "safetensors": ".safetensors", "onnx": ".onnx"}
"""The files that a run can be exported to, by what the command calls them, and how their names end."""

OPSET = 18
"""Version of ONNX's operators that is written where none is asked for."""


@dataclass(frozen=True)
class Exported:
    """A file that a run was exported to.

    Attributes:
        path: The file.
        document: What it is: run, classes, inputs, front-end, and how far it was found to differ from the run.
    """

    path: Path
    document: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """What ``bench export --json`` prints."""
        return {"path": str(self.path), **self.document}


@api_call
def export(
    run: FilePath | Run,
    file_format: str,
    *,
    out: FilePath | None = None,
    opset: int = OPSET,
    frontend: bool = True,
    home: FilePath | None = None,
    cache: FilePath | None = None,
    plugins: FilePath | Sequence[FilePath] = (),
    allow: Callable[[str, Path], bool] | None = None,
) -> Exported:
    """Write a trained run as a file that other programs can load, after comparing it with the run.

    Args:
        run: The run, as :func:`bench.predict` takes it: an id, the beginning of one, or a folder, with a colon and the
            selection rule whose weights are wanted (``3f2a:best-test``; ``last`` by default). Also what
            :func:`bench.run` returns.
        file_format: ``torch`` (a program for ``torch.export.load``), ``onnx``, or ``safetensors`` (the weights).
        out: The file (default: ``<run id>-<rule>`` with the ending of the format, in the working folder).
        opset: Version of ONNX's operators.
        frontend: Whether the front-end becomes part of the program, which then takes waveforms, where it can be.
        home: Results folder (default: ``BENCH_HOME`` or ./results).
        cache: Cache folder (default: ``BENCH_CACHE`` or the user's).
        plugins: Files of the plug-ins that the run needs.
        allow: Asked whether a plug-in may be run that the spec alone names; without it none is.

    Returns:
        The file, and what it is.

    Raises:
        SpecError: If there is no such run, it is a combination of several, a word is unknown, or a package is missing.
        RunError: If the model cannot be traced, or the file does not give what the run gives; nothing is written then.
        WeightsError: If the run keeps no such weights.
        StoreError: If the file cannot be written.
    """
    known_word("format", file_format, tuple(ENDINGS))
    _check_use(file_format, opset, frontend)
    opened = _opened(run, home_folder(home), cache_folder(cache), plugins, allow)
    target = Path(f"{opened.run.run_id}-{opened.run.which}{ENDINGS[file_format]}") if out is None else Path(out)
    return Exported(target, _written(opened, file_format, target, opset, frontend))


def card_of(run: FilePath | Run, home: FilePath | None = None, cache: FilePath | None = None) -> str:
    """The model card of a run that a user names; arguments and errors as for :func:`export`."""
    from bench.api.model_cards import model_card
    from bench.api.run_references import referred_run

    folder, _ = referred_run(run, home_folder(home), cache_folder(cache))
    return model_card(folder.path)


def _check_is_one(folder: RunFolder) -> None:
    """Refuse what is combined of several runs, which no single program is."""
    if not folder.has_result():
        return
    document = folder.read_document()
    if kind_of(document) in COMBINED:
        names = ", ".join(part["run_id"] for part in document["parts"])
        raise SpecError(
            f"{document['run_id']} is the {kind_of(document)} of several runs, and a file holds one model.",
            f"Export its runs one by one: {names}; `bench predict` takes the whole.",
        )


def _check_use(file_format: str, opset: int, frontend: bool) -> None:
    """Refuse what a format has no use for, and what it cannot be written with."""
    from bench.engine.export.formats import HIGHEST_OPSET, LOWEST_OPSET, check_onnx

    if file_format == "safetensors" and not frontend:
        raise SpecError("Weights alone have no front-end that could be left out.", "Leave out --no-frontend.")
    if file_format != "onnx" and opset != OPSET:
        raise SpecError(f"--opset is of onnx, not of {file_format}.", "Leave it out.")
    if file_format != "onnx":
        return
    if not LOWEST_OPSET <= opset <= HIGHEST_OPSET:
        raise SpecError(
            f"--opset is {opset}, but must be {LOWEST_OPSET} to {HIGHEST_OPSET}.", f"Leave it out for {OPSET}."
        )
    check_onnx()


def _opened(
    run: FilePath | Run,
    home: Path,
    cache: Path,
    plugins: FilePath | Sequence[FilePath],
    allow: Callable[[str, Path], bool] | None,
) -> TrainedRun:
    """Open a run on the CPU in single precision."""
    from bench.api.run_references import referred_run
    from bench.api.trained_systems import Opening, open_run
    from bench.experiment.initial_runs import initial_run_in

    folder, rule = referred_run(run, home, cache)
    _check_is_one(folder)
    return open_run(initial_run_in(folder, rule), Opening("cpu", "fp32", cache, plugin_files(plugins), allow))


def _written(opened: TrainedRun, file_format: Any, target: Path, opset: int, frontend: bool) -> Mapping[str, Any]:
    from bench.api.model_cards import model_card
    from bench.core.progress import counted
    from bench.engine.export.writing import STEPS, texts_of, write_export

    folder, about = opened.run.folder.path, _described(opened, file_format, opset)
    with counted("steps") as update:
        told = write_export(
            opened,
            file_format,
            target,
            lambda program: texts_of({**about, **program}, model_card(folder, {**about, **program})),
            opset=opset,
            with_frontend=frontend,
            on_step=lambda done: update(f"export {opened.run.run_id}", done, STEPS),
        )
    return {**about, **told}


def _described(opened: TrainedRun, file_format: str, opset: int) -> dict[str, Any]:
    """What a file says of the run that it is of."""
    from bench.api.card_facts import CardFacts
    from bench.core.provenance import package_versions
    from bench.core.version import __version__
    from bench.data.frontends import PieceOptions

    spec = CardFacts.read(opened.run.folder.path).public_spec
    return {
        "format": file_format,
        "opset": opset if file_format == "onnx" else None,
        "run_id": opened.run.run_id,
        "rule": opened.run.which,
        "model": spec["model"],
        "method": spec["method"],
        "frontend": spec["frontend"],
        "frontend_options": spec["frontend_options"],
        "dataset": opened.judged.dataset,
        "task": opened.judged.task.id,
        "classes": list(opened.classes),
        "vote": opened.spec.vote if isinstance(opened.chosen.options, PieceOptions) else None,
        "precision": "fp32",
        "lungbench": __version__,
        "packages": package_versions(),
        "spec": spec,
    }
