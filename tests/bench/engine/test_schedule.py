"""Schedules that count iterations, and lengths in iterations, against torch's schedulers and plain counting."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from bench.core.errors import SpecError
from bench.engine.schedule import ScheduleOptions, learning_rate

STEPS, EPOCHS, LR = 7, 4, 0.3


def rates_by_step(schedule: ScheduleOptions, steps: int = STEPS) -> list[float]:
    length = schedule.length_in_steps(steps)
    return [learning_rate(LR, schedule, i // steps + 1, i % steps, steps) for i in range(length)]


def torch_rates(make, steps: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=LR)
    law, found = make(optimizer), []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        law.step()
    return found


@pytest.mark.parametrize("every", [1, 3, 200])
def test_exponential_by_iteration_is_torchs_step_law(every):
    schedule = ScheduleOptions(law="exponential", unit="iteration", lr_decay=0.9, decay_every=every, epochs=EPOCHS)
    expected = torch_rates(lambda o: torch.optim.lr_scheduler.StepLR(o, every, 0.9), STEPS * EPOCHS)
    np.testing.assert_allclose(rates_by_step(schedule), expected, rtol=1e-12)


def test_exponential_by_epoch_is_torchs_exponential_law():
    schedule = ScheduleOptions(law="exponential", lr_decay=0.8, epochs=6)
    expected = torch_rates(lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.8), 6)
    np.testing.assert_allclose([learning_rate(LR, schedule, e) for e in range(1, 7)], expected, rtol=1e-12)


def test_steps_by_iteration_is_torchs_multi_step_law():
    schedule = ScheduleOptions(law="steps", unit="iteration", milestones="5,13", lr_decay=0.1, epochs=EPOCHS)
    expected = torch_rates(lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [5, 13], 0.1), STEPS * EPOCHS)
    np.testing.assert_allclose(rates_by_step(schedule), expected, rtol=1e-12)


def test_wave_by_iteration_is_torchs_cosine_annealing():
    schedule = ScheduleOptions(law="wave", unit="iteration", lr_period=10, lr_floor=1e-3, epochs=EPOCHS)
    expected = torch_rates(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 10, 1e-3), STEPS * EPOCHS)
    np.testing.assert_allclose(rates_by_step(schedule), expected, rtol=1e-7)


def test_restarts_are_torchs_warm_restarts():
    schedule = ScheduleOptions(law="restarts", lr_period=5, lr_floor=1e-3, epochs=13)
    expected = torch_rates(lambda o: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(o, 5, eta_min=1e-3), 13)
    np.testing.assert_allclose([learning_rate(LR, schedule, e) for e in range(1, 14)], expected, rtol=1e-12)


def test_cosine_by_iteration_ends_at_its_floor_in_the_last_step():
    schedule = ScheduleOptions(unit="iteration", epochs=EPOCHS)
    total, floor = STEPS * EPOCHS, LR * 1e-3
    expected = [floor + (LR - floor) * (1 + math.cos(math.pi * i / total)) / 2 for i in range(1, total + 1)]
    np.testing.assert_allclose(rates_by_step(schedule), expected, rtol=1e-12)


@pytest.mark.parametrize("law", ["cosine", "wave", "constant", "exponential", "restarts"])
def test_a_law_by_epoch_is_the_same_in_all_steps_of_an_epoch(law):
    schedule = ScheduleOptions(law=law, epochs=EPOCHS)
    by_epoch = np.reshape(rates_by_step(schedule), (EPOCHS, STEPS))
    assert (by_epoch == by_epoch[:, :1]).all()
    assert by_epoch[:, 0].tolist() == [learning_rate(LR, schedule, epoch) for epoch in range(1, EPOCHS + 1)]


@pytest.mark.parametrize("law", ["cosine", "wave", "constant", "exponential", "restarts"])
def test_with_one_step_an_epoch_both_units_are_one(law):
    by_epoch, by_step = (ScheduleOptions(law=law, unit=unit, epochs=9) for unit in ("epoch", "iteration"))
    assert rates_by_step(by_epoch, steps=1) == rates_by_step(by_step, steps=1)


@pytest.mark.parametrize(("iterations", "epochs"), [(1, 1), (7, 1), (8, 2), (28, 4), (29, 5)])
def test_a_length_in_iterations(iterations, epochs):
    schedule = ScheduleOptions(iterations=iterations)
    assert (schedule.length_in_epochs(STEPS), schedule.length_in_steps(STEPS)) == (epochs, iterations)


def test_a_length_in_iterations_is_that_of_the_cosine():
    schedule = ScheduleOptions(unit="iteration", iterations=10)
    assert rates_by_step(schedule)[-1] == pytest.approx(LR * 1e-3)
    by_epoch = ScheduleOptions(iterations=10)
    assert learning_rate(LR, by_epoch, 2, 0, STEPS) == pytest.approx(LR * 1e-3)


def test_warm_up_by_iteration_rises_step_by_step():
    schedule = ScheduleOptions(law="constant", unit="iteration", warmup_epochs=1, epochs=EPOCHS)
    expected = [LR * min(1, (i + 1) / (STEPS + 1)) for i in range(STEPS * EPOCHS)]
    np.testing.assert_allclose(rates_by_step(schedule), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"warmup_epochs": 5, "epochs": 5}, "warmup_epochs is 5, but must be below epochs"),
        ({"law": "wave", "lr_floor": 1.0}, "lr_floor is 1, but must be at most lr"),
        ({"law": "steps"}, "schedule=steps needs epochs"),
        ({"law": "steps", "unit": "iteration", "milestones": "x"}, "schedule=steps needs iterations"),
    ],
)
def test_fields_that_do_not_go_together(fields, message):
    with pytest.raises(SpecError, match=message):
        ScheduleOptions(**fields).check(LR)


def test_a_warm_up_longer_than_some_iterations_shows_when_the_steps_are_known():
    schedule = ScheduleOptions(iterations=10, warmup_epochs=3)
    schedule.check(LR)
    with pytest.raises(SpecError, match="below epochs \\(2\\)"):
        learning_rate(LR, schedule, 1, 0, STEPS)
