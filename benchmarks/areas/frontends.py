"""Front-ends, each against its plain form where there is one, else against the plain form of AST's as a yardstick."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from bench.core.timing import Body
from bench.data.frontends import FRONTENDS
from benchmarks.runner import Benchmark, Case, Setting

RECORDINGS, QUICK_RECORDINGS = 4, 3


def frontend_case(frontend: str, setting: Setting, folder: Path) -> Case:
    """The pictures of some recordings in memory, recording by recording."""
    from bench.data.bank_folder import read_recording
    from benchmarks.made_up_recordings import read_recordings, write_recordings

    count = QUICK_RECORDINGS if setting.quick else RECORDINGS
    dataset = read_recordings(write_recordings(folder / "data", count))
    read = [(read_recording(one), one.device) for one in dataset.recordings]

    def ours() -> Body:
        from bench.data.frontends.chosen import choose_front_end
        from bench.data.frontends.halves import recording_pictures

        built = choose_front_end(frontend, {}).build()

        def make() -> list[Any]:
            return [recording_pictures(built, wave, rate, spans, device=who) for (wave, rate, spans), who in read]

        return make

    def plain() -> Body:
        from benchmarks.plain.preparation import recording_spectrograms

        return lambda: [recording_spectrograms(wave, rate, spans) for (wave, rate, spans), _ in read]

    return Case(ways={"": ours}, reference=plain, work=sum(len(one.cycles) for one in dataset.recordings))


SLOW = frozenset({"lungattn"})
"""What takes minutes: its wavelet transform of each cycle is as long as the recordings."""

YARDSTICK = "Not its own plain form but a yardstick: AST's spectrograms of the same recordings in the authors' way."
OWN = "The authors' way: one cycle after the other with torchaudio, filters and resampling kernel made anew."

BENCHMARKS = [
    Benchmark(
        name=f"frontend/{entry.id}",
        unit="cycles",
        about=f"Pictures by the front-end {entry.id} of {RECORDINGS} made-up recordings of 20 s.",
        reference=OWN if entry.id == "ast" else YARDSTICK,
        case=partial(frontend_case, entry.id),
        always=entry.id not in SLOW,
    )
    for entry in FRONTENDS
]
