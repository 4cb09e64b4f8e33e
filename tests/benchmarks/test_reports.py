"""Reports of benchmarks: written, read, compared; and the command's own words."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bench.core.errors import DataError, RunError, SpecError
from bench.core.timing import Timing, paired_ratio
from benchmarks.__main__ import main
from benchmarks.apart import peak_memory_apart, side_apart
from benchmarks.areas import all_benchmarks, choose_benchmarks, find_benchmark
from benchmarks.compare import compare_reports
from benchmarks.results import Report, Result
from benchmarks.runner import REFERENCE, Benchmark, Case, Setting, run_benchmark
from benchmarks.session import run_all

HARDWARE = {"cpu": "a CPU", "gpus": [], "cores": 2}
SETTING = {"device": "cpu", "threads": 1, "quick": False, "clock": "process CPU time", "batch": 0, "passes": 5}


def result(name="a/b", ours=(1.0, 1.01, 0.99, 1.0, 1.0), reference=(2.0, 2.02, 1.98, 2.0, 2.0), **more):
    ours, reference = Timing(tuple(ours)), Timing(tuple(reference)) if reference else None
    ratio = paired_ratio(reference, ours) if reference else None
    return Result(
        name=name, unit="cycles", work=8, ours=ours, reference=reference, ratio=ratio, reference_is="plain", **more
    )


def report(*results, **more):
    return Report(setting=SETTING, machine={"hardware": HARDWARE}, results=results, date="2026-01-01", **more)


def slower(one, factor):
    ours = Timing(tuple(seconds * factor for seconds in one.ours.seconds))
    return replace(one, ours=ours, ratio=one.ratio and paired_ratio(one.reference, ours))


def verdicts(before, after, **options):
    return [change.verdict for change in compare_reports(report(before), report(after), **options).changes]


def test_a_report_is_read_as_it_was_written(tmp_path):
    written = report(result(peak_memory_mib=700.0, facts={"GFLOP/s": 1.5}), failed={"c": "why"}, note="busy")
    written.write(tmp_path / "a.json")
    assert Report.read(tmp_path / "a.json") == written
    row = json.loads((tmp_path / "a.json").read_text())["results"][0]
    assert (row["rate"], row["ratio"]["median"], row["unit"]) == (8.0, 2.0, "cycles")


def test_a_report_is_made_in_parts_of_one_setting():
    one, two = report(result("a"), result("b"), note="busy"), report(result("b", ours=(3.0,) * 5), result("c"))
    joined = one.joined(two)
    assert [(it.name, it.ours.median) for it in joined.results] == [("a", 1.0), ("b", 3.0), ("c", 1.0)]
    assert joined.note == "busy"
    with pytest.raises(SpecError, match=r"different settings \(threads\) cannot be joined"):
        one.joined(replace(two, setting={**SETTING, "threads": 2}))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 99}'])
def test_a_file_that_is_no_report_is_named(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(DataError, match=r"a\.json is no report of benchmarks"):
        Report.read(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.0, "same"), (1.02, "same"), (1.2, "slower"), (0.8, "quicker"), (3.0, "slower")]
)
@pytest.mark.parametrize("reference", [(2.0,) * 5, None], ids=["by ratio", "by seconds"])
def test_what_changed_by_more_than_the_noise_is_named(factor, verdict, reference):
    before = result(reference=reference)
    assert verdicts(before, slower(before, factor)) == [verdict]


def test_a_machine_that_got_slower_as_a_whole_changes_no_ratio():
    before = result()
    after = result(ours=[2 * s for s in before.ours.seconds], reference=[2 * s for s in before.reference.seconds])
    assert verdicts(before, after) == ["same"]


def test_a_noisy_result_must_change_by_more():
    noisy = result(ours=(1.0, 1.3, 0.7, 1.2, 0.8))
    assert verdicts(noisy, slower(noisy, 1.2)) == ["same"]
    assert verdicts(noisy, slower(noisy, 3.0)) == ["slower"]


def test_memory_that_grew_is_worse_too():
    found = compare_reports(report(result(peak_memory_mib=100.0)), report(result(peak_memory_mib=120.0)))
    assert [change.verdict for change in found.worse] == ["more memory"]


def test_other_machines_and_settings_are_told():
    other = replace(report(), machine={"hardware": {**HARDWARE, "cpu": "another"}}, setting={**SETTING, "threads": 2})
    assert " ".join(compare_reports(report(), other).remarks).count("differ") >= 2


def test_the_command_compares_files_and_its_exit_code_tells(tmp_path, capsys, monkeypatch):
    before = result("step/x")
    for name, one in (("a", before), ("b", slower(before, 1.5)), ("c", result("other"))):
        report(one).write(tmp_path / f"{name}.json")

    def compare(*names):
        files = [str(tmp_path / f"{name}.json") for name in names]
        monkeypatch.setattr("sys.argv", ["benchmarks", "compare", *files])
        with pytest.raises(SystemExit) as ended:
            raise SystemExit(main())
        return ended.value.code, capsys.readouterr()

    assert compare("a", "a")[0] == 0
    code, said = compare("a", "b")
    assert code == 1
    assert "step/x" in said.out
    assert "+50.0%" in said.out
    assert "Only in the second report: other" in compare("a", "c")[1].out
    code, said = compare("a", "none")
    assert code != 0
    assert "none.json is no report" in " ".join(said.err.split())
    assert "Traceback" not in said.err


def test_every_benchmark_has_a_name_of_its_own_and_says_what_it_is_compared_with():
    found = all_benchmarks()
    assert len({one.name for one in found}) == len(found) > 30
    for one in found:
        assert all(said.endswith(".") for said in (one.about, one.reference)), one.name
        assert find_benchmark(one.name) is not None
    areas = {one.name.partition("/")[0] for one in found}
    assert areas == {
        *("startup", "board", "search", "scheduling", "specaugment"),
        *("preparation", "frontend", "harness", "evaluation", "step"),
    }


def test_benchmarks_are_chosen_by_pattern():
    assert [one.name for one in choose_benchmarks(["board"], "cpu")] == [
        *("board/import", "board/statistics", "board/leaderboard")
    ]
    names = [one.name for one in choose_benchmarks(["step/*/ast-tiny"], "cpu")]
    assert names == ["step/ce/ast-tiny", "step/patchmix-cl/ast-tiny", "step/patchmix-ce/ast-tiny"]
    assert not any(one.always is False for one in choose_benchmarks([], "cpu"))
    assert all("cuda" in one.devices for one in choose_benchmarks([], "cuda"))
    with pytest.raises(SpecError, match="No benchmark on cpu is named by 'nothing'"):
        choose_benchmarks(["nothing"], "cpu")


def made_up(name, case):
    return Benchmark(name=name, unit="things", about="Counts.", reference="Counts twice.", case=case)


def test_a_benchmark_gives_a_result_for_each_way_and_one_that_fails_stops_no_other(capsys):
    closed = []

    def counting(setting, folder):
        assert folder.is_dir()
        ways = {size: lambda: lambda: sum(range(50_000)) for size in ("one", "other")}
        reference = lambda: lambda: sum(range(200_000))  # noqa: E731
        return Case(ways=ways, reference=reference, work=3, close=lambda: closed.append(True))

    def failing(setting, folder):
        raise RuntimeError("no such thing")

    setting = Setting(passes=3)
    found = run_benchmark(made_up("a", counting), setting)
    assert [one.name for one in found] == ["a/one", "a/other"]
    assert all(one.ratio.median > 2 and len(one.ours.seconds) == 3 for one in found)
    assert closed == [True]
    whole = run_all([made_up("b", failing), made_up("a", counting)], setting)
    assert whole.failed == {"b": "RuntimeError: no such thing"}
    assert len(whole.results) == 2
    assert whole.machine["packages"]["torch"]


@pytest.mark.parametrize("name", ["board/statistics", "search/trials", "board/import"])
def test_a_benchmark_of_each_quick_area_runs(name):
    found = run_benchmark(find_benchmark(name), Setting(passes=1, quick=True))
    assert found[0].rate > 0
    assert found[0].ratio.median > 0


def test_peak_memory_is_that_of_a_process_of_its_own():
    setting = Setting(passes=1, quick=True)
    assert 50 < peak_memory_apart("board/statistics", "", setting) < 4000
    with pytest.raises(RunError, match=r"The memory of no/such \(reference\) could not be measured: .*no benchmark"):
        peak_memory_apart("no/such", REFERENCE, setting)


def test_a_side_in_a_process_of_its_own_is_timed_call_by_call():
    with side_apart("board/statistics", "", Setting(quick=True)) as side:
        assert side.peak_memory_mib is None
        found = [side().seconds for _ in range(2)]
        assert all(seconds > 0 for seconds in found)
        assert 50 < side.peak_memory_mib < 4000
    assert side.process.returncode == 0
    with pytest.raises(RunError, match=r"was to time board/statistics \(\) ended with the exit code 0"):
        side()
