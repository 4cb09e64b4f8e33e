"""At which rates the recordings were made, and how copies of the whole set that were resampled are told from it."""

from __future__ import annotations

from bench.core.datasets import DatasetCard
from bench.data.datasets.icbhi.files import RECORDING, FoundFiles
from bench.data.datasets.icbhi.pinned import BY_PATIENT, DEVICE_RATES, MEDITRON_RATES, RATES, RESAMPLED
from bench.data.faults import FileProblem
from bench.data.wav import WavHeader, inspect_wav

_PATIENTS = frozenset(patient for _, patient in BY_PATIENT)

RESAMPLED_HINT = "Copies that were resampled as a whole are data sets of their own: " + ", ".join(
    f"{name} ({rate} Hz)" for rate, name in RESAMPLED.items()
)


def native_rates(name: str) -> tuple[int, ...]:
    """The rates that a recording may have in the owners' archive, Hz.

    Args:
        name: Name of the recording.

    Returns:
        The one that it was made at; all that the set has for a recording of nobody in it, as a simulated one is.
    """
    patient, _, _, _, device = name.split("_")
    if patient not in _PATIENTS or device not in DEVICE_RATES:
        return RATES
    return (MEDITRON_RATES.get(patient, DEVICE_RATES[device]) if device == "Meditron" else DEVICE_RATES[device],)


def rates_held(found: FoundFiles) -> tuple[int, ...]:
    """The rates of the set that a folder holds, Hz: those of the owners' archive, or the one of a resampled copy.

    A folder is a resampled copy where all its recordings have one rate of those copies, and some were not made at it.
    The headers of a folder that is none are read up to the first that shows it.
    """
    held: int | None = None
    was_resampled = False
    for path in (paths[0] for paths in found.audio.values()):
        header, _ = inspect_wav(path)
        if header is None or header.rate not in RESAMPLED or header.rate != (held or header.rate):
            return RATES
        held = header.rate
        was_resampled = was_resampled or held not in native_rates(path.stem)
    return (held,) if held is not None and was_resampled else RATES


def rate_problem(card: DatasetCard, name: str, header: WavHeader) -> FileProblem | None:
    """Say what is wrong with the rate of a recording; None where nothing is.

    Args:
        card: The data set.
        name: Name of the recording.
        header: Its header.
    """
    if RECORDING.fullmatch(name) is None:
        return None
    # Simulated recordings have names as the owners' have, and any of the set's rates.
    rates = native_rates(name) if card.rates == RATES and not card.simulated else card.rates
    if header.rate in rates:
        return None
    needed = f"but the set's are {', '.join(map(str, rates))} Hz" if len(rates) > 1 else f"but needs {rates[0]} Hz"
    if card.rates == RATES and len(rates) == 1:
        needed = f"but was made at {rates[0]} Hz"
    return FileProblem("audio-rate", f"has a rate of {header.rate} Hz, {needed}")
