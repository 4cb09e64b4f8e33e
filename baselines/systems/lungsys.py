"""The systems LungBRN and LungRN+NL of Ma et al."""

from __future__ import annotations

from baselines.lungsys.card import BI_RESNET, RESNET_NL
from bench.core.cards import Quirk, SystemCard
from bench.core.citations import LUNGSYS_CODE

SHARED_QUIRKS = (
    Quirk(
        code="Labels are looked up by the last digit of a cycle's index: 143 of 6,898 cycles get a wrong class.",
        here="Each cycle has its own label.",
    ),
    Quirk(
        code="The test part is shuffled and its last, smaller batch left out, while accuracy is a share of all cycles.",
        here="Each test cycle is judged once.",
    ),
    Quirk(
        code=(
            "The pictures' frequency axis is labelled for 22.05 kHz whatever the rate, and shows a quarter of the rate "
            "(half of it up to 4 kHz): one height is another frequency at each rate."
        ),
        here="The same, for it is the front-end that the numbers were printed for.",
    ),
)

LUNGBRN = SystemCard(
    id="lungbrn",
    title="LungBRN",
    summary="Pictures of spectrogram and wavelet decomposition, a residual network for each, weighted cross-entropy.",
    source=BI_RESNET.source,
    fidelity="authors' code",
    citation=BI_RESNET.citation,
    model="bi-resnet",
    method="ce",
    rows=("table1/bi-resnet", "table3/lungbrn"),
    selection="best-test-accuracy",
    selection_note=(
        "Best accuracy on the test part, looked at after the first iteration of each epoch "
        f"({LUNGSYS_CODE} @ 83f3d17, bnn.py line 438)."
    ),
    gaps=(
        f"{BI_RESNET.gaps} The authors' class weights 1, 1.7, 4.1 and 5.7 are normal cycles over cycles of the class, "
        "rounded; here they are computed from the training part."
    ),
    quirks=(
        Quirk(
            code="The network never leaves training mode: dropout, also that on the logits, is active in the test.",
            here="Dropout is for training alone.",
        ),
        *SHARED_QUIRKS,
    ),
)

LUNGRN_NL = SystemCard(
    id="lungrn-nl",
    title="LungRN+NL",
    summary="Picture of the spectrogram, a residual network with non-local blocks, Mixup with binary cross-entropy.",
    source=RESNET_NL.source,
    fidelity="authors' code",
    citation=RESNET_NL.citation,
    model="resnet-nl",
    method="mixup-bce",
    rows=("table1/resnet-nl", "table3/lungrn-nl"),
    selection="unknown",
    selection_note=(
        f"The code keeps no checkpoint and writes a line on the test part after each epoch ({LUNGSYS_CODE} @ 6450040, "
        "bnn.py line 519)."
    ),
    gaps=RESNET_NL.gaps,
    quirks=(
        Quirk(
            code="Non-local attention sums to 1 over all pairs of places, so that the blocks add almost nothing.",
            here="The attention of each place sums to 1.",
            switch="model.nl_softmax=global",
        ),
        Quirk(
            code="What a non-local block adds comes back with rows and columns exchanged.",
            here="It stays in its place.",
            switch="model.nl_transpose=true",
        ),
        *SHARED_QUIRKS,
        Quirk(
            code="Its log calls the specificity Se and the sensitivity Sq.",
            here="Sp and Se are what the words say; which of the two the paper prints as Se is not known.",
        ),
    ),
)

SYSTEMS = (LUNGBRN, LUNGRN_NL)
