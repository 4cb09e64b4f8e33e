"""The spec: which fields make a run's identity, its known hashes, and its way to JSON and back."""

import dataclasses
import json
import os

import pytest
from pinned_specs import RECIPE_IDS, recipe_spec

from bench.core.errors import SpecError
from bench.core.fields import flat_fields
from bench.core.files import write_json
from bench.core.options import check_value
from bench.experiment.judgement import judge
from bench.experiment.registries import registries
from bench.experiment.spec import NUMERICS, RunSpec, check_field, fields_with_role, read_spec, settable_fields
from bench.experiment.spec_documents import DOCUMENT_LIMIT

BASE = {
    "model": "ast",
    "model_options": {"depth": 12},
    "pretrain": "none",
    "method": "patchmix-cl",
    "method_options": {"alpha": 1.0, "tau": 0.06},
    "frontend": "ast",
    "frontend_version": 1,
    "frontend_options": {"seconds": 8.0},
    "dataset": "icbhi",
    "data_fingerprint": "f" * 64,
}


def spec(**changes):
    return RunSpec.of(**{**BASE, **changes})


def test_known_run_id():
    """A change of this hash means that finished runs are no longer found: raise NUMERICS on purpose instead."""
    assert spec().run_id == "0f3b7557d99fd854"


HASH = "a" * 64
KNOWN_IDS = [
    ({}, "0f3b7557d99fd854"),
    ({"seed": 2}, "f7fae035e18215de"),
    ({"seed": 4294967295}, "1d45be21499b66ae"),
    ({"epochs": 14, "batch": 16, "warmup_epochs": 2}, "48a8364af8fa4f66"),
    ({"lr": 0.001}, "c962a3f13be0398d"),
    ({"lr": 1e-12}, "e7359dfa69ded4a3"),
    ({"weight_decay": 0.0}, "e32bdd4de92a8357"),
    ({"precision": "bf16"}, "2ae0ab2721193425"),
    ({"precision": "fp16"}, "36701c694d91c8dc"),
    ({"schedule": "steps", "milestones": "120,160", "lr_decay": 0.5}, "5fa7b6f3e9ad10c1"),
    ({"schedule": "wave", "lr_period": 10, "lr_floor": 1e-07}, "db4190bd45ad1d9b"),
    ({"pretrain": "imagenet+audioset", "weights_sha256": HASH}, "d9392c6099d83d41"),
    ({"pretrain": "file", "weights_sha256": HASH}, "8b78b96f48847e2a"),
    ({"model": "timm:convnext_tiny", "model_options": {"stem": "sum", "frames": 798, "mels": 128}}, "7a7e352fdf6c80bb"),
    (
        {
            "model": "cnn6",
            "model_options": {"orientation": "mel-time"},
            "frontend": "scl",
            "frontend_options": {"seconds": 8.0, "normalise": "cycle", "evaluation_batch": 128},
        },
        "2f6bb6286c0bddfb",
    ),
    ({"method": "ce", "method_options": {"weighted": True}}, "1eb41064f412f5b4"),
    (
        {
            "method": "scl",
            "method_options": {
                "tau": 0.06,
                "projector_dim": 128,
                "probe_epochs": 50,
                "probe_lr": 0.1,
                "probe_weight_decay": 0.0001,
                "weighted": True,
            },
        },
        "a76bf721dc620693",
    ),
    ({"dataset": "demo", "data_fingerprint": "0" * 64}, "4c8d065fe81f5aa0"),
    ({"partial": "partial (198 of 920)"}, "650bc3aef9bfbe97"),
    ({"split": "training-fold-1-of-5"}, "0e961ff9c493dfd6"),
    ({"val_fraction": 0.2}, "d9ddff7b26eb9845"),
    ({"extensions": {"method": "sha256:0123456789abcdef"}}, "01147338c544cdf4"),
    ({"extensions": {"model": "my-package==1.0"}}, "d26f7346eb3229ff"),
    ({"time_shift": True, "specaug_probability": 0.0}, "44da7362b51d40ed"),
    ({"specaug_fill": "lowest", "specaug_together": True, "specaug_freq_width": 20}, "a28a27d79094fa6c"),
    ({"step_average": 0.0, "best_min_se": 0.0}, "564e6710b3bf4990"),
    ({"method_options": {}, "model_options": {}}, "e819f15bd6fd34f3"),
]


@pytest.mark.parametrize(("changes", "run_id"), KNOWN_IDS)
def test_run_ids_of_finished_runs_stay_what_they_are(changes, run_id):
    assert spec(**changes).run_id == run_id
    assert RunSpec.from_json(json.loads(json.dumps(spec(**changes).to_json()))).run_id == run_id


@pytest.mark.parametrize(("model", "method", "profile", "run_id"), RECIPE_IDS)
def test_run_ids_of_recipes_stay_what_they_are(model, method, profile, run_id):
    assert recipe_spec(model, method, profile).run_id == run_id


def test_every_model_and_every_method_has_a_recipe_whose_id_is_pinned():
    pinned = registries()["model"], {row[0].partition(":")[0] for row in RECIPE_IDS}
    assert {entry.id for entry in pinned[0]} | {family.prefix for family in pinned[0].families} == pinned[1]
    assert {entry.id for entry in registries()["method"]} == {row[1] for row in RECIPE_IDS}
    assert len({row[3] for row in RECIPE_IDS}) == len(RECIPE_IDS) > 20


@pytest.mark.parametrize(
    "change",
    [
        {"device": "cuda"},
        {"processes": 8},
        {"workers": 4},
        {"eval_batch": 5},
        {"data": "/elsewhere"},
        {"cache": "/elsewhere"},
        {"weights": "/elsewhere/file.pth"},
        {"profile": "demo"},
    ],
)
def test_execution_does_not_move_the_run_id(change):
    assert spec(**change).run_id == spec().run_id


@pytest.mark.parametrize("field", fields_with_role("identity"))
def test_every_identity_field_moves_the_run_id(field):
    value = spec().flat()[field]
    if isinstance(value, dict):
        other = {**value, "new": 1}
    elif isinstance(value, bool):
        other = not value
    elif isinstance(value, int | float):
        other = value + 1
    else:
        other = f"{value}x"
    assert spec(**{field: other}).run_id != spec().run_id


def test_every_field_has_a_role_and_a_doc():
    for name, (_, field) in flat_fields(RunSpec).items():
        assert field.metadata["role"] in ("identity", "execution"), name
        assert field.metadata["doc"], name


def test_json_round_trip(tmp_path):
    write_json(tmp_path / "spec.json", spec(seed=7).to_json())
    assert read_spec(tmp_path / "spec.json") == spec(seed=7)


def test_unknown_field_in_a_spec_file_is_refused_with_a_suggestion(tmp_path):
    document = spec().to_json()
    document["identity"]["epoch"] = 3
    write_json(tmp_path / "spec.json", document)
    with pytest.raises(SpecError, match=r"Unknown field 'epoch'.*did you mean 'epochs'"):
        read_spec(tmp_path / "spec.json")


@pytest.mark.parametrize("text", ["not json", "[]", "{}"])
def test_a_file_that_is_no_spec_is_refused(tmp_path, text):
    (tmp_path / "spec.json").write_text(text)
    with pytest.raises(SpecError, match="spec"):
        read_spec(tmp_path / "spec.json")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("epochs", "0", "epochs is 0, but must be at least 1"),
        ("epochs", "2.5", "whole number"),
        ("lr", "-1", "must be at least"),
        ("lr", "fast", "must be a number"),
        ("lr", "nan", "finite"),
        ("val_fraction", "0.9", "at most 0.5"),
        ("time_shift", "maybe", "true or false"),
        ("precision", "fp8", "one of fp32"),
    ],
)
def test_bad_values_are_named(name, value, message):
    with pytest.raises(SpecError, match=message):
        check_field(name, value)


def test_identity_that_is_derived_cannot_be_set():
    for name in ("model", "data_fingerprint", "numerics", "dataset", "partial", "weights_sha256"):
        assert name not in settable_fields()


# Numbers as text

STRANGE_NUMBERS = ("1_0", "\u0663", "\uff11", "0x10", "1e1000", "1,5", "\u00a010", "", "- 1", "1e400", "++1", "--1")


@pytest.mark.parametrize("text", STRANGE_NUMBERS)
@pytest.mark.parametrize("name", ["epochs", "lr", "seed"])
def test_text_that_only_python_takes_for_a_number_is_refused(name, text):
    with pytest.raises(SpecError, match=f"^{name} is .*must be"):
        check_field(name, text)


@pytest.mark.parametrize("text", ["\uff11", "\u0661", "on", "2", ""])
def test_text_that_is_no_switch_is_refused(text):
    with pytest.raises(SpecError, match="must be true or false"):
        check_field("time_shift", text)


@pytest.mark.parametrize("value", [10**20, -(10**20)])
def test_whole_numbers_have_64_bits(value):
    with pytest.raises(SpecError, match="64 bits"):
        check_value(value, int, "x", {})
    with pytest.raises(SpecError, match="64 bits"):
        check_value(str(value), int, "x", {})


def test_a_long_word_is_echoed_in_part():
    with pytest.raises(SpecError) as caught:
        check_field("epochs", "9" * 100_000)
    assert len(caught.value.message) < 200


def test_every_number_has_both_bounds_or_says_why_not():
    fields = [(name, field) for name, field in settable_fields().items()]
    for registry in registries().values():
        fields += [(f"{item.id}.{f.name}", f) for item in registry for f in dataclasses.fields(item.card.options)]
        for family in registry.families:
            fields += [(f"{family.prefix}:.{f.name}", f) for f in dataclasses.fields(family.options)]
    numbers = [(name, field) for name, field in fields if type(field.default) in (int, float)]
    assert len(numbers) > 60
    for name, field in numbers:
        limits = field.metadata
        bounded = limits.get("low") is not None and limits.get("high") is not None
        assert bounded or limits.get("boundless"), name


# Documents from outside

AST = {"embed_dim": 64, "depth": 2, "heads": 2}
SOUND = {
    "model": "ast",
    "model_options": AST,
    "pretrain": "none",
    "method": "patchmix-cl",
    "method_options": {"alpha": 1.0, "mix": "patch"},
    "frontend": "ast",
    "frontend_version": 1,
    "frontend_options": {"seconds": 4.0},
    "dataset": "icbhi",
    "data_fingerprint": "f" * 64,
}


def identity(**changes):
    return {**spec(**SOUND).identity(), **changes}


def nested(levels):
    return {"name": nested(levels - 1)} if levels else 1


WRONG_FIELDS = [
    ({"batch": -8}, "batch is -8, but must be at least 1"),
    ({"batch": "8"}, "batch is '8', but must be a whole number"),
    ({"batch": True}, "batch is True, but must be a whole number"),
    ({"batch": 8.0}, "batch is 8.0, but must be a whole number"),
    ({"batch": None}, "batch is None, but must be a whole number"),
    ({"batch": 10**11}, "must be at most"),
    ({"epochs": 10**20}, "must be at most"),
    ({"time_shift": 1}, "time_shift is 1, but must be true or false"),
    ({"lr": float("nan")}, "lr is nan, but must be a finite number"),
    ({"lr": float("inf")}, "lr is inf, but must be a finite number"),
    ({"lr": "fast"}, "lr is 'fast', but must be a number"),
    ({"lr": [1.0]}, "but must be a number"),
    ({"seed": 2**63}, "must be at most"),
    ({"precision": "int8"}, "precision is 'int8', but must be one of fp32"),
    ({"precision": "auto"}, "precision is 'auto', but must be one of fp32"),
    ({"dataset": "esc50"}, "dataset is 'esc50', but must be one of icbhi,"),
    ({"numerics": "1"}, "numerics is '1', but must be a whole number"),
    ({"numerics": 0}, "numerics is 0, but must be at least 1"),
    ({"model": "a\x1b[2J"}, "control characters"),
    ({"model": "\udcff"}, "not UTF-8"),
    ({"model": "a" * 5000}, "has 5000 characters, but must have at most 4096"),
    ({"model": ["ast"]}, "model is .* but must be text"),
    ({"weights_sha256": "f" * 63}, "64 hexadecimal digits"),
    ({"weights_sha256": HASH}, "pretrain is 'none', but the spec has a weights_sha256"),
    ({"pretrain": "imagenet"}, "pretrain is 'imagenet', but the spec has no weights_sha256"),
    ({"data_fingerprint": "f"}, "64 hexadecimal digits"),
    ({"partial": "almost all"}, "partial is 'almost all'"),
    ({"split": "random"}, "split is 'random'"),
    ({"split": "training-fold-\u0663-of-\u0665"}, "split is"),
    ({"method_options": []}, "must be an object"),
    ({"method_options": {"alfa": 1.0}}, "Unknown option 'alfa' for method patchmix-cl: did you mean 'alpha'"),
    ({"method_options": {"alpha": "1"}}, "alpha is '1', but must be a number"),
    ({"method_options": {"alpha": -1.0}}, "alpha is -1.0, but must be at least 0"),
    ({"method_options": {"mix": "words"}}, "mix is 'words', but must be one of"),
    ({"method_options": {"alpha": {"a": 1}}}, "must be a number, a text, true or false"),
    ({"model_options": {**AST, "heads": 10**9}}, "heads is 1000000000, but must be at most"),
    ({"model": "timm:convnext_tiny", "model_options": {"stem": "cut"}}, "stem is 'cut', but must be one of"),
    ({"frontend_options": {"seconds": 1e9}}, "seconds is 1000000000.0, but must be at most"),
    ({"extensions": {"method": 3}}, "must be a text"),
    ({"extensions": {"optimiser": "x"}}, "extensions names 'optimiser'"),
    ({"epoch": 3}, "Unknown field 'epoch' in the spec: did you mean 'epochs'"),
    ({"model_options": {f"o{number}": 1 for number in range(2000)}}, "at most 1000"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG_FIELDS)
def test_a_judge_names_what_no_run_can_have(changes, message):
    with pytest.raises(SpecError, match=message):
        judge(identity(**changes))


def test_a_judge_names_what_is_missing():
    document = identity()
    del document["model"]
    with pytest.raises(SpecError, match="lacks 'model'"):
        judge(document)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"numerics": NUMERICS + 98},
        {"precision": "fp16"},
        {"method_options": {"beta": 0.0}},
        {"frontend_version": 7, "frontend_options": {"hops": 3}},
        {"model": "of-a-later-version", "model_options": {"anything": 3, "else": "x"}},
        {"model": "timm:of_a_later_timm", "model_options": {"stem": "sum"}},
        {"method": "mine", "method_options": {"x": 1}, "extensions": {"method": "sha256:0123456789abcdef"}},
        {"method": "mine", "method_options": {"x": 1}, "extensions": {"method": "my-package==1.0"}},
    ],
)
def test_a_judge_keeps_runs_whose_code_is_not_here(changes):
    judge(identity(**changes))


WRONG_EXECUTION = [
    ({"processes": 0}, "processes is 0"),
    ({"processes": 10**9}, "must be at most"),
    ({"workers": -1}, "workers is -1"),
    ({"device": "tpu"}, "device is 'tpu'"),
    ({"plugins": "/dev/zero"}, "must be a list of texts"),
    ({"plugins": ["a\nb"]}, "control characters"),
    ({"data": "/data/\udcff"}, "not UTF-8"),
    ({"study": {"name": "x"}}, "must have a name, an objective and a role"),
    ({"study": {"name": "x", "objective": "test", "role": "king"}}, "role is 'king'"),
    ({"study": {"name": "x", "objective": "test", "role": "trial", "more": nested(20)}}, "levels deep"),
    ({"colour": "red"}, "Unknown field 'colour'"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG_EXECUTION)
def test_execution_fields_are_judged_too(changes, message):
    document = spec().to_json()
    document["execution"].update(changes)
    with pytest.raises(SpecError, match=message):
        RunSpec.from_json(document)


@pytest.mark.parametrize("part", [None, [], "ast", {"identity": []}, {"identity": {}, "execution": 3}, {"other": {}}])
def test_a_document_of_another_form_is_refused(part):
    with pytest.raises(SpecError, match=r"holds no run spec|must be an object|lacks"):
        RunSpec.from_json(part)


def test_a_run_id_must_be_that_of_its_fields():
    document = spec().to_json()
    assert RunSpec.from_json({**document, "run_id": spec().run_id}) == spec()
    with pytest.raises(SpecError, match="run id is '0000000000000000', but that of its fields is"):
        RunSpec.from_json({**document, "run_id": "0" * 16})


BROKEN_FILES = {
    "nan": (b'{"identity": {"lr": NaN}}', "is nan"),
    "infinity": (b'{"identity": {"lr": -Infinity}}', "is -inf"),
    "twice": (b'{"identity": {"lr": 1.0, "lr": 2.0}}', "names 'lr' twice"),
    "deep": (b"[" * 100_000, "nested too deeply"),
    "large": (b'{"identity": "' + b"a" * DOCUMENT_LIMIT + b'"}', "which such a file never has"),
    "digits": (b'{"identity": {"seed": ' + b"9" * 5000 + b"}}", "limit"),
    "latin-1": (b'{"identity": {"model": "\xe9"}}', "utf-8"),
    "empty": (b"", "Expecting value"),
}


@pytest.mark.parametrize(("content", "message"), BROKEN_FILES.values(), ids=BROKEN_FILES)
def test_a_file_that_is_no_strict_json_is_refused(tmp_path, content, message):
    (tmp_path / "spec.json").write_bytes(content)
    with pytest.raises(SpecError, match=message) as caught:
        read_spec(tmp_path / "spec.json")
    assert len(caught.value.message) < 300 + len(str(tmp_path))


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null", "pipe", "."])
def test_only_regular_files_are_read(tmp_path, name):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SpecError, match=r"a pipe or a device, no file|it is a folder"):
        read_spec(tmp_path / name)


# Parts and the flat form


def test_a_part_is_read_by_its_flat_names_too():
    made = spec(lr=0.25, epochs=7, batch=12, sampler="weighted", processes=2)
    assert (made.lr, made.epochs, made.batch, made.sampler, made.processes) == (0.25, 7, 12, "weighted", 2)
    assert (made.optim.lr, made.schedule.epochs, made.sampling.batch) == (0.25, 7, 12)
    # The part and its law share a name: the part is what is read.
    assert made.schedule.law == made.flat()["schedule"] == "cosine"


def test_a_name_that_is_no_field_is_no_attribute():
    with pytest.raises(AttributeError, match="no field 'epoch'"):
        _ = spec().epoch
    assert not hasattr(spec(), "_ipython_display_")


def test_the_flat_form_makes_the_same_spec():
    made = spec(lr=0.25, nesterov=True, micro_batch=3)
    assert RunSpec.of(**made.flat()) == made
    assert made.changed(lr=0.5).changed(lr=0.25) == made
    assert made.changed(lr=0.5).flat() == {**made.flat(), "lr": 0.5}


def test_a_field_that_there_is_none_of_is_refused():
    with pytest.raises(TypeError, match="no field 'epoch'"):
        spec().changed(epoch=3)


def test_a_spec_can_be_copied_and_sent_to_another_process():
    import copy
    import pickle

    made = spec(lr=0.25)
    assert copy.deepcopy(made) == pickle.loads(pickle.dumps(made)) == made
