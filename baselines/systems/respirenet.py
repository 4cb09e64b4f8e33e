"""RespireNet (Gairola et al. 2021): alone, with concatenation and clipping, and fine-tuned for each stethoscope."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from baselines.respirenet.card import CARD
from bench.core.cards import CompositeCard, PartCard, Quirk, SystemCard
from bench.core.citations import GAIROLA_2021, RESPIRENET_CODE

QUIRKS = (
    Quirk(
        code="Vocal tract length is perturbed along time by factors that come to 1: 128 samples are lost, no more.",
        here="Frequencies are warped, as Jaitly & Hinton (2013) do.",
        switch="vtlp_law=gap",
    ),
    Quirk(
        code="Added noise has a real spectrum: its second half is its first in reverse.",
        here="White noise of the same strength.",
        switch="noise_kind=mirrored",
    ),
    Quirk(
        code="Whether copies stand before or after a short cycle is drawn when the data set is made, without a seed.",
        here="It follows from the name of the recording; frontend.pad_side=after puts all copies after the cycle.",
    ),
    Quirk(
        code="Mean and deviation of the colours are of training pictures, augmented at random and without a seed.",
        here="They are of the training pictures without augmentation; frontend.normalise=constants takes those of the "
        "authors' repository.",
    ),
    Quirk(
        code="Rare classes are drawn more often and weighed more as well, by 3 to 1 whatever the data.",
        here="The same; method.normal_weight=1 leaves the weights out.",
        switch="method.normal_weight=0.3333333333333333",
    ),
    Quirk(
        code="Concatenation ends in an error: the names of joined cycles are not in the table of devices.",
        here="It works as the paper says, with cycles that are drawn anew in each step.",
    ),
)
SELECTION_NOTE = (
    f"Best accuracy on the test part, after the vote of a cycle's pieces ({RESPIRENET_CODE}, train.py line 266)."
)
GAPS = "The paper's rows on the official split come without a script; the settings are those of the 80/20 folds."
CONCATENATION_GAP = (
    "By how much concatenation enlarges the classes is not stated for the printed rows: all are brought to the size of "
    "the largest. Cycles of more than 8 s are joined piece by piece."
)
STEPS_GAP = (
    "The second stage has 50 epochs, as the authors' instructions say; their script has 200. It starts from the last "
    "weights of the first stage, where the authors start from those with the best test accuracy. Stethoscopes without "
    "training and tested recordings have no model of their own."
)

WEIGHTS = {"method.normal_weight": 1 / 3}
PLAIN: Mapping[str, Any] = {**WEIGHTS, "frontend.blank_region_clipping": False}
JOINED: Mapping[str, Any] = {
    **WEIGHTS,
    "frontend.blank_region_clipping": True,
    "concat_law": "cba",
    "concat_probability": 1.0,
    "concat_rare": True,
}
NETWORK: Mapping[str, Any] = {"model": CARD.id, "method": "ce"}
TEXT: Mapping[str, Any] = {
    "source": f"Gairola et al. 2021, section IV; {RESPIRENET_CODE}",
    "fidelity": "authors' code",
    "citation": GAIROLA_2021,
}
SYSTEM: Mapping[str, Any] = {
    **TEXT,
    "selection": "best-test-accuracy",
    "selection_note": SELECTION_NOTE,
    "quirks": QUIRKS,
    "weights_licence": CARD.weights["imagenet"].licence,
}

FINE_TUNED = CompositeCard(
    id="respirenet-cba-brc-ft",
    title="RespireNet, one model for each stethoscope",
    summary="RespireNet for all stethoscopes, and one for each that was trained further from it on its recordings.",
    **TEXT,
    combine="route:device",
    parts={
        "common": PartCard(**NETWORK, settings=JOINED, default=True),
        "expert": PartCard(
            **NETWORK,
            pretrain="none",
            settings=JOINED,
            recipes={"paper": {"lr": 1e-4, "epochs": 50}, "demo": {"lr": 1e-3, "epochs": 1}},
            init_from="part:common:last",
            each_device=True,
        ),
    },
)

SYSTEMS = (
    SystemCard(
        id="respirenet",
        title="RespireNet",
        summary="ResNet34 on coloured spectrograms of 8 s, with augmented sound and balanced batches.",
        **SYSTEM,
        **NETWORK,
        pretrain="imagenet",
        settings=PLAIN,
        rows=("table1/resnet34-in", "table3/respirenet"),
        gaps=GAPS,
    ),
    SystemCard(
        id="respirenet-cba-brc",
        title="RespireNet (CBA + BRC)",
        summary="RespireNet with cycles joined by class, and blank rows cut off its pictures.",
        **SYSTEM,
        **NETWORK,
        pretrain="imagenet",
        settings=JOINED,
        gaps=f"{GAPS} {CONCATENATION_GAP}",
    ),
    SystemCard(
        id="respirenet-cba-brc-ft",
        title="RespireNet (CBA + BRC + FT)",
        summary="RespireNet with joined cycles and clipped pictures, trained further for each stethoscope.",
        **SYSTEM,
        composite=FINE_TUNED,
        rows=("table3/respirenet-cba-brc-ft",),
        gaps=f"{GAPS} {CONCATENATION_GAP} {STEPS_GAP}",
    ),
)
