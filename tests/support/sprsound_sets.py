"""Small sets in SPRSound's layout, with noise for sound: seven recordings of four patients in three parts."""

from __future__ import annotations

import json
import wave
from pathlib import Path
from typing import Any

import numpy as np

RATE = 8000
SECONDS = 2.0

Events = list[tuple[Any, Any, str]]

RECORDINGS: dict[str, tuple[str, str, Events]] = {
    "100_3.5_0_p1_11": ("train", "Normal", [("900", "1500", "Normal"), ("100", "700", "Normal")]),
    "100_3.5_0_p2_12": ("train", "CAS", [("100", "700", "Wheeze"), ("900", "1500", "Rhonchi")]),
    "101_0.2_1_p3_13": ("train", "CAS & DAS", [("100", "900", "Wheeze+Crackle")]),
    "101_0.2_1_p4_14": ("train", "Poor Quality", []),
    "100_3.6_0_p1_15": ("intra", "DAS", [("1200", "1900", "Coarse Crackle"), ("0", "600", "Fine Crackle")]),
    "102_9.0_1_p1_16": ("inter", "Normal", [("300", "1000", "Normal")]),
    "103_7.7_0_p2_17": ("inter", "CAS", [("300", "1000", "Stridor"), ("1100", "1999", "Normal")]),
}
"""By name: part, label and events of each recording."""

OWNERS = {"train": ("train_wav", "train_json"), "inter": ("test_wav", "test_json/inter_test_json")}
OWNERS["intra"] = ("test_wav", "test_json/intra_test_json")

BY_YEAR = {
    part: tuple(f"BioCAS2022/{place}" for place in places)
    for part, places in {
        "train": ("train2022_wav", "train2022_json"),
        "inter": ("test2022_wav", "test2022_json/inter_test_json"),
        "intra": ("test2022_wav", "test2022_json/intra_test_json"),
    }.items()
}

BY_TASK = {
    part: tuple(f"Classification/{place}" for place in places)
    for part, places in {
        "train": ("train_classification_wav", "train_classification_json"),
        "inter": ("test_classification_wav/2022", "test_classification_json/2022/inter_test_json"),
        "intra": ("test_classification_wav/2022", "test_classification_json/2022/intra_test_json"),
    }.items()
}


def write_sound(path: Path, seed: int, *, rate: int = RATE, seconds: float = SECONDS) -> None:
    """Noise as a mono 16-bit WAV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(seed).integers(-3000, 3000, round(rate * seconds), dtype=np.int16)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(samples.tobytes())


def annotation(label: str, events: Events) -> dict[str, Any]:
    """An annotation as the owners' files hold it."""
    listed = [{"start": start, "end": end, "type": kind} for start, end, kind in events]
    return {"record_annotation": label, "event_annotation": listed}


def write_set(folder: Path, layout: dict[str, tuple[str, ...]] = OWNERS, *, sound: bool = True) -> Path:
    """Write the recordings in a layout of the owners; gives the folder."""
    for seed, (name, (part, label, events)) in enumerate(RECORDINGS.items()):
        audio, annotations = (folder / place for place in layout[part])
        if sound:
            write_sound(audio / f"{name}.wav", seed)
        annotations.mkdir(parents=True, exist_ok=True)
        (annotations / f"{name}.json").write_text(json.dumps(annotation(label, events)))
    return folder


def annotation_file(folder: Path, name: str) -> Path:
    """The annotation file of a recording."""
    return next(folder.rglob(f"{name}.json"))
