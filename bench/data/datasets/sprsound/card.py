"""The card of SPRSound 2022."""

from __future__ import annotations

from pathlib import Path

from bench.core.datasets import DatasetCard, TaskCard, TestPart
from bench.core.registry import Registration
from bench.data.datasets.sprsound.pinned import (
    ANNOTATION_SHA256,
    AUDIO_SHA256,
    ID,
    JUDGED_SETS,
    OBTAIN,
    PATIENTS_OF,
    RATE,
    RECORDINGS,
    RECORDINGS_OF,
    class_counts,
)

PARTS = (
    TestPart(id="inter", title="inter-patient test"),
    TestPart(id="intra", title="intra-patient test", patients_seen=True),
)

NORMAL, ABNORMAL = "normal", "abnormal"

CITATION = """@article{zhang2022sprsound,
  author = {Zhang, Qing and others},
  title = {{SPRSound}: Open-Source {SJTU} Paediatric Respiratory Sound Database},
  journal = {IEEE Transactions on Biomedical Circuits and Systems},
  volume = {16},
  number = {5},
  pages = {867--881},
  year = {2022}
}"""


EVENT_SECONDS, RECORD_SECONDS = 3.0, 15.0
"""Length of clips in the recipes, s."""


def _task(name: str, title: str, classes: tuple[str, ...], unit: str, shared: tuple[str | None, ...] = ()) -> TaskCard:
    judged = frozenset({JUDGED_SETS[name]} if name in JUDGED_SETS else ())
    return TaskCard(
        id=name,
        title=title,
        classes=classes,
        unit=unit,
        parts=PARTS,
        score="challenge",
        shared=shared,
        counts=class_counts(name),
        judged_sets=judged,
        recipes={"paper": {"frontend.seconds": EVENT_SECONDS if unit == "event" else RECORD_SECONDS}},
    )


# A recording of poor quality is neither normal nor abnormal: the challenge's SE is over adventitious recordings alone,
# and its SP over normal ones. The owners' file scripts/test.py numbers the classes normal, poor quality, then the
# adventitious ones, and two entrants' metrics count from class 2 on for tasks 2-1 and 2-2
# (chenzizhao/biocas-challenge-22 @ 1daa6eb, model/metric.py; HUJH511/BioCAS-2023-Grand_Challenge @ 0aa085a,
# src/utils/metric.py).
TASKS = (
    _task(
        "event-7",
        "7 classes of events (challenge task 1-2)",
        ("normal", "rhonchi", "wheeze", "stridor", "coarse-crackle", "fine-crackle", "wheeze+crackle"),
        "event",
    ),
    _task("event-2", "2 classes of events (challenge task 1-1)", ("normal", "adventitious"), "event"),
    _task(
        "record-3",
        "3 classes of recordings (challenge task 2-1)",
        ("normal", "adventitious", "poor-quality"),
        "recording",
        (NORMAL, ABNORMAL, None),
    ),
    _task(
        "record-5",
        "5 classes of recordings (challenge task 2-2)",
        ("normal", "cas", "das", "cas+das", "poor-quality"),
        "recording",
        (NORMAL, ABNORMAL, ABNORMAL, ABNORMAL, None),
    ),
)

CARD = DatasetCard(
    id=ID,
    title="SPRSound 2022",
    summary="2,683 recordings of 292 children with 9,089 annotated events: seven kinds of events, five of recordings.",
    source="Zhang et al., IEEE TBioCAS 16 (2022) 867-881; parts of the IEEE BioCAS 2022 grand challenge",
    citation=CITATION,
    owner="Shanghai Jiao Tong University, https://github.com/SJTU-YONGFU-RESEARCH-GRP/SPRSound",
    licence="in doubt: the owners' copy carries the text of the GPLv3, other descriptions of the set say CC BY 4.0",
    obtain=OBTAIN,
    url="https://github.com/SJTU-YONGFU-RESEARCH-GRP/SPRSound",
    tasks=TASKS,
    recordings=RECORDINGS,
    devices=("Yunting model II",),
    sites=("Shanghai Children's Medical Center (China)",),
    rates=(RATE,),
    recipe_note="They are those of the paper on ICBHI's respiratory cycles, but for the length of clips, and nothing "
    f"else was tuned. Events have clips of {EVENT_SECONDS:g} s: 98 % are not longer (half last at most 1.2 s), so that "
    f"8 s would be repetitions for the most part. Recordings have clips of {RECORD_SECONDS:g} s: they last 9.2 s or "
    "15.4 s.",
    environment="BENCH_DATA_SPRSOUND",
    folder="sprsound",
    published=Path(__file__).with_name("published.json"),
    reference=Path(__file__).parent / "reference" / "reference.json",
    facts={
        "recordings": RECORDINGS_OF,
        "patients": PATIENTS_OF,
        "annotation_sha256": ANNOTATION_SHA256,
        "audio_sha256": AUDIO_SHA256,
    },
)

REGISTRATIONS = (Registration(CARD, "bench.data.datasets.sprsound.reader:Reader"),)
