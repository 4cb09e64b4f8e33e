"""Composite systems as files and cards: what they may say, and the runs that they ask for."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from bench.core.cards import CompositeCard, PartCard
from bench.core.errors import RegistryError, SpecError
from bench.core.registry import Registration
from bench.experiment.composite_files import read_composite
from bench.experiment.composites import check_card, part_requests, resolve_composite, training_order
from bench.experiment.recipes import DataSource
from bench.experiment.systems import find_system
from tests.support.plugin_files import fresh_registries, write_plugin
from tests.support.small_data import write_small_data

FILE = """
name = "fusion"
combine = "product"

[parts.high]
model = "ast"
method = "ce"
frontend = "ast"
settings = { embed_dim = 16, depth = 1, heads = 2, frontend.seconds = 1.0, batch = 4, specaug_probability = 0.0 }

[parts.low]
model = "ast"
method = "patchmix-cl"
init_from = "part:high:last"

[parts.low.settings]
embed_dim = 16
depth = 1
heads = 2
"frontend.seconds" = 1.0
batch = 4
specaug_probability = 0.0
alpha = 0.5
"""


def written(tmp_path, text=FILE):
    path = tmp_path / "fusion.toml"
    path.write_text(text)
    return path


def asked(cache, **more):
    return {"data": "unused", "cache": cache, "device": "cpu", **more}


@pytest.fixture(scope="module")
def two_devices(tmp_path_factory):
    return write_small_data(tmp_path_factory.mktemp("devices") / "data", devices=("Meditron", "AKGC417L"))


def source(folder):
    return DataSource(folder, "demo", "a test", "demo")


def test_a_file_is_read_as_a_card(tmp_path):
    card = read_composite(written(tmp_path))
    assert (card.id, card.combine, list(card.parts)) == ("fusion", "product", ["high", "low"])
    assert card.parts["high"].settings["frontend.seconds"] == 1.0
    assert card.parts["low"].settings["alpha"] == 0.5
    assert card.parts["low"].init_from == "part:high:last"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('name = "fusion"', "", "lacks 'name'"),
        ('combine = "product"', "combine = 3", "combine is 3, but must be a text"),
        ('combine = "product"', 'combin = "product"', "unknown key 'combin': did you mean 'combine'?"),
        ('method = "ce"', "", "part 'high' lacks 'method'"),
        ('method = "ce"', 'method = "ce"\nepochs = 3', "part 'high': unknown key 'epochs'"),
        ("alpha = 0.5", "alpha = [1]", r"part 'low': alpha is \[1\], but must be a number"),
        ("[parts.high]", "[parts.high", "is no TOML"),
        ("alpha = 0.5", "alpha = " + "9" * 5000, "is no TOML: Exceeds the limit"),
        ("alpha = 0.5", "alpha = " + "[" * 10_000, "is no TOML: maximum recursion depth exceeded"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, old, new, sentence):
    with pytest.raises(SpecError, match=sentence):
        read_composite(written(tmp_path, FILE.replace(old, new, 1)))


def test_the_files_and_the_card_of_the_page_are_sound(tmp_path):
    page = (Path(__file__).resolve().parents[3] / "docs" / "composites.md").read_text(encoding="utf-8")
    texts = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert len(texts) == 2
    for text in texts:
        check_card(read_composite(written(tmp_path, text)))
    *_, code = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    with fresh_registries():
        check_card(find_system("two-nets", [write_plugin(tmp_path / "two_nets.py", code)]))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"nothing\.toml"):
        read_composite(tmp_path / "nothing.toml")


# --- cards ------------------------------------------------------------------------------------------------------


def card(combine="product", **parts):
    made = {name: PartCard(**{"model": "ast", "method": "ce", **fields}) for name, fields in parts.items()}
    return CompositeCard(id="fusion", title="Fusion", summary="", combine=combine, parts=made)


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (card(a={}), "has 1 part"),
        (card("vote", a={}, b={}), "Unknown combination 'vote'"),
        (card(method={}, b={}), "No part can be called 'method'"),
        (card(optim={}, b={}), "No part can be called 'optim'"),
        (card(A={}, b={}), "The part's name 'A' must be"),
        (card(a={"device": "Meditron"}, b={}), "The part 'a' serves a device, but the combination is product"),
        (card("route:device", a={"device": "Meditron"}, b={}), "The part 'b' serves no device"),
        (card("route:device", a={"device": "X"}, b={"device": "X"}), "Several parts serve the device 'X'"),
        (card("route:device", a={"default": True}, b={"default": True}), "Several parts are the default: a, b"),
        (card(a={"init_from": "b:last"}, b={}), "must be like part:NAME:last"),
        (card(a={"init_from": "part:c:last"}, b={}), "starts from the part 'c'"),
        (
            card(a={"init_from": "part:b:last"}, b={"init_from": "part:a:last"}),
            "Parts start from one another in a circle: a from b from a",
        ),
    ],
)
def test_a_card_that_cannot_be_is_refused(made, sentence):
    with pytest.raises(SpecError, match=sentence):
        check_card(made)


def test_parts_are_trained_after_what_they_start_from():
    made = card(c={"init_from": "part:b:last"}, a={}, b={"init_from": "part:a:stage-1"})
    assert training_order(made) == ["a", "b", "c"]


def test_settings_reach_all_parts_or_one(tmp_path):
    made = card(a={"settings": {"lr": 1e-3, "epochs": 9}}, b={})
    words = asked(tmp_path, settings=["b.lr=1e-5", "batch=4"], fields={"epochs": 2, "a.warmup_epochs": 1})
    found = part_requests(made, words)
    assert found["a"].settings == ["batch=4"]
    assert found["b"].settings == ["lr=1e-5", "batch=4"]
    assert found["a"].fields == {"lr": 1e-3, "epochs": 2, "warmup_epochs": 1}
    assert found["b"].fields == {"epochs": 2}


def test_the_device_of_a_part_is_what_it_is_trained_on(tmp_path):
    made = card(
        "route:device",
        a={"device": "Meditron"},
        b={"device": "AKGC417L", "settings": {"sampling.train_device": ""}},
        c={"default": True},
    )
    fields = {name: dict(request.fields) for name, request in part_requests(made, asked(tmp_path)).items()}
    assert fields == {"a": {"train_device": "Meditron"}, "b": {"sampling.train_device": ""}, "c": {}}


# --- complete specs ---------------------------------------------------------------------------------------------


def test_each_seed_is_one_composite_of_runs_with_that_seed(tmp_path, small_data, small_cache):
    made = read_composite(written(tmp_path))
    one, two = resolve_composite(made, asked(small_cache, fields={"epochs": 1}), source(small_data), [1, 2])
    assert [part.spec.seed for part in (*one.parts, *two.parts)] == [1, 1, 2, 2]
    assert one.run_id != two.run_id
    # Without the seed they are one system, although their parts start from other runs.
    assert [part.system for part in one.parts] == [part.system for part in two.parts]
    high, low = one.parts
    assert low.spec.init_from == f"{high.spec.run_id}:last"
    assert {part.spec.part_of for part in one.parts} == {"fusion"}


def test_the_id_of_a_part_is_that_of_the_run_by_itself(tmp_path, small_data, small_cache):
    high = resolve_composite(read_composite(written(tmp_path)), asked(small_cache), source(small_data), [1])[0].parts[0]
    assert high.spec.run_id == high.spec.changed(part_of="").run_id
    assert "part_of" not in high.spec.changed(part_of="").to_json()["execution"]


def test_the_order_of_the_parts_does_not_change_the_id(tmp_path, small_data, small_cache):
    made = dataclasses.replace(read_composite(written(tmp_path)))
    turned = dataclasses.replace(made, parts=dict(reversed(made.parts.items())))
    [one] = resolve_composite(made, asked(small_cache), source(small_data), [1])
    [other] = resolve_composite(turned, asked(small_cache), source(small_data), [1])
    assert one.run_id == other.run_id
    [mean] = resolve_composite(dataclasses.replace(made, combine="mean"), asked(small_cache), source(small_data), [1])
    assert mean.run_id != one.run_id


def test_the_error_of_a_part_names_it(tmp_path, small_data, small_cache):
    made = read_composite(written(tmp_path))
    with pytest.raises(SpecError, match="Part 'high': Unknown setting 'alpha'"):
        resolve_composite(made, asked(small_cache, settings=["alpha=1"]), source(small_data), [1])


def test_a_seed_among_the_settings_is_refused(tmp_path, small_data, small_cache):
    made = read_composite(written(tmp_path, FILE.replace("alpha = 0.5", "seed = 4")))
    with pytest.raises(SpecError, match="Part 'low': The seed is no setting"):
        resolve_composite(made, asked(small_cache), source(small_data), [1])


def test_two_parts_that_are_one_run_are_refused(small_data, small_cache):
    with pytest.raises(SpecError, match="The parts a, b are one and the same run"):
        resolve_composite(card(a={}, b={}), asked(small_cache), source(small_data), [1])


def test_a_device_that_no_part_serves_is_an_error_before_the_training(two_devices, small_cache):
    lacking = card("route:device", a={"device": "Meditron"}, b={"device": "AKGC417"})
    with pytest.raises(SpecError, match="The part 'b' serves the device 'AKGC417': did you mean 'AKGC417L'"):
        resolve_composite(lacking, asked(small_cache), source(two_devices), [1])
    write = card("route:device", a={"device": "Meditron", "default": True}, b={"device": "AKGC417L"})
    assert resolve_composite(write, asked(small_cache), source(two_devices), [1])


def test_a_part_may_stand_for_one_of_each_device_of_the_data(two_devices, small_cache):
    experts = {"init_from": "part:common:last", "each_device": True, "settings": {"epochs": 1}}
    made = card("route:device", common={"default": True}, expert=experts)
    [found] = resolve_composite(made, asked(small_cache), source(two_devices), [1])
    assert [(part.name, part.device, part.default) for part in found.parts] == [
        ("common", None, True),
        ("expert-akgc417l", "AKGC417L", False),
        ("expert-meditron", "Meditron", False),
    ]
    assert [part.spec.sampling.train_device for part in found.parts] == ["", "AKGC417L", "Meditron"]
    assert {part.start for part in found.parts[1:]} == {("common", "last")}


@pytest.mark.parametrize("how", ["fields", "settings"])
def test_what_is_set_for_a_part_reaches_each_device_that_it_stands_for(two_devices, small_cache, how):
    made = card("route:device", common={"default": True}, expert={"each_device": True, "settings": {"epochs": 1}})

    def epochs(**words):
        given = words if how == "fields" else [f"{name}={value}" for name, value in words.items()]
        [found] = resolve_composite(made, {**asked(small_cache), how: given}, source(two_devices), [1])
        return {part.name: part.spec.epochs for part in found.parts}

    assert epochs(**{"common.epochs": 3}) == {"common": 3, "expert-akgc417l": 1, "expert-meditron": 1}
    all_but_common = epochs(**{"common.epochs": 3, "expert.epochs": 2})
    assert all_but_common == {"common": 3, "expert-akgc417l": 2, "expert-meditron": 2}
    one = epochs(**{"common.epochs": 3, "expert.epochs": 2, "expert-meditron.epochs": 4})
    assert one == {"common": 3, "expert-akgc417l": 2, "expert-meditron": 4}
    with pytest.raises(SpecError, match=r"expert-litt3200\.epochs"):
        epochs(**{"expert-litt3200.epochs": 2})


def test_parts_that_all_stand_for_several_are_refused():
    with pytest.raises(SpecError, match=r"Each part of the composite .* stands for several, one for each device"):
        check_card(card("route:device", a={"each_device": True}, b={"each_device": True}))


def test_a_test_cycle_without_a_part_is_an_error(tmp_path, small_cache):
    data = write_small_data(tmp_path / "data", devices=("Meditron", "AKGC417L", "LittC2SE"))
    made = card("route:device", a={"device": "Meditron"}, b={"device": "AKGC417L"})
    with pytest.raises(SpecError, match="No part serves the device LittC2SE, but test cycles were recorded with it"):
        resolve_composite(made, asked(small_cache), source(data), [1])


# --- the registry -----------------------------------------------------------------------------------------------

PLUGIN = """
from bench.plugins import CompositeCard, PartCard, Registration

parts = {"a": PartCard(model="ast", method="ce"), "b": PartCard(model="ast", method="patchmix-cl")}
mine = Registration(CompositeCard(id="mine", title="Mine", summary="Two nets.", combine="mean", parts=parts))
"""


def test_a_plug_in_brings_a_system(tmp_path):
    with fresh_registries():
        found = find_system("mine", [write_plugin(tmp_path / "mine.py", PLUGIN)])
        assert (found.combine, list(found.parts)) == ("mean", ["a", "b"])
        with pytest.raises(RegistryError, match="Unknown system 'min': did you mean 'mine'"):
            find_system("min", [])


def test_a_composite_has_no_builder():
    with pytest.raises(RegistryError, match="The composite 'fusion' has a builder, but its card says all"):
        Registration(card(a={}, b={}), "module:builder")
