"""Losses as pure functions. B: rows of the global batch, D: width of features, C: classes.

All of them compute in float32 at least, also under autocast: the authors multiply in float16 under autocast and then
divide by the temperature, which leaves similarities of up to 1/0.06 = 17 with an error of about 0.01.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor
from torch.nn import functional

from bench.core.errors import SpecError
from methods.patchmix.card import NEGATIVES


def full_precision(x: Tensor) -> Tensor:
    """Return ``x`` in float32 if it is in half precision, else as it is."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def class_weights(counts: Sequence[int]) -> Tensor:
    """Class weights that are inversely proportional to the number of training cycles and sum to 1.

    Args:
        counts: Training cycles per class.

    Returns:
        (C,) float32.

    Raises:
        SpecError: If a class has no cycle.

    Source: Bae et al. 2023, section 3.3; official code @ 836b09f, ``main.py`` (``--weighted_loss``).
    """
    if min(counts) < 1:
        raise SpecError(
            f"Class {counts.index(min(counts))} has {min(counts)} training cycles, so it has no class weight.",
            "Train on data with all classes, or without class weights (--set method.weighted=false).",
        )
    # Only their ratios matter: the weighted mean divides by the sum of the rows' weights.
    inverse = 1 / torch.tensor(counts, dtype=torch.float64)
    return (inverse / inverse.sum()).float()


def complement_weights(counts: Sequence[int]) -> Tensor:
    """Class weights 1 - n_c / n: what is rare weighs nearly 1, what is frequent less.

    Args:
        counts: Training cycles per class.

    Returns:
        (C,) float32.

    Source: dlrudco/SADACO @ 2134fd9.
    """
    numbers = torch.tensor(counts, dtype=torch.float64)
    return (1 - numbers / numbers.sum()).float()


def cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean cross-entropy; with class weights, the weighted mean (divided by the sum of the rows' weights).

    Args:
        logits: (B, C).
        labels: (B,) int64.
        weights: (C,) class weights.

    Returns:
        Scalar.
    """
    logits = full_precision(logits)
    return functional.cross_entropy(logits, labels, weight=None if weights is None else weights.to(logits.dtype))


def binary_cross_entropy(logits: Tensor, targets: Tensor, positive: Tensor | None = None) -> Tensor:
    """Mean cross-entropy of independent yes-or-no answers, over rows and classes.

    Args:
        logits: (B, C).
        targets: (B, C), how much of each class is there, 0..1; they need not sum to 1.
        positive: (C,), what the loss of a class that is there is multiplied by.

    Returns:
        Scalar.
    """
    logits = full_precision(logits)
    weights = None if positive is None else positive.to(logits.dtype)
    return functional.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype), pos_weight=weights)


def label_mixing_loss(
    logits: Tensor, labels: Tensor, permutation: Tensor, lam: float, weights: Tensor | None = None
) -> Tensor:
    """Cross-entropy of mixed inputs with the labels of both sources, weighted by their shares.

    Args:
        logits: (B, C) of the mixed inputs.
        labels: (B,) int64, of the clips that were mixed into.
        permutation: (B,) int64; row i took patches from row ``permutation[i]``.
        lam: Share of row i that is its own, 0..1.
        weights: (C,) class weights.

    Returns:
        Scalar.

    Source: Bae et al. 2023, Table 2 (Patch-Mix, CE); official code @ 836b09f, ``method/patchmix.py``.
    """
    own = cross_entropy(logits, labels, weights)
    return lam * own + (1 - lam) * cross_entropy(logits, labels[permutation], weights)


def mixed_targets(labels: Tensor, permutation: Tensor, lam: Tensor, classes: int) -> Tensor:
    """Shares of the classes in mixed inputs.

    Args:
        labels: (B,) int64, of the clips that were mixed into.
        permutation: (B,) int64; row i was mixed with row ``permutation[i]``.
        lam: (B,) share of each row that is its own, 0..1.
        classes: Number of classes.

    Returns:
        (B, C) in the type of ``lam``; each row sums to 1.
    """
    own = functional.one_hot(labels, classes).to(lam.dtype)
    return lam[:, None] * own + (1 - lam)[:, None] * own[permutation]


def target_divergence(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Kullback-Leibler divergence of predictions from shares of classes: the mean over rows, also with class weights.

    L = (1/B) sum_i sum_c w_c t_ic (log t_ic - log p_ic); the gradient is that of the cross-entropy with the shares,
    whose least value it leaves out.

    Args:
        logits: (B, C).
        targets: (B, C), at least 0; each row sums to 1.
        weights: (C,) class weights.

    Returns:
        Scalar.

    Source: Pham et al. 2021, section V (without weights).
    """
    logits = full_precision(logits)
    shares = targets.to(logits.dtype)
    terms = functional.kl_div(logits.log_softmax(dim=1), shares, reduction="none")
    return (terms if weights is None else terms * weights.to(logits.dtype)).sum(dim=1).mean()


def cosine_logits(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """Cosine similarities divided by the temperature, in float32 at least.

    Args:
        a: (B, D).
        b: (B', D).
        temperature: Divisor.

    Returns:
        (B, B').
    """
    # Tensors without values have no autocast.
    with nullcontext() if a.is_meta else torch.autocast(a.device.type, enabled=False):
        a = functional.normalize(full_precision(a), dim=1)
        b = functional.normalize(full_precision(b), dim=1)
        return a @ b.T / temperature


def _different_label_or_positive(labels: Tensor, permutation: Tensor) -> Tensor:
    """(B, B) bool: row i may be compared with clips of another class, with itself and with its partner."""
    rows = torch.arange(len(labels), device=labels.device)
    # Classes of the clean clips, also for mixed rows; both positives stay, whatever their class.
    compared = labels[:, None] != labels[None, :]
    compared |= rows[:, None] == rows[None, :]
    compared |= permutation[:, None] == rows[None, :]
    return compared


def patch_mix_contrastive_loss(
    projected: Tensor,
    targets: Tensor,
    permutation: Tensor,
    lam: float,
    temperature: float,
    labels: Tensor | None = None,
    negatives: str = "all",
) -> Tensor:
    """Patch-Mix contrastive loss: a mixed clip lies near both of its sources, by their shares.

    With s_ij = cos(projected_i, targets_j) / temperature:
    L = -(1/B) sum_i [lam s_ii + (1 - lam) s_i,permutation(i) - log sum_{j in N(i)} exp s_ij].

    Args:
        projected: (B, D), projected features h(z~) of the mixed clips; normalised here.
        targets: (B, D), features t of the clean clips; normalised here.
        permutation: (B,) int64; row i took patches from row ``permutation[i]``.
        lam: Share of row i that is its own, 0..1.
        temperature: Divisor of the cosine similarities, above 0.
        labels: (B,), the clean clips' classes; needed for ``different-label``.
        negatives: N(i): ``all`` clean clips, or those of a ``different-label`` together with the two positives.

    Returns:
        Scalar.

    Raises:
        SpecError: If ``negatives`` is unknown, or ``different-label`` without labels.

    Source: Bae et al. 2023, Eq. 2; official code @ 836b09f, ``method/patchmix_cl.py``. There, the backward pass of
    ``different-label`` raises; here it is the gradient of the official forward value.
    """
    if negatives not in NEGATIVES:
        raise SpecError(f"negatives is '{negatives}', but must be one of {', '.join(NEGATIVES)}.")
    similarity = cosine_logits(projected, targets, temperature)
    permutation = torch.as_tensor(permutation, device=similarity.device)
    own = similarity.diagonal()
    partner = similarity.gather(1, permutation[:, None]).squeeze(1)
    if negatives == "different-label":
        if labels is None:
            raise SpecError("Negatives of a different label need labels, but there are none.", "Pass labels.")
        compared = _different_label_or_positive(labels.to(similarity.device), permutation)
        # exp(-inf) is exactly 0: what is not compared adds nothing, neither to the sum nor to its gradient.
        similarity = similarity.masked_fill(~compared, -torch.inf)
    return (similarity.logsumexp(dim=1) - lam * own - (1 - lam) * partner).mean()


def supervised_contrastive_loss(
    first: Tensor, second: Tensor, labels: Tensor | None = None, temperature: float = 0.06
) -> Tensor:
    """Supervised contrastive loss over two views of a batch; without labels, the self-supervised one.

    The mean over all 2B views of -log softmax, averaged over the view's positives: the other views of its class (or
    of its clip, without labels); the view itself is left out of the softmax.

    Args:
        first: (B, D), projected features of the first views; normalised here.
        second: (B, D), of the second views.
        labels: (B,), classes.
        temperature: Divisor of the cosine similarities.

    Returns:
        Scalar.

    Source: Moummad & Farrugia 2023; ilyassmoummad/scl_icbhi2017 @ 76c4c99.
    """
    views = torch.cat([full_precision(first), full_precision(second)])
    groups = torch.arange(len(first), device=views.device) if labels is None else labels
    groups = torch.cat([groups, groups])
    same = torch.eye(len(views), dtype=torch.bool, device=views.device)
    positive = (groups[:, None] == groups[None, :]) & ~same
    similarity = cosine_logits(views, views, temperature).masked_fill(same, -torch.inf)
    log_probability = similarity - similarity.logsumexp(dim=1, keepdim=True)
    # Filled, not multiplied by 0: on the diagonal stands -inf, and 0 * -inf is not a number. No row is without a
    # positive, since every clip has two views.
    return -(log_probability.masked_fill(~positive, 0).sum(1) / positive.sum(1)).mean()


def hybrid_contrastive_loss(
    first: Tensor,
    second: Tensor,
    logits: tuple[Tensor, Tensor],
    labels: Tensor,
    alpha: float = 0.5,
    temperature: float = 0.06,
    weights: Tensor | None = None,
) -> dict[str, Tensor]:
    """Weighted sum of the supervised contrastive loss and the cross-entropy of both views.

    Args:
        first: (B, D), projected features of the first views.
        second: (B, D), of the second views.
        logits: (B, C) of the first and of the second views.
        labels: (B,) int64.
        alpha: Share of the contrastive loss, 0..1.
        temperature: Divisor of the cosine similarities.
        weights: (C,) class weights of the cross-entropy.

    Returns:
        Scalars: the sum as ``loss``, and its parts as ``contrastive`` and ``ce``.

    Source: Moummad & Farrugia 2023; ilyassmoummad/scl_icbhi2017 @ 76c4c99.
    """
    contrastive = supervised_contrastive_loss(first, second, labels, temperature)
    ce = cross_entropy(torch.cat(logits), torch.cat([labels, labels]), weights)
    return {"loss": alpha * contrastive + (1 - alpha) * ce, "contrastive": contrastive, "ce": ce}
