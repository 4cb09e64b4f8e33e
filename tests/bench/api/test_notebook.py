"""Progress in a notebook: a bar where it has widgets, lines where it has none."""

import io

import pytest
from rich.progress import Progress

from bench.core import terminal
from bench.core.terminal import PlainConsole, shows_bars
from bench.engine import progress
from bench.engine.listeners import Listeners, Start
from bench.engine.progress import TrainingProgress


class Screen(io.StringIO):
    def isatty(self):
        return True


def console(kind):
    if kind == "terminal":
        return PlainConsole(Screen())
    return PlainConsole(io.StringIO(), **{f"force_{kind}": True} if kind else {})


@pytest.mark.parametrize(
    ("kind", "widgets", "shown"),
    [
        ("terminal", False, True),
        ("jupyter", True, True),
        ("jupyter", False, False),
        (None, True, False),
    ],
)
def test_a_bar_is_drawn_where_it_can_be(monkeypatch, kind, widgets, shown):
    monkeypatch.setattr(terminal, "find_spec", lambda name: object() if widgets and name == "ipywidgets" else None)
    monkeypatch.setenv("TERM", "xterm")
    assert shows_bars(console(kind)) is shown


def test_a_training_draws_its_bar_in_a_notebook(monkeypatch):
    monkeypatch.setattr(terminal, "find_spec", lambda name: object())
    monkeypatch.setattr(progress, "PlainConsole", lambda *words, **options: console("jupyter"))
    monkeypatch.setattr(progress, "is_quiet", lambda: False)
    started = []
    monkeypatch.setattr(Progress, "start", lambda self: started.append(self))
    with Listeners([TrainingProgress(shown=True)], Start(label="ast", epochs=2, steps=3)) as shown:
        shown.on_losses(1, 2, [{"loss": 0.5}])
    (bar,) = started
    assert bar.tasks[0].completed == 2
