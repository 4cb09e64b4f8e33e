"""The pictures of the page on the protocol: counts and rules, no recording and no annotation."""

from __future__ import annotations

from collections.abc import Iterator

from site_pages.svg import box, dot, drawing, line, words

CLASSES = ("normal", "crackle", "wheeze", "both")

RECORDINGS = {"AKGC417L": (361, 285), "LittC2SE": (87, 0), "Meditron": (86, 41), "Litt3200": (5, 55)}
"""Recordings of ICBHI by stethoscope, in training and in the test part, counted in the official split."""

PATIENTS_TRAINING, PATIENTS_TEST, PATIENTS_IN_BOTH = 79, 49, 2
"""Patients of the two parts, counted in the official split; 156 and 218 are in both."""

SPRSOUND_ROWS = (
    ("ast-tiny + ce", 60.83, 54.2, 67.5, "1–2"),
    ("ast-tiny + patchmix-cl", 48.87, 29.5, 68.3, "1–4"),
    ("cnn6 + ce", 23.55, 5.7, 41.4, "2–4"),
    ("resnet18 + ce", 12.31, 0.0, 91.6, "2–4"),
)
"""Score, ends of its interval and rank: seven classes, inter-patient test, from results/sprsound-2022.md."""


def split_picture() -> str:
    """Cycles by class of the parts of ICBHI's official split."""
    from bench.api.dataset_cards import show_dataset

    (task,) = show_dataset("icbhi")["tasks"]
    titles = {"train": "Training", "test": "Test", "patient-disjoint": "Test, without patients 156 and 218"}
    parts: list[str] = list(_class_keys(16))
    for number, (name, counts) in enumerate(task["counts"].items()):
        y = 52 + 58 * number
        parts += [words(0, y, titles[name]), words(480, y, f"{sum(counts):,} cycles", at="end")]
        parts += _stacked(y + 8, counts)
    said = "Cycles by class in the training part, the test part, and the test part without two patients"
    caption = "Cycles of ICBHI 2017 in the official split. Half of the training cycles are normal."
    return drawing(480, 204, said, parts, caption)


def _class_keys(y: float) -> Iterator[str]:
    for number, name in enumerate(CLASSES):
        yield box(115 * number, y - 10, 12, 12, f"class-{name}")
        yield words(115 * number + 18, y, name)


def _stacked(y: float, counts: list[int]) -> Iterator[str]:
    x, scale = 0.0, 480 / 4142
    for name, count in zip(CLASSES, counts, strict=True):
        width = count * scale
        yield box(x, y, width, 24, f"class-{name}", 0)
        if width > 36:
            yield words(x + width / 2, y + 17, f"{count:,}", "on-colour", "middle")
        x += width


def patients_picture() -> str:
    """How many patients are in training, in the test part, and in both."""
    parts = [
        box(0, 30, 300, 64, "part-train", 8),
        box(270, 30, 210, 64, "part-test", 8),
        words(0, 20, f"Training: {PATIENTS_TRAINING} patients"),
        words(480, 20, f"Test: {PATIENTS_TEST} patients", at="end"),
        words(135, 68, f"{PATIENTS_TRAINING - PATIENTS_IN_BOTH} in training alone", at="middle"),
        words(390, 68, f"{PATIENTS_TEST - PATIENTS_IN_BOTH} tested alone", at="middle"),
        words(285, 68, f"{PATIENTS_IN_BOTH}", "strong", "middle"),
        words(285, 114, "156 and 218: 120 of the 2,756 test cycles", "", "middle"),
    ]
    return drawing(480, 122, "Of 126 patients 77 are in training alone, 47 in the test alone, and two in both", parts)


def devices_picture() -> str:
    """Recordings by stethoscope in both parts."""
    parts = [box(110, 6, 12, 12, "part-train"), words(128, 17, "training")]
    parts += [box(220, 6, 12, 12, "part-test"), words(238, 17, "test")]
    for number, (device, counts) in enumerate(RECORDINGS.items()):
        y = 34 + 50 * number
        parts.append(words(0, y + 22, device))
        for below, (count, kind) in enumerate(zip(counts, ("part-train", "part-test"), strict=True)):
            width = count * 320 / 361
            parts.append(box(110, y + 18 * below, max(width, 1), 15, kind, 0))
            parts.append(words(118 + width, y + 12 + 18 * below, str(count), "small"))
    said = "Recordings by stethoscope: of LittC2SE none is tested, of Litt3200 five are trained on"
    caption = "Recordings by stethoscope. LittC2SE is never tested; Litt3200 is tested and hardly trained on."
    return drawing(480, 224, said, parts, caption)


def score_picture() -> str:
    """Which cells of a confusion matrix count as a hit, for both kinds of sensitivity."""
    parts = [words(70, 16, "4-class: the exact class", "strong"), *_matrix(70, 44, exact=True)]
    parts += [words(70, 226, "2-class: any abnormal class", "strong"), *_matrix(70, 254, exact=False)]
    keys = (("hit-normal", "hit for Sp"), ("hit-abnormal", "hit for Se"), ("miss", "no hit"))
    for number, (kind, said) in enumerate(keys):
        parts += [box(345, 60 + 30 * number, 14, 14, kind), words(366, 72 + 30 * number, said)]
    parts += [words(345, 190, "rows: the label", "small"), words(345, 210, "columns: the answer", "small")]
    said = "Confusion matrices: the hits of Sp are in the first cell; those of Se on the diagonal, or anywhere abnormal"
    return drawing(480, 394, said, parts)


def _matrix(x: float, y: float, *, exact: bool) -> Iterator[str]:
    size = 34
    for row, label in enumerate(CLASSES):
        yield words(x - 8, y + size * row + 22, label, "small", "end")
        yield words(x + size * 1.7 * row + 29, y - 6, label, "small", "middle")
        for column in range(len(CLASSES)):
            hit = row == column if exact else (row > 0) == (column > 0)
            kind = "miss" if not hit else "hit-abnormal" if row else "hit-normal"
            yield box(x + size * 1.7 * column, y + size * row, size * 1.7 - 3, size - 3, kind)


TEST_CURVE = (50.0, 52.5, 54.0, 57.5, 56.0, 59.0, 61.4, 58.2, 59.6, 58.0, 59.2, 58.6, 59.0, 58.8)
HELD_OUT_CURVE = (50.5, 53.5, 56.5, 58.0, 59.5, 60.2, 60.6, 60.9, 61.6, 61.0, 60.8, 60.7, 60.5, 60.6)


def selection_picture() -> str:
    """What the three rules choose, on two curves that are drawn and were not measured."""

    def at(epoch: int, value: float) -> tuple[float, float]:
        return 30 + 26 * epoch, 210 - 14 * (value - 48)

    best = max(range(len(TEST_CURVE)), key=TEST_CURVE.__getitem__)
    held = max(range(len(HELD_OUT_CURVE)), key=HELD_OUT_CURVE.__getitem__)
    last = len(TEST_CURVE) - 1
    parts = [line([(30, 10), (30, 214), (400, 214)], "axis"), words(400, 232, "epoch", "small", "end")]
    parts.append(words(38, 18, "Score", "small"))
    parts.append(line([at(*point) for point in enumerate(HELD_OUT_CURVE)], "curve-held-out"))
    parts.append(line([at(*point) for point in enumerate(TEST_CURVE)], "curve-test"))
    parts.append(line([at(held, HELD_OUT_CURVE[held]), at(held, TEST_CURVE[held])], "dashed"))
    for epoch in (best, held, last):
        parts.append(dot(*at(epoch, TEST_CURVE[epoch]), "dot-test"))
    parts.append(words(at(best, 0)[0] - 8, at(best, TEST_CURVE[best])[1] - 6, "best-test", "strong", "end"))
    parts.append(words(at(held, 0)[0], at(held, TEST_CURVE[held])[1] + 40, "best-val", "strong", "middle"))
    parts.append(words(at(last, 0)[0] + 10, at(last, TEST_CURVE[last])[1] + 5, "last", "strong"))
    parts += [line([(250, 150), (275, 150)], "curve-test"), words(282, 155, "test part", "small")]
    parts += [line([(250, 175), (275, 175)], "curve-held-out"), words(282, 180, "held-out patients", "small")]
    said = "Two curves over epochs: best-test is the top of the test curve, best-val the top of the held-out curve"
    caption = (
        "Drawn, not measured. Each rule reads its number from the test curve; only best-test looked at it to choose."
    )
    return drawing(480, 240, said, parts, caption)


def interval_picture() -> str:
    """Scores with intervals of real runs, and the ranks that they leave open."""

    def at(score: float) -> float:
        return 170 + 2.5 * score

    parts = [words(430, 16, "rank", "small")]
    for tick in (0, 25, 50, 75, 100):
        parts += [
            line([(at(tick), 24), (at(tick), 160)], "grid"),
            words(at(tick), 178, str(tick), "small", "middle"),
        ]
    for number, (system, score, low, high, rank) in enumerate(SPRSOUND_ROWS):
        y = 44 + 32 * number
        parts += [words(0, y + 5, system, "small"), line([(at(low), y), (at(high), y)], "interval")]
        parts += [dot(at(score), y, "dot-test"), words(440, y + 5, rank, "small")]
    said = "Four systems with Scores from 12 to 61 and wide intervals: the ranks 1-2, 1-4, 2-4 and 2-4 are left open"
    caption = "Real runs on SPRSound, seven classes, two seeds each: Scores with 95 % intervals, and ranks."
    return drawing(480, 186, said, parts, caption)
