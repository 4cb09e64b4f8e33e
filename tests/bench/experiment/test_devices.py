"""GPUs are shared as whole ones: no GPU is in two hands, and too few are a sentence; precisions are the device's."""

import re
from pathlib import Path

import pytest
import torch
from five_steps import spec_of
from logs import logged

from bench.core.errors import SpecError
from bench.core.text import counted_noun
from bench.experiment import recipes
from bench.experiment.devices import (
    choose_device,
    choose_precision,
    device_shares,
    device_shares_for,
    runs_elsewhere,
    visible_devices,
    warn_of_cpu_elsewhere,
)

CACHE = Path("no-such-cache")
"""Where a measurement would be kept: the tests of this file make none."""

UUIDS = [f"GPU-{number}a8c1d2e-0000-1111-2222-333344445555" for number in range(4)]
MIGS = [f"MIG-{number}a8c1d2e-0000-1111-2222-333344445555" for number in range(4)]


@pytest.mark.parametrize(
    ("named", "count", "expected"),
    [
        (None, 0, []),
        (None, 3, ["0", "1", "2"]),
        ("", 0, []),
        ("2,0", 2, ["2", "0"]),
        (" 2 , 0 ,", 2, ["2", "0"]),
        ("0,0,1", 2, ["0", "1"]),
        ("0,-1,1", 1, ["0"]),
        ("-1", 0, []),
        ("0,7", 1, ["0"]),
        (",".join(UUIDS), 4, UUIDS),
        ("GPU-0a8c,GPU-1a8c", 2, ["GPU-0a8c", "GPU-1a8c"]),
        (",".join(MIGS), 1, MIGS),
        (",".join(MIGS), 0, []),
    ],
)
def test_what_there_is_follows_from_the_variable_and_from_what_cuda_sees(named, count, expected):
    assert visible_devices(named, count) == expected


@pytest.mark.parametrize("devices", [["0"], ["0", "1", "2"], list("01234567"), ["5", "3"], UUIDS, []])
def test_every_combination_is_whole_gpus_of_ones_own_or_a_sentence(devices):
    for workers in range(1, 10):
        for processes in range(1, 10):
            if workers * processes > len(devices):
                with pytest.raises(SpecError) as caught:
                    device_shares(devices, workers, processes)
                number = counted_noun(workers * processes, "GPU")
                assert re.search(rf"needs? {number}, but there (is|are) {len(devices)} ", caught.value.message)
                check_advice(devices, processes, caught.value.hint)
                continue
            shares = device_shares(devices, workers, processes)
            used = [device for share in shares for device in share]
            assert [len(share) for share in shares] == [processes] * workers
            assert len(set(used)) == len(used)
            assert set(used) <= set(devices)


def check_advice(devices, processes, hint):
    """What is advised works, where there is a GPU at all."""
    workers = re.search(r"--workers (\d+)", hint)
    given = re.search(r"--processes (\d+)", hint)
    if devices:
        assert device_shares(devices, int(workers[1]) if workers else 1, int(given[1]) if given else processes)


def test_mig_instances_serve_one_process_each():
    assert device_shares(MIGS, 4, 1) == [[name] for name in MIGS]
    with pytest.raises(SpecError, match="cannot use MIG instances"):
        device_shares(MIGS, 2, 2)


def test_the_machine_is_asked_where_runs_use_its_gpus(monkeypatch):
    import torch

    assert device_shares_for({"device": "cpu", "processes": 8}, 100) is None
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6,7")
    assert device_shares_for({"device": "cuda", "processes": 1}, 3) == [["4"], ["6"], ["7"]]
    with pytest.raises(SpecError, match=r"2 workers with 2 processes each need 4 GPUs, but there are 3 \(4, 6, 7\)"):
        device_shares_for({"device": "cuda", "processes": 2}, 2)
    assert device_shares_for({"device": "cuda", "processes": 1}, 2, ("7", "4")) == [["7"], ["4"]]
    with pytest.raises(SpecError, match=r"--devices names '5', but the GPUs here are 4, 6, 7"):
        device_shares_for({"device": "cuda", "processes": 1}, 1, ("5",))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert device_shares_for({"device": "cuda", "processes": 3}, 1) == [["0", "1", "2"]]


def test_a_search_without_gpus_enough_is_refused_before_anything_is_made(
    bench, small_data, small_cache, tmp_path, monkeypatch
):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    words = "search --model ast --method patchmix-cl --param alpha --trials 4 --workers 2 --processes 2".split()
    place = ["--data", small_data, "--cache", small_cache, "--home", tmp_path / "results", "--precision", "fp32"]
    for more in ([], ["--dry-run"]):
        assert "need 4 GPUs" in bench(*words, *place, *more, code=2).err
    assert not (tmp_path / "results").exists()


def test_a_run_with_more_processes_than_gpus_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    case = {"model": "ast", "model_options": {}, "method": "ce", "method_options": {}}
    spec = spec_of({**case, "fields": {"device": "cuda", "processes": 2, "batch": 8}})
    with pytest.raises(SpecError, match=r"2 processes need 2 GPUs, but there is 1 \(0\)"):
        recipes._check_machine(spec)


class Emulating:
    """A GPU of before bf16, as torch speaks of it."""

    @staticmethod
    def is_bf16_supported(including_emulation=True):
        return including_emulation


@pytest.mark.parametrize(("wanted", "expected"), [("auto", "fp16"), ("fp16", "fp16"), ("fp32", "fp32")])
def test_a_gpu_that_emulates_bf16_gets_fp16(monkeypatch, wanted, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", Emulating.is_bf16_supported)
    assert choose_precision(wanted, "cuda", CACHE) == expected


def test_bf16_is_refused_where_it_is_only_emulated(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", Emulating.is_bf16_supported)
    with pytest.raises(SpecError, match="only emulates it"):
        choose_precision("bf16", "cuda", CACHE)
    assert choose_precision("bf16", "cpu", CACHE) == "bf16"


def test_a_gpu_with_bf16_gets_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    assert choose_precision("auto", "cuda", CACHE) == choose_precision("bf16", "cuda", CACHE) == "bf16"


@pytest.mark.parametrize(
    ("wanted", "gpu", "chosen"),
    [
        ("cpu", True, "cpu"),
        ("cpu", False, "cpu"),
        ("auto", True, "cuda"),
        ("auto", False, "cpu"),
        ("cuda", True, "cuda"),
    ],
)
def test_a_gpu_is_used_where_there_is_one_and_none_is_refused(monkeypatch, wanted, gpu, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert choose_device(wanted) == chosen


def test_a_gpu_that_is_not_there_is_never_replaced_by_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SpecError, match="cuda was asked for, but torch sees no GPU") as caught:
        choose_device("cuda")
    assert caught.value.hint == "Use --device cpu or auto."


@pytest.mark.parametrize(
    ("choose", "wanted", "words"),
    [
        (choose_device, "cdua", "Unknown device 'cdua': did you mean 'cuda'?"),
        (choose_device, "", "Unknown device '': known: auto, cpu, cuda"),
        (
            lambda wanted: choose_precision(wanted, "cpu", CACHE),
            "bf61",
            "Unknown precision 'bf61': did you mean 'bf16'?",
        ),
        (
            lambda wanted: choose_precision(wanted, "cuda", CACHE),
            "int8",
            "Unknown precision 'int8': known: auto, bf16, fp16",
        ),
    ],
)
def test_an_unknown_word_is_told_with_those_that_are_known(choose, wanted, words):
    with pytest.raises(SpecError) as caught:
        choose(wanted)
    assert caught.value.message.startswith(words)


@pytest.mark.parametrize(("wanted", "chosen"), [("auto", "fp32"), ("fp32", "fp32"), ("bf16", "bf16")])
def test_a_cpu_calculates_in_what_was_asked_for(wanted, chosen):
    assert choose_precision(wanted, "cpu", CACHE) == chosen


def test_a_cpu_does_not_silently_calculate_fp16_in_fp32():
    with pytest.raises(SpecError, match="fp16 has no arithmetic on a CPU") as caught:
        choose_precision("fp16", "cpu", CACHE)
    assert caught.value.hint == "Use fp32 or bf16."


def test_runs_of_other_machines_are_planned_without_their_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with runs_elsewhere():
        assert choose_device("cuda") == "cuda"
        assert choose_device("auto") == "cpu"
        assert device_shares_for({"device": "cuda", "processes": 8}) is None
        assert [choose_precision(name, "cuda", CACHE) for name in ("bf16", "fp16", "fp32")] == ["bf16", "fp16", "fp32"]
        with pytest.raises(SpecError, match="cannot be told here"):
            choose_precision("auto", "cuda", CACHE)
    with runs_elsewhere(False), pytest.raises(SpecError, match="torch sees no GPU"):
        choose_device("cuda")


@pytest.mark.parametrize(
    ("launcher", "wanted", "chosen", "warned"),
    [
        ("slurm", "auto", "cpu", True),
        ("local", "auto", "cpu", False),
        ("dask", "cpu", "cpu", False),
        ("dask", "auto", "cuda", False),
    ],
)
def test_runs_of_a_cluster_that_were_planned_for_the_cpu_by_chance_are_warned_of(launcher, wanted, chosen, warned):
    with logged() as said:
        warn_of_cpu_elsewhere(launcher, wanted, [chosen])
    assert ["will be done on the CPU" in line for line in said] == [True] * warned
