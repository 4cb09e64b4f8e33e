"""Places for jobs: which GPUs, instances and cores a job has. The machines here are simulated: made-up facts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.core.errors import SpecError
from bench.core.machine import usable_cores
from bench.launch.executors import gpu_memory
from bench.launch.executors.gpu_memory import Gpu
from bench.launch.executors.places import Machine, Places, bytes_needed
from bench.launch.jobs import Job, LaunchOptions

GIB = 1 << 30
TWO = [Gpu("0", "GPU-aaaa"), Gpu("1", "GPU-bbbb")]
DIVIDED = [Gpu("0", "GPU-aaaa", ("MIG-1", "MIG-2"))]


def job(key, device="cuda", **options):
    return Job(key=key, module="none", task={}, name=f"run {key}", log=Path("none.log"), device=device, **options)


def places(there=TWO, *, free=None, visible=None, cores=16, **options):
    free = {"0": 80 * GIB, "1": 80 * GIB} if free is None else free
    return Places(LaunchOptions(**options), Machine(lambda: there, lambda: free, cores, visible))


def taken(there, one):
    """The place that a job has found."""
    assert there.room([one])
    return there.take(one)


def fill(there, jobs):
    """Give places to as many of these jobs as there are, in their order; gives their devices."""
    found = []
    for one in jobs:
        if not there.room([one]):
            break
        found.append(",".join(there.take(one).devices))
    return found


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    for name in ("CUDA_DEVICE_ORDER", "OMP_NUM_THREADS", "BENCH_CORES"):
        monkeypatch.delenv(name, raising=False)


# --- whole devices ------------------------------------------------------------------------------------------------


def test_by_default_each_gpu_has_a_job_and_the_cpu_one():
    there = places()
    assert fill(there, map(job, "abc")) == ["0", "1"]
    assert fill(there, [job("d", "cpu"), job("e", "cpu")]) == [""]
    there.leave("a")
    assert fill(there, [job("c")]) == ["0"]


def test_room_is_for_all_of_the_jobs_together():
    there = places()
    assert there.room([job("a"), job("b")])
    assert not there.room([job("a"), job("b"), job("c")])


def test_fewer_jobs_than_devices_are_as_many_as_were_asked_for():
    assert fill(places(jobs=1), map(job, "ab")) == ["0"]
    assert fill(places(jobs=3), [job(key, "cpu") for key in "abcd"]) == ["", "", ""]


def test_a_run_of_several_processes_has_a_whole_gpu_for_each():
    there = places([*TWO, Gpu("2", "GPU-cccc")])
    assert fill(there, [job("a", processes=2), job("b", processes=2)]) == ["0,1"]
    assert fill(there, [job("c")]) == ["2"]


def test_devices_are_those_that_the_user_named():
    assert fill(places(devices=("1",)), map(job, "ab")) == ["1"]
    assert fill(places(visible="1,0"), map(job, "abc")) == ["1", "0"]
    assert fill(places(devices=("GPU-bb",), visible="0"), map(job, "ab")) == ["GPU-bb"]


def test_an_instance_of_a_divided_gpu_is_a_device_for_one_process():
    there = places(DIVIDED)
    assert fill(there, map(job, "abc")) == ["MIG-1", "MIG-2"]
    with pytest.raises(SpecError, match="2 processes cannot use MIG instances"):
        there.room([job("d", processes=2)])
    assert fill(places(DIVIDED, jobs=4), [job(key, memory=GIB) for key in "abc"]) == ["MIG-1", "MIG-2"]


@pytest.mark.parametrize(
    ("options", "wanted", "words"),
    [
        ({}, job("a", processes=3), r"3 processes need 3 GPUs, but there are 2 \(0, 1\)"),
        ({"devices": ("7",)}, job("a"), "There is no GPU '7' on this machine"),
        ({"devices": ("cpu",)}, job("a"), "Run a runs on a GPU, but --devices says cpu"),
        ({"there": []}, job("a"), r"needs 1 GPU, but there are 0 \(none\)"),
        ({"there": None}, job("a"), "cannot be told without nvidia-smi"),
        ({}, job("a", nodes=2), "wants 2 machines, but --launcher local is this one alone"),
    ],
)
def test_what_can_never_have_a_place_is_refused(options, wanted, words):
    with pytest.raises(SpecError, match=words) as caught:
        places(**options).room([wanted])
    assert caught.value.hint


def test_jobs_on_the_cpu_ask_nobody_for_gpus():
    def never():
        raise AssertionError("the driver was asked")

    there = Places(LaunchOptions(), Machine(never, never, 2, None))
    assert fill(there, [job("a", "cpu")]) == [""]


# --- shared devices -----------------------------------------------------------------------------------------------


def small(key, memory=10 * GIB):
    return job(key, memory=memory)


def test_small_jobs_share_a_gpu_where_more_are_wanted_than_there_are():
    assert fill(places(jobs=4), map(small, "abcde")) == ["0", "1", "0", "1"]
    assert fill(places(jobs=6), map(small, "abcdefg")) == ["0", "1", "0", "1", "0", "1"]


def test_a_job_of_which_nobody_knows_what_it_takes_has_a_whole_gpu():
    assert fill(places(jobs=4), map(job, "abc")) == ["0", "1"]
    there = places(jobs=4)
    assert fill(there, [job("a"), small("b"), small("c"), small("d")]) == ["0", "1", "1"]


def test_they_share_only_where_the_memory_is_enough():
    assert bytes_needed(small("a", 30 * GIB)) == 37 * GIB
    assert bytes_needed(job("a")) is None
    assert len(fill(places(jobs=4), [small(key, 30 * GIB) for key in "abcd"])) == 4
    assert len(fill(places(jobs=4), [small(key, 40 * GIB) for key in "abcd"])) == 2
    assert len(fill(places(jobs=4, free={}), map(small, "abcd"))) == 2, "nothing was measured"


def test_what_somebody_else_takes_meanwhile_counts(monkeypatch):
    free = {"0": 80 * GIB, "1": 80 * GIB}
    there = places(jobs=4, free=free)
    assert len(fill(there, map(small, "ab"))) == 2
    free |= {"0": 5 * GIB, "1": 60 * GIB}
    assert fill(there, map(small, "cd")) == ["1"]


def test_memory_that_goes_between_the_look_and_the_start_takes_no_place_away(monkeypatch):
    free = {"0": 80 * GIB, "1": 80 * GIB}
    there = places(jobs=4, free=free)
    jobs = [small(key) for key in "abc"]
    assert there.room(jobs)
    monkeypatch.setattr("bench.launch.executors.places.MEASURED_SECONDS", -1)
    free |= {"0": 0, "1": 0}
    assert [there.take(one).devices for one in jobs] == [("0",), ("1",), ("0",)]
    assert not there.room([small("d")])


# --- what a process is told ---------------------------------------------------------------------------------------


def test_a_job_alone_has_all_cores_and_jobs_side_by_side_their_shares():
    assert taken(places(jobs=1), job("a", "cpu")).environment == {}
    assert taken(places(jobs=4), job("a", "cpu")).environment == {"OMP_NUM_THREADS": "4", "BENCH_CORES": "4"}
    environment = taken(places(), job("a")).environment
    expected = {"CUDA_VISIBLE_DEVICES": "0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert environment == {**expected, "OMP_NUM_THREADS": "8", "BENCH_CORES": "8"}
    both = taken(places(cores=2), job("a", processes=2)).environment
    assert both == {"CUDA_VISIBLE_DEVICES": "0,1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def test_what_the_user_has_set_stands(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    environment = taken(places(visible="1,0"), job("a")).environment
    assert environment == {"CUDA_VISIBLE_DEVICES": "1", "BENCH_CORES": "8"}


def test_a_share_of_the_cores_is_what_a_process_may_use(monkeypatch):
    there = usable_cores()
    for word, cores in (("1", 1), ("9999", there), ("0", there), ("all", there)):
        monkeypatch.setenv("BENCH_CORES", word)
        assert usable_cores() == cores


# --- the driver's words -------------------------------------------------------------------------------------------

LIST = """GPU 0: NVIDIA H200 (UUID: GPU-11aa-22)
GPU 1: NVIDIA A100-SXM4-80GB (UUID: GPU-33bb-44)
  MIG 3g.40gb     Device  0: (UUID: MIG-55cc-66)
  MIG 3g.40gb     Device  1: (UUID: MIG-77dd-88)
"""
MEMORY = "0, GPU-11aa-22, 1024\n1, GPU-33bb-44, [N/A]\n"


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """A simulated ``nvidia-smi``, whose words are those of a real one."""

    def says(listed, memory, code=0):
        (tmp_path / "list").write_text(listed)
        (tmp_path / "memory").write_text(memory)
        program = tmp_path / "nvidia-smi"
        program.write_text(f'#!/bin/sh\n[ "$1" = -L ] && cat {tmp_path}/list || cat {tmp_path}/memory\nexit {code}\n')
        program.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return says


def test_the_driver_tells_gpus_instances_and_free_memory(driver):
    driver(LIST, MEMORY)
    whole, divided = gpu_memory.gpus()
    assert (whole.index, whole.uuid, whole.instances) == ("0", "GPU-11aa-22", ())
    assert divided.instances == ("MIG-55cc-66", "MIG-77dd-88")
    assert [name for name in ("0", "GPU-11", "1", "GPU", "MIG-55") if whole.is_called(name)] == ["0", "GPU-11"]
    assert divided.is_called("MIG-77dd-88")
    assert gpu_memory.free_memory() == {"0": GIB, "GPU-11aa-22": GIB}
    there = Places(LaunchOptions(), Machine(visible=None))
    assert there.devices == ["0", "MIG-55cc-66", "MIG-77dd-88"]


def test_without_a_driver_nothing_is_known(driver, monkeypatch, tmp_path):
    driver("NVIDIA-SMI has failed", "", code=9)
    assert gpu_memory.gpus() is None
    assert gpu_memory.free_memory() == {}
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert gpu_memory.gpus() is None
