"""Runs on made-up features, for measurements: a spec, and as many random rows as are needed; no recordings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from bench.engine.data import RunData
    from bench.experiment.spec import RunSpec


def made_up_spec(model: str, method: str, model_options: Mapping[str, Any] | None = None, **others: Any) -> RunSpec:
    """The spec of a run that starts from fresh weights and whose pictures are not masked.

    Args:
        model: Model id.
        method: Method id.
        model_options: Options of the model, all of them where any is given.
        **others: Other fields of the spec; ``frontend_options`` too.
    """
    from baselines import MODELS
    from bench.core.datasets import DATASETS
    from bench.core.options import build_options
    from bench.data.frontends import FRONTENDS
    from bench.experiment.spec import RunSpec
    from methods import METHODS

    card = MODELS.card(model)
    frontend = FRONTENDS.card(card.frontend)
    given = {"epochs": 1, "specaug_probability": 0.0, "pretrain": "none", "device": "cpu", **others}
    return RunSpec.of(
        model=model,
        model_options=_all_options(build_options(card.options, model_options or {}, model)),
        method=method,
        method_options=_all_options(build_options(METHODS.card(method).options, {}, method)),
        frontend=card.frontend,
        frontend_version=frontend.version,
        frontend_options=given.pop(
            "frontend_options", _all_options(build_options(frontend.options, {}, card.frontend))
        ),
        dataset=DATASETS.simulated().id,
        data_fingerprint="0" * 64,
        **given,
    )


def _all_options(options: Any) -> dict[str, Any]:
    return {field.name: getattr(options, field.name) for field in fields(options)}


def made_up_data(spec: RunSpec, train: int, test: int = 8, seed: int = 0) -> RunData:
    """Random rows in the shape of the spec's front-end, of four classes in turn.

    Args:
        spec: The spec.
        train: Rows to train on.
        test: Rows to judge on.
        seed: Draws them.
    """
    from bench.core.datasets import DATASETS
    from bench.core.inputs import joined
    from bench.data.bank import FeatureBank
    from bench.data.dataset import Cycle, Recording
    from bench.data.frontends.chosen import choose_front_end
    from bench.data.frontends.shapes import input_shapes
    from bench.engine.data import RunData, built_front_end, extremes_of

    card = DATASETS.card(spec.dataset)
    rng, rows = np.random.default_rng(seed), train + test
    shapes = input_shapes(choose_front_end(spec.frontend, spec.frontend_options).options)
    features = {name: rng.standard_normal((rows, *shape), dtype=np.float32) for name, shape in shapes.items()}
    labels, nowhere = np.arange(rows) % 4, Path("recording")
    # Two patients, so that a method can hold one out; each has cycles of all classes.
    patients = {"one": "101", "other": "102"}
    names = [("one", "other")[row // 4 % 2] for row in range(rows)]
    cycles = tuple(Cycle(name, row, row, row + 1, int(labels[row])) for row, name in enumerate(names))
    recordings = {
        name: Recording(name, patient, "1b1", "Al", "sc", "Meditron", "train", nowhere, nowhere, cycles)
        for name, patient in patients.items()
    }
    bank = FeatureBank(joined(features), cycles, labels, Path("features.npy"))
    return RunData(
        bank=bank,
        train=np.arange(train),
        val=np.arange(0),
        test=np.arange(train, rows),
        recordings=recordings,
        task=card.tasks[0],
        card=card,
        extremes=extremes_of(bank, built_front_end(spec)),
    )
