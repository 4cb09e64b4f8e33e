"""Cards: what is known of a model, a method or a front-end, as data that can be read without importing torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Fidelity = Literal["authors' code", "third-party code", "reconstruction", "original"]
"""What an implementation rests on; ``original`` is a system of one's own, with nothing published to match."""

Profile = Literal["paper", "demo"]
PROFILES: tuple[Profile, ...] = get_args(Profile)
"""Under which circumstances a recipe holds: as published, on real data, or small, to show that all works."""

Recipes = Mapping[str, Mapping[str, Any]]
"""Settings by profile (``paper``, ``demo``), or by profile and start (``paper:scratch``, ``paper:pretrained``)."""


@dataclass(frozen=True, kw_only=True)
class WeightsCard:
    """Pretrained weights that can be asked for by name.

    Attributes:
        title: Data that the weights were learnt on, and how well, in print.
        source: Publication or repository that the weights come from, for people.
        licence: Licence of the weights, or ``not stated``.
        location: Location that the loader fetches: ``timm:NAME``, ``hf:REPO/FILE`` or a URL.
        sha256: SHA-256 of the file, hexadecimal, where it is known.
        md5: MD5 of the file, hexadecimal, where the publisher gives no better hash.
    """

    title: str
    source: str
    licence: str
    location: str
    sha256: str | None = None
    md5: str | None = None


@dataclass(frozen=True, kw_only=True)
class NoOptions:
    """The options of a model, method or front-end that has none."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """The description that every model, method and front-end brings. Only plug-ins may leave out what has a default.

    Attributes:
        id: Name on the command line.
        title: Name in print.
        summary: One or two sentences on what the thing is.
        source: Paper with section, or repository with commit.
        fidelity: Ground that the implementation rests on.
        citation: BibTeX entry of the publication.
        options: Dataclass of the thing's options, declared with ``bench.core.options.option``.
    """

    id: str
    title: str
    summary: str
    source: str = ""
    fidelity: Fidelity = "original"
    citation: str = ""
    options: type = NoOptions


def chosen_recipe(recipes: Recipes, profile: str, pretrain: str) -> dict[str, Any]:
    """The settings of recipes for a profile, and for a start from scratch or pretrained.

    Args:
        recipes: By profile, or profile and start.
        profile: ``paper`` or ``demo``.
        pretrain: Weights that the training starts from, or ``none``.
    """
    start = "scratch" if pretrain == "none" else "pretrained"
    return {**recipes.get(profile, {}), **recipes.get(f"{profile}:{start}", {})}


@dataclass(frozen=True, kw_only=True)
class TrainableCard(Card):
    """A card with recipes: hyper-parameters of the published system, declared beside their owner.

    Attributes:
        recipes: By profile (``paper``, ``demo``), or profile and start (``paper:scratch``, ``paper:pretrained``),
            the fields of the run's spec that it sets. ``model.X``, ``method.X`` and ``frontend.X`` name options.
    """

    recipes: Recipes = field(default_factory=dict)

    def recipe(self, profile: str, pretrain: str) -> dict[str, Any]:
        """Return the fields that this card sets, for a profile and for a start from scratch or pretrained."""
        return chosen_recipe(self.recipes, profile, pretrain)


@dataclass(frozen=True, kw_only=True)
class ModelCard(TrainableCard):
    """A card of a model.

    Attributes:
        parameters: Trainable numbers in use, 4 classes, default options; None where nobody has counted them.
        frontend: Id of the front-end it was published with.
        patches: Whether it gives access to its patch tokens (``embed_patches``, ``encode``).
        channels_last: Whether its convolutions may compute with the channels last, which is faster on a CPU; its code
            must not rely on how numbers lie in memory (``reshape`` and ``flatten``, never ``view``).
        weights: Pretrained weights by name (``imagenet``, ``imagenet+audioset``).
        default_pretrain: Weights that are taken in the paper profile when ``--pretrain`` is not given.
        pretrained_in_demo: Whether the demo profile takes them too, because the model was asked for by their name.
        gaps: Sentences on what the publication leaves open, and on the choice made here instead.
    """

    parameters: int | None = None
    frontend: str = "ast"
    patches: bool = False
    channels_last: bool = False
    weights: Mapping[str, WeightsCard] = field(default_factory=dict)
    default_pretrain: str = "none"
    pretrained_in_demo: bool = False
    gaps: str = ""


@dataclass(frozen=True, kw_only=True)
class MethodCard(TrainableCard):
    """A card of a training method.

    Attributes:
        formula: The loss, in plain text.
        needs_patches: Whether the model must give access to its patch tokens.
        views: How many independently augmented views of each clip a step takes, 1 or 2.
        probe: Whether it trains nothing but a linear classifier, on features that are computed once and kept.
    """

    formula: str
    needs_patches: bool = False
    views: int = 1
    probe: bool = False


@dataclass(frozen=True, kw_only=True)
class PartCard:
    """A part of a composite system: what a run of its own is asked to be.

    Attributes:
        model: Id of the model.
        method: Id of the method.
        pretrain: Weights by name, file or URL; None for the card's default.
        frontend: Front-end id; None for the one on the model's card.
        settings: Fields of the spec and options by name, as in ``{"lr": 1e-4, "frontend.seconds": 4}``.
        recipes: Settings by profile, which ``settings`` are laid over: how the part is trained on real data, and how in
            the demo profile.
        init_from: Part whose weights the training starts from, and which of them, as in ``part:NAME:last``; None for
            a start of its own.
        device: Recording device that the part serves, where the combination is ``route:device``; it is trained on
            recordings of that device alone, unless ``settings`` have another ``train_device``.
        each_device: Whether the part stands for one part for each recording device that has training and tested
            recordings, ``NAME-DEVICE``; which these are, the data say.
        default: Whether the part serves the devices that no other part does.
    """

    model: str
    method: str
    pretrain: str | None = None
    frontend: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    recipes: Recipes = field(default_factory=dict)
    init_from: str | None = None
    device: str | None = None
    each_device: bool = False
    default: bool = False


@dataclass(frozen=True, kw_only=True)
class RunnableCard(Card):
    """A card that says all of what is run, and describes nothing that is built: a system, or a composite by itself."""


@dataclass(frozen=True, kw_only=True)
class CompositeCard(RunnableCard):
    """A card of a composite system: a small graph of runs whose predictions become those of one system.

    Attributes:
        combine: How the scores of the parts become one: ``product``, ``mean``, ``max``, or ``route:device``.
        parts: The parts by name.
    """

    combine: str
    parts: Mapping[str, PartCard]


@dataclass(frozen=True, kw_only=True)
class Quirk:
    """A defect of the authors' code that changes results, and what is done about it.

    Attributes:
        code: What their code does, in a sentence.
        here: What is done here instead, in a sentence.
        switch: Setting that turns the defect on, as ``--set`` takes it (``model.nl_softmax=global``); empty where it is
            not offered.
    """

    code: str
    here: str
    switch: str = ""


SELECTIONS: Mapping[str, str] = {
    "last": "the last epoch",
    "best-test": "the epoch with the best Score on the test part",
    "best-test-accuracy": "the epoch with the best accuracy on the test part",
    "best-val": "the epoch with the best Score on held-out training patients",
    "unknown": "not known",
}
"""How a published system's epoch was chosen, as far as code or text shows, and what each word means."""


@dataclass(frozen=True, kw_only=True)
class SystemCard(RunnableCard, TrainableCard):
    """A card of a system: what one published row is run as, model, method, front-end and recipe together.

    A system has a model and a method, or else it is a ``composite``. A run of it is the same run, with the same id, as
    one that is asked for by model, method and settings.

    Attributes:
        model: Id of the model.
        method: Id of the method.
        pretrain: Weights in the paper profile, by name; None for the model's default. The demo profile has none.
        frontend: Id of the front-end; None for the one on the model's card.
        settings: Settings that make it this system, in every profile, as ``{"method.mix": "patch"}``: fields of the
            spec and options. They are laid over the recipes of model and method.
        recipes: By profile as on every card, further settings, which say how it is trained; they are laid over the
            recipes of model and method too. Runs with others are runs of the system all the same.
        composite: The graph of runs that it is, where it is several.
        rows: Printed rows that it stands for, as ``table3/lungbrn``; of several systems with one row the first that is
            registered stands for it, the others beside it.
        selection: How the published numbers' epoch was chosen, one of :data:`SELECTIONS`.
        selection_note: The same in a sentence, with its source.
        gaps: Sentences on what the publication leaves open, and on the choice made here instead.
        quirks: Defects of the authors' code.
        weights_licence: Licence of the pretrained weights; empty where it starts from none.
    """

    model: str = ""
    method: str = ""
    pretrain: str | None = None
    frontend: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    composite: CompositeCard | None = None
    rows: tuple[str, ...] = ()
    selection: str = "unknown"
    selection_note: str = ""
    gaps: str = ""
    quirks: tuple[Quirk, ...] = ()
    weights_licence: str = ""


@dataclass(frozen=True, kw_only=True)
class FrontEndCard(Card):
    """A card of a front-end.

    Attributes:
        version: Raised whenever a change moves its numbers; part of the run's identity and the cache's key.
    """

    version: int
