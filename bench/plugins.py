"""What a plug-in imports to describe itself (docs/extending.md): cards, options and :class:`Registration`.

These names stay here, wherever their code moves, so that plug-ins of finished runs can be replayed.
"""

from bench.core.cards import CompositeCard, FrontEndCard, MethodCard, ModelCard, PartCard, WeightsCard
from bench.core.options import Space, option
from bench.core.registry import Registration

__all__ = [
    "CompositeCard",
    "FrontEndCard",
    "MethodCard",
    "ModelCard",
    "PartCard",
    "Registration",
    "Space",
    "WeightsCard",
    "option",
]
