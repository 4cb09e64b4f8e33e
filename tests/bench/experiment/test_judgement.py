"""What a spec must be to be run here: whole, of this code, and of parts that go together, with limits on both sides."""

from __future__ import annotations

import dataclasses
import json

import pytest
from pinned_specs import RECIPE_IDS, recipe_spec

from bench.core.errors import SpecError
from bench.data.frontends import FRONTENDS
from bench.experiment.judgement import check_combinations, check_start_of, judge, judge_options
from bench.experiment.recipes import check_spec
from bench.experiment.spec import NUMERICS, OWNERS

HASH = "a" * 64


def spec(**changes):
    return recipe_spec("ast", "patchmix-cl", "demo", **changes)


@pytest.mark.parametrize(("model", "method", "profile"), [row[:3] for row in RECIPE_IDS])
def test_every_recipe_is_sound_and_can_be_run(model, method, profile):
    made = recipe_spec(model, method, profile)
    judge(made.identity())
    check_combinations(made if made.weights_sha256 is None else dataclasses.replace(made, weights="/weights.pth"))


def test_a_judgement_survives_the_way_through_a_file():
    document = json.loads(json.dumps(spec().to_json()))
    judge(document["identity"])
    with pytest.raises(SpecError, match="The spec is no object"):
        judge([document])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pretrain": "none", "weights_sha256": HASH}, "pretrain is 'none', but the spec has a weights_sha256"),
        ({"pretrain": "file", "weights_sha256": None}, "pretrain is 'file', but the spec has no weights_sha256"),
        ({"extensions": {"data": "x==1"}}, "extensions names 'data', but must name model, method, frontend"),
    ],
)
def test_what_a_spec_says_of_its_start_must_be_whole(changes, words):
    with pytest.raises(SpecError) as caught:
        check_start_of(spec(**changes))
    assert words in caught.value.message
    assert caught.value.hint == "Use the spec.json of a run folder as it is."


def test_a_whole_start_is_taken():
    check_start_of(spec())
    check_start_of(spec(pretrain="file", weights_sha256=HASH, extensions=dict.fromkeys(OWNERS, "x==1")))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"weights": "/w.pth"}, "pretrain is 'none', but the spec names a file of weights"),
        ({"pretrain": "imagenet", "weights_sha256": HASH}, "pretrain is 'imagenet', but the spec names no file of"),
    ],
)
def test_a_new_run_must_know_where_its_weights_are(changes, said):
    judge(spec(**changes).identity())
    with pytest.raises(SpecError, match=said):
        check_combinations(spec(**changes))


@pytest.mark.parametrize("numerics", [NUMERICS + 1, NUMERICS + 98])
def test_a_spec_of_other_numerics_is_kept_and_not_run(numerics):
    judge(spec(numerics=numerics).identity())
    with pytest.raises(SpecError, match=f"of numerics {numerics}, but the code here is of {NUMERICS}") as caught:
        check_combinations(spec(numerics=numerics))
    assert "start a new run" in caught.value.hint


def test_a_spec_of_another_front_end_version_is_kept_and_not_run():
    here = FRONTENDS.card("ast").version
    later = spec(frontend_version=here + 1)
    judge(later.identity())
    with pytest.raises(SpecError, match=f"for version {here + 1} of the front-end ast, but the one here is {here}"):
        check_combinations(later)


@pytest.mark.parametrize(("batch", "processes"), [(8, 1), (8, 2), (8, 8), (9, 3), (1, 1)])
def test_a_batch_that_divides_is_taken(batch, processes):
    check_combinations(spec(batch=batch, processes=processes))


@pytest.mark.parametrize(
    ("batch", "processes", "nearest"), [(8, 3, 6), (7, 2, 6), (1, 2, 2), (3, 8, 8), (1023, 1024, 1024)]
)
def test_a_batch_that_does_not_divide_is_told_with_one_that_does(batch, processes, nearest):
    with pytest.raises(SpecError, match=f"batch of {batch} does not divide among {processes} processes") as caught:
        check_combinations(spec(batch=batch, processes=processes))
    assert f"--set batch={nearest} " in caught.value.hint
    check_combinations(spec(batch=nearest, processes=processes))


@pytest.mark.parametrize(("warmup", "epochs", "fits"), [(0, 1, True), (1, 2, True), (1, 1, False), (5, 3, False)])
def test_the_warm_up_ends_before_the_run(warmup, epochs, fits):
    made = spec(warmup_epochs=warmup, epochs=epochs, schedule="constant")
    if fits:
        check_combinations(made)
        return
    with pytest.raises(SpecError, match=rf"warmup_epochs is {warmup}, but must be below epochs \({epochs}\)"):
        check_combinations(made)


@pytest.mark.parametrize("schedule", ["wave", "cosine", "constant"])
@pytest.mark.parametrize(("floor", "fits"), [(0.0, True), (1e-4, True), (2e-4, False)])
def test_the_floor_of_a_wave_is_no_higher_than_its_top(schedule, floor, fits):
    made = spec(schedule=schedule, lr=1e-4, lr_floor=floor, warmup_epochs=0)
    if fits or schedule != "wave":
        check_combinations(made)
        return
    with pytest.raises(SpecError, match=r"lr_floor is 0\.0002, but must be at most lr \(0\.0001\)"):
        check_combinations(made)


def frames_and_mels(made):
    return FRONTENDS.card("ast").options(**made.frontend_options).shape[-2:]


@pytest.mark.parametrize("axis", ["time", "freq"])
def test_a_mask_is_no_wider_than_the_picture(axis):
    size = frames_and_mels(spec())[0 if axis == "time" else 1]
    words = "frames" if axis == "time" else "mel bins"
    width = f"specaug_{axis}_width"
    # The widest mask that is drawn has one less than the width.
    for value in (size, size + 1):
        check_combinations(spec(specaug_probability=0.5, **{width: value}))
    with pytest.raises(SpecError, match=f"masks up to {size + 1} {words}, but the spectrogram has {size}") as caught:
        check_combinations(spec(specaug_probability=0.5, **{width: size + 2}))
    assert f"--set {width}={size} or less" in caught.value.hint
    check_combinations(spec(specaug_probability=0.0, **{width: size + 2}))


def test_options_are_judged_where_their_code_is_here():
    odd = spec(method_options={"alpha": -1.0})
    with pytest.raises(SpecError, match=r"^method patchmix-cl: alpha is -1\.0, but must be at least 0"):
        judge_options(odd, new=False)
    judge_options(spec(method_options={"alpha": -1.0}, extensions={"method": "x==1"}), new=False)
    judge_options(spec(frontend_options={"anything": 1}, frontend_version=99), new=False)
    judge_options(spec().changed(model="of-elsewhere", model_options={"anything": 1}), new=True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": "cnn6", "model_options": {}}, "mixes patches, but the model 'cnn6' has none"),
        ({"model": "asst"}, "Unknown model 'asst'"),
        ({"method": "patchmix-cll", "method_options": {}}, "Unknown method 'patchmix-cll'"),
        ({"device": "tpu"}, "device is 'tpu', but must be one of"),
        ({"precision": "fp16", "device": "cpu"}, "fp16 has no arithmetic on a CPU"),
        ({"processes": 0}, "processes is 0, but must be at least 1"),
    ],
)
def test_what_flags_refuse_a_document_cannot_bring_in(changes, words):
    check_spec(spec().changed(device="cpu"))
    with pytest.raises(SpecError) as caught:
        check_spec(spec().changed(**changes))
    assert words in caught.value.message
