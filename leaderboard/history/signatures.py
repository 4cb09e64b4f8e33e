"""Signatures of submissions: a submitter signs the answers, by the submission's id, and everything that is stated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.core.datasets import ANY_ABNORMAL
from bench.core.errors import ResultError
from leaderboard.history.keys import SigningKey, is_signed

_STATED = ("selection", "scores", "paper", "url", "notes")


def signed_statement(document: Mapping[str, Any]) -> dict[str, Any]:
    """Extract what is signed from a submission's result document.

    The id covers cycles, labels, answers, system, selection rule and seed. When the submission was made and from which
    file does not matter, so that submitting the same again gives the same signed statement.
    """
    said = document["submission"]
    metrics = document["metrics"].get(said["selection"]) or {}
    # The epoch stands beside each sensitivity; that of the exact class counts, whatever it is called in the task.
    strict = next((judged for judged in metrics if judged != ANY_ABNORMAL), ANY_ABNORMAL)
    return {
        "run_id": document["run_id"],
        "spec": document["spec"],
        "epoch": metrics.get(strict, {}).get("epoch"),
        "inputs": said.get("inputs") or {},
        **{name: said.get(name) for name in _STATED},
    }


def sign(document: Mapping[str, Any], key: SigningKey | None) -> None:
    """Put a key and its signature of the statement into a submission's document; without a key nothing is done."""
    if key is not None:
        document["submission"]["key"] = key.public
        document["submission"]["signature"] = key.sign(signed_statement(document))


def submitter_key(document: Mapping[str, Any]) -> str | None:
    """Give the public key of a result's submitter; None where it was not signed, or is no submission."""
    key = document.get("submission", {}).get("key")
    return key if isinstance(key, str) else None


def check_signature(document: Mapping[str, Any], where: str) -> None:
    """Refuse a submission that was changed after it was signed; raises ResultError."""
    said = document["submission"]
    if said.get("key") is None and said.get("signature") is None:
        return
    if not is_signed(signed_statement(document), str(said.get("key")), said.get("signature")):
        raise ResultError(
            f"{where}: the signature is not one of the key {said.get('key')}.",
            "The document was edited after it was signed: its submitter must submit it again.",
        )


def changed_fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Compare two result documents of one submission: by field that was stated otherwise, ``was`` and ``is``."""
    old, new = _flattened(signed_statement(before)), _flattened(signed_statement(after))
    return {
        name: {"was": old.get(name), "is": new.get(name)}
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    }


def _flattened(claim: Mapping[str, Any]) -> dict[str, Any]:
    return {**claim["spec"], **claim["inputs"], **{n: v for n, v in claim.items() if n not in ("spec", "inputs")}}
