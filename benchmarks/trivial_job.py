"""A job that writes a file and ends: what scheduling costs is what is around it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def main(task: Mapping[str, Any], parent: object) -> None:
    """Write the file that the task names."""
    Path(task["out"]).write_text("done", encoding="utf-8")


if __name__ == "__main__":
    main({"out": sys.argv[1]}, None)
