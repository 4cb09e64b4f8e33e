"""The precision ``auto`` on a CPU: measured once on a machine, kept, and the same from call to call.

The facts of processors and the ratios of measurements are made up, but for the one test that measures.
"""

import datetime
import json
import re
import threading

import pytest
import torch
from logs import logged

from bench.api.requests import resolve
from bench.core.errors import SpecError
from bench.core.machine import cpu_flags
from bench.experiment import cpu_precision
from bench.experiment.cpu_precision import VARIABLE, choose_cpu_precision
from bench.experiment.devices import choose_precision, runs_elsewhere
from bench.experiment.precision_measurement import measure_ratios

NEW_CPU = {"fpu", "avx512f", "avx512_bf16", "amx_bf16"}


class Machine:
    """A made-up processor: what it can do, and what is measured on it."""

    def __init__(self, monkeypatch):
        self.flags, self.ratios, self.measured = NEW_CPU, (2.71, 1.83), 0
        self.patch = monkeypatch
        monkeypatch.delenv(VARIABLE)
        monkeypatch.setattr(cpu_precision, "cpu_flags", lambda: self.flags)
        monkeypatch.setattr(cpu_precision, "measure_ratios", self._measure)
        self.begin_process()

    def begin_process(self):
        """Forget what a process remembers."""
        cpu_precision._measured.cache_clear()

    def is_called(self, name):
        self.patch.setattr(cpu_precision, "cpu_name", lambda: name)

    def _measure(self):
        self.measured += 1
        return self.ratios


@pytest.fixture
def machine(monkeypatch):
    yield Machine(monkeypatch)
    cpu_precision._measured.cache_clear()


def kept_files(cache):
    return sorted((cache / "cpu-precision").glob("*.json"))


def test_bf16_is_taken_where_it_pays_and_said_in_a_line(machine, tmp_path):
    with logged() as said:
        assert choose_precision("auto", "cpu", tmp_path) == "bf16"
    assert said == [
        "precision bf16: 2.7 times as fast as fp32 on this CPU, for convolutions 1.8 times (measured today); "
        "--precision fp32 does without"
    ]
    document = json.loads(kept_files(tmp_path)[0].read_text())
    assert (document["attention"], document["convolution"]) == (2.71, 1.83)
    assert document["torch"] == torch.__version__
    assert document["instructions"] == ["avx512_bf16", "amx_bf16"]


@pytest.mark.parametrize("ratios", [(1.19, 3.0), (3.0, 1.19), (0.4, 0.5)])
def test_fp32_stays_where_one_of_the_two_does_not_pay(machine, tmp_path, ratios):
    machine.ratios = ratios
    choice = choose_cpu_precision(tmp_path)
    assert choice.precision == "fp32"
    assert "which does not pay" in choice.reason


def test_the_verdict_is_kept_whatever_another_measurement_would_say(machine, tmp_path):
    assert choose_cpu_precision(tmp_path).precision == "bf16"
    machine.begin_process()
    machine.ratios = (0.9, 0.9)
    assert choose_cpu_precision(tmp_path).precision == "bf16"
    assert machine.measured == 1


def test_another_day_is_said_with_its_date(machine, tmp_path):
    choose_cpu_precision(tmp_path)
    (file,) = kept_files(tmp_path)
    file.write_text(json.dumps({**json.loads(file.read_text()), "measured": "2026-01-31"}))
    assert "(measured on 2026-01-31)" in choose_cpu_precision(tmp_path).reason


def test_another_processor_is_measured_by_itself_beside_the_first(machine, tmp_path):
    for name, ratios, expected in (("A", (2, 2), "bf16"), ("B", (1, 1), "fp32"), ("A", (1, 1), "bf16")):
        machine.is_called(name)
        machine.ratios = ratios
        machine.begin_process()
        assert choose_cpu_precision(tmp_path).precision == expected
    assert machine.measured == len(kept_files(tmp_path)) == 2


@pytest.mark.parametrize("flags", [set(), {"fpu", "avx2"}, {"avx512f", "avx512bw", "amx_int8"}])
def test_processors_without_bf16_compute_in_fp32_unmeasured_and_unsaid(machine, tmp_path, flags):
    machine.flags = flags
    with logged() as said:
        assert choose_precision("auto", "cpu", tmp_path) == "fp32"
    assert (said, machine.measured, list(tmp_path.iterdir())) == ([], 0, [])


BROKEN = [
    "",
    "{",
    "[]",
    '{"attention": 3}',
    '{"attention": "NaN", "convolution": 2, "measured": "2026-01-31"}',
    '{"attention": 3, "convolution": 2, "measured": "soon"}',
    '{"attention": 3, "convolution": 2, "measured": "2026-01-31", "cpu": "X", "torch": "1", "instructions": []}',
]


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_file_is_measured_anew_with_a_warning_and_mended(machine, tmp_path, text):
    choose_cpu_precision(tmp_path)
    (file,) = kept_files(tmp_path)
    file.write_text(text)
    machine.begin_process()
    with logged() as said:
        assert choose_cpu_precision(tmp_path).precision == "bf16"
    assert [line for line in said if "holds no measurement of this machine" in line]
    assert machine.measured == 2
    assert json.loads(file.read_text())["attention"] == 2.71


def test_a_cache_that_cannot_be_written_warns_and_measures_once_in_a_process(machine, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    for _ in range(2):
        with logged() as said:
            assert choose_cpu_precision(tmp_path / "cache").precision == "bf16"
        assert [line for line in said if "cannot be kept" in line]
    assert machine.measured == 1


def test_of_two_at_once_the_second_reads_what_the_first_has_measured(machine, tmp_path, monkeypatch):
    ratios, meeting = iter([(2.0, 2.0), (1.0, 1.0)]), threading.Barrier(2)
    monkeypatch.setattr(cpu_precision, "_measured", lambda machine: cpu_precision.Verdict(*next(ratios), day()))

    def choose():
        meeting.wait()
        found.append(choose_cpu_precision(tmp_path).precision)

    found, threads = [], [threading.Thread(target=choose) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    monkeypatch.undo()
    assert found == ["bf16", "bf16"]


def day():
    return datetime.date(2026, 1, 31).isoformat()


def test_runs_of_other_machines_stay_in_fp32_with_a_word(machine, tmp_path):
    with runs_elsewhere(), logged() as said:
        assert choose_precision("auto", "cpu", tmp_path) == "fp32"
        assert choose_precision("bf16", "cpu", tmp_path) == "bf16"
    assert len(said) == 1
    assert "--precision bf16 asks for it" in said[0]
    assert machine.measured == 0


def test_the_variable_says_it_without_a_measurement(machine, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "bf16")
    assert choose_precision("auto", "cpu", tmp_path) == "bf16"
    assert choose_precision("fp32", "cpu", tmp_path) == "fp32"
    monkeypatch.setenv(VARIABLE, "fp16")
    with pytest.raises(SpecError, match="BENCH_CPU_PRECISION is 'fp16', but must be fp32 or bf16"):
        choose_precision("auto", "cpu", tmp_path)
    assert machine.measured == 0


def test_the_demo_profile_keeps_fp32_unless_another_one_is_asked_for(machine, small_data, tmp_path):
    wanted = [
        ({"profile": "paper"}, "bf16"),
        ({"profile": "demo"}, "fp32"),
        ({"profile": "demo", "precision": "bf16"}, "bf16"),
        ({"profile": "demo", "settings": {"precision": "bf16"}}, "bf16"),
        ({"profile": "paper", "settings": {"precision": "fp32"}}, "fp32"),
        ({"profile": "paper", "precision": "fp32"}, "fp32"),
    ]
    common = {"data": small_data, "cache": tmp_path, "pretrain": "none", "device": "cpu"}
    assert [resolve("cnn6", "ce", **common, **asked).precision for asked, _ in wanted] == [word for _, word in wanted]
    assert machine.measured == 1


def test_doctor_says_what_auto_is_and_why(machine, bench, tmp_path):
    machine.ratios = (3.0, 2.0)
    auto = json.loads(bench("doctor", "--quick", "--format", "json", "--cache", tmp_path).out)["auto"]
    if auto["device"] == "cpu":
        assert auto["precision"] == "bf16"
        assert "3.0 times as fast as fp32 on this CPU" in auto["why"]
        assert ("runs of the profile demo take fp32" in auto["why"]) == (auto["profile"] == "demo")


def test_a_measurement_gives_two_ratios_and_leaves_random_numbers_and_threads_alone():
    torch.manual_seed(5)
    expected, threads = torch.rand(1), torch.get_num_threads()
    torch.manual_seed(5)
    ratios = measure_ratios(rounds=1)
    assert torch.equal(torch.rand(1), expected)
    assert torch.get_num_threads() == threads
    assert all(0.01 < ratio < 100 for ratio in ratios)


def test_flags_of_this_processor_are_read_as_the_system_gives_them():
    flags = cpu_flags()
    assert all(re.fullmatch(r"[a-z0-9_.:]+", flag) for flag in flags)
