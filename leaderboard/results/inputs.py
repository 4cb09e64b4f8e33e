"""Declared inputs: what a system uses beside the sound of one cycle (PROTOCOL: "Declared inputs").

A Score that was reached with metadata, several models or thresholds tuned on the test part is not one of sound alone.
Nobody can see that in predictions, so that submitters declare it, and what they leave open is shown as that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bench.core.errors import ResultError
from bench.core.text import echoed
from leaderboard.results.schema import COMBINED

UNDECLARED = "undeclared"
THRESHOLDS = ("none", "training", "held-out", "test")
"""What decision thresholds or class biases were tuned on; none where the largest score decides as it is."""

LARGEST_ENSEMBLE = 10_000
"""Models of an ensemble, above which a declaration is taken for a mistake."""

_KNOWN_PRETRAINING = ("none", "imagenet", "audioset", "imagenet+audioset")
"""Pretraining of runs made here whose data hold nothing of ICBHI."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The inputs that a submitter declares; None for what is left open.

    Attributes:
        metadata: Whether anything of patient, device, location or diagnosis is an input.
        ensemble: How many models are averaged.
        tta: Whether several augmented copies of a test cycle are averaged.
        thresholds: One of :data:`THRESHOLDS`.
        pretrained_on_icbhi: Whether the data of the pretraining hold recordings of ICBHI.
    """

    metadata: bool | None = None
    ensemble: int | None = None
    tta: bool | None = None
    thresholds: str | None = None
    pretrained_on_icbhi: bool | None = None

    def declared(self) -> dict[str, Any]:
        """Give the inputs that are declared, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


INPUT_NAMES = tuple(Inputs.__dataclass_fields__)
"""Names of the inputs that can be declared."""


def check_inputs(values: Mapping[str, Any], where: str) -> None:
    """Refuse declarations of inputs that do not exist, or with values that mean nothing; raises ResultError."""
    for name, value in values.items():
        if name not in INPUT_NAMES:
            raise ResultError(f"{where}: '{echoed(name)}' is no declared input; there are {', '.join(INPUT_NAMES)}.")
        if not _is_sound(name, value):
            raise ResultError(f"{where}: {name} is {echoed(repr(value))}, which cannot be declared.")


def _is_sound(name: str, value: Any) -> bool:
    if name == "ensemble":
        return type(value) is int and 1 <= value <= LARGEST_ENSEMBLE
    return value in THRESHOLDS if name == "thresholds" else isinstance(value, bool)


def inputs_of(kind: str, spec: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Give the inputs of a run or submission, each with its value or ``undeclared``.

    What is trained here uses the sound of one cycle, one model and the largest score. What its weights were pretrained
    on is known where they are of a named pretraining. What is combined of several runs says itself what it uses.

    Args:
        kind: ``submission`` for a system from outside, ``composite`` or ``ensemble`` for what is combined; anything
            else was trained here as it is.
        spec: The identity fields of the run's spec.
        extra: Fields of the run's result, of which ``submission`` or ``inputs`` hold what was declared.
    """
    if kind in COMBINED:
        return {name: (extra.get("inputs") or {}).get(name, UNDECLARED) for name in INPUT_NAMES}
    if kind == "submission":
        declared = extra.get("submission", {}).get("inputs") or {}
        return {name: declared.get(name, UNDECLARED) for name in INPUT_NAMES}
    clean = False if spec.get("pretrain") in _KNOWN_PRETRAINING else UNDECLARED
    return {"metadata": False, "ensemble": 1, "tta": False, "thresholds": "none", "pretrained_on_icbhi": clean}


def notable(inputs: Mapping[str, Any]) -> list[str]:
    """Say in a few words what sets a row apart from sound alone; empty where all is declared and nothing is used."""
    words = {
        "metadata": "metadata",
        "tta": "test-time augmentation",
        "pretrained_on_icbhi": "pretrained on ICBHI",
    }
    used = [text for name, text in words.items() if inputs[name] is True]
    if isinstance(inputs["ensemble"], int) and inputs["ensemble"] > 1:
        used.append(f"ensemble of {inputs['ensemble']}")
    if inputs["thresholds"] not in ("none", UNDECLARED):
        used.append(f"thresholds tuned on {inputs['thresholds']}")
    open_ones = [name for name in INPUT_NAMES if inputs[name] == UNDECLARED]
    if len(open_ones) == len(INPUT_NAMES):
        return ["inputs undeclared"]
    return [*used, *([f"undeclared: {', '.join(name.replace('_', ' ') for name in open_ones)}"] if open_ones else [])]
