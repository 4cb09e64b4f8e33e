"""A single recording in ICBHI's format, wherever it lies: any WAV file with its annotation beside it."""

from __future__ import annotations

from pathlib import Path

from bench.core.errors import DataError
from bench.core.paths import expanded
from bench.data.dataset import Recording
from bench.data.datasets.icbhi.annotation import parse_annotation
from bench.data.datasets.icbhi.dataset import UNLISTED
from bench.data.datasets.icbhi.files import RECORDING
from bench.data.faults import FileProblem
from bench.data.regular_files import read_text_bytes
from bench.data.wav import inspect_wav


def _problem_error(path: Path, problem: FileProblem) -> DataError:
    place = f"{path}:{problem.line}" if problem.line else str(path)
    return DataError(f"{place}: {problem.message}.", "Mend the file or name another recording.")


def read_annotated(audio: Path) -> tuple[Recording, list[str]]:
    """Read a WAV file's header and the annotation beside it.

    Any sampling rate will do. A cycle that ends after the recording is kept, as the official code keeps it
    (836b09f, ``util/icbhi_util.py`` lines 183-192), and noted.

    Args:
        audio: The WAV file; its name need not be as ICBHI's are.

    Returns:
        The recording, in no split and with what its name says of it, and notes on cycles that end after it.

    Raises:
        DataError: If a file is missing or broken, or a cycle lies wholly beyond the recording.
    """
    annotation = expanded(audio.with_suffix(".txt"))
    for path, what in ((audio, "WAV file"), (annotation, "annotation file")):
        if not path.is_file():
            hint = "A recording is a WAV file with its annotation (.txt, same name) beside it."
            raise DataError(f"There is no {what} {path}.", hint)
    header, problems = inspect_wav(audio)
    if header is None or problems:
        raise _problem_error(audio, problems[0])
    cycles, problems = parse_annotation(audio.stem, _read_annotation_text(annotation), header)
    late = [problem for problem in problems if problem.kind == "annotation-beyond"]
    wrong = [problem for problem in problems if problem not in late]
    if wrong:
        raise _problem_error(annotation, wrong[0])
    for cycle in cycles:
        if cycle.start >= header.seconds:
            raise _problem_error(annotation, late[0])
    notes = [f"{annotation}:{problem.line}: {problem.message}; it is cut there" for problem in late]
    named = audio.stem.split("_") if RECORDING.fullmatch(audio.stem) else [""] * 5
    patient, index, location, mode, device = named
    return (
        Recording(audio.stem, patient, index, location, mode, device, UNLISTED, audio, annotation, cycles, header),
        notes,
    )


def _read_annotation_text(path: Path) -> bytes:
    try:
        return read_text_bytes(path)
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror or error}.") from error
