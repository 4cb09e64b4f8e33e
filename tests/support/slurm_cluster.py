"""A real Slurm of two nodes on this machine: its daemons, its own munge, fake GPUs, and nothing beyond loopback.

What is real: sbatch, the queue, arrays, time limits, preemption, requeue, steps over two nodes. What is simulated: both
nodes are this machine, and the GPUs are character devices that nothing computes on. There is no accounting, as on many
small clusters. It needs Debian's slurmctld, slurmd, slurm-client and munge, and root.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol")
NODES = ("n1", "n2")
GPUS = 2
"""Fake ones of each node."""

CPUS = 4
"""Of each node, whatever this machine has."""

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CryptoType=crypto/munge
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmctldPort={ports[0]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n.spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=3
MinJobAge=20
SlurmdTimeout=300
InactiveLimit=0
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=100000,bf_interval=1,batch_sched_delay=0,default_queue_depth=1000
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs={cpus} Gres=gpu:{gpus}
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs={cpus} Gres=gpu:{gpus}
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=60 DefaultTime=10 PriorityTier=10
PartitionName=spare Nodes=n1,n2 MaxTime=60 DefaultTime=10 PriorityTier=1
"""


def missing() -> str | None:
    """What this machine lacks for such a cluster, in words for a skip; None if it has everything."""
    lacking = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    if lacking:
        return f"no Slurm here ({', '.join(lacking)}): apt-get install slurmctld slurmd slurm-client munge"
    if os.getuid() != 0:
        return "Slurm's nodes are started by root alone"
    return None


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin:/sbin:/bin"


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class SlurmCluster:
    """A running cluster.

    Args:
        folder: Where everything of it lives; a short path, since it holds sockets.

    Attributes:
        environment: Variables with which Slurm's commands find it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": _path()}
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start munge, the controller and both nodes, and wait until the nodes are idle.

        Raises:
            RuntimeError: If one of them does not start; the message says why.
        """
        self._configure()
        self._start_munge()
        self._start_daemon("slurmctld", "slurmctld", "-D")
        for node in NODES:
            self.start_node(node)
        self.wait_for(lambda: self.node_states() == dict.fromkeys(NODES, "idle"), "the nodes to be idle")

    def _configure(self) -> None:
        # munge wants every folder above its socket closed to other writers, and open to all who look.
        self.folder.chmod(0o755)
        for name in ("munge", "state", *(f"{node}.spool" for node in NODES)):
            (self.folder / name).mkdir(mode=0o755)
        text = CONFIGURATION.format(
            host=socket.gethostname().partition(".")[0],
            folder=self.folder,
            ports=_free_ports(3),
            cpus=CPUS,
            gpus=GPUS,
        )
        (self.folder / "slurm.conf").write_text(text)
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        devices = [self.folder / f"gpu{number}" for number in range(GPUS)]
        for device in devices:
            os.mknod(device, 0o666 | 0o020000, os.makedev(1, 3))
        lines = [f"NodeName={node} Name=gpu File={self.folder}/gpu[0-{GPUS - 1}]\n" for node in NODES]
        (self.folder / "gres.conf").write_text("".join(lines))

    def _start_munge(self) -> None:
        folder = self.folder / "munge"
        key = folder / "key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        files = [f"--{name}-file={folder / name}" for name in ("key", "pid", "log", "seed")]
        self._start_daemon("munge", "munged", "--foreground", f"--socket={folder / 'socket'}", *files)
        self.wait_for((folder / "socket").exists, "munge's socket")

    def _start_daemon(self, name: str, *command: str) -> None:
        log = (self.folder / f"{name}.log").open("ab")
        with log:
            self._daemons[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **self.environment}
            )

    def start_node(self, node: str) -> None:
        """Start the daemon of a node."""
        self._start_daemon(node, "slurmd", "-D", "-N", node)

    def run(self, *command: str) -> str:
        """Run one of Slurm's commands; gives its output."""
        done = subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, text=True, timeout=30, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def node_states(self) -> dict[str, str]:
        """The nodes' states as ``sinfo`` says them; none while the controller starts."""
        try:
            lines = self.run("sinfo", "--noheader", "--Node", "--partition=main", "--format=%N %t").splitlines()
        except RuntimeError:
            return {}
        return dict(line.split()[:2] for line in lines)  # type: ignore[misc]

    def wait_for(self, true: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
        """Wait for something; raises RuntimeError with the daemons' last words if it does not come."""
        end = time.monotonic() + seconds
        while not true():
            gone = [name for name, daemon in self._daemons.items() if daemon.poll() is not None]
            if gone or time.monotonic() > end:
                raise RuntimeError(f"Slurm: waited for {what}; ended: {gone or 'none'}. {self._last_words()}")
            time.sleep(0.1)

    def _last_words(self) -> str:
        logs = sorted(self.folder.glob("*.log"))
        return " ".join(f"{log.name}: {log.read_text(errors='replace')[-400:]!r}" for log in logs)

    def processes_of(self, node: str) -> list[psutil.Process]:
        """Everything that runs on a node, its own daemon excepted: the keepers of steps and what they keep."""
        found = [process for process in psutil.process_iter() if self._is_of(process, node)]
        keepers = [parent for process in found for parent in _parents(process) if _name(parent) == "slurmstepd"]
        return list({process.pid: process for process in [*keepers, *found]}.values())

    def _is_of(self, process: psutil.Process, node: str) -> bool:
        return self._belongs(process) and _variables(process).get("SLURMD_NODENAME") == node

    def _belongs(self, process: psutil.Process) -> bool:
        return _variables(process).get("SLURM_CONF") == self.environment["SLURM_CONF"]

    def kill_jobs(self) -> None:
        """Kill all processes of all jobs, as somebody does who logs in to the nodes."""
        found = [process for node in NODES for process in self.processes_of(node)]
        keepers = [process for process in found if _name(process) == "slurmstepd"]
        # Those first that would hear of the others' ends.
        scripts = [process for process in found if _name(process) == "slurm_script"]
        _kill([*scripts, *(process for process in found if process not in [*scripts, *keepers])])

    def kill_node(self, node: str) -> None:
        """Let a node lose its power: its daemon and all that runs on it is killed, and the controller hears of it."""
        processes = self.processes_of(node)
        self._daemons[node].kill()
        self._daemons.pop(node).wait()
        _kill(processes)
        self.run("scontrol", "update", f"nodename={node}", "state=down", "reason=killed")

    def revive_node(self, node: str) -> None:
        """Switch a killed node on again."""
        before = self._started(node)
        self.start_node(node)
        # It returns to service by itself when the controller hears of it (ReturnToService).
        self.wait_for(lambda: self._started(node) != before, f"node {node} to register")

    def _started(self, node: str) -> str:
        """When the daemon of a node began, as it told the controller."""
        words = self.run("scontrol", "--oneliner", "show", "node", node).split()
        return next(word for word in words if word.startswith("SlurmdStartTime="))

    def start_again_now(self) -> None:
        """Do without the two minutes for which Slurm lets requeued jobs wait."""
        self.wait_for(lambda: bool(self._requeued()), "a requeued job")
        for number in self._requeued():
            self.run("scontrol", "update", f"jobid={number}", "StartTime=now")

    def _requeued(self) -> list[str]:
        lines = self.run("squeue", "--noheader", "--format=%A %T %r").splitlines()
        # One that is still completing has its next start before it, too.
        return [line.split()[0] for line in lines if line.endswith(" PENDING BeginTime")]

    def clear(self) -> None:
        """End every job."""
        self.run("scancel", "--user=root", "--quiet", "--state=PENDING")
        self.run("scancel", "--user=root", "--quiet", "--signal=KILL", "--full")
        self.run("scancel", "--user=root", "--quiet")

    def stop(self) -> None:
        """End every job and daemon."""
        with contextlib.suppress(RuntimeError, subprocess.SubprocessError):
            self.clear()
        for daemon in reversed(self._daemons.values()):
            daemon.kill()
            daemon.wait()
        # Keepers of steps too, whose processes are gone.
        _kill([process for process in psutil.process_iter() if self._belongs(process) and process.pid != os.getpid()])


def _variables(process: psutil.Process) -> dict[str, str]:
    """The environment that a process was started with; nothing of one that is gone."""
    try:
        return process.environ()
    except psutil.Error:
        return {}


def _parents(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.parents()
    except psutil.Error:
        return []


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return ""


def _kill(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(signal.SIGKILL)


@contextlib.contextmanager
def running() -> Iterator[SlurmCluster]:
    """A cluster while the block runs.

    Raises:
        RuntimeError: If it cannot be started here; the message says why.
    """
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
    cluster = SlurmCluster(folder)
    try:
        try:
            cluster.start()
        except OSError as error:
            raise RuntimeError(f"Slurm cannot be started: {error}") from error
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
