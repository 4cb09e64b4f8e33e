"""From a request to the fields of a spec: names of settings, recipes, data and the pair of model and method."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from icbhi_sets import write_set

import baselines
import methods
from bench.core.cards import FrontEndCard, MethodCard, ModelCard
from bench.core.errors import DataError, RegistryError, SpecError
from bench.core.options import option
from bench.experiment.recipes import (
    DataSource,
    Request,
    check_pair,
    choose_source,
    recipe_fields,
)
from bench.experiment.settings import full_name, option_names

# Names of settings


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    width: int = option(3, "a width")
    drop: float = option(0.1, "a share")


@dataclass(frozen=True, kw_only=True)
class MethodOptions:
    alpha: float = option(1.0, "a weight")
    drop: float = option(0.1, "a share")


@dataclass(frozen=True, kw_only=True)
class FrontEndOptions:
    seconds: float = option(1.0, "a length")


WORDS = {"title": "X", "summary": "X."}
CARDS = {
    "model": ModelCard(id="m", options=ModelOptions, **WORDS),
    "method": MethodCard(id="t", formula="L", options=MethodOptions, **WORDS),
    "frontend": FrontEndCard(id="f", version=1, options=FrontEndOptions, **WORDS),
}


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("lr", "lr"),
        ("epochs", "epochs"),
        ("width", "model.width"),
        ("alpha", "method.alpha"),
        ("seconds", "frontend.seconds"),
        ("model.drop", "model.drop"),
        ("method.drop", "method.drop"),
        ("frontend.seconds", "frontend.seconds"),
    ],
)
def test_a_setting_may_be_short_where_one_owner_alone_has_it(name, full):
    assert full_name(name, CARDS) == full
    assert full_name(full, CARDS) == full


def test_an_option_of_two_owners_is_asked_for_by_its_owner():
    with pytest.raises(SpecError, match="'drop' is an option of model and of method") as caught:
        full_name("drop", CARDS)
    assert caught.value.hint == "Write model.drop."


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("epoch", "did you mean 'epochs'?"),
        ("alfa", "did you mean 'alpha'?"),
        ("method.alfa", "did you mean 'method.alpha'?"),
        ("methods.alpha", "did you mean 'method.alpha'?"),
        ("zzzz", "there are "),
    ],
)
def test_an_unknown_setting_is_told_with_the_nearest(name, suggested):
    with pytest.raises(SpecError) as caught:
        full_name(name, CARDS)
    assert caught.value.message.startswith(f"Unknown setting '{name}' for method t, model m: {suggested}")


def test_a_constant_of_an_options_class_is_no_option():
    from bench.data.frontends import FRONTENDS

    card = FRONTENDS.card("ast")
    assert card.options.FIT_OPTIONS
    assert "FIT_OPTIONS" not in option_names(card)


def test_option_names_are_those_of_the_card():
    assert option_names(CARDS["model"]) == {"width", "drop"}


# Recipes


def request(model="ast", method="patchmix-cl", **changes):
    return Request(model=model, method=method, cache=Path("cache"), **changes)


def fields(profile="paper", **changes):
    return recipe_fields(request(**changes), profile)


def test_a_setting_comes_over_a_flag_and_a_flag_over_a_recipe():
    recipe = fields()["lr"]
    assert fields(fields={"lr": 0.25})["lr"] == 0.25 != recipe
    assert fields(fields={"lr": 0.25}, settings=["lr=0.5"])["lr"] == 0.5
    assert fields(settings=["lr=0.5", "lr=0.75"])["lr"] == 0.75
    assert fields(fields={"lr": None})["lr"] == recipe


def test_values_come_in_the_types_of_their_fields():
    found = fields(settings=["batch=4", "time_shift=yes", " lr =1e-4", "alpha=2", "mix=patch"])
    assert (found["batch"], found["time_shift"], found["lr"]) == (4, True, 1e-4)
    assert found["method_options"]["alpha"] == 2.0
    assert found["method_options"]["mix"] == "patch"


def test_a_text_may_hold_what_separates():
    with pytest.raises(SpecError, match="schedule is 'a=b', but must be one of"):
        fields(settings=["schedule=a=b"])


@pytest.mark.parametrize("setting", ["", "lr", "=3", "="])
def test_a_setting_without_name_and_value_is_told_with_one(setting):
    with pytest.raises(SpecError, match=rf"^--set takes key=value, not '{setting}'\.$") as caught:
        fields(settings=[setting])
    assert caught.value.hint == "For example --set lr=1e-4."


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["lr=fast"], "lr is 'fast', but must be a number"),
        (["alpha=-1"], "method patchmix-cl: alpha is -1.0, but must be at least 0"),
        (["seconds=nan"], "front-end ast: seconds is nan, but must be a finite number"),
        (["depth=0"], "model ast: depth is 0, but must be at least 1"),
        (["mix=words"], "mix is 'words', but must be one of"),
        (["model=ast"], "Unknown setting 'model'"),
        (["run_id=x"], "Unknown setting 'run_id'"),
    ],
)
def test_what_cannot_be_set_is_named_with_its_owner(settings, words):
    with pytest.raises(SpecError) as caught:
        fields(settings=settings)
    assert words in caught.value.message


def test_the_warm_up_of_a_recipe_is_no_longer_than_the_run():
    given = fields(settings=["warmup_epochs=10"])
    assert given["warmup_epochs"] == 10
    own = fields("demo")["warmup_epochs"]
    assert own == 2
    for epochs, warmup in ((1, 0), (2, 1), (3, 2), (50, 2)):
        assert fields("demo", settings=[f"epochs={epochs}"])["warmup_epochs"] == warmup
    both = fields(settings=["epochs=3", "warmup_epochs=3"])
    assert (both["epochs"], both["warmup_epochs"]) == (3, 3), "what the user wrote is judged, not changed"


@pytest.mark.parametrize("model", ["ast", "cnn6", "resnet18"])
def test_a_model_is_as_large_as_the_pictures_of_the_front_end(model):
    long, short = (fields(model=model, method="ce", settings=[f"seconds={seconds}"]) for seconds in (8, 2))
    if "frames" not in option_names(baselines.MODELS.card(model)):
        assert long["model_options"] == short["model_options"]
        return
    assert long["model_options"]["frames"] > 3 * short["model_options"]["frames"]
    own = fields(model=model, method="ce", settings=["seconds=2", "model.frames=512"])
    assert own["model_options"]["frames"] == 512


def test_the_same_request_gives_the_same_fields_and_keeps_the_cards():
    before = json.dumps(baselines.MODELS.card("ast").recipes, default=dict)
    first = fields(settings=["lr=0.5", "alpha=3"])
    assert fields(settings=["alpha=3", "lr=0.5"]) == first
    first["method_options"]["alpha"] = 9
    assert fields(settings=["lr=0.5", "alpha=3"])["method_options"]["alpha"] == 3.0
    assert json.dumps(baselines.MODELS.card("ast").recipes, default=dict) == before


def test_weights_by_another_name_choose_the_recipe_of_a_start():
    card = methods.METHODS.card("scl")
    scratch, pretrained = (card.recipe("paper", start).get("lr") for start in ("none", "imagenet"))
    assert scratch != pretrained
    for start, lr in (("none", scratch), ("imagenet", pretrained), ("/any/file.pth", pretrained)):
        assert fields(model="cnn6", method="scl", pretrain=start)["lr"] == lr


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "asst"}, "Unknown model 'asst': did you mean 'ast'?"),
        ({"method": "patchmix"}, "Unknown method 'patchmix': did you mean 'patchmix-c"),
        ({"frontend": "asd"}, "Unknown front-end 'asd': did you mean 'ast'?"),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest(changes, message):
    with pytest.raises(RegistryError) as caught:
        fields(**changes)
    assert message in caught.value.message


def test_a_method_of_patches_names_the_models_that_have_them():
    able = {entry.id for entry in baselines.MODELS if entry.card.patches}
    assert {"ast", "ast-small", "ast-tiny"} <= able
    for entry in baselines.MODELS:
        for method in methods.METHODS:
            if entry.card.patches or not method.card.needs_patches:
                check_pair(entry.card, method.card)
                continue
            with pytest.raises(SpecError, match=f"'{method.id}' mixes patches, but the model '{entry.id}'") as caught:
                check_pair(entry.card, method.card)
            named = caught.value.hint.removeprefix("Models that have: ").rstrip(".").split(", ")
            assert set(named) == able


# Data


@pytest.fixture
def no_data(tmp_path, monkeypatch):
    """A folder in which there are no data at the default place."""
    monkeypatch.delenv("BENCH_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("profile", "used"), [("auto", "demo"), ("demo", "demo"), ("paper", "paper")])
def test_the_simulated_set_can_be_asked_for_with_any_recipe(no_data, profile, used):
    assert choose_source(request(data="demo", profile=profile)) == DataSource(
        None, used, "the simulated set was asked for", "demo"
    )


@pytest.mark.parametrize("profile", ["auto", "demo"])
def test_without_data_the_simulated_set_is_used_and_the_reason_told(no_data, profile):
    source = choose_source(request(profile=profile))
    assert (source.folder, source.profile) == (None, "demo")
    assert source.reason == "no ICBHI data below data/icbhi, so the simulated set is used"


def test_without_data_a_paper_is_not_followed(no_data):
    with pytest.raises(DataError, match="The paper profile needs the ICBHI data, but there are none below") as caught:
        choose_source(request(profile="paper"))
    assert "--profile demo" in caught.value.hint


@pytest.mark.parametrize("profile", ["auto", "demo", "paper"])
def test_a_folder_that_was_named_is_never_replaced_by_another(no_data, profile):
    (no_data / "empty").mkdir()
    for name in ("empty", "absent", "./demo"):
        with pytest.raises(DataError, match="No ICBHI data below ") as caught:
            choose_source(request(data=name, profile=profile))
        assert "--data demo" in caught.value.hint
        assert caught.value.exit_code == 3


def test_a_folder_without_the_simulated_set_is_told_in_plain_words(no_data, tmp_path):
    with pytest.raises(DataError, match=r"^No simulated data below "):
        choose_source(request(data=str(tmp_path), dataset="demo"))


def test_real_data_mean_the_papers_recipes_and_simulated_ones_the_small(no_data, small_data):
    write_set(no_data / "data" / "icbhi")
    (no_data / "data" / "icbhi" / "SIMULATED.json").unlink()
    real = choose_source(request())
    assert (real.folder, real.profile) == (Path("data/icbhi"), "paper")
    assert real.reason == "data found in data/icbhi"
    assert choose_source(request(profile="demo")).profile == "demo"
    simulated = choose_source(request(data=str(small_data)))
    assert (simulated.folder, simulated.profile) == (small_data, "demo")
    assert choose_source(request(data=str(small_data), profile="paper")).profile == "paper"


def test_the_variable_names_the_default_place_and_a_flag_comes_before_it(no_data, small_data, monkeypatch):
    monkeypatch.setenv("BENCH_DATA", str(small_data))
    assert choose_source(request()).folder == small_data
    write_set(no_data / "mine")
    assert choose_source(request(data="mine")).folder == Path("mine")


@pytest.mark.parametrize("profile", ["papers", "", "Paper", "x" * 10_000])
def test_an_unknown_profile_is_told_before_any_folder_is_looked_into(profile):
    with pytest.raises(SpecError, match="Unknown profile '") as caught:
        choose_source(request(data="/absent", profile=profile))
    assert len(caught.value.message) < 200
