"""Ed25519 keys and signatures (RFC 8032). The only module that imports cryptography.

OpenSSL refuses `s` that is not reduced, and every other encoding of `R` than the one it
computes. What it accepts beyond that is refused here: points of small order, and public
keys in another than their shortest encoding.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from ..errors import ConfigurationError

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )
except ImportError:
    raise ConfigurationError(
        "Signing with a key pair needs a package that is not installed: "
        "pip install 'flask-login-tokenauth[ed25519]'."
    ) from None

PRIVATE: Final = "ed25519-private:"
"""How a private key in one line begins; 43 characters of base64url follow."""

PUBLIC: Final = "ed25519-public:"
"""How a public key in one line begins."""

# What comes before the 32 bytes in PKCS #8 and SubjectPublicKeyInfo (RFC 8410).
_DER: Final = {
    PRIVATE: bytes.fromhex("302e020100300506032b657004220420"),
    PUBLIC: bytes.fromhex("302a300506032b6570032100"),
}
_PEM: Final = re.compile(
    r"-----BEGIN (PRIVATE|PUBLIC) KEY-----([A-Za-z0-9+/=\s]+)-----END \1 KEY-----"
)
_PRIME: Final = 2**255 - 19

# The y of the points of small order: on these, one signature is good for many messages.
_ORDER_EIGHT: Final = int.from_bytes(
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    "little",
)
_SMALL: Final = {0, 1, _PRIME - 1, _ORDER_EIGHT, _PRIME - _ORDER_EIGHT}

# RFC 8032 section 7.1, of which the first is the example of RFC 8037 and of our docs.
_EXAMPLES: Final = {
    bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
    bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"),
    bytes.fromhex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"),
}


def new_private() -> bytes:
    """Return a new private key."""
    return Ed25519PrivateKey.generate().private_bytes_raw()


def public_of(private: bytes) -> bytes:
    """Return the public key of a private one."""
    return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def sign(private: bytes, message: bytes) -> bytes:
    """Return the signature of a message."""
    return Ed25519PrivateKey.from_private_bytes(private).sign(message)


def verifies(public: bytes, signature: bytes, message: bytes) -> bool:
    """Return whether a signature is strictly right for a message and a checked key."""
    if _y_of(signature[:32]) in _SMALL:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def format_key(kind: str, key: bytes) -> str:
    """Return a key in one line."""
    return kind + base64.urlsafe_b64encode(key).rstrip(b"=").decode()


def read_key(name: str, text: object, kind: str, *, testing: bool = False) -> bytes:
    """Return the 32 bytes of a key that is written in one line or in PEM.

    Args:
        name: The setting, for messages.
        text: What was given.
        kind: `PRIVATE` or `PUBLIC`.
        testing: Whether published example keys are accepted.

    Raises:
        ConfigurationError: it is no such key, or not a safe one.
    """
    key = decode_key(text, kind) if isinstance(text, str) else None
    if key is None:
        word = kind.removeprefix("ed25519-").removesuffix(":")
        raise ConfigurationError(
            f"{name} is no {word} key of Ed25519: give the line that begins with "
            f"'{kind}', or the key in PEM without a passphrase. Make a pair with "
            "'flask tokenauth new-secret --ed25519'."
        )
    public = public_of(key) if kind == PRIVATE else key
    if not is_sound(public):
        raise ConfigurationError(f"{name} is a key under which forgeries verify.")
    if public in _EXAMPLES and not testing:
        raise ConfigurationError(
            f"{name} is a published example key. Make a pair with "
            "'flask tokenauth new-secret --ed25519'."
        )
    return key


def is_sound(public: bytes) -> bool:
    """Return whether a public key is canonical and not of small order."""
    y = _y_of(public)
    return len(public) == 32 and y < _PRIME and y not in _SMALL


def contains(secret: bytes, public: bytes) -> bool:
    """Return whether a secret is a public key, in whatever form it was copied."""
    encoded = (base64.urlsafe_b64encode(public), base64.b64encode(public))
    forms = (public, *(text.rstrip(b"=") for text in encoded))
    return any(form in secret for form in forms) or public.hex() in str(secret).lower()


def decode_key(text: str, kind: str) -> bytes | None:
    """Return the 32 bytes of a key; None if it is not written as one."""
    if (pem := _PEM.fullmatch(text.strip())) is not None:
        try:
            der = base64.b64decode("".join(pem[2].split()), validate=True)
        except binascii.Error:
            return None
        key = der.removeprefix(_DER[kind])
        return key if len(key) == 32 and len(der) > 32 else None
    line = text.removeprefix(kind)
    if line == text or re.fullmatch(r"[A-Za-z0-9_-]{43}", line) is None:
        return None
    key = base64.urlsafe_b64decode(f"{line}=")
    return key if format_key(kind, key) == text else None  # the one spelling


def _y_of(point: bytes) -> int:
    return int.from_bytes(point, "little") & ((1 << 255) - 1)
