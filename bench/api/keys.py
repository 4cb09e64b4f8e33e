"""The key that submissions, reviews and confirmations of a user are signed with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leaderboard.history.keys import key_path, load_key, make_key


@dataclass(frozen=True)
class OwnKey:
    """The user's key.

    Attributes:
        key: Its public half.
        file: The file of its private half, which its owner alone can read.
        new: Whether it was made just now.
    """

    key: str
    file: Path
    new: bool

    def to_json(self) -> dict[str, Any]:
        """The document that ``bench board key --format json`` prints."""
        return {"key": self.key, "file": str(self.file), "new": self.new}


def own_key() -> OwnKey:
    """The user's key, which is made where there is none yet.

    Raises:
        ResultError: If the file is no key, or others can read it.
        StoreError: If it cannot be written.
    """
    path = key_path()
    known = load_key() if path.exists() else None
    return OwnKey((known or make_key(path)).public, path, new=known is None)
