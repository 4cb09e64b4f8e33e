"""Registries: which name was meant, what may be registered, and what is imported when."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import pytest

from bench.core.cards import Card, FrontEndCard, MethodCard, ModelCard, NoOptions
from bench.core.errors import RegistryError
from bench.core.options import option
from bench.core.registry import EntryPointProblem, Family, Registration, Registry, suggestion

NAMES = ["resnet18", "resnet34", "resnet50", "cnn6", "cnn10", "cnn14", "ast"]


@pytest.mark.parametrize("word", ["resnet5", "resnet-50", "resnett50", "rsnet50"])
def test_a_slip_names_what_was_meant(word):
    assert suggestion(word, NAMES) == "did you mean 'resnet50'?"


def test_capitals_do_not_matter():
    assert suggestion("ResNet50", NAMES) == "did you mean 'resnet50'?"
    assert suggestion("litt3200", ["Meditron", "Litt3200"]) == "did you mean 'Litt3200'?"


def test_without_a_near_name_a_short_list_is_told_whole():
    assert suggestion("zzz", ["b", "a"]) == "known: a, b"
    assert suggestion("zzz", NAMES[:5]) == f"known: {', '.join(sorted(NAMES[:5]))}"
    assert suggestion("zzz", []) == "there is none"
    assert suggestion("", ["a"]) == "known: a"


def test_of_a_long_list_three_are_told():
    told = suggestion("zzz", NAMES)
    assert told.startswith("there are 7, such as ")
    assert len(told.partition("such as ")[2].split(", ")) == 3
    assert set(told.partition("such as ")[2].split(", ")) <= set(NAMES)


def test_what_is_suggested_does_not_hang_on_the_order():
    for word in ("resnet", "cnn", "zzz", "x" * 10**6):
        assert suggestion(word, NAMES) == suggestion(word, reversed(NAMES)) == suggestion(word, set(NAMES))


@dataclass(frozen=True, kw_only=True)
class Options:
    width: int = option(3, "a width", low=1)


def card(name="mine", **changes):
    return MethodCard(**{"id": name, "title": "Mine", "summary": "A method.", "formula": "L", **changes})


def make(*given):
    return given


def registry(*names):
    made = Registry("method", MethodCard, "lungbench.no_such_group")
    for name in names:
        made.add(name, card(name), make)
    return made


def test_what_is_registered_is_found_in_the_order_in_which_it_came():
    made = registry("b", "a", "c")
    assert [entry.id for entry in made] == ["b", "a", "c"]
    assert len(made) == 3
    assert "a" in made
    assert "d" not in made
    assert 3 not in made
    assert made.card("a") is made.get("a").card
    assert made.problems() == []


def test_an_id_of_two_origins_names_both_and_keeps_the_first():
    made = registry("mine")
    with pytest.raises(RegistryError, match=r"method id 'mine' is claimed by .*test_registry and by a file"):
        made.add("mine", card(title="Other"), print, origin="a file")
    assert made.card("mine").title == "Mine"


def test_an_unknown_id_is_told_in_a_short_plain_sentence():
    made = registry("patchmix-cl", "ce")
    with pytest.raises(RegistryError, match=r"^Unknown method 'patchmix': did you mean 'patchmix-cl'\?$"):
        made.get("patchmix")
    with pytest.raises(RegistryError) as caught:
        made.get("\x1b[2J" + "x" * 10**5)
    assert len(caught.value.message) < 200
    assert caught.value.message.isprintable()


def test_a_builder_is_given_its_own_arguments_first():
    made = registry()
    made.add("wide", card("wide"), make, "one", "two")
    assert made.get("wide").load()("three") == ("one", "two", "three")
    made.add("plain", card("plain"), make)
    assert made.get("plain").load() is make


def test_a_builder_that_is_text_is_imported_when_it_is_loaded(tmp_path, monkeypatch):
    (tmp_path / "fake_lazy_builder.py").write_text("def build(*given):\n    return 'built', *given\n")
    monkeypatch.syspath_prepend(tmp_path)
    made = registry()
    made.add("lazy", card("lazy"), "fake_lazy_builder:build")
    entry = made.get("lazy")
    assert entry.origin == "fake_lazy_builder"
    assert "fake_lazy_builder" not in sys.modules
    try:
        assert entry.load()(1) == ("built", 1)
    finally:
        sys.modules.pop("fake_lazy_builder", None)


@pytest.mark.parametrize("target", ["no_such_module_at_all:build", "bench.core.text:no_such_function"])
def test_a_plugin_without_its_builder_is_a_sentence_and_a_fault_of_ones_own_is_not_hidden(target):
    made = registry()
    made.add("theirs", card("theirs"), target, origin="their-package 1.0", version="their-package==1.0")
    made.add("ours", card("ours"), target)
    with pytest.raises(RegistryError, match=f"their-package 1.0 has no builder {target} for 'theirs'"):
        made.get("theirs").load()
    with pytest.raises((ImportError, AttributeError)):
        made.get("ours").load()


def test_options_are_known_where_the_code_is_of_the_version():
    made = registry()
    made.add("ours", card("ours", options=Options), make)
    made.add("theirs", card("theirs", options=Options), make, version="file:1")
    assert made.options("ours", None) is Options
    assert made.options("ours", "file:1") is None
    assert made.options("theirs", "file:1") is Options
    assert made.options("theirs", "file:2") is None
    assert made.options("theirs", None) is None
    assert made.options("nobody's", None) is None


# A family: ids of the form prefix:NAME

MADE = []


def family_card(name):
    MADE.append(name)
    if name == "none":
        raise RegistryError("There is no 'none' in this family.")
    return card(f"many:{name}", options=Options)


def build_member(name, *given):
    return name, *given


@pytest.fixture
def family():
    MADE.clear()
    made = registry("one")
    where = f"{__name__}:"
    made.families.append(Family("many", "any word", where + "family_card", where + "build_member", Options))
    return made


def test_a_member_of_a_family_is_made_when_it_is_asked_for(family):
    assert MADE == []
    entry = family.get("many:words:of any kind")
    assert entry.id == "many:words:of any kind"
    assert MADE == ["words:of any kind"]
    assert entry.load()(7) == ("words:of any kind", 7)
    assert [entry.id for entry in family] == ["one"]
    assert len(family) == 1


def test_a_family_tells_of_its_options_without_making_a_card(family):
    assert family.options("many:none", None) is Options
    assert family.options("many:none", "file:1") is None
    assert MADE == []
    with pytest.raises(RegistryError, match="no 'none'"):
        family.get("many:none")


def test_the_prefix_alone_is_no_member(family):
    with pytest.raises(RegistryError, match="Unknown method 'many'"):
        family.get("many")
    assert MADE == []


# Registrations of plug-ins

WRONG = [
    ({"card": "a card"}, "card is a str, but must be a card"),
    ({"card": card("Mine")}, "The id 'Mine' must be lower-case letters"),
    ({"card": card("")}, "The id '' must be"),
    ({"card": card("-mine")}, "The id '-mine' must be"),
    ({"card": card("a b")}, "The id 'a b' must be"),
    ({"card": card("a/b")}, "The id 'a/b' must be"),
    ({"card": card("a\n")}, r"The id 'a\\n' must be"),
    ({"card": card("timm:x")}, "The id 'timm:x' must be"),
    ({"card": card(3)}, "The id 3 must be"),
    ({"build": "module"}, "is 'module', but must be 'module:attribute'"),
    ({"build": "module:a.b"}, "must be 'module:attribute'"),
    ({"build": "module:"}, "must be 'module:attribute'"),
    ({"build": 3}, "is no class, function or 'module:attribute'"),
    ({"card": card(options=dict)}, "must be a dataclass"),
    ({"card": card(options=Options())}, "must be a dataclass"),
]


@pytest.mark.parametrize(("changes", "words"), WRONG)
def test_what_cannot_be_registered_is_refused_with_the_guide(changes, words):
    with pytest.raises(RegistryError, match=words) as caught:
        Registration(**{"card": card(), "build": make, **changes})
    assert "docs/extending.md" in caught.value.hint
    assert caught.value.exit_code == 2


def test_an_option_without_a_default_is_refused():
    @dataclass
    class Bare:
        width: int

    with pytest.raises(RegistryError, match="The option 'width' of 'mine' has no default"):
        Registration(card(options=Bare), make)


@pytest.mark.parametrize("name", ["a", "0", "resnet18", "a.b_c+d-e", "9-lives"])
@pytest.mark.parametrize("build", [make, dict, "package.module:build"])
def test_what_can_be_registered(name, build):
    assert Registration(card(name), build).card.id == name


# Entry points of installed packages, as importlib.metadata gives them


class Package:
    def __init__(self, name, version="1.0"):
        self.name, self.version = name, version


class Point:
    group, value = "lungbench.fakes", "fake:offer"

    def __init__(self, name, offer, package="fake"):
        self.name, self._offer = name, offer
        self.dist = Package(package) if package else None

    def load(self):
        if isinstance(self._offer, BaseException):
            raise self._offer
        return self._offer


@pytest.fixture
def installed(monkeypatch):
    """Makes a registry that finds some entry points."""

    def make_registry(*points):
        monkeypatch.setattr("importlib.metadata.entry_points", lambda group: list(points))
        return Registry("method", MethodCard, Point.group)

    return make_registry


def offer(name):
    return Registration(card(name), make)


def test_packages_are_taken_in_by_name_whatever_order_they_are_found_in(installed):
    points = [Point("b", offer("b")), Point("a", offer("a"), "other"), Point("c", offer("c"), None)]
    for found in (points, points[::-1]):
        made = installed(*found)
        assert [(entry.id, entry.origin, entry.version) for entry in made] == [
            ("a", "other 1.0", "other==1.0"),
            ("b", "fake 1.0", "fake==1.0"),
            ("c", "an unknown package", "unknown"),
        ]
        assert made.problems() == []


MODEL = ModelCard(id="x", title="X", summary="X.")
PROBLEMS = [
    (Point("x", ImportError("no torch")), "The method 'x' of fake 1.0 cannot be imported (fake:offer): ImportError"),
    (Point("x", SystemExit(3)), "cannot be imported (fake:offer): SystemExit: 3."),
    (Point("x", 7), "The entry point 'x' of fake 1.0 in the group lungbench.fakes is a int, but must be"),
    (Point("x", Registration(MODEL, make)), "holds a ModelCard, but must hold a MethodCard"),
    (Point("x", offer("y")), "has the card of 'y': both must have one name"),
    (Point("x", RegistryError("A reason of its own.")), "A reason of its own."),
]


@pytest.mark.parametrize(("point", "reason"), PROBLEMS)
def test_a_package_that_cannot_be_used_is_a_problem_of_its_own_id(installed, point, reason):
    made = installed(point, Point("good", offer("good")))
    (problem,) = made.problems()
    assert isinstance(problem, EntryPointProblem)
    assert (problem.kind, problem.id, problem.origin) == ("method", "x", "fake 1.0")
    assert reason in problem.reason
    with pytest.raises(RegistryError) as caught:
        made.get("x")
    assert caught.value.message == problem.reason
    assert caught.value.hint == "Mend or uninstall fake 1.0."
    assert made.get("good").version == "fake==1.0"
    assert [entry.id for entry in made] == ["good"]


def test_a_package_that_interrupts_is_not_a_problem_but_an_interruption(installed):
    with pytest.raises(KeyboardInterrupt):
        len(installed(Point("x", KeyboardInterrupt())))


def test_a_package_that_asks_the_registry_while_it_is_taken_in_does_not_go_in_a_circle(installed):
    class Asking(Point):
        def load(self):
            assert "good" in made
            return offer("asking")

    made = installed(Point("good", offer("good"), "a"), Asking("x", None))
    made = installed(Point("asking-last", offer("asking-last")), Point("good", offer("good")), Asking("zz", None))
    assert [problem.id for problem in made.problems()] == ["zz"]
    assert "good" in made


# Cards


@pytest.mark.parametrize(("pretrain", "lr"), [("none", 3), ("imagenet", 2), ("/weights.pth", 2)])
def test_a_recipe_of_a_start_comes_over_that_of_the_profile(pretrain, lr):
    recipes = {"paper": {"lr": 1, "epochs": 9}, "paper:scratch": {"lr": 3}, "paper:pretrained": {"lr": 2}}
    made = card(recipes={**recipes, "demo": {"epochs": 1}})
    assert made.recipe("paper", pretrain) == {"lr": lr, "epochs": 9}
    assert made.recipe("demo", pretrain) == {"epochs": 1}
    assert made.recipe("other", pretrain) == {}
    made.recipe("paper", pretrain)["lr"] = 0
    assert made.recipe("paper", pretrain)["lr"] == lr


def test_a_plugin_may_leave_out_what_has_a_default():
    for made in (card(), MODEL, FrontEndCard(id="x", title="X", summary="X.", version=1)):
        assert (made.source, made.citation, made.fidelity, made.options) == ("", "", "original", NoOptions)
        assert isinstance(made, Card)
    assert (MODEL.frontend, MODEL.default_pretrain, MODEL.parameters) == ("ast", "none", None)
    with pytest.raises(TypeError, match="version"):
        FrontEndCard(id="x", title="X", summary="X.")
