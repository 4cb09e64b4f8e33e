"""Printed numbers: what they can stand for, and that honest rounding is never a fault."""

from __future__ import annotations

import math
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal

import numpy as np
import pytest

from leaderboard.audit.claim_checks import adds_up, explain_claim, sum_finding
from leaderboard.audit.metric_variants import metric_variants, other_means, rates_of
from leaderboard.audit.official import registered_split
from leaderboard.audit.printed import (
    MOST_DIGITS,
    Printed,
    is_too_coarse,
    printed_cell,
    printed_number,
    some_count_gives,
)

SPLIT = registered_split()
TRAIN, TEST, DISJOINT_TEST = SPLIT.train, SPLIT.test, SPLIT.disjoint
NORMAL, ABNORMAL = SPLIT.divisors(TEST)


def printed(value, digits, rounding=ROUND_HALF_EVEN):
    return Printed(float(Decimal(value).quantize(Decimal(1).scaleb(-digits), rounding)), digits)


@pytest.mark.parametrize("rounding", [ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_DOWN])
@pytest.mark.parametrize("digits", [0, 1, 2, 4])
def test_every_way_of_writing_a_number_shorter_stands_for_it(digits, rounding):
    for exact in np.random.default_rng(digits).uniform(0, 100, 200):
        assert printed(float(exact), digits, rounding).stands_for(float(exact))


@pytest.mark.parametrize("digits", [0, 1, 2, 4])
def test_half_a_step_below_and_a_step_above_it_stands_for_nothing(digits):
    step = 10.0**-digits
    one = Printed(50.0, digits)
    assert not one.stands_for(50.0 - 0.51 * step)
    assert one.stands_for(50.0 - 0.5 * step)
    assert one.stands_for(50.0 + 0.99 * step)
    assert not one.stands_for(50.0 + 1.01 * step)


@pytest.mark.parametrize(
    ("number", "shown", "unit"), [((61.5, 2), "61.50", 0.01), ((61.0, 0), "61", 1), ((60, -1), "60", 10)]
)
def test_a_number_is_shown_as_it_was_printed(number, shown, unit):
    assert str(Printed(*number)) == shown
    assert Printed(*number).unit == pytest.approx(unit)


@pytest.mark.parametrize(("fraction", "digits"), [(0.6152, 4), (0.6, 1), (1.0, 0)])
def test_a_fraction_is_a_percentage_with_two_decimals_less(fraction, digits):
    assert Printed(fraction, digits).scaled() == Printed(fraction * 100, digits - 2)
    assert Printed(fraction, digits).scaled().unit == pytest.approx(100 * Printed(fraction, digits).unit)


@pytest.mark.parametrize(
    ("value", "digits"), [(61.0, 1), (61.25, 2), (1e-3, 3), (0.0, 1), (100, 1), (1e6, 1), (1 / 3, MOST_DIGITS)]
)
def test_a_number_of_json_has_at_least_one_decimal_and_at_most_six(value, digits):
    assert printed_number(value) == Printed(value, digits)


@pytest.mark.parametrize(
    ("text", "number", "std"),
    [
        ("61.5 +/- 0.3", Printed(61.5, 1), Printed(0.3, 1)),
        ("61.5+-0.31", Printed(61.5, 1), Printed(0.31, 2)),
        ("61,5 ± 0,3", Printed(61.5, 1), Printed(0.3, 1)),
        ("61.5\u00a0±\u00a00.3", Printed(61.5, 1), Printed(0.3, 1)),
        ("<b>61.5</b>", Printed(61.5, 1), None),
        ("\\underline{61.5}", Printed(61.5, 1), None),
        ("`61.5`", Printed(61.5, 1), None),
        ("-3.25", Printed(-3.25, 2), None),
        ("6.15e1", Printed(61.5, 1), None),
        ("61.5 %", Printed(61.5, 1), None),
        ("61", Printed(61.0, 0), None),
        ("61.123456789", Printed(61.123456789, MOST_DIGITS), None),
        ("± 0.3", None, None),
        ("about 61", None, None),
        ("1e999", None, None),
        ("NaN", None, None),
        ("١٢", None, None),
        ("²", None, None),
    ],
)
def test_a_cell_is_a_number_and_a_deviation_or_nothing(text, number, std):
    assert printed_cell(text) == (number, std)


@pytest.mark.parametrize("cycles", [3, 49, 1177])
def test_a_count_is_found_exactly_where_trying_every_one_finds_it(cycles):
    for value in np.random.default_rng(cycles).uniform(0, 100, 60):
        one = printed(float(value), 2)
        every = any(one.stands_for(100 * count / cycles) for count in range(cycles + 1))
        assert some_count_gives(one, cycles) is every


@pytest.mark.parametrize("value", [-5.0, 101.5, 250.0])
def test_no_count_gives_what_is_no_percentage(value):
    assert not some_count_gives(Printed(value, 2), 1579)


def test_coarse_is_what_any_number_of_hits_gives():
    """Where a rate is too coarse, no printed value is ever impossible; where it is not, some are."""
    for cycles, digits in ((1579, 1), (1177, 1), (1579, 2), (1177 * 5, 2), (50, 0), (500, 0)):
        step = 10.0**-digits
        values = [Printed(50 + number * step, digits) for number in range(40)]
        all_possible = all(some_count_gives(one, cycles) for one in values)
        assert all_possible >= is_too_coarse(values[0], cycles)


# --- sums -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("digits", [1, 2, 3])
def test_rounding_never_makes_an_honest_sum_wrong(digits):
    rng = np.random.default_rng(digits)
    for _ in range(300):
        sp, se = rng.integers(0, NORMAL + 1) * 100 / NORMAL, rng.integers(0, ABNORMAL + 1) * 100 / ABNORMAL
        exact = {"sp": sp, "se": se, "score": (sp + se) / 2}
        for score_digits in (digits, digits + 1):
            claim = {rate: printed(value, digits) for rate, value in exact.items()}
            claim["score"] = printed(exact["score"], score_digits)
            assert adds_up(claim)
            assert list(sum_finding(claim, "row 1")) == []


@pytest.mark.parametrize("missing", ["sp", "se", "score"])
def test_two_of_three_numbers_contradict_nothing(missing):
    claim = {"sp": Printed(80.0, 1), "se": Printed(40.0, 1), "score": Printed(99.0, 1)}
    del claim[missing]
    assert adds_up(claim)


@pytest.mark.parametrize("words", [words for words in other_means(80.0, 40.0) if "accuracy" not in words])
def test_a_score_by_another_mean_is_named(words):
    value = other_means(80.0, 40.0)[words]
    claim = {"sp": Printed(80.0, 2), "se": Printed(40.0, 2), "score": printed(value, 2)}
    (found,) = sum_finding(claim, "row 7")
    assert found.kind == "does-not-add-up"
    assert (
        found.sentence
        == f"In row 7 the Score is {value:.2f}, but (Sp + Se)/2 of 80.00 and 40.00 is 60.00: it is {words}."
    )
    assert found.numbers == {"sp": 80.0, "se": 40.0, "score": pytest.approx(value, abs=0.01), "mean": 60.0}


@pytest.mark.parametrize("score", [85.0, 30.0, 0.0])
def test_a_score_beyond_both_is_no_mean(score):
    claim = {"sp": Printed(80.0, 2), "se": Printed(40.0, 2), "score": Printed(score, 2)}
    (found,) = sum_finding(claim, "the claim")
    assert found.kind == "score-outside"
    assert found.sentence.endswith("no mean of the two lies outside them.")


@pytest.mark.parametrize(("sp", "se"), [(80.0, 40.0), (0.0, 0.0), (100.0, 0.0), (50.0, 50.0), (0.1, 99.9)])
def test_means_are_ordered_as_means_are(sp, se):
    means = other_means(sp, se, SPLIT.task)
    harmonic, geometric = means["the harmonic mean of Sp and Se"], means["the geometric mean of Sp and Se"]
    assert harmonic <= geometric + 1e-12 <= (sp + se) / 2 + 2e-12
    assert (
        min(sp, se) <= means["the mean weighted by the numbers of normal and abnormal cycles (accuracy)"] <= max(sp, se)
    )
    assert geometric == pytest.approx(math.sqrt(sp * se))


# --- the official split -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        (sum(TRAIN), sum(TEST), None),
        (sum(TRAIN), None, None),
        (None, sum(TEST), None),
        (None, None, None),
        (sum(TRAIN), sum(DISJOINT_TEST), "without patients 156 and 218"),
        (5518, 1380, "an 80-20 split"),
        (5518, None, "an 80-20 split"),
        (None, 1380, "an 80-20 split"),
        (4139, 2759, "about 60-40, but not the official split"),
        (10, 0, "another set"),
        (0, 10, "another set"),
        (0, 0, "another set"),
        (4829, 2069, "70-30, not the official 60-40 split"),
        (3449, 3449, "50-50, not the official 60-40 split"),
    ],
)
def test_a_split_is_named_by_its_numbers_of_cycles(train, test, words):
    found = SPLIT.split_words(train, test)
    assert (found is None) is (words is None)
    assert words is None or words in found


# --- variants of the metric -------------------------------------------------------------------------------------

CONFUSION = np.array([[50, 10, 5, 5], [12, 30, 6, 2], [7, 5, 15, 3], [4, 6, 2, 8]])


def expanded(confusion):
    """Labels and answers of single cycles that give a confusion matrix."""
    pairs = [(i, j) for i in range(4) for j in range(4) for _ in range(confusion[i, j])]
    return np.array(pairs).T


def variants(confusion=CONFUSION, **options):
    found = {}
    for one in metric_variants(confusion, **options):
        found.setdefault((one.kind, one.rate), []).append(one.value)
    return found


def test_variants_are_those_of_single_cycles():
    true, said = expanded(CONFUSION)
    recalls = [100 * (said[true == c] == c).mean() for c in range(4)]
    specificities = [100 * (said[true != c] != c).mean() for c in range(4)]
    precisions = [(true[said == c] == c).mean() for c in range(4)]
    f1 = [2 * p * r / 100 / (p + r / 100) for p, r in zip(precisions, recalls, strict=True)]
    abnormal = true > 0
    found = variants()
    for key, value in {
        ("class-mean", "se"): np.mean(recalls[1:]),
        ("class-mean", "score"): (recalls[0] + np.mean(recalls[1:])) / 2,
        ("one-vs-rest", "se"): np.mean(recalls),
        ("one-vs-rest", "sp"): np.mean(specificities),
        ("macro-f1", "score"): 100 * np.mean(f1),
        ("accuracy", "se"): 100 * (true == said).mean(),
        ("precision", "se"): 100 * (true[said > 0] == said[said > 0]).mean(),
        ("precision", "sp"): 100 * (true[said == 0] == 0).mean(),
        ("binary-hits", "se"): 100 * (said[abnormal] > 0).mean(),
        ("swapped", "sp"): 100 * (said[abnormal] == true[abnormal]).mean(),
        ("swapped", "se"): recalls[0],
    }.items():
        assert found[key][0] == pytest.approx(value), key
    assert 100 * ((true > 0) == (said > 0)).mean() == pytest.approx(found["accuracy", "score"][1])


def test_of_a_binary_claim_the_other_sensitivity_is_the_strict_one():
    assert variants(judged="2class")["strict-hits", "se"] == [pytest.approx(rates_of(CONFUSION, "4class")["se"])]
    assert ("binary-hits", "se") not in variants(judged="2class")


def test_what_has_nothing_to_divide_by_is_no_variant():
    never_abnormal = np.zeros((4, 4), dtype=int)
    never_abnormal[:, 0] = [5, 3, 2, 1]
    found = variants(never_abnormal)
    assert ("precision", "se") not in found
    assert found["precision", "sp"] == [pytest.approx(100 * 5 / 11)]
    assert all(np.isfinite(value) for values in found.values() for value in values)


@pytest.mark.parametrize("rows", [(0,), (1, 2, 3)])
def test_without_normal_or_abnormal_cycles_there_are_no_rates(rows):
    confusion = CONFUSION.copy()
    confusion[list(rows)] = 0
    assert rates_of(confusion, "4class") == {}
    assert ("swapped", "se") not in variants(confusion)


# --- claims -----------------------------------------------------------------------------------------------------


def explained(**claim):
    numbers = {rate: printed(value, 2) for rate, value in claim.items()}
    return explain_claim(numbers, CONFUSION, "these predictions", "4class", metric_variants(CONFUSION))


@pytest.mark.parametrize("judged", ["4class", "2class"])
def test_a_true_claim_needs_no_explanation(judged):
    claim = {rate: printed(value, 2) for rate, value in rates_of(CONFUSION, judged).items()}
    assert explain_claim(claim, CONFUSION, "these predictions", judged, metric_variants(CONFUSION, judged)) == []


def test_a_definition_that_explains_two_numbers_is_preferred_to_one_that_explains_one():
    wrong = variants()["one-vs-rest", "sp"][0], variants()["one-vs-rest", "se"][0]
    found = explained(sp=wrong[0], se=wrong[1])
    assert [one.kind for one in found] == ["one-vs-rest", "one-vs-rest"]
    assert found[0].numbers["computed"] == pytest.approx(rates_of(CONFUSION, "4class")["sp"])


def test_a_number_that_nothing_gives_is_said_to_be_of_other_cycles():
    (found,) = explained(sp=70.55)
    assert found.kind == "unexplained-claim"
    assert "The claimed Sp of 70.55 is not the 4-class Sp of these predictions, 71.43" in found.sentence
    assert found.sentence.endswith("and no number of the 70 normal cycles does: it is of other cycles, or a mean.")


def test_a_number_that_some_count_gives_is_not_said_to_be_of_other_cycles():
    (found,) = explained(sp=100 * 49 / 70)
    assert found.kind == "unexplained-claim"
    assert found.sentence.endswith("no other definition that is known gives it either.")
