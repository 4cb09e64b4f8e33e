"""Copies of states in host memory."""

import torch

from bench.engine.host_copies import HostCopies


def test_a_copy_holds_what_the_state_was_and_its_memory_is_used_again():
    weights, steps = torch.arange(6.0).view(2, 3), torch.tensor(3)
    optimizer = {"state": {0: {"step": steps}}, "groups": [{"lr": 0.1, "params": [0]}]}
    state = {"model": {"w": weights}, "optimizer": optimizer}
    copies = HostCopies()
    first = copies.copy(state)
    weights += 1
    steps += 1
    state["optimizer"]["groups"][0]["params"].append(1)
    assert first["model"]["w"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert first["optimizer"] == {"state": {0: {"step": torch.tensor(3)}}, "groups": [{"lr": 0.1, "params": [0]}]}
    place = first["model"]["w"].data_ptr()
    second = copies.copy(state)
    assert second["model"]["w"].data_ptr() == place
    torch.testing.assert_close(second["model"]["w"], weights)


def test_tied_tensors_stay_one_and_layouts_stay_what_they_are():
    tied, picture = torch.rand(4), torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last)
    found = HostCopies().copy({"one": tied, "other": tied.detach(), "part": tied[:2], "picture": picture})
    assert found["one"] is found["other"]
    assert found["part"].data_ptr() != found["one"].data_ptr()
    assert found["picture"].stride() == picture.stride()


def test_empty_tensors_are_copied_each_by_itself():
    found = HostCopies().copy([torch.empty(0), torch.empty(0, 2)])
    assert [value.shape for value in found] == [(0,), (0, 2)]
