"""Where cycles lie in a recording, in samples: the one rule by which data are checked and features are made."""

from __future__ import annotations

from bench.data.frontends.options import SAMPLE_RATE


def samples_between(start: float, end: float, rate: int, length: int) -> slice:
    """The samples of a cycle: times are cut to whole samples, and to the recording, as the official code does it.

    Args:
        start: Where it begins, s.
        end: Where it ends, s.
        rate: Sampling rate of the recording, Hz.
        length: Samples of the recording.

    Returns:
        The samples; none where ``start`` is not before ``stop``.
    """
    first, last = (int(min(time * rate, length)) for time in (start, end))
    return slice(first, last)


def resampled_length(length: int, rate: int) -> int:
    """Samples that a recording has at 16 kHz.

    Args:
        length: Samples that it has.
        rate: Its sampling rate, Hz.
    """
    return -(-length * SAMPLE_RATE // rate)


def holds_samples(start: float, end: float, rate: int, length: int) -> bool:
    """Whether a cycle holds a sample of its recording, as it was recorded and at 16 kHz, where front-ends cut it.

    Args:
        start: Where it begins, s.
        end: Where it ends, s.
        rate: Sampling rate of the recording, Hz.
        length: Samples of the recording.
    """
    recorded = samples_between(start, end, rate, length)
    resampled = samples_between(start, end, SAMPLE_RATE, resampled_length(length, rate))
    return all(span.start < span.stop for span in (recorded, resampled))
