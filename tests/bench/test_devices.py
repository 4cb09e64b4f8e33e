"""GPUs are shared by whole ones, and precisions are those that the device has."""

import pytest
import torch
from five_steps import spec_of

from bench import recipes
from bench.devices import check_enough_gpus, devices_for, visible_gpus
from bench.errors import SpecError
from bench.recipes import choose_precision


@pytest.mark.parametrize(("workers", "processes", "gpus"), [(1, 1, 1), (2, 2, 4), (3, 1, 3), (4, 2, 8), (2, 1, 5)])
def test_workers_have_gpus_of_their_own(workers, processes, gpus):
    names = [f"GPU-{number}" for number in range(gpus)]
    shares = [devices_for(worker, workers, processes, names) for worker in range(1, workers + 1)]
    assert [len(share) for share in shares] == [processes] * workers
    taken = [name for share in shares for name in share]
    assert len(set(taken)) == len(taken)
    assert set(taken) <= set(names)


@pytest.mark.parametrize(
    ("processes", "gpus", "workers", "message", "hint"),
    [
        (2, 3, 2, "2 workers with 2 process(es) each need 4 GPUs, but 3 may be used", "--workers 1"),
        (1, 1, 4, "4 workers with 1 process(es) each need 4 GPUs, but 1 may be used", "--workers 1"),
        (4, 2, 1, "4 process(es) need 4 GPUs, but 2 may be used", "--processes 2"),
        (4, 3, 3, "3 workers with 4 process(es) each need 12 GPUs, but 3 may be used", "--processes 1"),
    ],
)
def test_more_processes_than_gpus_are_refused(processes, gpus, workers, message, hint):
    with pytest.raises(SpecError) as caught:
        check_enough_gpus(processes, gpus, workers)
    assert message in caught.value.message
    assert hint in caught.value.hint
    with pytest.raises(SpecError):
        devices_for(1, workers, processes, [str(number) for number in range(gpus)])


@pytest.mark.parametrize(
    ("named", "expected"), [(None, ["0", "1"]), ("", ["0", "1"]), ("3, 5", ["3", "5"]), ("3,5,9", ["3", "5"])]
)
def test_visible_gpus_are_those_that_the_driver_takes(monkeypatch, named, expected):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    if named is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert visible_gpus() == expected


def test_a_run_with_more_processes_than_gpus_is_refused(monkeypatch):
    monkeypatch.setattr(recipes, "visible_gpus", lambda: ["0"])
    case = {"model": "ast", "model_options": {}, "method": "ce", "method_options": {}}
    spec = spec_of({**case, "fields": {"device": "cuda", "processes": 2, "batch": 8}})
    with pytest.raises(SpecError, match="2 process"):
        recipes.check_spec(spec)


class Emulating:
    """A GPU of before bf16, as torch speaks of it."""

    @staticmethod
    def is_bf16_supported(including_emulation=True):
        return including_emulation


@pytest.mark.parametrize(("wanted", "expected"), [("auto", "fp16"), ("fp16", "fp16"), ("fp32", "fp32")])
def test_a_gpu_that_emulates_bf16_gets_fp16(monkeypatch, wanted, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", Emulating.is_bf16_supported)
    assert choose_precision(wanted, "cuda") == expected


def test_bf16_is_refused_where_it_is_only_emulated(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", Emulating.is_bf16_supported)
    with pytest.raises(SpecError, match="only emulates it"):
        choose_precision("bf16", "cuda")
    assert choose_precision("bf16", "cpu") == "bf16"


def test_a_gpu_with_bf16_gets_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    assert choose_precision("auto", "cuda") == choose_precision("bf16", "cuda") == "bf16"
