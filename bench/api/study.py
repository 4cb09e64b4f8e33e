"""A study of hyper-parameters as a value: its best, its trials, what it cost."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from bench.api.frames import data_frame
from bench.core.text import counted_noun

if TYPE_CHECKING:
    from bench.search.study import Search


class Study:
    """A study, as :func:`bench.search` returns it: what it holds when it is first looked at.

    Args:
        search: The study in its storage.
        well: Whether something was completed and no final run failed; None where it was only opened.

    Attributes:
        search: The study in its storage.
        well: Whether all is well; None where nobody has worked on it here.
    """

    def __init__(self, search: Search, well: bool | None = None) -> None:
        self.search, self.well = search, well

    def __repr__(self) -> str:
        return (
            f"<Study {self.name}: {counted_noun(len(self.trials), 'trial')}, best "
            f"{self.best['value'] if self.best else None}>"
        )

    @property
    def name(self) -> str:
        """Its name: what goes on with it (``bench search resume NAME``)."""
        return self.search.name

    @cached_property
    def _document(self) -> dict[str, Any]:
        from bench.search.study_values import describe

        return describe(self.search)

    @property
    def trials(self) -> list[dict[str, Any]]:
        """Its trials by number: ``number``, ``state``, ``value`` (Score, percent), ``params``, ``run_ids`` and more."""
        return list(self._document["trials"])

    @property
    def best(self) -> dict[str, Any] | None:
        """The complete trial with the highest Score, the first of equals; None where no trial is complete."""
        found: dict[str, Any] | None = self._document["best"]
        return found

    @property
    def budget(self) -> dict[str, Any]:
        """What it cost: trials by state, ``gpu_hours``, ``cpu_hours``, the ``space``, ``test_evaluations``."""
        return dict(self._document["budget"])

    def to_json(self) -> dict[str, Any]:
        """The study as ``bench search show NAME --format json`` prints it."""
        return dict(self._document)

    def to_dataframe(self) -> Any:
        """The trials as a data frame of pandas, or of polars where that alone is installed: a row for each.

        Columns: ``number``, ``state``, ``value``, ``seconds``, ``run_id``, and a column for each parameter.

        Raises:
            SpecError: If neither is installed.
        """
        names = ("number", "state", "value", "seconds", "run_id")
        params = self._document["request"]["params"]
        return data_frame(
            {
                **{name: [trial[name] for trial in self.trials] for name in names},
                **{name: [trial["params"].get(name) for trial in self.trials] for name in params},
            }
        )
