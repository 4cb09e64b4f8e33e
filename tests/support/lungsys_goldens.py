"""What the golden tests of LungBRN and LungRN+NL share: cycles of the set, its weights, and the outputs of modules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from golden_cycles import GoldenCycle, at_positions, golden_cycle
from golden_models import load_rule
from numpy.typing import NDArray
from torch import nn

import baselines
from baselines.lungsys.model import OFFICIAL_NAMES
from bench.data.frontends.native_rate import cut_cycles

PRETEND_SPANS = ((0.0, 0.2), (0.2, 0.7005), (0.7005, 8.7005), (8.7005, 18.001), (18.001, 24.3337), (24.3337, 99.0))
"""Start and end of their cycles, which the set's first README gives."""

DTYPES = {"f32": (torch.float32, 2e-5, 1e-4), "f64": (torch.float64, 1e-9, 1e-9)}
"""Precisions of the sets: type, and tolerances of logits and of maps."""


def span_of(cycle: GoldenCycle, request: pytest.FixtureRequest) -> tuple[float, float]:
    """Start and end of a cycle: as the set says, or as its rule or the recording's annotation does."""
    if "start" in cycle.facts:
        return cycle.span
    if not cycle.facts["real"]:
        return PRETEND_SPANS[cycle.facts["index"]]
    (annotation,) = sorted(request.getfixturevalue("icbhi_folder").rglob(f"{cycle.facts['recording']}.txt"))[:1]
    start, end, *_ = annotation.read_text(encoding="utf-8").splitlines()[cycle.facts["index"]].split()
    return float(start), float(end)


def as_pydub_has(cycle: GoldenCycle) -> NDArray[np.float64]:
    """A recording as the whole numbers that pydub gives: 24 bits become 32, the lowest byte all ones below zero."""
    integers = cycle.wave.astype(np.float64) * 2 ** (cycle.bits - 1)
    return 256 * integers + 255 * (integers < 0) if cycle.bits == 24 else integers


def rule_model(system: str, seed: int, dtype: torch.dtype, **options: Any) -> nn.Module:
    """A network with the weights of the set's rule, without dropout."""
    model = baselines.create(system, dropout=0.0, **options)
    load_rule(seed, model, dict(OFFICIAL_NAMES[system]))
    return model.to(dtype)


def official_modules(system: str, model: nn.Module) -> dict[str, nn.Module]:
    """The network's modules by the authors' names."""
    names = {theirs.rstrip("."): ours.rstrip(".") for ours, theirs in OFFICIAL_NAMES[system].items()}
    return {theirs: model.get_submodule(ours) for theirs, ours in names.items()}


def official_parameters(system: str, model: nn.Module) -> dict[str, nn.Parameter]:
    """The network's parameters by the authors' names."""
    found = {}
    for name, parameter in model.named_parameters():
        ours = next(prefix for prefix in OFFICIAL_NAMES[system] if name.startswith(prefix))
        found[OFFICIAL_NAMES[system][ours] + name.removeprefix(ours)] = parameter
    return found


def outputs_of(modules: dict[str, nn.Module], model: nn.Module, x: Any) -> dict[str, NDArray[Any]]:
    """Output of each module, and the logits of the network, in evaluation mode."""
    found: dict[str, NDArray[Any]] = {}

    def keep(name: str) -> Any:
        return lambda module, given, made: found.__setitem__(name, made.numpy().copy())

    hooks = [module.register_forward_hook(keep(name)) for name, module in modules.items()]
    with torch.no_grad():
        found["logits"] = model.eval()(x).numpy()
    for hook in hooks:
        hook.remove()
    return found


def check_outputs(golden: Any, found: dict[str, NDArray[Any]], precision: str) -> None:
    """Compare the outputs of modules with a set's, whole, at its places, and by their means and deviations."""
    _, close, looser = DTYPES[precision]
    arrays, blocks = golden.arrays, golden.facts["eval/blocks"]
    near(found["logits"], arrays[f"eval/logits_{precision}"], close)
    for name in blocks:
        if f"eval/{name}_{precision}" in arrays:
            near(found[name], arrays[f"eval/{name}_{precision}"], close, name)
        if f"eval/{name}_pos" in arrays:
            near(found[name].ravel()[arrays[f"eval/{name}_pos"]], arrays[f"eval/{name}_val_{precision}"], looser, name)
    for law in ("mean", "std"):
        values = [getattr(found[name].astype(np.float64), law)() for name in blocks]
        near(values, arrays[f"eval/block_{law}_{precision}"], looser)


def check_parameters_in_use(golden: Any, parameters: dict[str, nn.Parameter]) -> None:
    """Compare shapes and number of a network's parameters with those that the authors' network uses.

    Args:
        golden: The set.
        parameters: The network's, by the authors' names.
    """
    theirs = {name: shape for name, shape, _ in golden.facts["state_dict"]}
    assert {name: list(one.shape) for name, one in parameters.items()}.items() <= theirs.items()
    assert sum(one.numel() for one in parameters.values()) == golden.facts["parameters_used_in_forward"]
    assert set(theirs) - set(parameters) == set(golden.facts["train"]["without_gradient"])


def check_training(golden: Any, steps: Any, parameters: dict[str, nn.Parameter]) -> None:
    """Compare a training in float64 with a set's: losses, gradients, 50 values and how far each tensor went.

    Args:
        golden: The set.
        steps: Trains; an iterable over the steps that gives the loss of each, after its gradients and before its end.
        parameters: What is trained, by the authors' names.
    """
    facts, arrays = golden.facts["train"], golden.arrays
    assert set(parameters) == set(facts["active"])
    before = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    near(_values(facts, before), arrays["train/before_f64"], 1e-9)
    for step, loss in enumerate(steps):
        near(loss, arrays["train/loss_f64"][step], 1e-9)
        if step == 0:
            gradients = [parameters[name].grad.norm().item() for name in facts["active"]]
            np.testing.assert_allclose(gradients, arrays["train/grad_norm_step1_f64"], rtol=1e-6)
    after = {name: parameter.detach() for name, parameter in parameters.items()}
    near(_values(facts, after), arrays["train/after_f64"], 1e-9)
    changes = [(after[name] - before[name]).norm().item() for name in facts["active"]]
    np.testing.assert_allclose(changes, arrays["train/change_norm_f64"], rtol=1e-6)


def _values(facts: dict[str, Any], tensors: dict[str, torch.Tensor]) -> list[float]:
    return [tensors[name].flatten()[index].item() for name, index in facts["values"]]


def near(found: Any, expected: Any, tolerance: float, words: str = "") -> None:
    """Compare numbers by their absolute difference."""
    values = found.detach().numpy() if isinstance(found, torch.Tensor) else found
    np.testing.assert_allclose(values, expected, rtol=0, atol=tolerance, err_msg=words)


class CycleOfSet:
    """A cycle of a set, its samples, and comparisons of what is made of them.

    Args:
        golden: The set.
        name: Name of the cycle.
        request: The test's, for the fixtures of real recordings.
    """

    def __init__(self, golden: Any, name: str, request: pytest.FixtureRequest) -> None:
        cycle = golden_cycle(golden, name, request)
        self.golden, self.prefix, self.facts = golden, f"frontend/{name}", cycle.facts
        self.wave, self.rate, self.span = cycle.wave, cycle.rate, span_of(cycle, request)
        (self.samples,) = cut_cycles(as_pydub_has(cycle), cycle.rate, [self.span])

    def has(self, name: str) -> bool:
        """Whether the set has an array of the cycle."""
        return f"{self.prefix}/{name}" in self.golden.arrays

    def array(self, name: str) -> NDArray[Any]:
        """An array of the cycle."""
        return self.golden.arrays[f"{self.prefix}/{name}"]

    def differences(self, name: str, found: NDArray[Any]) -> NDArray[np.float64]:
        """Absolute differences of an array from the set's, at the places that it stores, or everywhere."""
        shape = self.golden.facts["shape"].get(f"{self.prefix}/{name}", list(found.shape))
        assert list(found.shape) == shape, name
        ours, theirs = at_positions(self.golden, f"{self.prefix}/{name}", found)
        return np.abs(ours.astype(np.float64) - theirs)

    def check_means(self, name: str, found: NDArray[Any], tolerance: float) -> None:
        """Compare means of rows and columns, as far as the set has them; one in a hundred may lie a pixel further."""
        for law, axis in (("rowmean", 1), ("colmean", 0)):
            if self.has(f"{name}_{law}"):
                differences = np.abs(found.astype(np.float64).mean(axis) - self.array(f"{name}_{law}"))
                assert np.mean(differences <= tolerance) >= 0.99, f"{name} {law}"

    def check_decibels(self, found: NDArray[np.float32]) -> None:
        """Compare an STFT in decibels; another scipy filters 10 kHz a little differently (README A, section 6)."""
        differences = self.differences("stft_db", found)
        worst = 2e-2 if self.rate == 10_000 else 1e-3
        assert differences.max() <= worst
        assert np.mean(differences <= 1e-3) >= 0.99
        self.check_means("stft_db", found, worst)
        share = self.golden.facts["numbers"].get(f"{self.prefix}/stft_floor_share")
        if share is not None:
            assert np.mean(found <= found.max() - 80) == pytest.approx(share, abs=1e-3)

    def check_drawing(self, name: str, found: NDArray[np.uint8]) -> None:
        """Compare a drawn picture: within 2 grey levels, nearly all of it exactly."""
        differences = self.differences(name, found)
        assert np.mean(differences <= 3) >= 0.99
        assert np.mean(differences == 0) >= 0.95
        self.check_means(name, found, 0.5)

    def check_network_picture(self, name: str, found: NDArray[np.float32]) -> None:
        """Compare a picture as networks get it."""
        levels = found.astype(np.float64) * 255
        near(levels, np.rint(levels), 1e-4)
        differences = self.differences(name, np.rint(levels))
        assert np.mean(differences <= 2) >= 0.99
        assert differences.mean() <= 0.5
        self.check_means(name, levels, 1.0)
