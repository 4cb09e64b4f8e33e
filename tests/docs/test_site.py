"""The documentation site, built as CI does: no warning, nothing from another host, every card and command on a page."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from bench.core.datasets import DATASETS
from bench.core.version import __version__
from bench.experiment.registries import SYSTEMS, registries

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("bench", "baselines", "methods", "leaderboard")
WORKFLOW = ROOT / ".github" / "workflows" / "site.yml"

LOADED = {
    **dict.fromkeys(("script", "img", "iframe", "source", "video", "audio"), "src"),
    "object": "data",
}
"""What a browser fetches by itself, by element and attribute; of links those that are no references for people."""
LINKS = frozenset(
    {"stylesheet", "icon", "preload", "prefetch", "preconnect", "dns-prefetch", "modulepreload", "manifest"}
)


class Fetched(HTMLParser):
    """Addresses that a browser fetches for a page, and the ids of its elements."""

    def __init__(self):
        super().__init__()
        self.addresses, self.ids = [], set()

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if given.get("id"):
            self.ids.add(given["id"])
        if tag in LOADED and given.get(LOADED[tag]):
            self.addresses.append(given[LOADED[tag]])
        if tag == "link" and set((given.get("rel") or "").split()) & LINKS:
            self.addresses.append(given["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The built site. A warning would have ended the build."""
    folder = tmp_path_factory.mktemp("built") / "site"
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def parsed(site) -> dict[str, Fetched]:
    """Every page, parsed."""
    found = {}
    for path in site.rglob("*.html"):
        found[str(path.relative_to(site))] = parser = Fetched()
        parser.feed(path.read_text(encoding="utf-8"))
    assert len(found) > 60
    return found


def test_no_page_fetches_anything_from_another_host(site, parsed):
    foreign = [(page, one) for page, it in parsed.items() for one in it.addresses if re.match(r"(\w+:)?//", one)]
    assert not foreign
    styles = [path for path in site.rglob("*.css") if re.search(r"url\(\s*['\"]?(https?:)?//", path.read_text())]
    assert not styles


def test_what_pages_fetch_is_there(site, parsed):
    for page, it in parsed.items():
        if page == "404.html":
            continue  # its addresses are those of a server's root
        for one in it.addresses:
            if not one.startswith("data:"):
                assert (site / page).parent.joinpath(one.partition("?")[0]).exists(), (page, one)


def test_pages_can_be_opened_from_the_disk_and_searched(site):
    assert (site / "how-to" / "offline.html").is_file()
    assert (site / "search" / "search_index.js").is_file()
    assert "assets/iframe-worker/shim.js" in (site / "index.html").read_text()


@pytest.mark.parametrize(
    ("page", "ids"),
    [
        ("models", [entry.id for entry in registries()["model"]]),
        ("methods", [entry.id for entry in registries()["method"]]),
        ("front-ends", [entry.id for entry in registries()["frontend"]]),
        ("systems", [entry.id for entry in SYSTEMS]),
        ("data-sets", [entry.id for entry in DATASETS]),
    ],
)
def test_every_card_has_its_place(parsed, page, ids):
    assert ids
    assert {name.replace(".", "") for name in ids} <= parsed[f"reference/{page}.html"].ids


def test_every_command_has_its_place(parsed):
    import typer
    from cli_contract import commands_of

    from bench.cli import app

    for path, command in commands_of("bench", typer.main.get_command(app)):
        _, *words = path.split()
        if words and not command.hidden:
            assert f"reference/cli/{words[0]}.html" in parsed
            assert "-".join(["bench", *words]) in parsed[f"reference/cli/{words[0]}.html"].ids, path


def test_every_name_of_the_python_interface_has_its_place(site, parsed):
    import bench
    from bench import plugins

    for page, module in (("python", bench), ("plugins", plugins)):
        missing = [
            name
            for name in module.__all__
            if not name.startswith("__")
            and not any(one.endswith(f".{name}") for one in parsed[f"reference/{page}.html"].ids)
        ]
        assert not missing, page
        assert ":class:" not in (site / "reference" / f"{page}.html").read_text()


def test_every_setting_has_its_row(site):
    from bench.api.settings import list_settings

    page = html.unescape((site / "reference" / "settings.html").read_text())
    assert all(f"<code>{row['name']}</code>" in page for row in list_settings().rows)


def test_pictures_say_in_words_what_they_show(site):
    for page, number in (("protocol", 6), ("architecture", 1)):
        drawings = re.findall(r"<svg viewBox.*?</svg>", (site / f"{page}.html").read_text(), re.DOTALL)
        assert len(drawings) == number
        assert all('role="img"' in one and len(re.search(r"<title>(.*?)</title>", one)[1]) > 30 for one in drawings)


def test_the_rooms_of_the_architecture_hold_all_modules(site):
    page = (site / "architecture.html").read_text()
    numbers = [int(number) for number in re.findall(r">(\d+) modules?</text>", page)]
    assert sum(numbers) == sum(len(list((ROOT / package).rglob("*.py"))) for package in PACKAGES)
    assert ">bench.cli</text>" in page


def test_every_variable_that_a_user_may_set_is_on_the_page():
    page = (ROOT / "docs" / "reference" / "environment.md").read_text(encoding="utf-8")
    of_processes = {"BENCH_COMPLETE", "BENCH_PROCESS_STORE", "BENCH_ADOPTED_GROUP"}
    own = {*of_processes, "BENCH_GOLDEN", "BENCH_GOLDEN_SYSTEMS"}  # the latter of tests
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for name in set(re.findall(r"\bBENCH_[A-Z_]+[A-Z]\b", path.read_text(encoding="utf-8"))) - own:
                assert f"`{name}`" in page, (name, path.name)


def test_the_workflow_builds_what_this_test_builds():
    steps = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]["build"]["steps"]
    commands = "\n".join(step.get("run", "") for step in steps)
    assert "pip install -e '.[docs]'" in commands
    assert "mkdocs build --strict" in commands


def test_the_citation_is_of_this_version_and_complete():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == __version__
    assert {"message", "title", "authors", "license", "type"} <= set(citation)
    assert all({"name"} <= set(one) or {"given-names", "family-names"} <= set(one) for one in citation["authors"])
    (paper,) = citation["references"]
    assert paper["doi"] == "10.21437/Interspeech.2023-1426"


def test_the_changelog_speaks_of_this_version():
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
