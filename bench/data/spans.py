"""Where cycles lie in a recording, in samples: the one rule by which data are checked and features are made."""

from __future__ import annotations

from bench.data.frontends.options import SAMPLE_RATE


def samples_between(start: float, end: float, rate: int, length: int) -> slice:
    """Find the samples of a cycle: times are cut to whole samples, and to the recording, as the official code does it.

    Args:
        start: Time at which the cycle begins, s.
        end: Time at which the cycle ends, s.
        rate: Sampling rate of the recording, Hz.
        length: Number of samples of the recording.

    Returns:
        The samples; the slice is empty where its ``start`` is not before its ``stop``.

    Source: official code @ 836b09f, ``util/icbhi_util.py``, lines 183-192.
    """
    first, last = (int(min(time * rate, length)) for time in (start, end))
    return slice(first, last)


def resampled_length(length: int, rate: int) -> int:
    """Count the samples that a recording has after resampling to 16 kHz.

    Args:
        length: Number of samples before resampling.
        rate: Sampling rate before resampling, Hz.
    """
    # Rounded up, in whole numbers: float32 would be wrong for very long recordings.
    return -(-length * SAMPLE_RATE // rate)


def holds_samples(start: float, end: float, rate: int, length: int) -> bool:
    """Tell whether a cycle holds a sample of its recording, as it was recorded and at 16 kHz, where front-ends cut it.

    Args:
        start: Time at which the cycle begins, s.
        end: Time at which the cycle ends, s.
        rate: Sampling rate of the recording, Hz.
        length: Number of samples of the recording.
    """
    recorded = samples_between(start, end, rate, length)
    resampled = samples_between(start, end, SAMPLE_RATE, resampled_length(length, rate))
    return all(span.start < span.stop for span in (recorded, resampled))
