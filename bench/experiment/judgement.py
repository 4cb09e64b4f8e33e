"""The one judge of a spec that comes from outside: a file, a bundle, a result, a study.

It asks what flags ask: known fields, types, ranges, data set and task, options of model, method and front-end. Options
and tasks are judged where their code is here in the spec's version; those of plug-ins and models that are not here have
their general form judged alone, so that a board can keep such runs. What a new run must have beyond that is in
:func:`bench.experiment.recipes.check_spec`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.core.errors import SpecError
from bench.core.options import UPDATE, check_options
from bench.core.text import echoed
from bench.data.frontends.chosen import choose_front_end
from bench.data.frontends.shapes import picture_sizes
from bench.engine.augment.options import mask_value
from bench.experiment.registries import registries
from bench.experiment.spec import NUMERICS, OWNERS, RunSpec, check_fields

EDITED = "Use the spec.json of a run folder as it is."


def judge(identity: Mapping[str, Any]) -> None:
    """Judge the identity fields of a spec.

    Args:
        identity: The fields, as a document holds them.

    Raises:
        SpecError: If no run can have had them; the field is named.
    """
    if not isinstance(identity, Mapping):
        raise SpecError("The spec is no object.", "Use the spec of a run.")
    check_fields(identity, "identity")
    spec = RunSpec.of(**identity)
    _check_form(identity, spec.identity())
    # Texts that mean something: whether they can be read is what is asked.
    _ = spec.fold
    check_start_of(spec)
    check_judged(spec, new=False)
    judge_options(spec, new=False)


def _check_form(given: Mapping[str, Any], canonical: Mapping[str, Any]) -> None:
    """Refuse a field or an option of a later version that is written out although it has its default.

    The run would have two ids, and its system two rows on a board.
    """
    for name, value in given.items():
        if isinstance(value, Mapping) and isinstance(canonical.get(name), Mapping):
            _check_form(value, canonical[name])
        elif name not in canonical:
            raise SpecError(
                f"{name} is {echoed(repr(value))}: that is its default, which a run's spec leaves out.", EDITED
            )


def judge_options(spec: RunSpec, *, new: bool) -> None:
    """Judge the options of model, method and front-end, where they are known here.

    Args:
        spec: A spec whose fields are sound.
        new: Whether it is to be run, which some values of finished runs are not for.

    Raises:
        SpecError: For an unknown option or a value out of its range.
    """
    known = registries()
    for owner in OWNERS:
        name = getattr(spec, owner)
        cls = known[owner].options(name, spec.extensions.get(owner))
        if cls is not None and (owner != "frontend" or _is_current(spec)):
            check_options(cls, getattr(spec, f"{owner}_options"), f"{known[owner].kind} {name}", new=new)


def check_judged(spec: RunSpec, *, new: bool) -> None:
    """Check that a spec names a data set that is known here, and one of its tasks.

    A finished run on the data set of a plug-in is kept where that plug-in, in the version of the run, is not here: its
    result says what was judged.

    Args:
        spec: A spec whose fields are sound.
        new: Whether it is to be run, for which the data set must be here.

    Raises:
        SpecError: If the data set is none, or has no such task.
    """
    known, version = registries()["dataset"], spec.extensions.get("dataset")
    is_here = spec.dataset in known and known.get(spec.dataset).version == version
    if not (is_here or new or version is None):
        return
    if spec.dataset not in known:
        names = ", ".join(entry.id for entry in known)
        raise SpecError(f"dataset is '{echoed(spec.dataset)}', but must be one of {names}.", UPDATE)
    known.card(spec.dataset).task(spec.task)


def _is_current(spec: RunSpec) -> bool:
    """Tell whether the front-end here has the version that the spec names, so that its options can be judged."""
    registry = registries()["frontend"]
    return spec.frontend in registry and registry.card(spec.frontend).version == spec.frontend_version


def check_start_of(spec: RunSpec) -> None:
    """Check that what a spec says of its start is whole: weights have a hash, and who starts from scratch has none.

    Raises:
        SpecError: If it is not, or the spec names a plug-in's version for something that it does not have.
    """
    if (spec.pretrain == "none") != (spec.weights_sha256 is None):
        said = "has a weights_sha256" if spec.pretrain == "none" else "has no weights_sha256"
        raise SpecError(f"pretrain is '{echoed(spec.pretrain)}', but the spec {said}.", EDITED)
    known = registries()
    for owner in spec.extensions:
        if owner not in known:
            raise SpecError(f"extensions names '{echoed(owner)}', but must name {', '.join(known)}.", EDITED)


def check_combinations(spec: RunSpec) -> None:
    """Check what a new run needs of its spec, from the spec alone; its plug-ins are loaded.

    Raises:
        SpecError: If a field or an option cannot be, they do not go together, or the spec is for other code.
    """
    check_fields(spec.identity(), "identity")
    check_fields(spec.execution(), "execution")
    check_start_of(spec)
    if (spec.weights is None) != (spec.weights_sha256 is None):
        said = "names no file of weights" if spec.weights is None else "names a file of weights"
        raise SpecError(f"pretrain is '{echoed(spec.pretrain)}', but the spec {said}.", EDITED)
    _check_code(spec)
    check_judged(spec, new=True)
    judge_options(spec, new=True)
    _check_batch(spec)
    spec.optim.check()
    spec.schedule.check(spec.optim.lr)
    spec.augment.check()
    _check_augmentation(spec)
    _check_probe(spec)
    _ = spec.fold


def _check_code(spec: RunSpec) -> None:
    """Check that the code here is that of the spec: its run id says so."""
    if spec.numerics != NUMERICS:
        raise SpecError(
            f"The spec is of numerics {spec.numerics}, but the code here is of {NUMERICS}: its numbers differ.",
            "Use the version of lungbench that the run was made with, or start a new run with this one.",
        )
    version = registries()["frontend"].card(spec.frontend).version
    if spec.frontend_version != version:
        raise SpecError(
            f"The spec is for version {spec.frontend_version} of the front-end {spec.frontend}, "
            f"but the one here is {version}.",
            "Use the version of lungbench that the run was made with, or start a new run with this one.",
        )


def _check_batch(spec: RunSpec) -> None:
    batch, processes = spec.sampling.batch, spec.distribution.processes
    if batch % processes:
        nearest = max(batch // processes, 1) * processes
        raise SpecError(
            f"The global batch of {batch} does not divide among {processes} processes.",
            f"Use --set batch={nearest} or another --processes.",
        )


def _check_probe(spec: RunSpec) -> None:
    """Refuse augmentation where the features of each cycle are computed once."""
    if not registries()["method"].card(spec.method).probe:
        return
    if spec.augment.changes_pictures or spec.augment.changes_waveforms:
        raise SpecError(
            f"The method {spec.method} computes the features of each cycle once, so that nothing can be augmented.",
            "Leave the augmentation out: --set specaug_probability=0 --set time_shift=false, and no other chances.",
        )


def _check_augmentation(spec: RunSpec) -> None:
    """Check that clips can be shifted and masked: only pictures can, and no mask is wider than the smallest of them."""
    if not spec.augment.changes_pictures:
        return
    options = choose_front_end(spec.frontend, spec.frontend_options).options
    pictures = picture_sizes(options)
    if not pictures:
        raise SpecError(
            f"Rows of the front-end {spec.frontend} are no pictures, and cannot be shifted or masked.",
            "Use --set time_shift=false --set specaug_probability=0.",
        )
    if spec.augment.specaug_probability == 0:
        return
    frames, mels = (min(sizes) for sizes in zip(*pictures.values(), strict=True))
    widths = (("freq", mels, "mel bins"), ("time", frames, "frames"))
    for axis, size, words in widths:
        widest = getattr(spec.augment, f"specaug_{axis}_width") - 1
        if widest > size:
            raise SpecError(
                f"SpecAugment masks up to {widest} {words}, but the spectrogram has {size}.",
                f"Use --set specaug_{axis}_width={size} or less, or a longer clip (--set frontend.seconds=…).",
            )
    mask_value(spec.augment, spec.frontend, options)
