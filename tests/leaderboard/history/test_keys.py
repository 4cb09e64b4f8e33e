"""Keys and signatures of submitters: what is signed, what a signature does not cover, and where a key is looked for."""

from __future__ import annotations

import copy
import json
import math

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bench.core.errors import ResultError, StoreError
from leaderboard.history.keys import canonical, is_public_key, is_signed, key_path, load_key, make_key
from leaderboard.history.signatures import changed_fields, check_signature, sign, signed_statement, submitter_key


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    return make_key(tmp_path_factory.mktemp("keys") / "mine.pem")


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return make_key(tmp_path_factory.mktemp("keys") / "theirs.pem")


def submission(**said):
    """A submission's result document, as far as its signature covers it."""
    return {
        "run_id": "0123456789abcdef",
        "created": "2026-01-01T00:00:00+00:00",
        "spec": {"system": "ours", "seed": 1, "model": "CRNN"},
        "metrics": {"last": {"4class": {"epoch": 7, "score": 60.0}}, "best-test": None},
        "submission": {
            "selection": "last",
            "scores": True,
            "paper": "A paper",
            "url": "https://example.org",
            "notes": None,
            "inputs": {"ensemble": 1, "tta": False},
            **said,
        },
    }


# --- canonical bytes --------------------------------------------------------------------------------------------


def test_the_same_document_has_the_same_bytes_whatever_the_order_of_its_names():
    one, other = {"b": [1, {"y": 2, "x": 1}], "a": "λ"}, {"a": "λ", "b": [1, {"x": 1, "y": 2}]}
    assert canonical(one) == canonical(other) == '{"a":"λ","b":[1,{"x":1,"y":2}]}'.encode()


@pytest.mark.parametrize("document", [{}, {"a": None}, {"a": 0.1}, {"ä\n": "\u2028"}, {"a": [True, 10**18]}])
def test_canonical_bytes_are_json_of_the_document(document):
    assert json.loads(canonical(document)) == document


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_json_cannot_say_is_not_signed(key, number):
    with pytest.raises(ValueError, match="JSON"):
        key.sign({"score": number})


# --- public keys and signatures ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        b"ed25519:",
        "",
        *(f"ed25519:{digits}" for digits in ("", "0" * 63, "0" * 65, "A" * 64, "g" * 64, "0" * 64 + "\n")),
        *(f"{kind}{'0' * 64}" for kind in ("ED25519:", " ed25519:", "rsa:", "")),
    ],
)
def test_only_64_small_hex_digits_are_a_public_key(text):
    assert not is_public_key(text)


def test_a_key_is_told_by_its_public_half_which_another_program_reads(key):
    assert is_public_key(key.public)
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key.public.removeprefix("ed25519:")))
    public.verify(bytes.fromhex(key.sign({"a": 1})), b'{"a":1}')


@pytest.mark.parametrize("flipped", [0, 63, 64, 127])
def test_a_signature_with_one_other_digit_is_none(key, flipped):
    signature = key.sign({"a": 1})
    digit = "0" if signature[flipped] != "0" else "1"
    assert not is_signed({"a": 1}, key.public, signature[:flipped] + digit + signature[flipped + 1 :])
    assert is_signed({"a": 1}, key.public, signature)


@pytest.mark.parametrize(
    "change", [str.upper, lambda text: text + "\n", lambda text: " " + text, lambda text: text[1:]]
)
def test_a_signature_is_written_in_one_way_alone(key, change):
    assert not is_signed({"a": 1}, key.public, change(key.sign({"a": 1})))


def test_bytes_that_are_no_point_of_the_curve_sign_nothing(key):
    signature = key.sign({"a": 1})
    for digits in ("0" * 64, "f" * 64, "2" + "0" * 63):
        assert not is_signed({"a": 1}, f"ed25519:{digits}", signature)


def test_signing_twice_gives_the_same_signature(key):
    assert key.sign(submission()) == key.sign(copy.deepcopy(submission()))


# --- where the key is -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({"BENCH_KEY": "/keys/mine.pem", "XDG_CONFIG_HOME": "/config", "HOME": "/home/me"}, "/keys/mine.pem"),
        ({"BENCH_KEY": "~/mine.pem", "HOME": "/home/me"}, "/home/me/mine.pem"),
        ({"XDG_CONFIG_HOME": "/config", "HOME": "/home/me"}, "/config/lungbench/key.pem"),
        ({"XDG_CONFIG_HOME": "", "BENCH_KEY": "", "HOME": "/home/me"}, "/home/me/.config/lungbench/key.pem"),
    ],
)
def test_the_key_lies_where_the_environment_says(monkeypatch, variables, wanted):
    for name in ("BENCH_KEY", "XDG_CONFIG_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert str(key_path()) == wanted


def test_a_made_key_signs_as_the_one_that_is_loaded_again(tmp_path, monkeypatch):
    path = tmp_path / "a" / "b" / "key.pem"
    made = make_key(path)
    monkeypatch.setenv("BENCH_KEY", str(path))
    assert load_key().sign({"a": 1}) == made.sign({"a": 1})
    assert load_key().public == made.public
    assert path.parent.stat().st_mode & 0o077 == 0


def test_two_made_keys_are_two_keys(key, other):
    assert key.public != other.public


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "key.pem", tmp_path / "file" / "folder" / "key.pem"):
        with pytest.raises(StoreError, match=r"Cannot write .*key\.pem: (File exists|Not a directory)"):
            make_key(place)


def test_a_key_that_is_there_stays_and_the_variable_is_named(tmp_path):
    path = tmp_path / "key.pem"
    path.write_text("precious")
    with pytest.raises(StoreError) as error:
        make_key(path)
    assert path.read_text() == "precious"
    assert "BENCH_KEY" in error.value.hint


def test_a_private_key_of_another_kind_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "key.pem"
    path.write_bytes(
        generate_private_key(SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    path.chmod(0o600)
    monkeypatch.setenv("BENCH_KEY", str(path))
    with pytest.raises(ResultError, match=r"key\.pem is no Ed25519 key"):
        load_key()


def test_a_key_with_a_password_is_a_sentence_and_no_question(tmp_path, monkeypatch, key):
    path = tmp_path / "key.pem"
    path.write_bytes(
        key.private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    path.chmod(0o600)
    monkeypatch.setenv("BENCH_KEY", str(path))
    with pytest.raises(ResultError, match=r"is no private key: .*encrypted"):
        load_key()


def test_a_file_far_larger_than_a_key_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "key.pem"
    path.write_bytes(b"x" * 2**20)
    path.chmod(0o600)
    monkeypatch.setenv("BENCH_KEY", str(path))
    with pytest.raises(ResultError, match=str(path)):
        load_key()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o610, 0o666])
def test_a_key_that_anybody_else_can_touch_is_refused_with_the_command_that_mends_it(tmp_path, monkeypatch, mode):
    path = tmp_path / "key.pem"
    make_key(path)
    path.chmod(mode)
    monkeypatch.setenv("BENCH_KEY", str(path))
    with pytest.raises(ResultError) as error:
        load_key()
    assert error.value.hint == f"chmod 600 {path}"


# --- signatures of submissions ----------------------------------------------------------------------------------


def test_a_signed_document_passes_and_an_unsigned_one_too(key):
    document = submission()
    check_signature(document, "here")
    sign(document, None)
    assert submitter_key(document) is None
    sign(document, key)
    assert submitter_key(document) == key.public
    check_signature(document, "here")


EDITS = {
    "the id": lambda d: d.update(run_id="f" * 16),
    "the seed": lambda d: d["spec"].update(seed=2),
    "the name": lambda d: d["spec"].update(system="theirs"),
    "the epoch": lambda d: d["metrics"]["last"]["4class"].update(epoch=8),
    "the paper": lambda d: d["submission"].update(paper="Another paper"),
    "the address": lambda d: d["submission"].update(url=None),
    "the inputs": lambda d: d["submission"]["inputs"].update(tta=True),
    "what the answers are": lambda d: d["submission"].update(scores=False),
    "the key": lambda d: d["submission"].update(key="ed25519:" + "1" * 64),
    "no key": lambda d: d["submission"].update(key=None),
    "no signature": lambda d: d["submission"].update(signature=None),
    "a number for a signature": lambda d: d["submission"].update(signature=7),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_an_edit_of_anything_that_is_stated_breaks_the_signature(key, edit):
    document = submission()
    sign(document, key)
    edit(document)
    with pytest.raises(ResultError, match="here: the signature is not one of the key"):
        check_signature(document, "here")


def test_when_and_from_which_file_it_was_made_is_not_signed(key):
    document = submission()
    sign(document, key)
    document["created"] = "2030-01-01T00:00:00+00:00"
    document["submission"]["file"] = "elsewhere.csv"
    check_signature(document, "here")


def test_another_key_cannot_put_its_name_on_a_statement(key, other):
    document = submission()
    sign(document, key)
    document["submission"]["key"] = other.public
    with pytest.raises(ResultError, match=other.public):
        check_signature(document, "here")


def test_a_statement_without_epoch_or_inputs_has_empty_places():
    told = signed_statement({**submission(inputs=None), "metrics": {"last": None}})
    assert (told["epoch"], told["inputs"]) == (None, {})


@pytest.mark.parametrize(
    "document", [{}, {"submission": {}}, {"submission": {"key": None}}, {"submission": {"key": 3}}]
)
def test_what_is_not_signed_has_no_submitter(document):
    assert submitter_key(document) is None


def test_what_was_stated_otherwise_is_named_with_both_values():
    before, after = submission(), submission(paper="Another", notes="said later", inputs={"ensemble": 5, "tta": False})
    after["spec"]["model"] = "AST"
    assert changed_fields(before, after) == {
        "ensemble": {"was": 1, "is": 5},
        "model": {"was": "CRNN", "is": "AST"},
        "notes": {"was": None, "is": "said later"},
        "paper": {"was": "A paper", "is": "Another"},
    }
    assert changed_fields(before, before) == {}


def test_a_field_that_one_statement_lacks_is_a_change_from_nothing():
    before, after = submission(inputs={}), submission(inputs={"metadata": True})
    del after["spec"]["model"]
    assert changed_fields(before, after) == {
        "metadata": {"was": None, "is": True},
        "model": {"was": "CRNN", "is": None},
    }
