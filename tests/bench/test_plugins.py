"""What plug-ins import: every name is there, and cards come without torch; test_docs.py compares it with the page."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench import plugins


@pytest.mark.parametrize("name", plugins.__all__)
def test_a_name_is_there(name):
    found = getattr(plugins, name)
    assert found.__name__ == name
    assert name in dir(plugins)


def test_an_unknown_name_is_missed_as_in_any_module():
    with pytest.raises(AttributeError, match=r"module 'bench\.plugins' has no attribute 'Cards'"):
        plugins.Cards  # noqa: B018 - looked up for the error


def test_cards_come_without_torch_and_numpy():
    code = "import sys, bench.plugins as p; p.ModelCard, p.option; print({'torch', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
