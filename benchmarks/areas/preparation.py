"""Features of a data set, computed and found in the cache, against the authors' way at every start."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.core.timing import Body, Timing
from benchmarks.runner import Benchmark, Case, Setting

RECORDINGS, QUICK_RECORDINGS = 16, 4


def preparation_case(setting: Setting, folder: Path) -> Case:
    """The bank of some recordings of 20 s: computed anew, and opened; by one process, so that CPU time compares."""
    from benchmarks.made_up_recordings import read_recordings, write_recordings

    count = QUICK_RECORDINGS if setting.quick else RECORDINGS
    dataset = read_recordings(write_recordings(folder / "data", count))
    workers = None if setting.wall else 1

    def cold() -> Body:
        from bench.data.bank import prepare_bank

        numbers = itertools.count()

        def prepare() -> None:
            cache = folder / f"cache-{next(numbers)}"
            prepare_bank(dataset, "ast", {}, cache, workers=workers)
            shutil.rmtree(cache)

        return prepare

    def cached() -> Body:
        from bench.data.bank import prepare_bank

        prepare_bank(dataset, "ast", {}, folder / "cache")
        return lambda: prepare_bank(dataset, "ast", {}, folder / "cache")

    def plain() -> Body:
        from benchmarks.plain.preparation import prepare_recording

        def prepare() -> list[Any]:
            spans = ([(cycle.start, cycle.end) for cycle in one.cycles] for one in dataset.recordings)
            pairs = zip(dataset.recordings, spans, strict=True)
            return [prepare_recording(one.audio, own) for one, own in pairs if one.audio is not None]

        return prepare

    def facts(_way: str, timing: Timing) -> Mapping[str, Any]:
        return {"recordings/s": count / timing.median}

    cycles = sum(len(one.cycles) for one in dataset.recordings)
    return Case(ways={"cold": cold, "cached": cached}, reference=plain, work=cycles, facts=facts)


BENCHMARKS = [
    Benchmark(
        name="preparation/ast",
        unit="cycles",
        about=f"The feature bank of {RECORDINGS} made-up recordings of 20 s ({QUICK_RECORDINGS} with --quick): "
        "computed, and found in the cache.",
        reference="The authors' way: one cycle after the other with torchaudio, filters and resampling kernel made "
        "anew for each file, in one process, at every start.",
        case=preparation_case,
        children=True,
    )
]
