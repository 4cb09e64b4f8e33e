"""Models, methods and front-ends from files and packages: found, named, told apart, and part of a run's identity."""

import dataclasses
import json
import pickle
import shutil

import pytest
from cli_runs import SMALL_AST
from plugin_files import FRONTEND, fresh_registries, method_text, write_package, write_plugin
from small_studies import request_of, study_of

from bench.cli import consent
from bench.core.cards import FrontEndCard, MethodCard, ModelCard
from bench.core.datasets import DatasetCard
from bench.core.errors import RegistryError, SpecError
from bench.core.options import option
from bench.core.registry import Registration, Registry
from bench.experiment import plugins
from bench.experiment.card_checks import card_problems
from bench.experiment.consent import agreed_plugins
from bench.experiment.plugins import FILE_LIMIT, load_entry_points, load_plugins, load_plugins_of
from bench.experiment.registries import registries
from bench.experiment.spec import read_spec
from bench.launch.rank import execute
from bench.search.request import base_spec
from bench.search.storage import Place
from bench.search.study import open_study
from methods import METHODS

SMALL = [word for word in SMALL_AST if word not in ("--method", "patchmix-cl")]
POINT = "[lungbench.methods]\nmine = fake_mine:mine\n"


@pytest.fixture(autouse=True)
def _forget():
    with fresh_registries():
        yield


@pytest.fixture
def place(tmp_path, small_data, small_cache, monkeypatch):
    """Where commands of a test write, and the words of a small run."""
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BENCH_CACHE", str(small_cache))
    monkeypatch.chdir(tmp_path)
    return ["run", *SMALL, "--method", "mine", "--epochs", "2", "--data", small_data]


def one_line(text):
    return " ".join(text.split())


# Files


def test_a_file_adds_its_method(tmp_path, bench):
    path = write_plugin(tmp_path / "mine.py")
    rows = json.loads(bench("methods", "list", "--plugin", path, "--format", "json").out)
    assert rows[-1]["id"] == "mine"
    assert rows[-1]["origin"] == str(path)
    assert rows[-1]["version"].startswith("sha256:")
    assert rows[0]["version"] is None


def test_a_card_from_a_file_is_shown(tmp_path, bench):
    path = write_plugin(tmp_path / "mine.py")
    text = bench("methods", "show", "mine", "--plugin", path).out
    for part in ("Mine", "L = CE", "float, 0 to 1", "one of even, prior", "share of each label", str(path), "original"):
        assert part in text, part


def test_a_misspelt_id_of_a_file_is_suggested(tmp_path, bench):
    path = write_plugin(tmp_path / "mine.py")
    err = bench("methods", "show", "mien", "--plugin", path, code=2).err
    assert "Unknown method 'mien': did you mean 'mine'?" in err


def test_two_files_with_one_id_name_both(tmp_path, bench):
    first, second = write_plugin(tmp_path / "a" / "mine.py"), write_plugin(tmp_path / "b" / "mine.py")
    err = one_line(bench("methods", "list", "--plugin", first, "--plugin", second, code=2).err)
    assert f"The method id 'mine' is claimed by {first} and by {second}." in err


def test_a_file_cannot_take_the_place_of_what_is_built_in(tmp_path, bench):
    path = write_plugin(tmp_path / "ce.py", method_text("ce"))
    err = one_line(bench("methods", "list", "--plugin", path, code=2).err)
    assert f"The method id 'ce' is claimed by methods.ce.ce and by {path}." in err


def test_a_file_that_is_given_twice_is_loaded_once(tmp_path):
    path = write_plugin(tmp_path / "mine.py")
    link = tmp_path / "link.py"
    link.symlink_to(path)
    assert load_plugins([path, path, link]) == (str(path),)
    assert load_plugins([path]) == (str(path),)
    assert METHODS.get("mine").origin == str(path)


def test_a_file_that_changes_after_it_was_loaded_is_refused(tmp_path):
    path = write_plugin(tmp_path / "mine.py")
    load_plugins([path])
    write_plugin(path, method_text() + "\n")
    with pytest.raises(SpecError, match="changed after it was loaded"):
        load_plugins([path])


def test_what_a_file_defines_can_be_pickled(tmp_path):
    load_plugins([write_plugin(tmp_path / "mine.py")])
    options = METHODS.card("mine").options(smoothing=0.3)
    assert pickle.loads(pickle.dumps(options)) == options


IMPORTS = "from bench.core.cards import MethodCard\nfrom bench.core.registry import Registration\n"
BROKEN = {
    "syntax": ("x = 1\nclass Mine(:\n    pass\n", "mine.py, line 2: SyntaxError: invalid syntax"),
    "name": ("\n\nvalue = missing + 1\n", "mine.py, line 3: NameError: name 'missing' is not defined"),
    "import": ("import no_such_package\n", "line 1: ModuleNotFoundError: No module named 'no_such_package'"),
    "exit": ("import sys\nsys.exit(7)\n", "line 2: SystemExit: 7"),
    "inside-a-call": ("def f():\n    raise ValueError('deep')\n\nf()\n", "line 2: ValueError: deep"),
    "null-byte": ("x = '\0'\n", "source code string cannot contain null bytes"),
    "empty": ("", "holds no Registration at its top level"),
    "missing-field": (f"{IMPORTS}card = MethodCard(id='mine')\n", "line 3: TypeError: MethodCard.__init__() missing"),
    "no-card": (f"{IMPORTS}mine = Registration('mine', print)\n", "line 3: A Registration's card is a str"),
    "bad-id": (method_text("My Method"), "The id 'My Method' must be lower-case"),
    "bad-builder": (method_text().replace(", Mine\n", ", 'Mine'\n"), "must be 'module:attribute'"),
    "uncallable": (method_text().replace(", Mine\n", ", 3\n"), "no class, function or 'module:attribute'"),
    "bad-options": (method_text().replace("options=Options", "options=dict"), "must be a dataclass"),
    "no-default": (
        method_text().replace("    kind: str", "    other: int\n    kind: str"),
        "The option 'other' of 'mine' has no default",
    ),
    "bare-card": (
        "from bench.core.cards import Card\nfrom bench.core.registry import Registration\n"
        "x = Registration(Card(id='x', title='X', summary='X'), print)\n",
        "has a Card, which no registry takes",
    ),
}


@pytest.mark.parametrize(("text", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_told_in_a_sentence(tmp_path, bench, text, message):
    path = write_plugin(tmp_path / "mine.py", text)
    err = one_line(bench("methods", "list", "--plugin", path, code=2).err)
    assert str(path) in err
    assert message in err
    assert "internal error" not in err


@pytest.mark.parametrize("name", ["nothing.py", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path, bench, name):
    err = one_line(bench("models", "list", "--plugin", tmp_path / name, code=2).err)
    assert f"Cannot read {(tmp_path / name).resolve()}" in err


# Packages


def package(tmp_path, monkeypatch, name="fake-pack", points=POINT, modules=None, version="1.0"):
    folder = tmp_path / f"{name}-{version}"
    write_package(folder, name, points, {"fake_mine": method_text()} if modules is None else modules, version)
    monkeypatch.syspath_prepend(folder)
    return folder


def test_a_package_adds_its_method(tmp_path, monkeypatch, bench):
    package(tmp_path, monkeypatch)
    document = json.loads(bench("methods", "show", "mine", "--format", "json").out)
    assert (document["origin"], document["version"]) == ("fake-pack 1.0", "fake-pack==1.0")
    assert "fake-pack 1.0" in bench("methods", "list").out
    assert load_entry_points() == []


def test_a_builder_that_is_text_is_imported_when_it_is_used(tmp_path, monkeypatch):
    card = (
        "from bench.core.cards import MethodCard\nfrom bench.core.registry import Registration\n"
        "mine = Registration(MethodCard(id='mine', title='M', summary='M', formula='L'), 'fake_absent:Mine')\n"
    )
    package(tmp_path, monkeypatch, modules={"fake_mine": card})
    entry = METHODS.get("mine")
    with pytest.raises(RegistryError, match=r"fake-pack 1\.0 has no builder fake_absent:Mine for 'mine'"):
        entry.load()


UNUSABLE = {
    "import": (POINT, {"fake_mine": "import no_such_package\n"}, "ModuleNotFoundError: No module named"),
    "exit": (POINT, {"fake_mine": "raise SystemExit(3)\n"}, "SystemExit: 3"),
    "attribute": (POINT, {"fake_mine": ""}, "AttributeError"),
    "type": (POINT, {"fake_mine": "mine = 3\n"}, "is a int, but must be a Registration"),
    "kind": (POINT.replace("methods", "models"), None, "holds a MethodCard, but must hold a ModelCard"),
    "name": (POINT.replace("mine =", "yours ="), None, "has the card of 'mine': both must have one name"),
}


@pytest.mark.parametrize(("points", "modules", "reason"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_package_that_cannot_be_used_concerns_its_own_id_alone(tmp_path, monkeypatch, bench, points, modules, reason):
    package(tmp_path, monkeypatch, points=points, modules=modules)
    group = "models" if "models" in points else "methods"
    name = "yours" if "yours" in points else "mine"
    listed = bench(group, "list")
    assert reason in one_line(listed.err)
    assert "fake-pack 1.0" in one_line(listed.err)
    bench(group, "show", "ce" if group == "methods" else "ast")
    err = one_line(bench(group, "show", name, code=2).err)
    assert reason in err
    assert "uninstall fake-pack 1.0" in err
    told = json.loads(bench("doctor", "--quick", "--format", "json").out)["plug-ins"]["not usable"]
    assert len(told) == 1
    assert reason in told[0]


def test_two_packages_with_one_id_name_both(tmp_path, monkeypatch, bench):
    package(tmp_path, monkeypatch)
    package(tmp_path, monkeypatch, name="fake-other")
    err = one_line(bench("methods", "show", "mine", code=2).err)
    assert "The method id 'mine' is claimed by fake-other 1.0 and by fake-pack 1.0." in err


def test_a_package_cannot_take_the_place_of_what_is_built_in(tmp_path, monkeypatch, bench):
    points = "[lungbench.methods]\nce = fake_mine:mine\n"
    package(tmp_path, monkeypatch, points=points, modules={"fake_mine": method_text("ce")})
    err = one_line(bench("methods", "show", "ce", code=2).err)
    assert "The method id 'ce' is claimed by methods.ce.ce and by fake-pack 1.0." in err
    bench("methods", "show", "patchmix-ce")


def test_a_file_and_a_package_with_one_id_name_both(tmp_path, monkeypatch, bench):
    package(tmp_path, monkeypatch)
    path = write_plugin(tmp_path / "mine.py")
    err = one_line(bench("methods", "show", "mine", "--plugin", path, code=2).err)
    assert f"claimed by {path} and by fake-pack 1.0" in err


def test_packages_are_looked_up_when_a_registry_is_first_asked(tmp_path, monkeypatch):
    trace = tmp_path / "imported"
    modules = {"fake_mine": f"open({str(trace)!r}, 'a').write('x')\n{method_text()}"}
    package(tmp_path, monkeypatch, modules=modules)
    registry = Registry("method", MethodCard, "lungbench.methods")
    registry.add("one", MethodCard(id="one", title="One", summary="One", formula="L"), "nowhere:One")
    assert not trace.exists()
    assert [entry.id for entry in registry] == ["one", "mine"]
    assert "mine" in registry
    assert len(registry) == 2
    assert trace.read_text() == "x"


# Runs


def dry_run(bench, words, path):
    with fresh_registries():
        return json.loads(bench(*words, "--plugin", path, "--dry-run", "--format", "json").out)


def test_the_run_id_follows_the_code_and_not_its_place(tmp_path, place, bench):
    first = dry_run(bench, place, write_plugin(tmp_path / "a" / "mine.py"))
    moved = dry_run(bench, place, write_plugin(tmp_path / "b" / "other.py"))
    changed = dry_run(bench, place, write_plugin(tmp_path / "c" / "mine.py", method_text() + "# a comment\n"))
    assert set(first["identity"]["extensions"]) == {"method"}
    assert first["execution"]["plugins"] == [str(tmp_path / "a" / "mine.py")]
    assert first["run_id"] == moved["run_id"] != changed["run_id"]


def test_a_plugin_that_a_run_does_not_use_is_no_part_of_its_identity(tmp_path, place, bench):
    path = write_plugin(tmp_path / "mine.py")
    words = ["ce" if word == "mine" else word for word in place]
    document = dry_run(bench, words, path)
    assert document["identity"]["extensions"] == {}


def test_a_run_with_a_plugin_finishes_and_is_replayed_with_the_same_code_alone(tmp_path, place, bench):
    path = write_plugin(tmp_path / "plugins" / "mine.py")
    document = json.loads(bench(*place, "--plugin", path, "--set", "smoothing=0.3", "--format", "json").out)
    assert document["status"] == "finished"
    assert document["spec"]["method_options"] == {"smoothing": 0.3, "kind": "even"}
    spec = tmp_path / "home" / "runs" / document["run_id"] / "spec.json"

    with fresh_registries():
        again = bench("run", "--spec", spec, "--plugin", path, "--rerun", "--format", "json")
        assert json.loads(again.out)["metrics"] == document["metrics"]
    moved = shutil.copy(path, tmp_path / "moved.py")
    path.write_text(method_text() + "# changed\n")
    with fresh_registries():
        err = one_line(bench("run", "--spec", spec, "--rerun", code=2).err)
        assert "The run's method 'mine' was sha256:" in err
        assert "start a new run with this one" in err
    with fresh_registries():
        assert "finished already" in bench("run", "--spec", spec, "--plugin", moved).err
    path.unlink()
    with fresh_registries():
        err = one_line(bench("run", "--spec", spec, code=2).err)
        assert f"Cannot read {path}: No such file or directory" in err
    with fresh_registries(), pytest.raises(SpecError, match=r"comes from a plug-in .* that is not here"):
        load_plugins_of(dataclasses.replace(read_spec(spec), plugins=()))


# Code that a document names


def traced(path, trace):
    """A plug-in that leaves a trace when its code runs."""
    return write_plugin(path, f"open({str(trace)!r}, 'a').write('x')\n{method_text()}")


@pytest.fixture
def made(tmp_path, place, bench):
    """A spec that names a plug-in; the plug-in; and the trace that its code leaves."""
    trace = tmp_path / "trace"
    path = traced(tmp_path / "mine.py", trace)
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(dry_run(bench, place, path)))
    trace.unlink()
    return spec, path, trace


@pytest.mark.parametrize("words", [["--dry-run"], [], ["--format", "json"], ["--dry-run", "--format", "json"]])
def test_code_that_a_spec_names_is_not_run_unasked(made, bench, words):
    spec, path, trace = made
    err = one_line(bench("run", "--spec", spec, *words, code=2).err)
    assert f"add --plugin {path}" in err
    assert not trace.exists()


def test_code_that_a_user_names_too_is_run(made, bench):
    spec, path, trace = made
    bench("run", "--spec", spec, "--plugin", path, "--dry-run")
    assert trace.read_text() == "x"


def test_code_that_is_not_that_of_the_spec_is_not_run(made, bench, tmp_path):
    spec, path, trace = made
    other = traced(tmp_path / "other.py", trace)
    other.write_text(other.read_text() + "# changed\n")
    err = one_line(bench("run", "--spec", spec, "--plugin", other, "--dry-run", code=2).err)
    assert "but the one here is sha256:" in err
    path.write_text(other.read_text())
    for words in ([], ["--plugin", path]):
        bench("run", "--spec", spec, *words, "--dry-run", code=2)
    assert not trace.exists()


def test_files_that_a_spec_lists_without_need_are_not_run(place, bench, tmp_path):
    trace = tmp_path / "trace"
    path = traced(tmp_path / "mine.py", trace)
    words = ["ce" if word == "mine" else word for word in place]
    document = json.loads(bench(*words, "--dry-run", "--format", "json").out)
    document["execution"]["plugins"] = [str(path), "/dev/zero", "/no/such/file.py"]
    (tmp_path / "spec.json").write_text(json.dumps(document))
    bench("run", "--spec", tmp_path / "spec.json", "--dry-run")
    assert not trace.exists()


@pytest.fixture
def study(made, bench, tmp_path):
    """A study in the home folder whose runs need the plug-in; nothing of it has been run."""
    spec, _, trace = made
    base = read_spec(spec)
    with fresh_registries():
        load_plugins_of(base)
        study_of(base, request_of(base, "lr"), tmp_path / "home", 1)
    trace.unlink()
    return made


def test_code_that_a_study_names_is_not_run_unasked(study, bench):
    _, path, trace = study
    err = one_line(bench("search", "resume", "s", code=2).err)
    assert f"add --plugin {path}" in err
    assert not trace.exists()


def test_a_worker_runs_no_code_that_is_not_the_studys(study, tmp_path):
    _, path, trace = study
    path.write_text(path.read_text() + "# changed\n")
    search = open_study(Place.of(None, tmp_path / "home", "s"), "s")
    with pytest.raises(SpecError, match="The run's method 'mine' was sha256"):
        load_plugins_of(base_spec(search.request, search.execution))
    assert not trace.exists()


def test_a_study_whose_storage_was_edited_is_refused(study, tmp_path):
    search = open_study(Place.of(None, tmp_path / "home", "s"), "s")
    for changes, message in (({"batch": -8}, "batch is -8"), ({"colour": 1}, "Unknown field 'colour'")):
        edited = dataclasses.replace(search.request, identity={**search.request.identity, **changes})
        with pytest.raises(SpecError, match=message):
            base_spec(edited, search.execution)


@pytest.mark.parametrize(("answer", "runs"), [(True, True), (False, False)])
def test_on_a_terminal_the_user_is_shown_path_and_hash(made, monkeypatch, capsys, answer, runs):
    spec, path, trace = made
    monkeypatch.setattr(consent, "_is_terminal", lambda stream: True)
    monkeypatch.setattr(consent.typer, "confirm", lambda *words, **options: answer)
    document = read_spec(spec)
    if runs:
        assert agreed_plugins(document, None, consent.asked_on_terminal("table")) == (str(path),)
    else:
        with pytest.raises(SpecError, match="nobody here has asked for that code"):
            agreed_plugins(document, None, consent.asked_on_terminal("table"))
    said = one_line(capsys.readouterr().err)
    assert str(path) in said.replace(" ", "")
    assert document.extensions["method"] in said
    assert not trace.exists()
    with pytest.raises(SpecError, match="nobody here has asked for that code"):
        agreed_plugins(document, None, consent.asked_on_terminal("json"))


def test_a_file_that_changes_between_the_look_and_the_run_is_not_run(made, monkeypatch):
    spec, path, trace = made
    document = read_spec(spec)

    def changed(*_):
        path.write_text(path.read_text() + "# changed\n")
        return {document.extensions["method"]: path}

    monkeypatch.setattr(plugins, "needed_files", changed)
    with pytest.raises(SpecError, match="changed while it was opened"):
        load_plugins_of(document)
    assert not trace.exists()


def test_a_file_that_is_no_text_is_told_in_a_sentence(tmp_path, bench):
    path = tmp_path / "mine.py"
    path.write_bytes(b"x = '\xff\xfe'\n" * 3)
    assert "SyntaxError" in one_line(bench("methods", "list", "--plugin", path, code=2).err)
    path.write_bytes(b"#" * (FILE_LIMIT + 1))
    assert "which a plug-in never has" in one_line(bench("methods", "list", "--plugin", path, code=2).err)


def test_the_processes_of_a_run_check_its_plugins_themselves(tmp_path, place, bench):
    path = write_plugin(tmp_path / "mine.py")
    document = dry_run(bench, place, path)
    spec_file = tmp_path / "spec.json"
    spec_file.write_text(json.dumps(document))
    path.write_text(method_text() + "# changed\n")
    with pytest.raises(SpecError, match="The run's method 'mine' was sha256"):
        execute(read_spec(spec_file), tmp_path / "run")


def test_an_error_in_a_plugins_code_names_file_and_line(tmp_path, place, bench):
    path = write_plugin(tmp_path / "mine.py", method_text(forward="return {}['nothing']"))
    line = path.read_text().splitlines().index("        return {}['nothing']") + 1
    err = one_line(bench(*place, "--plugin", path, code=1).err)
    assert f"The plug-in {path}, line {line}, failed: KeyError: 'nothing'." in err
    assert "internal error" not in err


def test_features_of_a_frontend_whose_code_changed_are_made_anew(tmp_path, place, bench, small_data):
    paths = []
    for level in ("1.0", "2.0"):
        plugin = write_plugin(tmp_path / level / "flat.py", FRONTEND.replace("LEVEL", level))
        with fresh_registries():
            words = ["data", "prepare", "--frontend", "flat", "--plugin", plugin, "--data", small_data]
            document = json.loads(bench(*words, "--set", "frontend.frames=9", "--format", "json").out)
        assert (document["frames"], document["mels"]) == (9, 16)
        paths.append(document["path"])
    assert paths[0] != paths[1]


# Cards


def test_every_card_that_is_built_in_is_complete():
    entries = [entry for registry in registries().values() for entry in registry]
    assert len(entries) >= 11
    for entry in entries:
        card = entry.card
        assert card_problems(card) == [], entry.id
        assert entry.version is None
        assert entry.id == card.id
        assert card.source, entry.id
        made = isinstance(card, DatasetCard) and card.simulated
        assert made or card.citation.startswith("@"), entry.id
        if isinstance(card, ModelCard):
            assert card.parameters, entry.id


@dataclasses.dataclass(frozen=True, kw_only=True)
class BadOptions:
    sizes: list = dataclasses.field(default=(), metadata={"doc": "a list"})
    bare: int = 3
    far: float = option(3.0, "beyond its range", high=1.0)


def method_card(**changes):
    fields = {"id": "x", "title": "X", "summary": "X.", "formula": "L"}
    return MethodCard(**{**fields, **changes})


FAULTS = [
    (method_card(title=" "), "title is empty"),
    (method_card(formula=""), "formula is empty"),
    (method_card(fidelity="reconstruction", citation="@x"), "source is empty"),
    (method_card(fidelity="reconstruction", source="A paper"), "citation is empty"),
    (method_card(citation="Bae et al."), "citation is no BibTeX entry"),
    (method_card(options=BadOptions), "option sizes must be a bool, int, float or str"),
    (method_card(options=BadOptions), "option bare has no help"),
    (method_card(options=BadOptions), "option far is 3.0, but must be at most 1.0"),
    (method_card(recipes={"papr": {}}), "recipe 'papr' must be named paper or demo"),
    (method_card(recipes={"paper:later": {}}), "recipe 'paper:later' must be named paper or demo"),
    (method_card(recipes={"paper": {"lr": -1.0}}), "recipe 'paper': lr is -1.0"),
    (method_card(recipes={"paper": {"rate": 1.0}}), "recipe 'paper': 'rate' is no setting"),
    (method_card(recipes={"paper": {"method.alpha": 1.0}}), "recipe 'paper': 'method.alpha' is no setting"),
    (method_card(recipes={"demo": {"method.far": 2}}, options=BadOptions), "recipe 'demo': method.far is 2.0"),
    (method_card(views=3), "views is 3"),
    (FrontEndCard(id="x", title="X", summary="X.", version=1), "no property `shape`"),
]


@pytest.mark.parametrize(("card", "problem"), FAULTS, ids=[problem for _, problem in FAULTS])
def test_what_a_card_gets_wrong_is_said(card, problem):
    assert any(problem in found for found in card_problems(card)), card_problems(card)


def test_a_card_of_ones_own_needs_neither_source_nor_citation():
    assert card_problems(method_card()) == []


def test_registrations_of_equal_cards_are_told_apart():
    card = method_card(recipes={"demo": {}})
    assert len({Registration(card, print), Registration(card, print)}) == 2


def test_a_models_card_is_shown_with_its_weights(bench):
    text = bench("models", "show", "ast").out
    for part in ("imagenet+audioset", "BSD-3-Clause", "85,989,124", "@inproceedings{gong2021ast", "step_average=0.5"):
        assert part in text, part
    document = json.loads(bench("models", "show", "ast", "--format", "json").out)
    expected = {"type": "int", "default": 12, "low": 1, "high": 256, "choices": None}
    assert {name: document["options"]["depth"][name] for name in expected} == expected
    assert document["origin"] == "baselines.ast.model"
