"""Processes of another launcher as one group: simulated by threads, with stand-ins for the ranks of a run."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
import time

import pytest
from stand_ins import once, stand_in

from bench.core.errors import BenchError, InterruptedRunError, LostProcessError, RunError, SpecError
from bench.core.process_group import ADOPTED_VARIABLE, LOOPBACK, ProcessGroup
from bench.launch import adopted, group_channel
from bench.launch.adopted import follow, lead, rank_environment, run_adopted_group
from bench.launch.child import Grace

RANK = """
folder, rank = pathlib.Path(task["folder"]), task["rank"]
(folder / f"env-{rank}").write_text(json.dumps(dict(os.environ)))
def finish():
    (folder / "result.json").write_text("{}")
"""
SHORT = Grace(word=0.3, done=0.6, loss=0.1)
SIZE = 3
DIFFERENT = [["run", "--seed", str(seed)] for seed in (0, 0, 2)]


@pytest.fixture
def groups(monkeypatch):
    """The same group as each of its processes sees it."""
    monkeypatch.setattr(group_channel, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(adopted, "show_log", lambda: None)
    with socket.create_server((LOOPBACK, 0)) as free:
        port = free.getsockname()[1]
    return [
        ProcessGroup(
            launcher="srun",
            rank=rank,
            size=SIZE,
            local_rank=rank,
            local_size=SIZE,
            nodes=1,
            address=LOOPBACK,
            port=port,
        )
        for rank in range(SIZE)
    ]


@pytest.fixture
def led(groups):
    """Runs a command in the first process, and gives the exit codes of all, or the error of the first."""

    def run(command, words=((),) * SIZE):
        codes: dict[int, object] = {}

        def be(group):
            try:
                codes[group.rank] = follow(group, words[group.rank])
            except BenchError as error:
                codes[group.rank] = error

        others = [threading.Thread(target=be, args=(group,), daemon=True) for group in groups[1:]]
        for other in others:
            other.start()
        codes[0] = lead(groups[0], command, words[0])
        for other in others:
            other.join(20)
        assert ADOPTED_VARIABLE not in os.environ
        return [codes[rank] for rank in range(SIZE)]

    return run


@pytest.fixture
def ranks(tmp_path, monkeypatch, groups):
    """A command that runs scripts which stand in for the ranks of a run; what it ends with is in ``error``."""

    class Command:
        error = None

        def __call__(self):
            try:
                run_adopted_group(self.group, tmp_path, grace=self.grace)
            except BenchError as error:
                self.error = error
                return error.exit_code
            return 0

        def of(self, script, grace=SHORT):
            stand_in(monkeypatch, tmp_path, RANK + script)
            (tmp_path / "spec.json").write_text("{}")
            self.group, self.grace = groups[0].in_space("bench/1"), grace
            return self

    return Command()


def test_every_process_is_a_rank_and_ends_with_the_code_of_the_first(led, ranks, tmp_path):
    assert led(ranks.of("if rank == 0: finish()")) == [0, 0, 0]
    assert sorted(path.name for path in tmp_path.glob("rank-*.log")) == ["rank-0.log", "rank-1.log", "rank-2.log"]
    told = [json.loads((tmp_path / f"env-{rank}").read_text()) for rank in range(SIZE)]
    assert [(one["RANK"], one["LOCAL_RANK"], one["WORLD_SIZE"]) for one in told] == [
        (str(rank), str(rank), "3") for rank in range(SIZE)
    ]
    assert len({one["BENCH_PROCESS_STORE"] for one in told}) == 1
    assert all(one["GLOO_SOCKET_IFNAME"].startswith("lo") for one in told)


def test_a_refused_command_ends_all_processes_with_its_code(led):
    assert led(lambda: SpecError.exit_code) == [2, 2, 2]


def test_processes_with_commands_of_their_own_are_refused(led, ranks):
    assert led(ranks.of("time.sleep(60)"), DIFFERENT) == [2, 2, 2]
    assert "Process 3 of the 3 that srun started was given another command" in ranks.error.message
    assert "`bench run --seed 2`, not `bench run --seed 0`" in ranks.error.message


def test_a_process_whose_own_command_is_left_undone_says_so(led):
    first, second, third = led(lambda: 0, DIFFERENT)
    assert (first, second, type(third)) == (0, 0, SpecError)


def test_a_store_that_has_gone_hides_no_exit_code(groups, monkeypatch):
    def gone(*unused):
        raise RuntimeError("Connection reset by peer")

    monkeypatch.setattr(group_channel.GroupChannel, "order", gone)
    assert lead(groups[0], lambda: 3) == 3


def test_several_runs_of_one_command_meet_at_places_of_their_own(led, ranks, tmp_path):
    places = []

    def twice():
        for number in range(2):
            (tmp_path / "result.json").unlink(missing_ok=True)
            assert ranks.of(f"if rank == 0: finish()\n# {number}")() == 0
            places.append(json.loads((tmp_path / "env-1").read_text())["BENCH_PROCESS_STORE"])
        return 0

    assert led(twice) == [0, 0, 0]
    assert len(set(places)) == 2


def test_two_commands_of_one_script_are_not_taken_for_one_another(led):
    assert led(lambda: 3) == [3, 3, 3]
    assert led(lambda: 4) == [4, 4, 4]


def test_the_error_of_one_rank_is_that_of_the_group(led, ranks):
    script = "if rank == 1: report('RunError', 'The loss is nan.'); sys.exit(1)\ntime.sleep(60)"
    assert led(ranks.of(script)) == [1, 1, 1]
    assert "The loss is nan" in ranks.error.message
    assert not isinstance(ranks.error, LostProcessError)


def test_what_others_say_of_a_broken_connection_follows_from_the_first_error(led, ranks):
    script = """
if rank == 2: report('RunError', 'The loss is nan.'); sys.exit(1)
time.sleep(0.3)
report('UnexpectedError', 'RuntimeError: Connection closed by peer.'); sys.exit(1)
"""
    assert led(ranks.of(script, Grace())) == [1, 1, 1]
    assert "The loss is nan" in ranks.error.message


@pytest.mark.parametrize("rank", [0, 2])
def test_a_killed_rank_ends_the_others_and_is_named(led, ranks, rank):
    began = time.monotonic()
    assert led(ranks.of(f"if rank == {rank}: os.kill(os.getpid(), 9)\ntime.sleep(60)")) == [1, 1, 1]
    assert time.monotonic() - began < 40
    assert f"Process {rank + 1} of the run's 3 was killed by SIGKILL" in ranks.error.message
    assert isinstance(ranks.error, LostProcessError)


def test_a_signal_to_the_first_process_asks_its_rank_and_all_end(led, ranks, tmp_path):
    script = """
def save(*unused):
    report("InterruptedRunError", "Stopped in epoch 2; the state is saved.")
    os._exit(130)
signal.signal(signal.SIGTERM, save)
(folder / f"ready-{rank}").write_text("")
time.sleep(60)
"""
    with once(lambda: len(list(tmp_path.glob("ready-*"))) == SIZE, signal.SIGTERM):
        assert led(ranks.of(script)) == [130, 130, 130]
    assert "the state is saved" in ranks.error.message


def test_ranks_of_a_run_that_nobody_leads_any_more_are_ended(led, tmp_path, monkeypatch, groups):
    stand_in(monkeypatch, tmp_path, "time.sleep(60)")
    monkeypatch.setattr(adopted, "SHORT_PATIENCE", 1)
    (tmp_path / "spec.json").write_text("{}")

    def lost():
        channel = group_channel.channel_to(groups[0].in_space("bench/1"))
        spec = adopted.digest_of(tmp_path / "spec.json")
        channel.order({"folder": str(tmp_path), "spec": spec, "watched": False, "log": "info"})
        return 1

    began = time.monotonic()
    assert led(lost) == [1, 1, 1]
    assert time.monotonic() - began < 40


def test_a_process_that_sees_an_earlier_spec_lends_no_rank(led, tmp_path, monkeypatch, groups):
    """A shared disk may show what a run was before it was begun with another number of processes."""
    stand_in(monkeypatch, tmp_path, "finish()")
    monkeypatch.setattr(adopted, "SHARED_DISK_SECONDS", 0.3)
    (tmp_path / "spec.json").write_text("{}")

    def order():
        channel = group_channel.channel_to(groups[0].in_space("bench/1"))
        number = channel.order({"folder": str(tmp_path), "spec": "another", "watched": False, "log": "info"})
        found = []
        while len(found) < SIZE - 1:
            found = channel.ends(number, range(1, SIZE))
        assert all("does not see" in str(end.error) for end in found)
        return 1

    assert led(order) == [1, 1, 1]
    assert not list(tmp_path.glob("env-*"))


def test_a_process_that_vanishes_is_noticed(groups, ranks, monkeypatch):
    """One of the others comes, and says nothing any more; the second never comes."""
    monkeypatch.setattr(adopted, "PATIENCE", 4)
    monkeypatch.setattr(adopted, "SHORT_PATIENCE", 4)
    monkeypatch.setattr(group_channel, "JOIN_SECONDS", 0.5)

    def come_and_go():
        with group_channel.group_channel(groups[1], bool):
            pass

    thread = threading.Thread(target=come_and_go, daemon=True)
    thread.start()
    assert lead(groups[0], ranks.of("time.sleep(60)")) == 1
    assert "of the run's 3 answers no more" in ranks.error.message
    thread.join(20)


def test_a_process_whose_first_one_never_comes_says_where_it_waits(groups):
    with (
        pytest.raises(RunError, match=f"Process 2 of the 3 .* waits for the first one at {LOOPBACK}") as caught,
        group_channel.group_channel(groups[1], bool, seconds=0.5),
    ):
        pass
    assert "forget RANK" in caught.value.hint


def test_a_process_that_is_asked_to_stop_does_not_wait_for_the_first(groups):
    with pytest.raises(InterruptedRunError), group_channel.group_channel(groups[1], lambda: True):
        pass


def test_a_port_that_is_taken_is_told(groups):
    with (
        socket.create_server((LOOPBACK, groups[0].port)),
        pytest.raises(RunError, match="cannot meet at port"),
    ):
        lead(groups[0], lambda: 0)


def test_nobody_outside_reaches_a_group_of_one_machine(groups):
    with group_channel.group_channel(groups[0], bool), contextlib.suppress(OSError):
        outside = socket.create_connection((socket.gethostbyname(socket.gethostname()), groups[0].port), timeout=2)
        # A machine whose own name is its loopback interface tells nothing.
        assert outside.getpeername()[0].startswith("127.")


@pytest.mark.parametrize(
    ("given", "threads"), [({}, 4), ({"SLURM_CPUS_PER_TASK": "3"}, 3), ({"SLURM_CPUS_PER_TASK": "99"}, 12)]
)
def test_a_rank_has_its_share_of_the_cores(groups, monkeypatch, given, threads):
    monkeypatch.setattr(adopted, "usable_cores", lambda: 12)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert rank_environment(groups[1], 1)["OMP_NUM_THREADS"] == str(threads)


def test_between_machines_the_interface_is_left_to_the_environment(groups):
    from dataclasses import replace

    assert "GLOO_SOCKET_IFNAME" not in rank_environment(replace(groups[0], nodes=2, address="n1"), 1)
