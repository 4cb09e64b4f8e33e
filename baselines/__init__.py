"""What is trained: families of architectures, their pretrained-weight loaders, and a registry of cards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from baselines.arsc import card as arsc
from baselines.ast import card as ast
from baselines.experts import card as experts
from baselines.hugging_face import card as hugging_face
from baselines.inception import card as inception
from baselines.lungattn import card as lungattn
from baselines.lungsys import card as lungsys
from baselines.panns import card as panns
from baselines.prototypes import card as prototypes
from baselines.respirenet import card as respirenet
from baselines.se_sa import card as se_sa
from baselines.timm import cnn_card as timm_cnn
from baselines.timm import named_card as timm_named
from bench.core.cards import ModelCard
from bench.core.errors import SpecError
from bench.core.options import build_options
from bench.core.paths import cache_folder
from bench.core.registry import Registry

if TYPE_CHECKING:
    from torch import nn

    from baselines.downloads import LocatedWeights

__all__ = ["MODELS", "create"]

MODELS: Registry[ModelCard] = Registry("model", ModelCard, "lungbench.models")

for _family in (
    *(ast, timm_cnn, panns, timm_named, hugging_face),
    *(arsc, experts, inception, lungattn, lungsys, prototypes, respirenet, se_sa),
):
    _family.register(MODELS)


def create(
    id: str,  # noqa: A002
    num_classes: int = 4,
    pretrain: str | LocatedWeights | None = None,
    *,
    cache: Path | None = None,
    **options: Any,
) -> nn.Module:
    """Build a model; untrained weights are drawn from torch's global generator.

    Args:
        id: A name in :data:`MODELS`.
        num_classes: Outputs of the classifier.
        pretrain: ``None`` or ``none`` for untrained weights, or what :func:`baselines.weights.locate` takes: a name
            on the card, a file, a folder, a URL; or weights that were located before.
        cache: Where downloaded weights are kept (default: the user's cache folder).
        **options: Fields of the card's options dataclass.

    Returns:
        A module that maps (batch, 1, frames, mels) to logits (batch, num_classes), with ``features``,
        ``classifier`` and ``feature_dim``; the AST family also has ``embed_patches``, ``encode``, ``patch_grid``.

    Raises:
        RegistryError: If there is no such model.
        SpecError: For an unknown or impossible option.
        WeightsError: If the weights cannot be found, read, or matched with the model.
    """
    from baselines import state_dicts, weights

    entry = MODELS.get(id)
    chosen: Any = build_options(entry.card.options, options, f"model {id}")
    if num_classes < 1:
        raise SpecError(f"num_classes is {num_classes}, but must be at least 1.")
    if pretrain is None or isinstance(pretrain, str):
        located = weights.locate(entry.card, pretrain or "none", cache_folder(cache))
    else:
        located = pretrain
    model: nn.Module = entry.load()(chosen, num_classes)
    if located is not None:
        state_dicts.load_into(model, weights.read_tensors(located.path), f"model {id}", located.path)
    return model
