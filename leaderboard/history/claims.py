"""What a submitter signs: the answers, by the submission's id, and everything that is stated of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.core.errors import ResultError
from leaderboard.history.keys import Key, is_signed

_STATED = ("selection", "scores", "paper", "url", "notes")


def claim_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """The claim of a submission's result document; when it was made and from which file does not matter.

    The id covers cycles, labels, answers, system, selection rule and seed.
    """
    said = document["submission"]
    metrics = document["metrics"].get(said["selection"]) or {}
    return {
        "run_id": document["run_id"],
        "spec": document["spec"],
        "epoch": metrics.get("4class", {}).get("epoch"),
        "inputs": said.get("inputs") or {},
        **{name: said.get(name) for name in _STATED},
    }


def sign(document: Mapping[str, Any], key: Key | None) -> None:
    """Put a key and its signature of the claim into a submission's document."""
    if key is not None:
        document["submission"]["key"] = key.public
        document["submission"]["signature"] = key.sign(claim_of(document))


def key_of(document: Mapping[str, Any]) -> str | None:
    """The public key of a result's submitter; None where it was not signed, or is no submission."""
    key = document.get("submission", {}).get("key")
    return key if isinstance(key, str) else None


def check_signature(document: Mapping[str, Any], where: str) -> None:
    """Refuse a submission that was changed after it was signed; raises ResultError."""
    said = document["submission"]
    if said.get("key") is None and said.get("signature") is None:
        return
    if not is_signed(claim_of(document), str(said.get("key")), said.get("signature")):
        raise ResultError(
            f"{where}: the signature is not one of the key {said.get('key')}.",
            "The document was edited after it was signed: its submitter must submit it again.",
        )


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What a second statement says otherwise than a first one, by field: ``was`` and ``is``."""
    old, new = _flat(claim_of(before)), _flat(claim_of(after))
    return {
        name: {"was": old.get(name), "is": new.get(name)}
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    }


def _flat(claim: Mapping[str, Any]) -> dict[str, Any]:
    return {**claim["spec"], **claim["inputs"], **{n: v for n, v in claim.items() if n not in ("spec", "inputs")}}
