"""One model per stethoscope: all are trained further from a common first stage, on recordings of their device alone."""

from bench.plugins import CompositeCard, PartCard, Registration

FIRST = {"lr": 5e-5, "epochs": 20, "batch": 8}
FURTHER = {"lr": 1e-5, "epochs": 5, "batch": 4, "warmup_epochs": 0}


def expert(device):
    return PartCard(model="ast", method="ce", settings=FURTHER, init_from="part:common:last", device=device)


card = CompositeCard(
    id="device-experts",
    title="Device experts",
    summary="An AST for all devices, and one for each of two devices that was trained further from it.",
    combine="route:device",
    parts={
        "common": PartCard(model="ast", method="ce", settings=FIRST, default=True),
        "meditron": expert("Meditron"),
        "akg": expert("AKGC417L"),
    },
)
experts = Registration(card)
