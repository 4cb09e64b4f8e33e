"""Progress of the preparation of features, the same in every command that waits for them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from bench.core.progress import counted
from bench.data.bank_folder import Progress


@contextlib.contextmanager
def features_counted(frontend: str) -> Iterator[Progress]:
    """Report how many recordings have their features, with the time that is left, while the block runs.

    Args:
        frontend: Id of the front-end.
    """
    with counted("recordings") as update:
        yield lambda done, total: update(f"features ({frontend})", done, total)
