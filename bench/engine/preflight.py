"""What would stop a run before its first step, found without doing any: for ``--dry-run`` and for the start itself."""

from __future__ import annotations

import torch

import baselines
from baselines import MODELS
from bench.core.errors import BenchError, SpecError
from bench.core.text import echoed
from bench.data.frontends import FRONTENDS, WaveformFrontEnd
from bench.data.frontends.chosen import choose_front_end
from bench.data.frontends.shapes import in_words, made_up_inputs
from bench.data.wave_bank import no_halves
from bench.engine.activation_checkpoints import blocks_of
from bench.engine.batch_of_one import check_batch_of_one
from bench.engine.data import built_front_end, load_run_dataset, planned_data
from bench.engine.graph import build_graph
from bench.engine.initial_weights import tensor_difference
from bench.engine.micro_batches import check_micro_batches
from bench.engine.probe import check_probe
from bench.engine.random_states import random_states_kept
from bench.engine.stages import StagePlan, stages_of
from bench.engine.tracking import check_trackers
from bench.experiment.plugins import plugin_failure
from bench.experiment.spec import RunSpec
from leaderboard.results.run_folder import stage_name
from methods import METHODS

# What layers raise on pictures that they cannot take; they promise no single class.
_FAULTS = (RuntimeError, TypeError, ValueError, LookupError, AssertionError, ArithmeticError)


def check_start(spec: RunSpec) -> None:
    """Check all that a start checks: the data and their parts, model, weights and method, as the run would have them.

    Args:
        spec: A spec that :func:`bench.experiment.recipes.check_spec` has let pass; its plug-ins are loaded.

    Raises:
        DataError: If the data are missing, broken, not those of the spec, or hold no test cycle.
        SpecError: If a part is too small, or model or method cannot be built or do not take the features.
        WeightsError: If the weights are missing or do not match the model.
        RunError: If the code of a plug-in fails; file and line are named.
    """
    check_model(spec)
    data = planned_data(load_run_dataset(spec), spec)
    try:
        graph = build_graph(spec, data.class_counts())
        StagePlan(stages_of(spec, graph.method), spec.sampling.steps_of_epoch(len(data.train)))
    except BenchError:
        raise
    except Exception as error:
        failure = plugin_failure(error, spec.plugins)
        if failure is None:
            raise
        raise failure from error


def check_initial_part(before: RunSpec, which: str, after: RunSpec) -> None:
    """Check that a run will leave the weights that another one is to start from, and that they will fit its model.

    Args:
        before: The spec of the run to start from, which need not have run.
        which: A selection rule, or the end of a stage (``stage-1``).
        after: The spec of the run that starts from it.

    Raises:
        SpecError: If it will not keep such weights, or they are those of another model.
    """
    if before.model != after.model:
        raise SpecError(
            f"It starts from the model {before.model}, but is the model {after.model}.", "Use the same model for both."
        )
    with random_states_kept():
        there, here = (build_graph(spec.changed(weights=None, init_from=None)) for spec in (before, after))
    kept = ["last", "best-test", *(["best-val"] if before.val_fraction > 0 else [])]
    kept += [stage_name(number) for number in range(1, len(stages_of(before, there.method)))]
    if which not in kept:
        raise SpecError(
            f"It starts from the weights '{which}', but the part before it will keep {', '.join(kept)}.",
            "Name one of these; best-val needs a val_fraction, and a stage another one after it.",
        )
    difference = tensor_difference(here.model, there.model.state_dict())
    if difference is not None:
        raise SpecError(
            f"The weights that it starts from will not fit its model: {difference}.",
            "Give both models the same options.",
        )


def check_memory_savings(spec: RunSpec) -> None:
    """Check that model and method can be trained in micro-batches and with recomputed activations, where asked for.

    Raises:
        SpecError: If they cannot.
    """
    if not (spec.distribution.micro_batch or spec.distribution.checkpointing):
        return
    with random_states_kept():
        # Fresh weights will do, as only layers are looked at.
        graph = build_graph(spec.changed(weights=None, init_from=None))
    if spec.distribution.checkpointing:
        blocks_of(graph.model, spec.model)
    if spec.distribution.micro_batch:
        check_micro_batches(graph, stages_of(spec, graph.method))


def check_model(spec: RunSpec) -> None:
    """Check that a built-in model can be built and takes the features, without computing a number.

    Plug-ins are left alone: their code need not run without numbers. A batch of one clip is tried with all of them, and
    all front-ends must let waveforms be augmented where the spec asks for it.

    Raises:
        SpecError: If it cannot.
    """
    if spec.augment.changes_waveforms and not isinstance(built_front_end(spec), WaveformFrontEnd):
        raise no_halves(spec.frontend)
    check_trackers(spec.tracking.tracker)
    if spec.sampling.batch == 1:
        check_batch_of_one(spec, "A batch", "Use --set batch=2 or more.")
    if METHODS.card(spec.method).probe:
        check_probe(spec)
    check_memory_savings(spec)
    entry, frontend = MODELS.get(spec.model), FRONTENDS.get(spec.frontend)
    if entry.version is not None or frontend.version is not None:
        return
    options = choose_front_end(spec.frontend, spec.frontend_options).options
    try:
        with torch.device("meta"), torch.no_grad():
            model = baselines.create(spec.model, **spec.model_options)
            model.eval()(made_up_inputs(options, 1, torch.empty))
    except BenchError:
        raise
    except _FAULTS as error:
        reason = echoed(str(error).rstrip("."), 200)
        raise SpecError(
            f"The model {spec.model} does not take spectrograms of {in_words(options)}: {reason}.",
            "Use another model, or another length of the clips (--set frontend.seconds=…).",
        ) from error
