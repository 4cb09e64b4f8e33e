"""The memory of a step, computed without numbers, against what a step takes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.engine.made_up import made_up_spec
from bench.engine.memory_estimate import step_memory

SCRIPT = Path(__file__).parents[2] / "support" / "memory_of_step.py"
TINY = {"embed_dim": 192, "heads": 3}
CASES = {
    "cnn6": {"model": "cnn6", "method": "ce", "batch": 16, "eval_batch": 1},
    "ast": {"model": "ast", "method": "patchmix-cl", "batch": 2, "eval_batch": 1, "model_options": TINY},
}


@pytest.mark.parametrize("name", CASES)
def test_the_estimate_is_near_what_a_step_takes(name):
    """Measured: 23 % and 2 % off; of the whole process at the sizes of the guide 13 % at most."""
    done = subprocess.run([sys.executable, SCRIPT, json.dumps(CASES[name])], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["estimated"] == pytest.approx(found["peak"] - found["before"], rel=0.4), found


def ast(**fields):
    found = step_memory(made_up_spec("ast", "patchmix-cl", {**TINY, "depth": 3}, eval_batch=1, batch=8, **fields))
    assert found is not None
    return found


def test_what_saves_memory_is_estimated_to_take_less():
    whole = ast()
    assert whole.optimiser == 2 * whole.gradients
    assert whole.saved_state == whole.weights + whole.optimiser
    assert ast(optimiser="sgd").optimiser == whole.gradients
    assert ast(precision="bf16").activations == pytest.approx(0.6 * whole.activations, rel=0.15)
    micro, again = ast(micro_batch=2), ast(checkpointing=True)
    # Two views of eight cycles in one call, two rows of them at a time.
    assert micro.activations == pytest.approx(whole.activations / 8, rel=0.3)
    assert again.activations < 0.7 * whole.activations
    assert ast(micro_batch=2, checkpointing=True).activations < min(micro.activations, again.activations)
    assert ast(processes=2).activations == pytest.approx(whole.activations / 2, rel=0.1)
    assert ast(device="cuda").program == ast(device="cuda").saved_state == 0


def test_an_evaluation_in_large_batches_counts():
    small, large = (made_up_spec("cnn6", "ce", batch=2, eval_batch=size) for size in (1, 512))
    assert step_memory(large).activations > 20 * step_memory(small).activations


def test_nothing_is_made_up_for_what_cannot_run_without_values(monkeypatch):
    from bench.engine import memory_estimate

    def fails(*_):
        raise RuntimeError("data-dependent")

    monkeypatch.setattr(memory_estimate, "_activations", fails)
    assert step_memory(made_up_spec("cnn6", "ce")) is None
