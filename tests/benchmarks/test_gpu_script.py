"""The GPU script on a CPU, tiny: every part works, a run that is killed goes on, and what fails is told."""

from __future__ import annotations

import json
import time

import pytest

from benchmarks import gpu, gpu_parts
from benchmarks.gpu import Part, broken, run_parts
from benchmarks.gpu_children import facts_within


def test_its_dry_run_does_every_part(tmp_path, capsys):
    assert gpu.main(["--dry-run", "--out", str(tmp_path / "gpu.json")]) == 0
    report = json.loads((tmp_path / "gpu.json").read_text())
    assert report["dry_run"] is True
    assert list(report["parts"]) == list(gpu.PARTS)
    resumed = report["parts"]["kill and resume"]
    assert (resumed["exit code"], resumed["ok: same parameters"]) == (-9, True)
    assert report["parts"]["steps, batch 8"]["ratio"] > 0
    # Nothing is claimed that only a GPU can show.
    assert report["parts"]["flash attention"] == {"ok: fp32 with this kernel alone": gpu_parts.NO_GPU}
    assert "kill and resume" in capsys.readouterr().out


def test_its_limits_come_to_ten_minutes():
    assert sum(part.seconds for part in gpu.PARTS.values()) <= 600


def fail(size):
    raise ValueError("no such kernel")


def wait_too_long(size):
    time.sleep(60)


def test_a_part_that_fails_leaves_the_others():
    parts = {"bad": Part(fail, 5), "good": Part(lambda size: {"ok: fine": True, "ok: not": "a wait"}, 5)}
    found = run_parts(parts, dry=True)
    assert found["bad"]["failed"] == "ValueError: no such kernel"
    assert broken(found) == ["bad: ValueError: no such kernel", "good, not: a wait"]


@pytest.mark.parametrize(("body", "seconds", "said"), [(wait_too_long, 0.2, "not done after 0 s")])
def test_a_part_that_takes_too_long_is_killed(body, seconds, said, monkeypatch):
    monkeypatch.setattr("benchmarks.gpu_children.context", lambda: __import__("multiprocessing").get_context("fork"))
    assert facts_within(seconds, body, None) == {"failed": said}
