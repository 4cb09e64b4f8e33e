"""What a system without a name of its own is called: by what it is trained with, or by how it is combined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from leaderboard.results.schema import COMBINED


def system_title(row: Mapping[str, Any]) -> str:
    """The title of a row, or of a spec with its kind.

    Args:
        row: Values with ``model`` and ``method``, and ``kind`` where that is known.

    Returns:
        ``ast + patchmix-cl``; of what is combined its name, and how it is: ``fusion (composite: product)``.
    """
    if row.get("kind") in COMBINED:
        return f"{row['model']} ({row['kind']}: {row['method']})"
    return f"{row['model']} + {row['method']}"
