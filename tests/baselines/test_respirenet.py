"""RespireNet's network: files of the authors and of torchvision, grey pictures, and its published recipe."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

import baselines
from baselines.respirenet.model import OFFICIAL_NAMES
from baselines.systems import SYSTEMS
from bench.experiment.recipes import Request, recipe_fields

MODEL = "resnet34-respirenet"


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return baselines.create(MODEL).eval()


def test_a_file_of_the_authors_gives_the_same_network(model, tmp_path):
    state = {}
    for name, tensor in model.state_dict().items():
        ours = next(prefix for prefix in OFFICIAL_NAMES if name.startswith(prefix))
        state[OFFICIAL_NAMES[ours] + name.removeprefix(ours)] = tensor
    save_file(state, tmp_path / "official.safetensors")
    again = baselines.create(MODEL, pretrain=str(tmp_path / "official.safetensors")).state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in model.state_dict().items())


def test_a_file_of_torchvision_fills_all_but_the_classifier(model, tmp_path):
    theirs = {
        name.removeprefix("trunk."): tensor for name, tensor in model.state_dict().items() if name.startswith("trunk.")
    }
    whole = {**theirs, "fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    save_file(whole, tmp_path / "torchvision.safetensors")
    torch.manual_seed(1)
    again = baselines.create(MODEL, pretrain=str(tmp_path / "torchvision.safetensors")).state_dict()
    assert all(torch.equal(tensor, again[f"trunk.{name}"]) for name, tensor in theirs.items())
    assert not torch.equal(again["head.1.weight"], model.state_dict()["head.1.weight"])


def test_a_grey_picture_is_one_of_three_equal_colours(model):
    grey = torch.rand(1, 1, 32, 48)
    with torch.no_grad():
        assert torch.equal(model(grey), model(grey.repeat(1, 3, 1, 1)))


def test_the_paper_profile_is_the_authors_recipe(tmp_path):
    found = recipe_fields(Request(model=MODEL, method="ce", cache=tmp_path), "paper")
    assert (found["optimiser"], found["lr"], found["schedule"], found["batch"]) == ("sgd", 1e-3, "constant", 64)
    assert (found["sampler"], found["vote"], found["drop_last"]) == ("weighted", "majority-first", False)
    assert found["frontend_options"]["normalise"] == "training"
    assert sum(found[f"{name}_probability"] for name in ("noise", "gain", "stretch", "vtlp", "pitch")) == 0.5


def test_systems_differ_in_concatenation_and_clipping():
    plain, joined = (SYSTEMS.card(name).settings for name in ("respirenet", "respirenet-cba-brc"))
    assert plain["frontend.blank_region_clipping"] is False
    assert joined["frontend.blank_region_clipping"] is True
    assert (joined["concat_law"], joined["concat_rare"]) == ("cba", True)
    parts = SYSTEMS.card("respirenet-cba-brc-ft").composite.parts
    assert [(name, part.default, part.each_device) for name, part in parts.items()] == [
        ("common", True, False),
        ("expert", False, True),
    ]
    # Which stethoscopes there are, the data say.
    assert all(part.device is None for part in parts.values())
    assert all(part.settings == joined for part in parts.values())
