"""``bench board submit|export|import|upgrade``, and every command on a board that a URL names."""

from __future__ import annotations

import csv
import json

import numpy as np
import postgres
import pytest
import sqlalchemy as sa
from board_runs import write_run
from icbhi_sets import NAMES, part_of_folder, write_set

from leaderboard.store.store import Store

SHARED = {**NAMES, "503_1b2_Ar_sc_Litt3200": "train", "505_1b1_Al_sc_Meditron": "test"}
SCORES = ["recording", "cycle", "normal", "crackle", "wheeze", "both"]


@pytest.fixture(autouse=True)
def place(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "no-data"))
    return tmp_path


@pytest.fixture
def data(tmp_path):
    """A simulated set without audio, one patient on both sides of its split."""
    write_set(tmp_path / "data", names=SHARED)
    for path in (tmp_path / "data").rglob("*.wav"):
        path.unlink()
    return tmp_path / "data"


def write_predictions(path, part, seed=0):
    scores = np.random.default_rng(seed).dirichlet(np.ones(4), len(part.cycles))
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(SCORES)
        writer.writerows([*key, *row] for key, row in zip(part.cycles.keys, scores.tolist(), strict=True))
    return path


def recount(path, truth, left_out=()):
    """Sp, Se and Score of a file of predictions under both judgements, by counting its lines one by one."""
    counts = {"sp": [0, 0], "4class": [0, 0], "2class": [0, 0]}
    with path.open() as stream:
        for row in csv.DictReader(stream):
            if row["recording"][:3] in left_out:
                continue
            scores = [float(row[name]) for name in SCORES[2:]]
            guess, label = scores.index(max(scores)), truth[row["recording"], int(row["cycle"])]
            if label == 0:
                counts["sp"] = [counts["sp"][0] + (guess == 0), counts["sp"][1] + 1]
            else:
                counts["4class"] = [counts["4class"][0] + (guess == label), counts["4class"][1] + 1]
                counts["2class"] = [counts["2class"][0] + (guess > 0), counts["2class"][1] + 1]
    rates = {name: 100 * hits / total for name, (hits, total) in counts.items()}
    return {
        judged: {"sp": rates["sp"], "se": rates[judged], "score": (rates["sp"] + rates[judged]) / 2}
        for judged in ("4class", "2class")
    }


def submit(bench, *words, code=0):
    return bench("board", "submit", *words, code=code)


def one_line(text):
    return " ".join(text.split())


# --- submit -----------------------------------------------------------------------------------------------------


def test_the_document_of_a_submission(bench, data, tmp_path):
    part = part_of_folder(data)
    path = write_predictions(tmp_path / "p.csv", part)
    words = [path, "--system", "our [CRNN]", "--selection", "best-val", "--data", data, "--seed", 3, "--epoch", 17]
    more = ["--model", "CRNN", "--paper", "A. Author, 2026", "--url", "https://example.org", "--notes", "one GPU"]
    done = submit(bench, *words, *more, "--format", "json")
    document = json.loads(done.out)
    assert (document["system"], document["selection"], document["seed"]) == ("our [CRNN]", "best-val", 3)
    assert (document["dataset"], document["simulated"], document["partial"], document["cycles"]) == (
        "demo",
        True,
        None,
        12,
    )
    truth = dict(zip(part.cycles.keys, part.cycles.labels, strict=True))
    for name, left_out in (("official", ()), ("patient-disjoint", ("503",))):
        for judged, expected in recount(path, truth, left_out).items():
            found = document["metrics"][name][judged]
            assert set(found) == {"sp", "se", "score", "confusion", "n", "epoch"}
            assert {rate: found[rate] for rate in expected} == pytest.approx(expected, abs=1e-9)
            assert found["epoch"] == 17
            assert found["n"] == (12 if name == "official" else 8) == sum(map(sum, found["confusion"]))
    assert document["submission"]["url"] == "https://example.org"
    assert document["provenance"]["checked_by"]["version"]
    assert "checked against the simulated set: 12 test cycles" in done.err
    shown = bench("board", "show", document["run_id"][:6]).out
    for word in ("submission", "our [CRNN], seed 3", "A. Author, 2026", "best-val", "one GPU", "checked_by.version"):
        assert word in shown
    assert "our [CRNN]" in bench("report", "leaderboard", "--protocol", "best-val", "--format", "csv").out
    assert "our [CRNN]" not in bench("report", "leaderboard").out
    assert "our [CRNN]" in bench("board", "list").out
    assert json.loads(bench("board", "show", document["run_id"], "--format", "json").out)["kind"] == "submission"


def test_a_submission_is_compared_by_its_name_and_has_its_intervals(bench, data, tmp_path):
    part = part_of_folder(data)
    for seed, name in enumerate(("our [CRNN]", "theirs")):
        path = write_predictions(tmp_path / f"{seed}.csv", part, seed)
        document = json.loads(
            submit(bench, path, "--system", name, "--selection", "last", "--data", data, "--format", "json").out
        )
    found = json.loads(bench("board", "compare", "our [CRNN]", "theirs", "--format", "json").out)
    assert [found[side]["name"] for side in "ab"] == ["our [CRNN]", "theirs"]
    scores = {view: judged["4class"]["score"] for view, judged in document["metrics"].items()}
    for view, score in scores.items():
        assert found["b"]["views"][view]["4class"]["score"]["value"] == pytest.approx(score, abs=1e-9)
    text = one_line(bench("board", "compare", "our [CRNN]", "theirs").out)
    assert "our [CRNN] (submitted)" in text
    assert "A (our [CRNN])" in text
    rows = json.loads(bench("report", "leaderboard", "--format", "json").out)["sections"][0]["rows"]
    row = next(row for row in rows if row["name"] == "theirs")
    assert row["ci95"][0] <= row["score"] <= row["ci95"][1]
    assert row["patient_disjoint"]["score"] == pytest.approx(scores["patient-disjoint"], abs=1e-9)


def test_the_table_of_a_submission_and_the_second_time(bench, data, tmp_path):
    path = write_predictions(tmp_path / "p.csv", part_of_folder(data))
    words = [path, "--system", "x", "--selection", "last", "--data", data]
    text = submit(bench, *words).out
    for word in ("x · seed 1 · last (as stated) · simulated data", "official", "patient-disjoint", "4class", "2class"):
        assert word in text
    assert "nothing changed" in submit(bench, *words).err
    other = write_predictions(tmp_path / "q.csv", part_of_folder(data), seed=1)
    refused = one_line(submit(bench, other, *words[1:], code=2).err)
    assert "the board holds other predictions of 'x' with seed 1 under last" in refused
    assert "--seed" in refused


def test_the_default_place_of_the_data_is_used(bench, data, tmp_path, monkeypatch):
    path = write_predictions(tmp_path / "p.csv", part_of_folder(data))
    monkeypatch.setenv("BENCH_DATA", str(data))
    submit(bench, path, "--system", "x", "--selection", "last")
    rebuilt = bench("board", "rebuild").err
    assert "holds 1 run." in rebuilt


def test_a_partial_set_is_marked(bench, data, tmp_path):
    next(data.rglob("505*.txt")).unlink()
    path = write_predictions(tmp_path / "p.csv", part_of_folder(data, allow_partial=True))
    words = [path, "--system", "x", "--selection", "last", "--data", data]
    assert "1 of 7 annotation files is missing" in one_line(submit(bench, *words, code=3).err)
    document = json.loads(submit(bench, *words, "--allow-partial", "--format", "json").out)
    assert document["partial"] == "partial (6 of 7)"


def test_a_refusal_is_one_sentence_and_with_json_the_whole_difference(bench, data, tmp_path):
    path = write_predictions(tmp_path / "p.csv", part_of_folder(data))
    head, *lines = path.read_text().splitlines()
    training = ["501_1b1_Al_sc_Meditron,0,1,0,0,0", "502_2b1_Pr_mc_AKGC417L,2,1,0,0,0"]
    path.write_text("\n".join([head, *lines[5:], *training, lines[9]]))
    words = [path, "--system", "x", "--selection", "last", "--data", data]
    said = one_line(submit(bench, *words, code=2).err)
    assert "2 of your 10 cycles belong to training patients: this looks like a random split" in said
    done = submit(bench, *words, "--format", "json", code=2)
    document = json.loads(done.out)
    assert document["accepted"] is False
    assert [len(document[name]) for name in ("missing", "extra", "twice")] == [5, 2, 1]
    assert document["missing"][0] == ["503_1b1_Ar_sc_Litt3200", 0]
    assert document["training"] == 2
    assert not (tmp_path / "home").exists()


def test_where_the_cycles_are_not_known_the_sentence_says_what_to_do(bench, tmp_path):
    (tmp_path / "p.csv").write_text("recording,cycle,predicted\na,0,0\n")
    said = one_line(submit(bench, tmp_path / "p.csv", "--system", "x", "--selection", "last", code=3).err)
    for word in ("official test cycles are not known here", "--data", "audio is not needed", "--data demo"):
        assert word in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--system", "x", "--selection", "lasst"], "Unknown selection rule 'lasst': did you mean 'last'?"),
        (["--system", " ", "--selection", "last"], "--system must be one line of 1 to 200 characters"),
        (["--selection", "last"], "Missing option '--system'"),
        (["--system", "x"], "Missing option '--selection'"),
        (["--system", "x", "--selection", "last", "--seed", "-1"], "Invalid value for '--seed'"),
        (["--system", "x", "--selection", "last", "--format", "csv"], "Unknown format 'csv'"),
        (["--system", "x", "--selection", "last", "--url", "https://a:b@c"], "--url holds a user name or password"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_read(bench, tmp_path, words, message):
    assert message.lower() in one_line(submit(bench, tmp_path / "absent.csv", *words, code=2).err).lower()


def test_a_missing_file_is_named(bench, data, tmp_path):
    words = ["--system", "x", "--selection", "last", "--data", data]
    assert "Cannot read" in submit(bench, tmp_path / "absent.csv", *words, code=2).err
    assert "Cannot read" in submit(bench, tmp_path, *words, code=2).err


def test_the_simulated_set_can_be_named_by_its_word(bench, data, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "bench.data.datasets.simulated.demo.demo_folder",
        lambda cache, on_progress=None: data if cache == tmp_path / "cache" else None,
    )
    path = write_predictions(tmp_path / "p.csv", part_of_folder(data))
    words = [path, "--system", "x", "--selection", "last", "--data", "demo", "--cache", tmp_path / "cache"]
    done = submit(bench, *words, "--format", "json")
    assert json.loads(done.out)["simulated"] is True
    assert "marked as simulated" in done.err


@pytest.mark.icbhi
def test_random_predictions_of_the_real_test_part(bench, icbhi_folder, tmp_path):
    part = part_of_folder(icbhi_folder)
    path = write_predictions(tmp_path / "p.csv", part)
    words = ["--system", "random", "--selection", "last"]
    document = json.loads(submit(bench, path, *words, "--data", icbhi_folder, "--format", "json").out)
    truth = {}
    for file in icbhi_folder.rglob("*_*_*_*_*.txt"):
        if not file.name.startswith("ICBHI"):
            for index, line in enumerate(file.read_text().splitlines()):
                truth[file.stem, index] = int(line.split()[2]) + 2 * int(line.split()[3])
    for name, left_out, n in (("official", (), 2756), ("patient-disjoint", ("156", "218"), 2636)):
        for judged, expected in recount(path, truth, left_out).items():
            found = document["metrics"][name][judged]
            assert {rate: found[rate] for rate in expected} == pytest.approx(expected, abs=1e-9)
            assert found["n"] == n
    # A random split of recordings, as some published code makes one.
    recordings = sorted({key[0] for key in truth})
    chosen = set(np.random.default_rng(0).permutation(recordings)[:381].tolist())
    rows = [key for key in sorted(truth) if key[0] in chosen]
    (tmp_path / "q.csv").write_text("recording,cycle,predicted\n" + "".join(f"{r},{c},0\n" for r, c in rows))
    tested = set(part.cycles.keys)
    strays = sum(key not in tested for key in rows)
    said = one_line(submit(bench, tmp_path / "q.csv", *words, "--data", icbhi_folder, code=2).err)
    assert (
        f"{strays:,} of your {len(rows):,} cycles belong to training patients: this looks like a random split" in said
    )


# --- bundles ----------------------------------------------------------------------------------------------------


@pytest.fixture
def wards(tmp_path, bench):
    """Bundles of two machines that share a run."""
    made = []
    for name, seeds in (("a", (1, 2)), ("b", (2, 3))):
        for seed in seeds:
            Store.open(tmp_path / name).import_run(write_run(tmp_path / name, seed=seed))
        bench("board", "export", tmp_path / f"{name}.zip", "--home", tmp_path / name)
        made.append(tmp_path / f"{name}.zip")
    return made


def test_bundles_are_merged_twice_without_doubling(bench, wards, tmp_path):
    text = bench("board", "import", *wards).out
    assert "a.zip: 2 new, 0 same" in text
    assert "b.zip: 1 new, 1 same" in text
    document = json.loads(bench("board", "import", *wards, "--format", "json").out)
    assert [(len(item["new"]), len(item["same"])) for item in document["bundles"]] == [(0, 2), (0, 2)]
    assert len(Store.open(tmp_path / "home").runs()) == 3


def test_the_document_of_an_export(bench, wards, tmp_path):
    document = json.loads(
        bench("board", "export", tmp_path / "c.zip", "--home", tmp_path / "a", "--format", "json").out
    )
    assert set(document) == {"file", "runs", "cycle_sets", "bytes", "sha256"}
    assert (len(document["runs"]), document["cycle_sets"]) == (2, 1)
    assert document["bytes"] == (tmp_path / "c.zip").stat().st_size
    chosen = bench("board", "export", tmp_path / "d.zip", document["runs"][0][:8], "--home", tmp_path / "a").out
    assert "d.zip: 1 run, " in chosen


def test_a_conflict_is_named_and_ends_with_4(bench, wards, tmp_path):
    mine = write_run(tmp_path / "home", seed=1, salt=1)
    Store.open(tmp_path / "home").import_run(mine)
    done = bench("board", "import", wards[0], code=4)
    assert f"conflict  {mine.name}: the board holds another result" in done.out
    assert "1 run in conflict" in done.err
    assert "--replace" in done.err
    document = json.loads(bench("board", "import", wards[0], "--format", "json", code=4).out)
    assert [item["run_id"] for item in document["bundles"][0]["conflict"]] == [mine.name]
    assert "1 replaced" in bench("board", "import", wards[0], "--replace").out
    assert "0 new, 2 same" in bench("board", "import", wards[0]).out


def test_one_damaged_bundle_stops_all(bench, wards, tmp_path):
    wards[1].write_bytes(wards[1].read_bytes()[:-100])
    assert "is no bundle" in one_line(bench("board", "import", *wards, code=4).err)
    assert not (tmp_path / "home").exists()


def test_an_empty_board_has_nothing_to_export(bench, tmp_path):
    assert "holds no run to export" in one_line(bench("board", "export", tmp_path / "x.zip", code=4).err)


# --- a board that a URL names -----------------------------------------------------------------------------------


def test_every_command_works_on_postgresql_and_shows_no_password(bench, postgres_url, monkeypatch, data, tmp_path):
    monkeypatch.setenv("BENCH_STORE", postgres_url)
    folders = [write_run(tmp_path / "home", seed=seed) for seed in (1, 2)]
    path = write_predictions(tmp_path / "p.csv", part_of_folder(data))
    commands = [
        ["board", "list"],
        ["board", "rebuild"],
        ["board", "list"],
        ["board", "show", folders[0].name],
        ["report", "leaderboard"],
        ["board", "submit", path, "--system", "x", "--selection", "last", "--data", data],
        ["board", "export", tmp_path / "b.zip"],
        ["board", "import", tmp_path / "b.zip"],
        ["board", "upgrade"],
        ["doctor", "--quick", "-q", "--format", "json"],
    ]
    said = []
    for words in commands:
        done = bench(*words)
        said.append(done.out + done.err)
    assert "holds 2 runs" in said[1]
    assert folders[0].name in said[2]
    assert "0 new, 3 same" in said[7]
    assert "***@" in json.loads(said[9])["folders"]["board"]
    monkeypatch.setenv("BENCH_STORE", f"{postgres_url.partition('?')[0]}_absent?{postgres_url.partition('?')[2]}")
    for words in (["board", "list"], ["report"], ["board", "rebuild"], ["board", "upgrade"]):
        done = bench(*words, code=4)
        assert "cannot be used" in done.err
        said.append(done.out + done.err)
    written = [file.read_text(errors="replace") for file in (tmp_path / "home").rglob("*") if file.is_file()]
    encoded = sa.make_url(postgres_url).render_as_string(hide_password=False).split(":")[2].split("@")[0]
    for text in [*said, *written]:
        assert postgres.PASSWORD not in text
        assert encoded not in text
    assert not (tmp_path / "home" / "leaderboard.sqlite").exists()


def test_a_url_that_cannot_be_read_is_a_sentence(bench, monkeypatch):
    monkeypatch.setenv("BENCH_STORE", "postgresql://anna:s3cret@host:port/board")
    for words, code in ((["board", "list"], 4), (["doctor", "--quick"], 1)):
        done = bench(*words, code=code)
        assert "s3cret" not in done.out + done.err
        assert "The store's URL cannot be read" in done.out + done.err


def test_a_database_of_another_kind_is_refused(bench, monkeypatch):
    monkeypatch.setenv("BENCH_STORE", "mysql://anna:s3cret@host/board")
    said = bench("board", "list", code=4).err
    assert "names 'mysql'" in said
    assert "postgresql://" in said
    assert "s3cret" not in said


@pytest.mark.parametrize(
    "url", ["postgresql:anna:s3cret@host/board", "anna:s3cret@host", "/folder/s3cret", "s3cret", "sqlite:s3cret"]
)
def test_what_is_no_url_is_no_folder_either(bench, monkeypatch, tmp_path, url):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_STORE", url)
    for words in (["board", "list"], ["board", "rebuild"], ["report"], ["board", "import", "b.zip"]):
        done = bench(*words, code=4)
        assert "BENCH_STORE holds no URL" in done.err
        assert "s3cret" not in done.out + done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seed", "9223372036854775808"], "invalid value for '--seed'"),
        (["--seed", "-1"], "invalid value for '--seed'"),
        (["--seed", "9" * 5000], "invalid value for '--seed'"),
        (["--epoch", "2147483648"], "invalid value for '--epoch'"),
        (["--epoch", "0"], "invalid value for '--epoch'"),
        (["--notes", "x" * 201], "--notes must be one line of 1 to 200 characters"),
        (["--paper", "a\x1b[2Jb"], "--paper must be one line"),
        (["--notes", "a\ud800"], "--notes must be one line"),
    ],
)
def test_numbers_and_texts_that_no_column_holds_are_refused_before_anything_is_written(
    bench, data, tmp_path, words, message
):
    path = write_predictions(tmp_path / "p.csv", part_of_folder(data))
    done = submit(bench, path, "--system", "x", "--selection", "last", "--data", data, *words, code=2)
    assert message in one_line(done.err).lower()
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("words", [["--seed", "9223372036854775807"], ["--epoch", "2147483647"]])
def test_the_largest_numbers_come_back_from_every_board(bench, data, tmp_path, words, request, monkeypatch):
    path = write_predictions(tmp_path / "p.csv", part_of_folder(data))
    submitted = [path, "--system", "x", "--selection", "last", "--data", data, *words, "--format", "json"]
    for url in ("", request.getfixturevalue("postgres_url")):
        monkeypatch.setenv("BENCH_STORE", url)
        run_id = json.loads(submit(bench, *submitted).out)["run_id"]
        assert f'": {words[1]}' in bench("board", "show", run_id, "--format", "json").out
        assert "holds 1 run." in bench("board", "rebuild").err


@pytest.mark.parametrize("name", ["a\u00a0b", "👩\u200d🔬 net", "Ünïcode 网络", "[bold]x[/]", "a ? b"])
def test_names_of_systems_are_kept_as_they_are(bench, data, tmp_path, name):
    path = write_predictions(tmp_path / "p.csv", part_of_folder(data))
    document = json.loads(
        submit(bench, path, "--system", name, "--selection", "last", "--data", data, "--format", "json").out
    )
    assert document["system"] == name
    bench("report", "leaderboard")
    bench("board", "list")
