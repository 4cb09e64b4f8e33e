"""JSON files that come beside weights: small, and from anywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.core.errors import BenchError
from bench.core.text import echoed


def read_json_object(path: Path, most: int, what: str, error: type[BenchError]) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: The file.
        most: Bytes beyond which it is not read.
        what: What it should hold, for messages.
        error: The class of error that is raised.

    Raises:
        BenchError: Of the class ``error``, if the file cannot be read, or holds something else.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(most + 1)
        document = json.loads(content) if len(content) <= most else None
    except (OSError, ValueError, RecursionError) as failure:
        raise error(f"Cannot read {path}: {echoed(failure)}.", "Fetch it again.") from failure
    if not isinstance(document, dict):
        raise error(f"{path} holds no {what}.", "Fetch it again.")
    return document
