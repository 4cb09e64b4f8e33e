"""What golden sets say of the recordings that they are about, and the very files of the real ones, by their hash."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import soundfile

from bench.data.wav import read_header

OWN_SET = Path(__file__).resolve().parents[1] / "golden"


@dataclass(frozen=True)
class KnownRecording:
    """A recording as a set describes it.

    Attributes:
        count: Samples.
        rate: Hz.
        bits: Bits of a sample.
        kind: What the hash is of: ``wav`` for the file, ``pcm`` for the bytes of its samples, ``f64`` for the samples
            as little-endian float64, −1..1.
        sha256: The hash, hexadecimal; empty where the set gives none.
    """

    count: int
    rate: int
    bits: int
    kind: str
    sha256: str

    def is_in(self, path: Path) -> bool:
        """Whether a file holds the recording; of one without a hash only the name is known."""
        return not self.sha256 or _HASHES[self.kind](path) == self.sha256


def _of_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _of_bytes(path: Path) -> str:
    header = read_header(path)
    return hashlib.sha256(path.read_bytes()[header.offset : header.offset + header.present]).hexdigest()


def _of_samples(path: Path) -> str:
    return hashlib.sha256(soundfile.read(path, dtype="float64")[0].astype("<f8").tobytes()).hexdigest()


_HASHES = {"wav": _of_file, "pcm": _of_bytes, "f64": _of_samples}


def known_recordings() -> dict[str, KnownRecording]:
    """Recordings by name: those of ``BENCH_GOLDEN`` (or the set of this folder) and of ``BENCH_GOLDEN_SYSTEMS``."""
    own, systems = Path(os.environ.get("BENCH_GOLDEN", OWN_SET)), Path(os.environ.get("BENCH_GOLDEN_SYSTEMS", ""))
    found = {each["rec"]: _with_hash(each, "wav") for each in _facts(own / "features.json").get("recordings", ())}
    for each in _facts(systems / "respirenet.json").get("recordings", ()):
        found[each["rec"]] = _with_hash(each, "pcm")
    for each in _facts(systems / "cnn8.json").get("frontend", {}).values():
        bits = int(each["subtype"].removeprefix("PCM_"))
        known = KnownRecording(each["native_samples"], each["rate"], bits, "f64", each["sha256_samples_f64"])
        found[each["recording"]] = known
    return found


def _facts(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _with_hash(entry: dict[str, Any], kind: str) -> KnownRecording:
    return KnownRecording(entry["n_native"], entry["sr"], entry["bits"], kind, entry.get(f"{kind}_sha256", ""))


def known_recording(name: str) -> KnownRecording:
    """What the sets say of a recording; the test is skipped, with the reason, where none describes it."""
    found = known_recordings().get(name)
    if found is None:
        pytest.skip(f"no golden set that is here says how many samples {name} has")
    return found


def real_file(folder: Path, name: str) -> Path:
    """The file of a real recording, as the sets had it: some of ICBHI's names stand for rebuilt files in some folders.

    Args:
        folder: ``BENCH_TEST_ICBHI``.
        name: Its name; the test is skipped, with the reason, where it is not here.
    """
    path = same_file(folder, name)
    if path is None and not any(folder.rglob(f"{name}.wav")):
        pytest.skip(f"BENCH_TEST_ICBHI holds no {name}.wav")
    if path is None:
        pytest.skip(f"BENCH_TEST_ICBHI holds another sound as {name}.wav than the golden sets are about")
    return path


def same_file(folder: Path, name: str) -> Path | None:
    """The file of a recording that the sets know, or know by its name alone; None where the folder lacks it."""
    known = known_recordings().get(name)
    paths = sorted(folder.rglob(f"{name}.wav"))
    return next((path for path in paths if known is None or known.is_in(path)), None)
