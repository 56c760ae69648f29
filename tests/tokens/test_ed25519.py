"""Ed25519, strictly: keys in their one spelling, signatures with one form."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.harness.key_pairs import RFC_8032
from tokenauth import ConfigurationError
from tokenauth.tokens import ed25519
from tokenauth.tokens.ed25519 import PRIVATE, PUBLIC, format_key, read_key
from tokenauth.tokens.jwk import jwk_set

ORDER = 2**252 + 27742317777372353535851937790883648493
PRIME = 2**255 - 19
SEED = ed25519.new_private()
PUBLIC_KEY = ed25519.public_of(SEED)

# https://github.com/novifinancial/ed25519-speccheck (Chalkias, Garillot, Nikolaenko,
# "Taming the many EdDSAs", 2020): message, public key, signature. The first have A, R
# or both of small order, or one that was not reduced; 3 is of mixed order, and right.
SPECCHECK = """\
8c93255d71dcab10e8f379c26200f3c7bd5f09d9bc3068d3ef4edeb4853022b6 c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a0000000000000000000000000000000000000000000000000000000000000000
9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79 c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04
aebf3f2601a0c8c5d39cc7d8911642f740b78168218da8471772b35f9d35b9ab f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43 c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa8c4bd45aecaca5b24fb97bc10ac27ac8751a7dfe1baff8b953ec9f5833ca260e
9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79 cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d 9046a64750444938de19f227bb80485e92b83fdb4b6506c160484c016cc1852f87909e14428a7a1d62e9f22f3d3ad7802db02eb2e688b6c52fcd6648a98bd009
e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d 160a1cb0dc9c0258cd0a7d23e94d8fa878bcb1925f2c64246b2dee1796bed5125ec6bc982a269b723e0668e540911a9a6a58921d6925e434ab10aa7940551a09
e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d 21122a84e0b5fca4052f5b1235c80a537878b38f3142356b2c2384ebad4668b7e40bc836dac0f71076f9abe3a53f9c03c1ceeeddb658d0030494ace586687405
85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40 442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623 e96f66be976d82e60150baecff9906684aebb1ef181f67a7189ac78ea23b6c0e547f7690a0e2ddcd04d87dbc3490dc19b3b3052f7ff0538cb68afb369ba3a514
85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40 442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623 8ce5b96c8f26d0ab6c47958c9e68b937104cd36e13c33566acd2fe8d38aa19427e71f98a473474f2f13f06f97c20d58cc3f54b8bd0d272f42b695dd7e89a8c22
fdaebc429f4a735932a160da1301080c13280eea8bc280d1b392c6b9e6ba3a5a f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43 edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f454d370c8d9fc323a41450f8d513eafeb5b0697390c1e505a0d4ddc71f566607
84b698d39be126ff55fe45079e6c8bf64a0d7db6994560b4e96b7021eb39c1a1 f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43 edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f084d5b99c2a9463d9c8bd5026916996984eeec87ddf1d3be329006ace1b37b09\
""".splitlines()  # noqa: E501

# The eight points of small order, and all further encodings of them.
SMALL = [
    (y | sign << 255).to_bytes(32, "little")
    for y in (
        *(0, 1, PRIME - 1, PRIME, PRIME + 1),
        *(ed25519._ORDER_EIGHT, PRIME - ed25519._ORDER_EIGHT),
    )
    for sign in (0, 1)
]


def openssl_accepts(public: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def accepts(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether a key is taken at start, and then the signature."""
    return ed25519.is_sound(public) and ed25519.verifies(public, signature, message)


@pytest.mark.parametrize(("private", "public", "message", "signature"), RFC_8032)
def test_the_vectors_of_rfc_8032(
    private: bytes, public: bytes, message: bytes, signature: bytes
) -> None:
    """Section 7.1, in both directions."""
    assert ed25519.public_of(private) == public
    assert ed25519.sign(private, message) == signature
    assert accepts(public, signature, message)
    assert not accepts(public, signature, message + b"x")


def test_only_what_is_right_in_every_reading_is_accepted() -> None:
    """Small orders, unreduced s, other encodings: of the published cases one is left.

    OpenSSL takes those whose points are of small order.
    """
    cases = [tuple(map(bytes.fromhex, line.split())) for line in SPECCHECK]
    found = [accepts(key, signature, said) for said, key, signature in cases]
    assert [i for i, is_accepted in enumerate(found) if is_accepted] == [3]
    found = [openssl_accepts(key, signature, said) for said, key, signature in cases]
    assert [i for i, is_accepted in enumerate(found) if is_accepted] == [0, 1, 2, 3]


@pytest.mark.parametrize("point", SMALL, ids=bytes.hex)
def test_a_point_of_small_order_is_no_key_and_in_no_signature(point: bytes) -> None:
    """In any encoding: one signature would be good for any message."""
    assert not ed25519.is_sound(point)
    with pytest.raises(ConfigurationError, match="forgeries"):
        read_key("KEY", format_key(PUBLIC, point), PUBLIC, testing=True)
    assert not ed25519.verifies(PUBLIC_KEY, point + bytes(32), b"any")


def test_openssl_would_take_a_forgery_under_such_a_key() -> None:
    """The check is needed: the neutral point signs everything."""
    neutral = (1).to_bytes(32, "little")
    assert openssl_accepts(neutral, neutral + bytes(32), b"whatever")
    assert not ed25519.verifies(neutral, neutral + bytes(32), b"whatever")


@pytest.mark.parametrize("y", [PRIME + 2, PRIME + 3, 2**255 - 1])
def test_a_public_key_has_one_encoding(y: int) -> None:
    """RFC 8032 section 5.1.3: y is below the prime."""
    for sign in (0, 1):
        assert not ed25519.is_sound((y | sign << 255).to_bytes(32, "little"))


@given(st.binary(max_size=200), st.integers(1, 15))
def test_s_has_one_encoding(message: bytes, times: int) -> None:
    """RFC 8032 section 5.1.7: s is below the order of the group."""
    signature = ed25519.sign(SEED, message)
    s = int.from_bytes(signature[32:], "little") + times * ORDER
    if s < 2**256:
        altered = signature[:32] + s.to_bytes(32, "little")
        assert not ed25519.verifies(PUBLIC_KEY, altered, message)
    assert ed25519.verifies(PUBLIC_KEY, signature, message)


@given(st.integers(0, 511), st.binary(min_size=1, max_size=50))
def test_no_bit_can_be_flipped(bit: int, message: bytes) -> None:
    """In the signature, in the message, in the key."""
    signature = ed25519.sign(SEED, message)
    assert not ed25519.verifies(PUBLIC_KEY, _flip(signature, bit), message)
    assert not ed25519.verifies(PUBLIC_KEY, signature, _flip(message, bit))
    assert not accepts(_flip(PUBLIC_KEY, bit), signature, message)


def _flip(raw: bytes, bit: int) -> bytes:
    flipped = bytearray(raw)
    flipped[bit // 8 % len(raw)] ^= 1 << bit % 8
    return bytes(flipped)


def test_a_key_is_read_from_one_line_and_from_pem() -> None:
    """What `openssl genpkey -algorithm ed25519` writes is read, too."""
    key = Ed25519PrivateKey.from_private_bytes(SEED)
    plain = NoEncryption()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, plain).decode()
    public = key.public_key()
    spki = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    for text in (format_key(PRIVATE, SEED), pem, pem.replace("\n", "\r\n")):
        assert read_key("KEY", text, PRIVATE) == SEED
    for text in (format_key(PUBLIC, PUBLIC_KEY), spki, spki.strip()):
        assert read_key("KEY", text, PUBLIC) == PUBLIC_KEY


_KEY = Ed25519PrivateKey.from_private_bytes(SEED)
_LINE = format_key(PRIVATE, SEED)
_SPARE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
BAD_KEYS: dict[str, Any] = {
    "nothing": None,
    "empty": "",
    "bytes": SEED,
    "a public key": format_key(PUBLIC, PUBLIC_KEY),
    "without its kind": _LINE.removeprefix(PRIVATE),
    "cut": _LINE[:-1],
    "padded": _LINE + "=",
    "with a line end": _LINE + "\n",
    "another spelling": _LINE[:-1] + _SPARE[_SPARE.index(_LINE[-1]) ^ 1],
    "PEM of another kind": _KEY.public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode(),
    "PEM with a passphrase": _KEY.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    ).decode(),
    "PEM that is cut": "-----BEGIN PRIVATE KEY-----\nMC4\n-----END PRIVATE KEY-----",
    "PEM without its head": "-----BEGIN PRIVATE KEY-----\n"
    f"{base64.b64encode(SEED).decode()}\n-----END PRIVATE KEY-----",
}


@pytest.mark.parametrize("why", BAD_KEYS)
def test_what_is_no_private_key_is_refused_by_name(why: str) -> None:
    """The message says what to do, and quotes nothing."""
    with pytest.raises(ConfigurationError, match="KEY is no private key") as caught:
        read_key("KEY", BAD_KEYS[why], PRIVATE)
    assert "new-secret --ed25519" in str(caught.value)
    assert _LINE.removeprefix(PRIVATE)[:20] not in str(caught.value)


@pytest.mark.parametrize("vector", RFC_8032)
def test_published_keys_are_for_tests_only(vector: tuple[bytes, ...]) -> None:
    """Everybody has the private key of an example."""
    for key, kind in zip(vector, (PRIVATE, PUBLIC), strict=False):
        with pytest.raises(ConfigurationError, match="published example"):
            read_key("KEY", format_key(kind, key), kind)
        assert read_key("KEY", format_key(kind, key), kind, testing=True) == key


def test_the_thumbprint_is_that_of_rfc_8037() -> None:
    """Appendix A.3."""
    [key] = jwk_set([RFC_8032[0][1]]).keys
    assert key.x == "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    assert key.kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_without_cryptography_the_message_says_what_to_install() -> None:
    """And all that signs with a secret works without it."""
    program = """
import sys
sys.modules["cryptography"] = None
from tokenauth import ConfigurationError, TokenAuth
from tokenauth.settings import load
secret = {"SECRET_KEY": "test-key-9f1c7ae25d08b34e6a19c2f7705be8d3cb46e1f80a9d2753"}
load(secret, "app")
try:
    load(secret | {"TOKENAUTH_SIGNING_KEY": "x"}, "app")
except ConfigurationError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "pip install 'flask-login-tokenauth[ed25519]'" in done.stdout


def test_a_set_of_keys_is_json() -> None:
    """As RFC 7517 section 5 has it."""
    import msgspec

    found = json.loads(msgspec.json.encode(jwk_set([PUBLIC_KEY])))
    [key] = found["keys"]
    assert {name: key[name] for name in ("kty", "crv", "alg", "use")} == {
        "kty": "OKP",
        "crv": "Ed25519",
        "alg": "EdDSA",
        "use": "sig",
    }
