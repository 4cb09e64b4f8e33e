"""Concatenation: the laws by enumeration, RespireNet's table and numbers, and what the joined units are."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from unit_waves import noise, packed, unpacked

from bench.core.datasets import FOUR_CLASSES
from bench.core.errors import SpecError
from bench.engine.augment.concatenation import (
    RESPIRENET_PAIRS,
    PartnerPool,
    Partners,
    concatenate,
    draw_partners,
    rare_shares,
)
from bench.engine.augment.options import AugmentOptions

LABELS = np.array([0, 1, 2, 3, 0, 1, 2, 3, 0, 0])
DEVICES = ["a", "a", "a", "a", "b", "b", "b", "b", "c", "a"]
TRAIN = np.arange(9)
"""Row 9 is not trained on, and must never be heard."""


def options(**fields) -> AugmentOptions:
    return AugmentOptions(**{"concat_probability": 1.0, **fields})


def pool(rows: np.ndarray = TRAIN, **fields) -> PartnerPool:
    return PartnerPool(rows, LABELS, options(**fields), classes=FOUR_CLASSES.classes, devices=DEVICES, patients=DEVICES)


def pairs(count: int = 400, **fields) -> list[tuple[int, int, int, int]]:
    """Drawn for each training row many times: (row, first, second, label)."""
    rows = np.tile(TRAIN, count)
    found = draw_partners(rows, pool(**fields), np.random.default_rng(0))
    return list(zip(rows.tolist(), found.first.tolist(), found.second.tolist(), found.labels.tolist(), strict=True))


def test_same_law_pairs_every_two_of_a_class_in_both_orders():
    seen = Counter((first, second) for _, first, second, _ in pairs())
    wanted = {(i, j) for i in range(9) for j in range(9) if LABELS[i] == LABELS[j]}
    assert set(seen) == wanted
    assert all(label == LABELS[row] == LABELS[first] == LABELS[second] for row, first, second, label in pairs(3))


def test_union_law_labels_all_that_is_heard():
    table = {(LABELS[first], LABELS[second]): label for _, first, second, label in pairs(concat_law="union")}
    assert len(table) == 16
    names = ("", "c", "w", "cw")
    for (one, other), label in table.items():
        assert set(names[label]) == set(names[one]) | set(names[other])


def test_the_row_itself_is_one_of_the_two():
    for row, first, second, _ in pairs(10, concat_law="union"):
        assert row in (first, second)


def test_own_first():
    assert all(row == first for row, first, _, _ in pairs(10, concat_order="own-first"))


def test_both_orders_are_as_likely():
    others = [row == first for row, first, second, _ in pairs() if first != second]
    assert np.mean(others) == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(len(others)))


@pytest.mark.parametrize("partner", ["other-device", "other-patient"])
def test_a_partner_from_elsewhere(partner):
    found = pairs(concat_law="union", concat_partner=partner, concat_order="own-first")
    assert all(DEVICES[first] != DEVICES[second] for _, first, second, _ in found)
    assert {second for row, _, second, _ in found if row == 0} == {4, 5, 6, 7, 8}


def test_a_normal_partner_leaves_the_class():
    found = pairs(concat_law="union", concat_partner="normal", concat_order="own-first")
    assert {second for _, _, second, _ in found} == {0, 4, 8}
    assert all(label == LABELS[row] for row, _, _, label in found)


def test_cba_draws_the_pairs_of_its_table():
    count = 20_000
    found = pairs(count // 2, concat_law="cba")
    for label, table in enumerate(RESPIRENET_PAIRS):
        own = [(int(LABELS[i]), int(LABELS[j])) for row, i, j, _ in found if LABELS[row] == label]
        seen = Counter(own)
        assert set(seen) == {(first, second) for _, first, second in table}
        for share, first, second in table:
            error = 4 * np.sqrt(share * (1 - share) / len(own)) + 1e-12
            assert seen[first, second] / len(own) == pytest.approx(share, abs=error)
    assert all(label == LABELS[row] for row, _, _, label in found)


def test_cba_joins_every_two_of_a_class():
    seen = {(first, second) for _, first, second, _ in pairs(concat_law="cba") if LABELS[first] == LABELS[second]}
    assert seen == {(i, j) for i in range(9) for j in range(9) if LABELS[i] == LABELS[j]}


def test_cba_keeps_the_row_where_its_class_is_asked_for():
    for row, first, second, label in pairs(50, concat_law="cba"):
        assert row in (first, second) or (label == 3 and {LABELS[first], LABELS[second]} == {1, 2})
        assert max(first, second) < 9


def test_rare_classes_are_joined_as_often_as_cba_adds_cycles():
    counts = np.array([2063, 1215, 501, 363])
    shares = rare_shares(counts)
    # CBA has 2063 of every class: so many of them are added ones.
    np.testing.assert_allclose(shares, [0, 848 / 2063, 1562 / 2063, 1700 / 2063])
    np.testing.assert_allclose(rare_shares(counts, 2.0), 1 - counts / 4126)
    found = Counter(int(LABELS[row]) for row, _, second, _ in pairs(concat_rare=True) if second >= 0)
    assert found[0] == 0
    for label in (1, 2, 3):
        assert found[label] / 800 == pytest.approx(1 / 3, abs=4 * np.sqrt(2 / 9 / 800))


def test_the_chance_is_the_one_asked_for():
    rows = np.tile(TRAIN, 1000)
    found = draw_partners(rows, pool(concat_probability=0.3), np.random.default_rng(1))
    assert len(found.places) / len(rows) == pytest.approx(0.3, abs=4 * np.sqrt(0.21 / len(rows)))
    alone = found.second < 0
    np.testing.assert_array_equal(found.first[alone], rows[alone])
    np.testing.assert_array_equal(found.labels[alone], LABELS[rows[alone]])


def test_off_draws_nothing_and_changes_nothing():
    rng = np.random.default_rng(3)
    before = rng.bit_generator.state
    found = draw_partners(TRAIN, pool(concat_probability=0.0), rng)
    assert rng.bit_generator.state == before
    assert len(found.places) == 0
    waves = packed(*[noise(5, i) for i in range(9)])
    assert concatenate(waves, waves, found, options(), 4000) is waves


@pytest.mark.parametrize("probability", [0.01, 1.0])
def test_as_many_numbers_are_drawn_whatever_comes_out(probability):
    rng, other = np.random.default_rng(5), np.random.default_rng(5)
    draw_partners(TRAIN, pool(concat_probability=probability), rng)
    other.random((4, 9))
    assert rng.bit_generator.state == other.bit_generator.state


def test_own_rows_are_those_of_the_whole():
    drawn = draw_partners(TRAIN, pool(concat_law="union", concat_probability=0.6), np.random.default_rng(2))
    bank = [noise(20 + 7 * i, i) for i in range(10)]

    def heard(partners: Partners) -> list[np.ndarray]:
        first = packed(*[bank[row] for row in partners.first])
        late = [bank[row] for row in partners.second[partners.places]]
        return unpacked(concatenate(first, packed(*late) if late else first, partners, options(), 4000))

    whole = heard(drawn)
    parts = [unit for rows in (slice(0, 2), slice(2, 3), slice(3, 9)) for unit in heard(drawn[rows])]
    for unit, part in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(unit, part)
    for unit, first, second in zip(whole, drawn.first, drawn.second, strict=True):
        wanted = [bank[first]] + ([bank[second]] if second >= 0 else [])
        np.testing.assert_array_equal(unit, np.concatenate(wanted))


UNITS = [noise(9, 1), noise(20, 2)]
JOINED = Partners(np.array([0, 1]), np.array([-1, 2]), np.array([0, 0]))


def test_a_cross_fade_overlaps_with_weights_that_sum_to_1():
    first, second = packed(noise(9), np.ones(20)), packed(np.ones(30))
    found = unpacked(concatenate(first, second, JOINED, options(concat_crossfade=0.002), 4000))
    assert [len(unit) for unit in found] == [9, 20 + 30 - 8]
    np.testing.assert_allclose(found[1], 1, atol=1e-6)
    np.testing.assert_array_equal(found[0], noise(9))
    early, late = packed(noise(9), np.ones(20)), packed(np.zeros(30))
    (_, faded) = unpacked(concatenate(early, late, JOINED, options(concat_crossfade=0.002), 4000))
    np.testing.assert_allclose(faded[12:20], 1 - (np.arange(8) + 0.5) / 8, atol=1e-6)


def test_a_cross_fade_is_at_most_as_long_as_the_shorter_unit():
    found = unpacked(
        concatenate(packed(noise(9), np.ones(20)), packed(np.ones(1)), JOINED, options(concat_crossfade=1.0), 4000)
    )
    assert len(found[1]) == 20


def test_the_second_is_as_loud_as_the_first():
    early, late = noise(500, 1), 7 * noise(300, 2)
    found = unpacked(concatenate(packed(noise(3), early), packed(late), JOINED, options(concat_level=True), 4000))
    np.testing.assert_array_equal(found[1][:500], early)
    assert found[1][500:].std() == pytest.approx(early.std(), rel=0.02)
    ratio = np.sqrt(np.mean(early**2) / np.mean(late**2))
    np.testing.assert_allclose(found[1][500:], late * ratio, rtol=1e-4, atol=1e-7)


def test_silence_is_not_made_louder():
    level = options(concat_level=True)
    found = unpacked(concatenate(packed(noise(3), noise(5)), packed(np.zeros(4)), JOINED, level, 4000))
    assert not found[1][5:].any()
    silent = packed(noise(3), np.zeros(5))
    found = unpacked(concatenate(silent, packed(noise(4)), JOINED, level, 4000))
    np.testing.assert_array_equal(found[1][5:], noise(4))


def test_a_law_that_finds_no_partner_is_refused_before_the_first_step():
    with pytest.raises(SpecError, match="finds no partner for training units of class 0"):
        pool(np.array([8]), concat_partner="other-device")
    with pytest.raises(SpecError, match="finds no partner for training units of class 1"):
        pool(np.array([1, 5]), concat_law="cba")
    pool(np.array([8]))


@pytest.mark.parametrize("law", ["union", "cba"])
def test_laws_of_crackles_and_wheezes_need_them(law):
    sentence = f"concat_law={law} needs the classes normal, crackle, wheeze and both, but those of the data are"
    with pytest.raises(SpecError, match=f"{sentence} normal, adventitious"):
        PartnerPool(TRAIN, LABELS % 2, options(concat_law=law), classes=("normal", "adventitious"))
    with pytest.raises(SpecError, match=f"{sentence} normal, stridor, wheeze, both"):
        PartnerPool(TRAIN, LABELS, options(concat_law=law), classes=("normal", "stridor", "wheeze", "both"))


@pytest.mark.parametrize("classes", [2, 3, 5, 7])
def test_units_of_one_class_are_joined_in_any_task(classes):
    labels = np.arange(4 * classes) % classes
    names = [f"class {number}" for number in range(classes)]
    rows = np.arange(len(labels))
    joined = PartnerPool(rows, labels, options(concat_law="same", concat_probability=1.0), classes=names)
    found = draw_partners(rows, joined, np.random.default_rng(0))
    np.testing.assert_array_equal(labels[found.first], labels)
    np.testing.assert_array_equal(labels[found.second], labels)
    np.testing.assert_array_equal(found.labels, labels)


def test_rows_and_labels_are_not_written_into():
    rows, labels = TRAIN.copy(), LABELS.copy()
    draw_partners(
        rows,
        PartnerPool(TRAIN, labels, options(concat_law="union"), classes=FOUR_CLASSES.classes),
        np.random.default_rng(0),
    )
    np.testing.assert_array_equal(rows, TRAIN)
    np.testing.assert_array_equal(labels, LABELS)


def test_units_keep_their_device_type():
    found = concatenate(packed(noise(3), noise(4)), packed(noise(2)), JOINED, options(), 4000)
    assert found.samples.dtype == torch.float32
    assert found.lengths.tolist() == [3, 6]


def test_samples_stay_on_their_device_and_are_never_read_on_the_host():
    first, second = (waves._replace(samples=waves.samples.to("meta")) for waves in (packed(*UNITS), packed(noise(30))))
    found = concatenate(first, second, JOINED, options(concat_level=True, concat_crossfade=0.001), 4000)
    assert (found.samples.device.type, found.samples.shape) == ("meta", (2, 46))


# --- Splice -----------------------------------------------------------------------------------------------------------


def test_splice_draws_every_pair_whose_sounds_are_those_of_the_class():
    found = pairs(300, concat_law="splice")
    assert all(label == LABELS[row] == LABELS[first] | LABELS[second] for row, first, second, label in found)
    for label in range(4):
        seen = Counter((int(LABELS[i]), int(LABELS[j])) for _, i, j, own in found if own == label)
        wanted = {(i, j) for i in range(4) for j in range(4) if i | j == label}
        assert set(seen) == wanted
        share = 1 / len(wanted)
        for count in seen.values():
            error = 4 * np.sqrt(share * (1 - share) / seen.total()) + 1e-12
            assert count / seen.total() == pytest.approx(share, abs=error)


def test_splice_keeps_the_row_where_its_class_is_asked_for():
    for row, first, second, label in pairs(50, concat_law="splice"):
        assert row in (first, second) or (label == 3 and {LABELS[first], LABELS[second]} == {1, 2})


def test_splice_joins_two_devices():
    for _, first, second, _ in pairs(100, concat_law="splice", concat_partner="other-device"):
        assert DEVICES[first] != DEVICES[second]


def test_splice_with_normal_partners_has_a_normal_unit_in_each_pair():
    assert all(0 in (LABELS[i], LABELS[j]) for _, i, j, _ in pairs(100, concat_law="splice", concat_partner="normal"))


def test_splice_is_refused_where_a_pair_would_lack_a_partner():
    # Wheezes are of device b alone: none is beside a crackle of b.
    rows = np.array([0, 1, 5, 6, 3, 8])
    with pytest.raises(SpecError, match="concat_law=splice with concat_partner=other-device finds no partner"):
        pool(rows, concat_law="splice", concat_partner="other-device")


def test_segments_fill_the_seconds_that_are_asked_for():
    rate, chosen = 100, options(concat_law="splice", concat_seconds=2.0, concat_crossfade=0.1)
    rows = np.tile(TRAIN, 20)
    found = draw_partners(rows, pool(concat_law="splice", concat_seconds=2.0), np.random.default_rng(0))
    assert found.cuts.shape == (len(rows), 3)
    early, late = (packed(*[np.full(40 + 7 * k % 90, value) for k in range(len(rows))]) for value in (1.0, 2.0))
    joint = unpacked(concatenate(early, late, found, chosen, rate))
    assert {len(unit) for unit in joint} == {200}
    firsts = np.array([(unit == 1).sum() for unit in joint])
    assert firsts.min() >= 50 - 10
    assert firsts.max() <= 150
    assert len(set(firsts.tolist())) > 20
    # Every sample of a cross-fade lies between both; all others are of one of the two.
    assert all(((unit > 1) & (unit < 2)).sum() <= 10 for unit in joint)


def test_a_segment_begins_anew_at_the_end_of_its_unit():
    unit = np.arange(1, 11)
    cuts = np.array([[0.5, 0.35, 0.0]])
    both = Partners(np.array([0]), np.array([1]), np.array([0]), cuts)
    (joint,) = unpacked(concatenate(packed(unit), packed(-unit), both, options(concat_seconds=3.0), 10))
    np.testing.assert_array_equal(joint, [*range(4, 11), *range(1, 9), *range(-1, -11, -1), *range(-1, -6, -1)])


def test_parts_of_a_batch_have_their_parts_of_the_segments():
    found = draw_partners(TRAIN, pool(concat_law="splice", concat_seconds=2.0), np.random.default_rng(0))
    np.testing.assert_array_equal(found[slice(2, 5)].cuts, found.cuts[2:5])
