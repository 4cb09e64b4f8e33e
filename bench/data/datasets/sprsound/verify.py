"""One report on a data folder: counts and hashes beside the pinned ones, and every fault with its file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from bench.data.datasets.sprsound.dataset import Annotated
from bench.data.fingerprint import hash_audio


def annotation_hash(recordings: Iterable[Annotated]) -> str:
    """Hash names and annotations: labels, times and types in the order of the files, however these are written.

    Args:
        recordings: The recordings, in any order.

    Returns:
        Hex SHA-256.
    """
    rows = sorted([recording.name, recording.annotation.to_json()] for recording in recordings)
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def audio_hash(recordings: Iterable[Annotated], cache: Path | None = None) -> str:
    """Hash names and samples of recordings; those without audio do not count.

    Args:
        recordings: The recordings, in any order.
        cache: Cache folder, for hashes of files that did not change.

    Returns:
        Hex SHA-256.

    Raises:
        OSError: If a file cannot be read.
    """
    headers = {r.name: (r.audio, r.header) for r in recordings if r.audio is not None and r.header is not None}
    hashes = hash_audio(dict(headers.values()), cache)
    lines = [
        f"{name} {header.rate} {header.bits} {hashes[audio]}\n" for name, (audio, header) in sorted(headers.items())
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
