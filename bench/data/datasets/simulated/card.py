"""The card of the simulated data set."""

from __future__ import annotations

from bench.core.datasets import FOUR_CLASSES, DatasetCard
from bench.core.registry import Registration
from bench.data.datasets.icbhi.pinned import RATES

CARD = DatasetCard(
    id="demo",
    title="simulated data",
    summary="Sounds that are computed, in ICBHI's file layout: they prove the pipeline, never a method.",
    source="docs/simulated-data.md",
    owner="LungBench",
    licence="that of LungBench",
    obtain="It is made on the spot; `bench data demo DIR` writes it to a folder.",
    tasks=(FOUR_CLASSES,),
    rates=RATES,
    simulated=True,
    profile="demo",
)

REGISTRATIONS = (Registration(CARD, "bench.data.datasets.simulated.reader:Reader"),)
