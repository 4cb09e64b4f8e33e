"""A batch of one clip is refused before anything starts where model or method normalise over the batch."""

import dataclasses

import pytest
import torch
from five_steps import run_data, spec_of

from bench.core.errors import SpecError
from bench.engine.data import _check_parts
from bench.engine.preflight import check_model

TINY = {"embed_dim": 16, "depth": 1, "heads": 2, "frames": 98, "mels": 128}


def small_spec(model, model_options, method, **fields):
    case = {"model": model, "model_options": model_options, "method": method, "method_options": {}}
    spec = spec_of({**case, "fields": fields})
    return spec.changed(frontend_options={"seconds": 1.0})


CANNOT = [
    ("ast", TINY, "patchmix-cl"),
    # Squeeze-and-attention with batch norm on pooled maps of 1 x 1.
    ("timm:resnest14d", {}, "ce"),
]
CAN = [("ast", TINY, "ce"), ("ast", TINY, "patchmix-ce"), ("timm:test_resnet", {}, "ce"), ("cnn6", {}, "mixup")]


@pytest.mark.parametrize(("model", "options", "method"), CANNOT)
def test_a_batch_of_one_is_refused(model, options, method):
    with pytest.raises(SpecError, match=r"A batch has one clip, but .* normalises over the batch"):
        check_model(small_spec(model, options, method, batch=1))
    check_model(small_spec(model, options, method, batch=2))


@pytest.mark.parametrize(("model", "options", "method"), CAN)
def test_a_batch_of_one_is_taken_where_nothing_is_normalised_over_it(model, options, method):
    before = torch.get_rng_state()
    check_model(small_spec(model, options, method, batch=1))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_last_batch_of_one_is_refused_too():
    data = run_data()
    data = dataclasses.replace(data, train=data.train[:13])
    spec = small_spec("ast", TINY, "patchmix-cl", batch=6, drop_last=False)
    with pytest.raises(SpecError, match="The last batch of an epoch has one clip"):
        _check_parts(data, spec)
    _check_parts(data, spec.changed(drop_last=True))
    _check_parts(data, spec.changed(method="ce"))
