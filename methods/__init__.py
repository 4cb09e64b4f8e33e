"""Training methods: one file each, a registry of cards, and the loss of the paper for use anywhere.

Importing this package imports no torch; building a method does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from bench.core.cards import MethodCard
from bench.core.options import build_options
from bench.core.registry import Registry
from methods.base import Batch, Draw, Method, Task, no_patches
from methods.ce.card import CE
from methods.cotuning.card import CO_TUNING
from methods.linear_probe.card import LINEAR_PROBE
from methods.mixup.card import CUTMIX, MIXUP, MIXUP_BCE, MIXUP_KL
from methods.pair_mixup.card import PAIR_MIXUP
from methods.patchmix.card import PATCHMIX_CE, PATCHMIX_CL, TPATCHMIX_CE
from methods.scl.card import SCL, SCL_HYBRID

if TYPE_CHECKING:
    from methods.losses import patch_mix_contrastive_loss

__all__ = ["METHODS", "Batch", "Draw", "Method", "Task", "create", "patch_mix_contrastive_loss"]

METHODS: Registry[MethodCard] = Registry("method", MethodCard, "lungbench.methods")
METHODS.add("ce", CE, "methods.ce.ce:CrossEntropy")
METHODS.add("patchmix-ce", PATCHMIX_CE, "methods.patchmix.ce:patch_mix_ce")
METHODS.add("tpatchmix-ce", TPATCHMIX_CE, "methods.patchmix.ce:time_patch_mix_ce")
METHODS.add("patchmix-cl", PATCHMIX_CL, "methods.patchmix.cl:PatchMixCL")
METHODS.add("mixup", MIXUP, "methods.mixup.mixup:MixupCE")
METHODS.add("mixup-bce", MIXUP_BCE, "methods.mixup.mixup_bce:MixupBCE")
METHODS.add("cutmix", CUTMIX, "methods.mixup.cutmix:CutMixCE")
METHODS.add("mixup-kl", MIXUP_KL, "methods.mixup.mixup_kl:MixupKL")
METHODS.add("pair-mixup", PAIR_MIXUP, "methods.pair_mixup.pair_mixup:PairMixup")
METHODS.add("co-tuning", CO_TUNING, "methods.cotuning.cotuning:CoTuning")
METHODS.add("scl", SCL, "methods.scl.scl:SCL")
METHODS.add("scl-hybrid", SCL_HYBRID, "methods.scl.hybrid:SCLHybrid")
METHODS.add("linear-probe", LINEAR_PROBE, "methods.linear_probe.linear_probe:LinearProbe")


def create(
    id: str,  # noqa: A002
    *,
    feature_dim: int,
    class_counts: Sequence[int],
    patch_grid: tuple[int, int] | None = None,
    class_names: Sequence[str] = (),
    **options: Any,
) -> Method:
    """Build a training method.

    Args:
        id: Id of the method, e.g. ``patchmix-cl``.
        feature_dim: Width of the model's features.
        class_counts: Training cycles per class; class 0 is the normal one.
        patch_grid: Rows (frequency) and columns (time) of the model's patch tokens; None where it has none.
        class_names: Names of the classes in the order of their numbers; empty where they are not known.
        **options: The method's own options, by name; see its card.

    Raises:
        RegistryError: If there is no such method.
        SpecError: For an unknown option, a bad value, a patch method without a patch grid, or other names than one for
            each class.
    """
    entry = METHODS.get(id)
    chosen: Any = build_options(entry.card.options, options, f"method {id}")
    if entry.card.needs_patches and patch_grid is None:
        raise no_patches(id, "the model")
    task = Task(
        feature_dim=feature_dim,
        class_counts=tuple(class_counts),
        patch_grid=patch_grid,
        class_names=tuple(class_names),
    )
    return cast(Method, entry.load()(chosen, task))


def __getattr__(name: str) -> Any:
    """Import the loss when it is asked for: it needs torch, and listing methods must not."""
    if name == "patch_mix_contrastive_loss":
        from methods.losses import patch_mix_contrastive_loss

        return patch_mix_contrastive_loss
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
