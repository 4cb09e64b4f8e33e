"""What a plug-in imports to describe itself (docs/extending.md): cards, options and :class:`Registration`.

These names stay here, wherever their code moves, so that plug-ins of finished runs can be replayed.
"""

from bench.core.cards import FrontEndCard, MethodCard, ModelCard, WeightsCard
from bench.core.options import Space, option
from bench.core.registry import Registration

__all__ = ["FrontEndCard", "MethodCard", "ModelCard", "Registration", "Space", "WeightsCard", "option"]
