"""The waveform bank: the waveforms that a front-end cuts from a data set, before they are brought to one length.

Something random may stand between them and their pictures. A bank lies in ``<cache>/waveforms/<key>/``: ``waves.f32``
holds the rows one after the other, little-endian float32 without a header, and ``bank.json`` says how long each is. The
key is a hash of the data's fingerprint and of the front-end's id, version and those options that cut waveforms.

Helper processes cut recordings side by side; one process writes what they send, as lengths are known only then.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import SpecError
from bench.core.files import atomic_path, write_json
from bench.data.bank_folder import (
    CHECKSUMS,
    DESCRIPTION,
    Progress,
    bank_folder,
    bank_identity,
    check_has_cycles,
    clear_bank,
    open_or_make,
    read_description,
    read_recording,
    results_of,
)
from bench.data.frontends import WaveformFrontEnd
from bench.data.frontends.chosen import ChosenFrontEnd, choose_front_end
from bench.data.row_file import RaggedFile, row_checksum

if TYPE_CHECKING:
    from bench.data.dataset import Dataset, Recording
    from bench.data.units import UnitWaves

logger = logging.getLogger(__name__)

WAVES = "waves.f32"
LENGTHS = "lengths"
"""Name of the description's field that holds the samples of each row."""

Waves = list[NDArray[np.float32]]


@dataclass(frozen=True)
class WaveBank:
    """Waveforms of a data set's units, in the order of the rows of its feature bank.

    Attributes:
        waves: Samples of each unit, read from the file when asked for.
        devices: Device that recorded each unit.
        places: Recording of each unit, and its number among those of the recording.
        path: The file behind ``waves``.
    """

    waves: RaggedFile
    devices: tuple[str, ...]
    places: tuple[tuple[str, int], ...]
    path: Path

    def units(self, rows: Sequence[int] | NDArray[Any]) -> UnitWaves:
        """Read some rows as a padded batch, in memory of its own.

        Args:
            rows: Numbers of the rows, one or more.

        Raises:
            RunError: If the file cannot be read, was cut short, or a row is not what was written.
        """
        import torch

        from bench.data.units import UnitWaves, unit_draws

        waves = [torch.from_numpy(wave) for wave in self.waves.read(rows)]
        draws = torch.cat([unit_draws(*self.places[row], 1) for row in rows])
        return UnitWaves.of(waves, [self.devices[row] for row in rows], draws)


def no_halves(frontend: str) -> SpecError:
    """The error for a front-end that makes pictures in one go where its waveforms are asked for.

    Args:
        frontend: Id of the front-end.
    """
    return SpecError(
        f"The front-end {frontend} makes pictures in one go, so that no waveform can be augmented before them.",
        "Leave the augmentation of waveforms out, or give the front-end the halves `fit` and `picture`.",
    )


def prepare_wave_bank(
    dataset: Dataset,
    frontend: str,
    options: Mapping[str, Any],
    cache: Path,
    *,
    workers: int | None = None,
    on_progress: Progress | None = None,
) -> WaveBank:
    """Open the waveform bank of a data set; make it first where the cache does not hold it.

    Args:
        dataset: The recordings and cycles.
        frontend: Id of a front-end.
        options: Options of the front-end, texts or values; those that are left out keep their defaults.
        cache: Cache folder.
        workers: Recordings that are read side by side; as many as there are usable cores by default.
        on_progress: Called with the recordings that are done and their total.

    Returns:
        The bank.

    Raises:
        DataError: If audio cannot be read, there is no cycle, or one holds no sample of its recording.
        SpecError: For an unknown front-end or option, or a front-end that cuts no waveforms, or not as it says.
        RunError: If a helper process was killed.
        StoreError: If the cache cannot be written or the disk is full; nothing is left behind.
    """
    check_has_cycles(dataset)
    source = choose_front_end(frontend, options)
    identity = bank_identity(dataset, source.fit_identity(), source.cycles_of_rows(dataset.recordings))
    folder = bank_folder(cache, "waveforms", identity)
    bank = open_or_make(
        folder,
        lambda: _open_bank(folder, identity, dataset.recordings),
        lambda: _make_bank(folder, identity, dataset.recordings, _build(source), workers, on_progress),
    )
    logger.debug("waveforms of %s: %s, %d rows", frontend, folder, len(bank.waves))
    return bank


def has_wave_bank(dataset: Dataset, frontend: str, options: Mapping[str, Any], cache: Path) -> bool:
    """Whether the cache holds the waveform bank of a data set; arguments as for :func:`prepare_wave_bank`."""
    source = choose_front_end(frontend, options)
    identity = bank_identity(dataset, source.fit_identity(), source.cycles_of_rows(dataset.recordings))
    return read_description(bank_folder(cache, "waveforms", identity), identity, [LENGTHS, CHECKSUMS]) is not None


def _build(source: ChosenFrontEnd) -> WaveformFrontEnd:
    built = source.build()
    if not isinstance(built, WaveformFrontEnd):
        raise no_halves(source.frontend)
    return built


def _open_bank(folder: Path, identity: Mapping[str, Any], recordings: Sequence[Recording]) -> WaveBank | None:
    """Open a finished bank; None where there is none, or a file is foreign or was cut short (it is then remade)."""
    found, counts = read_description(folder, identity, [LENGTHS, CHECKSUMS]), _counts(identity)
    if found is None:
        return None
    try:
        lengths, checksums = np.array(found[LENGTHS], np.int64), np.array(found[CHECKSUMS], np.uint32)
        if not (lengths.shape == checksums.shape == (sum(counts),)):
            return None
        waves = RaggedFile(folder / WAVES, lengths, checksums, folder / DESCRIPTION)
    except (OSError, LookupError, TypeError, ValueError, OverflowError):
        return None
    pairs = list(zip(recordings, counts, strict=True))
    devices = tuple(recording.device for recording, count in pairs for _ in range(count))
    places = tuple((recording.name, place) for recording, count in pairs for place in range(count))
    return WaveBank(waves, devices, places, folder / WAVES)


def _counts(identity: Mapping[str, Any]) -> list[int]:
    """Rows of each recording."""
    return [rows for _, rows in identity["recordings"]]


def _make_bank(
    folder: Path,
    identity: Mapping[str, Any],
    recordings: Sequence[Recording],
    frontend: WaveformFrontEnd,
    workers: int | None,
    on_progress: Progress | None,
) -> None:
    """Cut all waveforms and write them; the caller holds the bank's lock."""
    clear_bank(folder)
    jobs = list(zip(recordings, _counts(identity), strict=True))
    with (
        atomic_path(folder / WAVES) as path,
        path.open("wb") as stream,
        results_of(lambda job: _cut(job, frontend), jobs, workers, on_progress) as steps,
    ):
        written = [_write(wave, stream) for waves in _in_order(steps) for wave in waves]
    lengths, checksums = [length for length, _ in written], [checksum for _, checksum in written]
    write_json(folder / DESCRIPTION, {**identity, LENGTHS: lengths, CHECKSUMS: checksums})


def _write(wave: NDArray[np.float32], stream: BinaryIO) -> tuple[int, int]:
    stream.write(wave.data)
    return len(wave), row_checksum(wave)


def _in_order(steps: Iterable[tuple[int, Waves]]) -> Iterator[Waves]:
    """Results in the order of their places; those that come early wait in memory, few at a time."""
    waiting: dict[int, Waves] = {}
    following = 0
    for place, found in steps:
        waiting[place] = found
        while following in waiting:
            yield waiting.pop(following)
            following += 1


def _cut(job: tuple[Recording, int], frontend: WaveformFrontEnd) -> Waves:
    """The waveforms of a recording, as many as it has rows."""
    recording, rows = job
    wave, rate, spans = read_recording(recording)
    waves = [np.ascontiguousarray(unit) for unit in frontend.fit(wave, rate, spans, name=recording.name)]
    odd = next((wave for wave in waves if wave.ndim != 1 or not wave.size or wave.dtype != np.float32), None)
    if odd is not None or len(waves) != rows:
        made = f"{len(waves)} waveforms" if odd is None else f"a waveform of {odd.dtype} {odd.shape}"
        raise SpecError(
            f"The front-end made {made} of {recording.name}, not {rows} of float32 (samples,) with a sample or more.",
            "Its fit() must return one for each cycle, or for each piece that its options count.",
        )
    return waves
