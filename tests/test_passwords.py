"""Hashes: three schemes read, one written, and none that costs too much."""

from __future__ import annotations

import time
import unicodedata
from base64 import b64encode

import pytest
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.security import check_password_hash, generate_password_hash

from tokenauth import InvalidCredentialsError, PasswordRefusedError, hash_password
from tokenauth.passwords import (
    Argon2Cost,
    dummy_hash,
    is_supported,
    needs_upgrade,
    verify_password,
)

CHEAP = Argon2Cost(memory=8, time=1)


@pytest.mark.parametrize(
    "password", ["correct horse", "nul\x00nul", "𝕒𝕤𝕥𝕣𝕒𝕝 𝕡𝕝𝕒𝕟𝕖", " spaces ", "x" * 1024]
)
def test_a_password_matches_its_own_hash_only(password: str) -> None:
    """Used exactly as received: not stripped, not truncated, not ended by NUL."""
    stored = hash_password(password, CHEAP)
    verify_password(stored, password)
    for other in (password[:-1], password + "x", password + "\x00", ""):
        with pytest.raises(InvalidCredentialsError):
            verify_password(stored, other)


def test_unicode_forms_of_a_password_differ() -> None:
    """Passwords are not normalised (documented, NIST leaves the choice)."""
    composed = unicodedata.normalize("NFC", "crème brûlée")
    with pytest.raises(InvalidCredentialsError):
        verify_password(
            hash_password(composed, CHEAP), unicodedata.normalize("NFD", composed)
        )


@pytest.mark.parametrize(
    "method", ["scrypt:1024:8:1", "pbkdf2:sha256:1000", "pbkdf2:sha1:10"]
)
def test_werkzeug_s_hashes_are_verified_and_upgraded(method: str) -> None:
    """An existing table of users moves over."""
    stored = generate_password_hash("correct horse", method)
    assert is_supported(stored)
    assert needs_upgrade(stored, CHEAP)
    verify_password(stored, "correct horse")
    with pytest.raises(InvalidCredentialsError):
        verify_password(stored, "wrong horse")


def test_a_hash_is_upgraded_and_never_downgraded() -> None:
    """Weaker than today's setting: renewed. As strong or stronger: left alone."""
    stored = hash_password("correct horse", Argon2Cost(memory=64, time=2))
    assert needs_upgrade(stored, Argon2Cost(memory=64, time=3))
    assert not needs_upgrade(stored, Argon2Cost(memory=64, time=2))
    assert not needs_upgrade(stored, CHEAP)
    assert needs_upgrade(stored.replace("argon2id", "argon2i"), CHEAP)


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "John",
        "$argon2id$v=19$m=4194304,t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2g",
        "$argon2id$v=19$m=19456,t=1000,p=1$c2FsdHNhbHQ$aGFzaGhhc2g",
        "$argon2id$v=19$m=19456,t=2,p=1000$c2FsdHNhbHQ$aGFzaGhhc2g",
        "$argon2id$v=19$m=262144,t=60,p=1$c2FsdHNhbHQ$aGFzaGhhc2g",
        "$argon2id$v=19$m=19456,t=0,p=1$c2FsdHNhbHQ$aGFzaGhhc2g",
        "$argon2id$v=19$m=19456",
        "$argon2id$v=18$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g",
        "$argon2id$v=19$m=08192,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g",
        "$argon2id$v=19$m=1945\u0666,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g",
        "$argon2id$v=19$m=8,t=2,p=2$c2FsdHNhbHQ$aGFzaGhhc2g",
        "$argon2id$v=19$m=8,t=2,p=1$c2FsdA$aGFzaGhhc2g",
        "$argon2id$v=19$m=8,t=2,p=1$c2FsdHNhbHQ$aGFz",
        "$argon2id$v=19$m=8,t=2,p=1$c2FsdHNhbHR$aGFzaGhhc2g",
        "$argon2id$v=19$m=8,t=2,p=1$c2FsdHNhbHQ$aGFza",
        "$argon2id$v=19$m=8,t=2,p=1$c2Fs\xe9HNhbHQ$aGFzaGhhc2g",
        "$argon2id$v=19$m=8,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g\n",
        "$2b$12$abcdefghijklmnopqrstuv",
        "scrypt:1073741824:8:1$salt$00ff",
        "scrypt:32768:8:100$salt$00ff",
        "scrypt:0:8:1$salt$00ff",
        "scrypt:1:8:1$salt$00ff",
        "scrypt:1000:8:1$salt$00ff",
        "scrypt:1024:0:1$salt$00ff",
        "scrypt:65536:1:1$salt$00ff",
        "scrypt:1024:8$salt$00ff",
        "scrypt:1024:8:1$$00ff",
        "scrypt:1024:8:1$s\ud800lt$00ff",
        "pbkdf2:sha256:0$salt$00ff",
        "pbkdf2:sha256:4000001$salt$00ff",
        "pbkdf2:sha256:900000000$salt$00ff",
        "pbkdf2:md5:1000$salt$00ff",
        "sha256$salt$00ff",
    ],
)
def test_a_hash_of_no_bearable_scheme_is_not_computed(stored: str) -> None:
    """A stored hash is data: it may not ask for 4 GiB or for minutes."""
    begun = time.monotonic()
    assert not is_supported(stored)
    assert time.monotonic() - begun < 1


def test_a_default_scrypt_hash_is_read() -> None:
    """Werkzeug's own default, parameters spelled out or not."""
    assert is_supported(generate_password_hash("x"))
    assert is_supported("scrypt$salt$00ff")
    assert is_supported("pbkdf2:sha256$salt$00ff")


numbers = st.sampled_from(["0", "1", "2", "3", "8", "08", "16", "64", "1000", "4096"])
encoded = st.binary(max_size=24).map(lambda b: b64encode(b).decode().rstrip("="))
hashes = st.one_of(
    st.builds(
        "$argon2{}{}$m={},t={},p={}${}${}".format,
        st.sampled_from(["id", "i", "d", "x"]),
        st.sampled_from(["", "$v=16", "$v=18", "$v=19"]),
        numbers,
        numbers,
        numbers,
        encoded,
        encoded | st.text("aB/+=é", max_size=12),
    ),
    st.builds(
        "scrypt:{}:{}:{}${}$00ff".format, numbers, numbers, numbers, st.text(max_size=4)
    ),
    st.builds(
        "pbkdf2:{}:{}${}$00ff".format,
        st.sampled_from(["sha1", "sha256", "md5", "shake_128"]),
        numbers,
        st.text(max_size=4),
    ),
)


@given(hashes)
def test_what_is_supported_is_computed_to_its_end(stored: str) -> None:
    """No hash that passes is refused half-way: that would be an error, or be seen."""
    if not is_supported(stored):
        return
    if stored.startswith("$argon2"):
        with pytest.raises(VerifyMismatchError):
            PasswordHasher().verify(stored, "x")
    else:
        assert not check_password_hash(stored, "x")


def test_a_hash_that_only_looks_right_matches_nothing() -> None:
    """A damaged digest is a wrong password, not an error."""
    with pytest.raises(InvalidCredentialsError):
        verify_password("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$!", "x")
    with pytest.raises(InvalidCredentialsError):
        verify_password("nonsense", "x")


def test_the_dummy_is_a_real_hash_that_nobody_knows() -> None:
    """It is computed like a stored one, at the same cost."""
    stored = dummy_hash(CHEAP)
    assert is_supported(stored)
    assert stored != dummy_hash(CHEAP)
    with pytest.raises(InvalidCredentialsError):
        verify_password(stored, "")


def test_a_lone_surrogate_is_refused_without_being_quoted() -> None:
    """No client can send it, and no error shows what stands beside it."""
    with pytest.raises(PasswordRefusedError) as caught:
        hash_password("hunter2\ud800", CHEAP)
    assert caught.value.__context__ is None
    assert "hunter2" not in str(caught.value)
