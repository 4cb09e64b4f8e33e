"""Systems known by their abstracts: their cards, what their runs are asked to be, both readings of the fusion."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.experiment.composites import part_requests
from bench.experiment.recipes import recipe_fields
from bench.experiment.systems import check_system, composite_of, find_system, request_of_system

SINGLE = ("arsc-net", "se-sa")
FUSIONS = {
    "late-fusion": {"inception": "inception-small", "cnn14": "cnn14"},
    "late-fusion-label-reading": {"inception": "timm:inception_v3.tv_in1k", "vgg": "timm:vgg13_bn.tv_in1k"},
}


def part_fields(name, profile):
    """What each part's run is asked to be."""
    card = composite_of(find_system(name), profile)
    requests = part_requests(card, {"cache": Path()})
    return {part: recipe_fields(request, profile) for part, request in requests.items()}


@pytest.mark.parametrize("name", [*SINGLE, *FUSIONS])
def test_a_reconstruction_says_so_with_its_gaps(name):
    card = find_system(name)
    check_system(card)
    assert card.fidelity == "reconstruction"
    assert "[reconstruction]" in card.gaps
    assert card.citation.startswith("@")
    assert card.selection_note
    assert f"table3/{name.removesuffix('-label-reading')}" in card.rows


def test_arsc_net_fills_its_row_of_table_1_too():
    assert find_system("arsc-net").rows == ("table1/bi-resnet-att", "table3/arsc-net")


def test_arsc_net_reads_two_inputs():
    found = recipe_fields(request_of_system(find_system("arsc-net"), cache=Path()), "paper")
    assert found["frontend"] == "mfcc-mel"
    assert found["frontend_options"] == {"seconds": 8.0, "coefficients": 40}
    assert found["method_options"] == {"weighted": True}
    assert (found["optimiser"], found["lr"], found["batch"], found["epochs"]) == ("adam", 1e-3, 64, 100)


@pytest.mark.parametrize("profile", ["paper", "demo"])
def test_se_sa_holds_out_patients_and_weighs_no_class(profile):
    card = find_system("se-sa")
    found = recipe_fields(request_of_system(card, cache=Path()), profile)
    assert card.selection == "best-val"
    assert (found["val_fraction"], found["method_options"]) == (0.3, {"weighted": False})
    assert (found["optimiser"], found["lr"]) == ("sgd", 1e-2)


@pytest.mark.parametrize("name", FUSIONS)
def test_a_fusion_multiplies_two_networks_on_segments_of_two_seconds(name):
    card = composite_of(find_system(name))
    assert card.combine == "product"
    assert {part: each.model for part, each in card.parts.items()} == FUSIONS[name]
    assert {each.method for each in card.parts.values()} == {"mixup"}
    for found in part_fields(name, "paper").values():
        assert found["frontend"] == "log-mel-segments"
        assert (found["frontend_options"]["seconds"], found["frontend_options"]["segment"]) == (8.0, 2.0)
        assert found.get("vote", "mean") == "mean"
        assert (found["lr"], found["batch"], found["epochs"]) == (1e-4, 64, 50)


def test_the_authors_reading_takes_panns_as_they_are():
    assert composite_of(find_system("late-fusion")).parts["cnn14"].pretrain == "audioset-16k"
    found = part_fields("late-fusion", "paper")["cnn14"]
    assert found["model_options"] == {"orientation": "time-mel", "mel_norm": True}
    options = found["frontend_options"]
    assert (options["mels"], options["window"], options["normalise"]) == (64, 512, "none")


def test_the_labels_reading_makes_pictures_that_inception_v3_takes():
    for profile in ("paper", "demo"):
        for found in part_fields("late-fusion-label-reading", profile).values():
            assert min(found["model_options"]["frames"], found["model_options"]["mels"]) >= 75
            assert found["frontend_options"]["normalise"] == "segment"
