"""What the processes of an adopted group tell one another: orders of the first one, ends of ranks, signs of life.

They meet in a store of torch behind a port, the launcher's own where it has one. Whoever waits looks into it several
times a second and never blocks there, so that signals are heard and a partner that has gone is noticed.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from torch.distributed import TCPStore
from torch.distributed.distributed_c10d import PrefixStore, Store

from bench.core.errors import InterruptedRunError, LostProcessError, RunError
from bench.core.process_group import LOOPBACK, ProcessGroup
from bench.launch.group_ends import RankEnd

JOIN_SECONDS = 300.0
"""What processes may take to come: the last node of a job may load Python and torch from a slow disk."""

ANSWER_SECONDS = 60.0
"""What the store may take to answer before it counts as gone."""

BEAT_SECONDS = 1.0


class GroupChannel:
    """The store of a group as one of its processes reaches it.

    Args:
        group: The group; what it tells is kept apart by its ``space``.
        store: The store.
    """

    def __init__(self, group: ProcessGroup, store: TCPStore) -> None:
        self.group, self._whole = group, store
        self._store: Store = PrefixStore(group.space, store)

    def tell_command(self, words: Sequence[str]) -> None:
        """Tell the others the command of this process, the first one, before any order."""
        self._set("command", list(words))

    def command(self) -> list[str]:
        """The command of the first process, once it has given an order."""
        words: list[str] = self._get("command")
        return words

    def order(self, order: Mapping[str, Any]) -> int:
        """Tell the others what to do next; gives the order's number."""
        number = self._store.add("orders", 1)
        self._set(f"order/{number}", order)
        return int(number)

    def order_of(self, number: int) -> Any:
        """The order of a number; None while there is none."""
        return self._get(f"order/{number}")

    def limit(self, number: int, seconds: float) -> None:
        """Have the ranks of an order ended that do not end by themselves in so many seconds."""
        self._set(f"limit/{number}", seconds)

    def limit_of(self, number: int) -> float | None:
        """What was said last of :meth:`limit`."""
        seconds: float | None = self._get(f"limit/{number}")
        return seconds

    def tell_end(self, number: int, end: RankEnd) -> None:
        """Tell how this process's rank ended in an order."""
        self._set(f"end/{number}/{end.rank}", end.to_json())

    def ends(self, number: int, ranks: Collection[int]) -> list[RankEnd]:
        """Ranks of those named that have ended in an order."""
        found = [self._get(f"end/{number}/{rank}") for rank in sorted(ranks)]
        return [RankEnd.from_json(end) for end in found if end is not None]

    def leave(self, rank: int) -> None:
        """Tell that a process has heard of the end, or never will."""
        self._store.add(f"left/{rank}", 1)

    def has_left(self, rank: int) -> bool:
        """Whether nobody need wait for a process any more."""
        return self._count(f"left/{rank}") > 0

    def beat(self) -> None:
        """Give a sign of life."""
        self._store.add(f"beat/{self.group.rank}", 1)

    def beats(self, rank: int) -> int:
        """How many signs of life a process has given."""
        return self._count(f"beat/{rank}")

    def _count(self, name: str) -> int:
        return int(self._store.add(name, 0))

    def _set(self, name: str, value: Any) -> None:
        self._store.set(name, json.dumps(value))

    def _get(self, name: str) -> Any:
        return json.loads(self._store.get(name)) if self._store.check([name]) else None


class Silence:
    """Notices which processes have stopped to give signs of life.

    Looks are counted, not seconds: all processes of a job that a scheduler holds stand still together.

    Args:
        channel: The channel.
    """

    def __init__(self, channel: GroupChannel) -> None:
        self._channel = channel
        self._seen: dict[int, tuple[int, int]] = {}
        self._looked = 0.0

    def is_silent(self, rank: int, looks: float) -> bool:
        """Whether a process gave no sign in so many looks; one that has not come yet has the time to do so."""
        beats, missed = self._seen.get(rank, (0, 0))
        return missed > (looks if beats else max(looks, JOIN_SECONDS / BEAT_SECONDS))

    def look(self, ranks: Collection[int]) -> None:
        """Look for signs of life; nothing where the last look was just now."""
        if time.monotonic() - self._looked < 2 * BEAT_SECONDS:
            return
        self._looked = time.monotonic()
        for rank in ranks:
            beats, missed = self._seen.get(rank, (0, 0))
            now = self._channel.beats(rank)
            self._seen[rank] = (now, 0 if now > beats else missed + 2)


def channel_to(group: ProcessGroup) -> GroupChannel:
    """The channel of a group that has met already, for another process on the side of the first one."""
    return GroupChannel(group, _client(group))


@contextlib.contextmanager
def group_channel(
    group: ProcessGroup, stopped: Callable[[], bool], seconds: float = JOIN_SECONDS
) -> Iterator[GroupChannel]:
    """The channel of a group, with signs of life of this process while the block runs.

    Args:
        group: The group as its launcher describes it.
        stopped: Whether this process was asked to stop.
        seconds: How long the first process may take to come.

    Raises:
        RunError: If the processes cannot meet.
        InterruptedRunError: If this one was asked to stop before they have.
    """
    channel = _opened(group) if group.rank == 0 else _joined(group, stopped, time.monotonic() + seconds)
    ended = threading.Event()
    beats = threading.Thread(target=_beat, args=(channel.group, ended), daemon=True)
    beats.start()
    try:
        yield channel
    finally:
        ended.set()
        beats.join(ANSWER_SECONDS)


def _beat(group: ProcessGroup, ended: threading.Event) -> None:
    # By a connection of its own: that of the channel may be waiting for an answer. A store that has gone ends it.
    with contextlib.suppress(RuntimeError):
        channel = channel_to(group)
        while not ended.is_set():
            channel.beat()
            ended.wait(BEAT_SECONDS)


def _opened(group: ProcessGroup) -> GroupChannel:
    """The channel of the first process, which answers at the port where the launcher does not."""
    store = _client(group) if group.hosted else _server(group)
    channel = GroupChannel(group.in_space(_space(group, store)), store)
    channel.beat()
    return channel


def _joined(group: ProcessGroup, stopped: Callable[[], bool], deadline: float) -> GroupChannel:
    """The channel of another process, when the first one is there."""
    while time.monotonic() < deadline:
        # What answers may be the last command's first process, on its way out.
        with contextlib.suppress(RuntimeError):
            if _answers(group):
                store = _client(group)
                channel = GroupChannel(group.in_space(_space(group, store)), store)
                while time.monotonic() < deadline and not stopped():
                    if channel.beats(0):
                        return channel
                    time.sleep(0.1)
        if stopped():
            raise InterruptedRunError("Stopped before the processes of the run had met.")
        time.sleep(0.2)
    raise RunError(
        f"Process {group.rank + 1} of the {group.size} that {group.launcher} started waits for the first one at "
        f"{group.address}:{group.port}, which does not come.",
        "If there is none (variables that are left over), forget RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT; "
        "otherwise MASTER_ADDR must be the first process's machine, as the others reach it.",
    )


def _space(group: ProcessGroup, store: Store) -> str:
    """A space for this command: the processes of a script give several, one after the other."""
    return f"{group.space}/{store.add(f'{group.space}/command-of/{group.rank}', 1)}"


def _answers(group: ProcessGroup) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((group.address, group.port), timeout=5):
        return True
    return False


def _client(group: ProcessGroup) -> TCPStore:
    patience = timedelta(seconds=ANSWER_SECONDS)
    return TCPStore(group.address, group.port, is_master=False, timeout=patience, wait_for_workers=False)


def _server(group: ProcessGroup) -> TCPStore:
    patience = timedelta(seconds=ANSWER_SECONDS)
    with _listening(group) as listener:
        store = TCPStore(
            LOOPBACK,
            group.port,
            is_master=True,
            timeout=patience,
            wait_for_workers=False,
            master_listen_fd=listener.fileno(),
        )
        # The store has taken it over.
        listener.detach()
    return store


def _listening(group: ProcessGroup) -> socket.socket:
    """A socket at the group's port: on the loopback interface alone where all processes are on this machine."""
    try:
        return socket.create_server((LOOPBACK if group.on_this_machine else "", group.port), backlog=1024)
    except OSError as error:
        raise RunError(
            f"The processes that {group.launcher} started cannot meet at port {group.port}: {error.strerror or error}.",
            "Name a free port in MASTER_PORT.",
        ) from error


def lost_first(group: ProcessGroup) -> LostProcessError:
    """The error of a process whose first one has gone."""
    return LostProcessError(
        f"The first process of the {group.size} that {group.launcher} started has gone.",
        "Its own words say why; the same command goes on from the last saved state.",
    )
