"""Features in a file, for comparing front-ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.core.files import output_path
from bench.data.dataset import Cycle


def write_features(out: Path, cycles: Sequence[Cycle], features: Mapping[str, npt.NDArray[np.float32]]) -> None:
    """Write features with labels and times as a compressed NumPy archive, atomically.

    Args:
        out: Path of the archive, which ends in ``.npz``.
        cycles: The cycle of each row.
        features: (rows, frames, mels) by name of the input. The archive holds ``features`` for the one without a name
            and ``features-NAME`` for the others.

    Raises:
        StoreError: If it cannot be written.
    """
    arrays: dict[str, Any] = {
        **{f"features-{name}".removesuffix("-"): array for name, array in features.items()},
        "labels": np.array([cycle.label for cycle in cycles], dtype=np.int64),
        "start": np.array([cycle.start for cycle in cycles]),
        "end": np.array([cycle.end for cycle in cycles]),
    }
    with output_path(out) as path, path.open("wb") as stream:
        np.savez_compressed(stream, **arrays)
