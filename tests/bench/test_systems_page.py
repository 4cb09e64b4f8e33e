"""``docs/systems.md``: its table is that of the cards, its cards are sound, its commands resolve."""

import re
import shlex

import pytest
from plugin_files import fresh_registries, write_plugin
from systems_page import PAGE, page_with_systems

from bench.core.cards import SystemCard
from bench.experiment.systems import check_system, find_system

TEXT = PAGE.read_text(encoding="utf-8")
(CARDS,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
LINES = "\n".join(re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)).splitlines()
COMMANDS = [words[1:] for line in LINES if (words := shlex.split(line, comments=True))[:1] == ["bench"]]


def test_the_table_is_that_of_the_cards():
    assert page_with_systems(TEXT) == TEXT, "PYTHONPATH=. python tests/support/systems_page.py writes it anew"


def test_the_cards_of_the_page_are_sound(tmp_path):
    with fresh_registries():
        file = write_plugin(tmp_path / "two.py", CARDS)
        for name in ("ast-corrected", "two-asts"):
            card = find_system(name, [file])
            assert isinstance(card, SystemCard)
            check_system(card)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_commands_of_the_page_can_be_given(words, bench, small_data, small_cache, tmp_path):
    place = {"--data": small_data, "--cache": small_cache, "--home": tmp_path}
    kept = [word for word in words if word != "~/icbhi" and word != "--data"]
    if words[0] in ("run", "search"):
        more = [str(part) for pair in place.items() for part in pair]
        assert "ast" in bench(*kept, *more, "--dry-run").out
    elif words[0] in ("systems", "settings"):
        assert bench(*kept).out
    else:
        assert words[:2] in (["data", "prepare"], ["reproduce", "table3"])
