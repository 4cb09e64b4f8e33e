"""The order of tasks: which of them can start now, which wait for others, and which a failure takes with it."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Sequence

from bench.launch.tasks import Task

IN_THIS_PROCESS = ""
"""Stands for the device of tasks that no job does."""


class TaskOrder:
    """Tasks that are to be done, each after others; every method costs little, however many there are.

    Args:
        tasks: All of them, in the order in which they start where nothing else decides.
        done: Keys of those whose result is there already.
    """

    def __init__(self, tasks: Sequence[Task], done: Collection[str]) -> None:
        self._tasks = {task.key: task for task in tasks}
        if len(self._tasks) != len(tasks):
            raise ValueError("two tasks have the same key")
        self._places = {task.key: place for place, task in enumerate(tasks)}
        self._left = {task.key: task for task in tasks if task.key not in done}
        self._waits = {key: sum(1 for it in set(task.after) if it in self._left) for key, task in self._left.items()}
        self._behind: dict[str, list[str]] = {}
        self._ready: dict[str, list[tuple[int, str]]] = {}
        for key, task in self._left.items():
            for before in set(task.after):
                # A task that nobody knows is a mistake of whoever made the tasks.
                self._behind.setdefault(self._tasks[before].key, []).append(key)
            if not self._waits[key]:
                self.give_back(task)

    @property
    def left(self) -> int:
        """How many tasks have not ended."""
        return len(self._left)

    def task(self, key: str) -> Task:
        """A task by its key."""
        return self._tasks[key]

    def not_needed(self) -> list[Task]:
        """Tasks that help none which is left; they are taken out."""
        needed = {key for key, task in self._left.items() if not task.helps}
        found = list(needed)
        while found:
            before = set(self._left[found.pop()].after) & self._left.keys() - needed
            needed |= before
            found += before
        return [self.end(self._left[key]) for key in list(self._left) if key not in needed]

    def devices(self) -> list[str]:
        """The devices that a task is ready for, that of the first one first."""
        return sorted((it for it in self._ready if self.first(it) is not None), key=lambda it: self._ready[it][0])

    def first(self, device: str) -> Task | None:
        """The first task that is ready for a device."""
        heap = self._ready.get(device, [])
        while heap and heap[0][1] not in self._left:
            heapq.heappop(heap)
        return self._left[heap[0][1]] if heap else None

    def take(self, device: str) -> Task:
        """Take the first task that is ready for a device, to start it."""
        return self._left[heapq.heappop(self._ready[device])[1]]

    def give_back(self, task: Task, *, ahead: bool = False) -> None:
        """Make a task ready to start; ``ahead`` of all that are ready, wherever it stands."""
        device = IN_THIS_PROCESS if task.job is None else task.job.device
        place = self._places[task.key] - (len(self._tasks) if ahead else 0)
        heapq.heappush(self._ready.setdefault(device, []), (place, task.key))

    def end(self, task: Task) -> Task:
        """Take out a task that has ended, however it did."""
        del self._left[task.key]
        return task

    def done(self, task: Task) -> None:
        """Take out a task that is done; what waited for it alone is ready."""
        self.end(task)
        for key in self._behind.get(task.key, ()):
            self._waits[key] -= 1
            if key in self._left and not self._waits[key]:
                self.give_back(self._left[key])

    def failed(self, task: Task) -> Iterator[Task]:
        """Take out a task that has failed; gives those that can never start now, which are taken out too."""
        self.end(task)
        found = [task.key]
        while found:
            for key in self._behind.get(found.pop(), ()):
                if key in self._left:
                    found.append(key)
                    yield self.end(self._left[key])
