"""Keys of submitters: who holds the private half of a key can add to what was submitted with it, and nobody else.

Keys are Ed25519. The private half is a PEM file that its owner alone can read; the public half is written as
``ed25519:`` and 64 hexadecimal characters, and stands with everything that was signed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.documents import read_bytes
from bench.core.errors import ResultError, StoreError
from bench.core.files import advice

KEY_VARIABLE = "BENCH_KEY"
"""Names another private key than the one in the user's configuration folder."""

_PUBLIC = re.compile(r"ed25519:[0-9a-f]{64}")
_SIGNATURE = re.compile(r"[0-9a-f]{128}")
_LARGEST_KEY = 16 * 2**10


@dataclass(frozen=True)
class SigningKey:
    """A submitter's private Ed25519 key with its public half.

    Attributes:
        public: The public half as text, ``ed25519:`` and 64 hexadecimal characters.
        private: The private half; it is never shown.
    """

    public: str
    private: Any

    def __repr__(self) -> str:
        return f"SigningKey({self.public})"

    def sign(self, document: Mapping[str, Any]) -> str:
        """Sign a JSON document; gives the signature as 128 hexadecimal characters."""
        return str(self.private.sign(canonical(document)).hex())


def canonical(document: Mapping[str, Any]) -> bytes:
    """Write a document as the bytes that are hashed and signed: JSON with sorted names, no spaces, UTF-8."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def is_public_key(text: Any) -> bool:
    """Whether something is the public half of a key."""
    return isinstance(text, str) and _PUBLIC.fullmatch(text) is not None


def is_signed(document: Mapping[str, Any], public: str, signature: Any) -> bool:
    """Whether a signature of a document was made with the private half of a key."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if not (is_public_key(public) and isinstance(signature, str) and _SIGNATURE.fullmatch(signature)):
        return False
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public.partition(":")[2]))
        key.verify(bytes.fromhex(signature), canonical(document))
    except (InvalidSignature, ValueError):
        return False
    return True


def key_path() -> Path:
    """Find the private key: what ``BENCH_KEY`` names, or ``lungbench/key.pem`` in the configuration folder."""
    named = os.environ.get(KEY_VARIABLE)
    if named:
        return Path(named).expanduser()
    folder = os.environ.get("XDG_CONFIG_HOME")
    return (Path(folder) if folder else Path.home() / ".config") / "lungbench" / "key.pem"


def make_key(path: Path) -> SigningKey:
    """Make a key and write its private half, readable by its owner alone; a file that is there is never replaced.

    Raises:
        StoreError: If there is a file already, or it cannot be written.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    content = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(content)
    except OSError as error:
        # A file in the place of the folder raises FileExistsError as well.
        if path.exists():
            raise StoreError(f"There is a key at {path} already.", f"Name another file in {KEY_VARIABLE}.") from None
        raise StoreError(f"Cannot write {path}: {error.strerror or error}.", advice(error)) from error
    return SigningKey(_public_half(private), private)


def load_key() -> SigningKey | None:
    """Load the user's private key; None where there is none.

    Raises:
        ResultError: If the file that ``BENCH_KEY`` names is not there, others can read the key, or it is no key.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    path = key_path()
    if not path.exists():
        if os.environ.get(KEY_VARIABLE):
            raise ResultError(f"{KEY_VARIABLE} names {path}, which is not there.", "`bench board key` makes it.")
        return None
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise ResultError(f"Others can read the private key {path}.", f"chmod 600 {path}")
    try:
        private = serialization.load_pem_private_key(read_bytes(path, _LARGEST_KEY, "a key"), password=None)
    except (ValueError, TypeError) as error:
        raise ResultError(f"{path} is no private key: {error}.", "`bench board key` makes one.") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise ResultError(f"{path} is no Ed25519 key.", "`bench board key` makes one.")
    return SigningKey(_public_half(private), private)


def _public_half(private: Any) -> str:
    return f"ed25519:{private.public_key().public_bytes_raw().hex()}"
