"""Hashes: three schemes read, one written, and none that costs too much."""

from __future__ import annotations

import hashlib
import string
import subprocess
import sys
import time
import unicodedata
from base64 import b64encode
from collections.abc import Callable
from functools import partial
from typing import Any

import argon2
import pytest
from argon2.exceptions import HashingError, VerificationError, VerifyMismatchError
from hypothesis import example, given
from hypothesis import strategies as st
from werkzeug.security import check_password_hash, generate_password_hash

from tokenauth import OverloadedError, PasswordRefusedError, hash_password
from tokenauth.accounts.hash_schemes import Argon2Cost, is_supported, needs_upgrade
from tokenauth.accounts.passwords import (
    PasswordHasher,
    verify_password,
)

CHEAP = Argon2Cost(memory=8, time=1)


@pytest.mark.parametrize(
    "password", ["correct horse", "nul\x00nul", "𝕒𝕤𝕥𝕣𝕒𝕝 𝕡𝕝𝕒𝕟𝕖", " spaces ", "x" * 1024]
)
def test_a_password_matches_its_own_hash_only(password: str) -> None:
    """Used exactly as received: not stripped, not truncated, not ended by NUL."""
    stored = hash_password(password, CHEAP)
    assert verify_password(stored, password)
    for other in (password[:-1], password + "x", password + "\x00", ""):
        assert not verify_password(stored, other)


def test_unicode_forms_of_a_password_differ() -> None:
    """Passwords are not normalised (documented, NIST leaves the choice)."""
    composed = unicodedata.normalize("NFC", "crème brûlée")
    assert not verify_password(
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
    assert verify_password(stored, "correct horse")
    assert not verify_password(stored, "wrong horse")


@pytest.mark.parametrize(
    "stored",
    [
        # The reference implementation's own test vectors (phc-winner-argon2, test.c).
        (
            "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ"
            "$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
        ),
        (
            "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ"
            "$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA"
        ),
        (
            "$argon2i$m=65536,t=2,p=1$c29tZXNhbHQ"
            "$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ"
        ),
        # RFC 7914 section 12, RFC 6070 section 2.
        (
            "scrypt:1024:8:16$NaCl$fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b"
            "3731622eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640"
        ),
        "pbkdf2:sha1:4096$salt$4b007901b765489abead49d926f721d065a429c1",
    ],
    ids=["argon2id", "argon2i", "argon2i of 1.2", "scrypt", "pbkdf2"],
)
def test_known_answers_are_verified(stored: str) -> None:
    """Published hashes of "password"; all but the first are replaced at a login."""
    assert is_supported(stored)
    assert verify_password(stored, "password")
    assert not verify_password(stored, "Password")
    assert needs_upgrade(stored, Argon2Cost()) == ("argon2id" not in stored)


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
        "$argon2id$v=19$m=8192,t=02,p=1$c2FsdHNhbHQ$aGFzaGhhc2g",
        "$argon2id$v=19$m=8192,t=2,p=01$c2FsdHNhbHQ$aGFzaGhhc2g",
        f"$argon2id$v=19$m={'9' * 5000},t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g",
        "$argon2x$v=19$m=8192,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g",
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
        "scrypt:1024:8:1$sa lt$00ff",
        "scrypt:1024:8:1$salt$",
        "scrypt:1024:8:1$salt$00fg",
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
    begun = time.process_time()
    assert not is_supported(stored)
    assert time.process_time() - begun < 0.2


@pytest.mark.parametrize("stored", [None, b"$argon2id$v=19$", 5, ["x"]])
def test_what_is_no_text_is_no_hash(stored: object) -> None:
    """Whatever a column holds."""
    assert not is_supported(stored)


def test_what_is_made_is_what_is_asked_for() -> None:
    """Argon2id, at OWASP's recommendation by default, with a salt of its own."""
    assert hash_password("x").startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    stored = hash_password("x", Argon2Cost(memory=32, time=3, parallelism=2))
    assert stored.startswith("$argon2id$v=19$m=32,t=3,p=2$")
    assert stored != hash_password("x", Argon2Cost(memory=32, time=3, parallelism=2))
    dummy = PasswordHasher(CHEAP).dummy
    assert dummy.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert len(dummy) == len(hash_password("x", CHEAP))


@pytest.mark.parametrize(
    ("stored", "is_bearable"),
    [
        (f"$argon2id$v=19$m={1 << 18},t=4,p=1$c2FsdHNhbHQ$aGFzaGhhc2g", True),
        (f"$argon2id$v=19$m={2 << 18},t=4,p=1$c2FsdHNhbHQ$aGFzaGhhc2g", False),
        (f"$argon2id$v=19$m={1 << 18},t=5,p=1$c2FsdHNhbHQ$aGFzaGhhc2g", False),
        ("$argon2id$v=19$m=16384,t=64,p=64$c2FsdHNhbHQ$aGFzaGhhc2g", True),
        ("$argon2id$v=19$m=16384,t=65,p=1$c2FsdHNhbHQ$aGFzaGhhc2g", False),
        ("$argon2id$v=19$m=16384,t=1,p=65$c2FsdHNhbHQ$aGFzaGhhc2g", False),
        ("$argon2id$v=19$m=8,t=64,p=1$c2FsdHNhbHQ$aGFzaGhhc2g", True),
        ("$argon2id$v=19$m=8,t=65,p=1$c2FsdHNhbHQ$aGFzaGhhc2g", False),
        ("$argon2id$v=19$m=16,t=1,p=2$c2FsdHNhbHQ$aGFzaA", True),
        ("$argon2id$v=19$m=15,t=1,p=2$c2FsdHNhbHQ$aGFzaA", False),
        ("$argon2d$v=16$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA", True),
        ("scrypt:262144:8:4$salt$00ff", True),
        ("scrypt:262144:8:5$salt$00ff", False),
        ("scrypt:524288:8:1$salt$00ff", False),
        ("scrypt:128:16384:4$salt$00ff", True),
        ("scrypt:128:16385:1$salt$00ff", False),
        ("scrypt:128:10923:6$salt$00ff", False),
        ("scrypt:32768:1:1$salt$00ff", True),
        ("scrypt:128:1:1$salt$00ff", True),
        ("scrypt:64:1:1$salt$00ff", False),
        ("pbkdf2:sha512:4000000$salt$00ff", True),
        ("pbkdf2:sha1:1$salt$00ff", True),
    ],
)
def test_the_caps_are_exact(stored: str, is_bearable: bool) -> None:
    """256 MiB at a time, 1 GiB in all, 64 passes and lanes, four million iterations."""
    assert is_supported(stored) == is_bearable


def test_no_character_of_a_hash_is_taken_for_padding() -> None:
    """Whichever its salt and its digest end with."""
    for char in string.ascii_letters + string.digits + "+/":
        end = char * 4
        assert is_supported(f"$argon2id$v=19$m=8,t=2,p=1$c2FsdHNhbHRz{end}$aGFz{end}")


def test_a_salt_may_have_any_size() -> None:
    """Whatever is left over of it in base64, and so may a digest."""
    for size in range(8, 40):
        text = b64encode(b"s" * size).decode().rstrip("=")
        assert is_supported(f"$argon2id$v=19$m=8,t=2,p=1${text}${text}")


def test_a_default_scrypt_hash_is_read() -> None:
    """Werkzeug's own default, parameters spelled out or not."""
    assert is_supported(generate_password_hash("x"))
    assert is_supported("scrypt$salt$00ff")
    assert is_supported("pbkdf2:sha256$salt$00ff")


numbers = st.sampled_from(["1", "2", "8", "16", "64", "128", "1024", "0", "08", "1000"])
encoded = st.binary(max_size=24).map(lambda raw: b64encode(raw).decode().rstrip("="))
odd_text = st.text(max_size=6)
hashes = st.one_of(
    st.builds(
        "$argon2{}$m={},t={},p={}${}${}".format,
        st.sampled_from(["id$v=19", "id", "i$v=16", "d$v=19", "id$v=18", "x$v=19"]),
        numbers,
        numbers,
        numbers,
        st.sampled_from(["c2FsdHNhbHQ", "c2FsdHNhbHR"]) | encoded | odd_text,
        encoded | odd_text,
    ),
    st.builds("scrypt:{}:{}:{}${}$00ff".format, numbers, numbers, numbers, odd_text),
    st.builds(
        "pbkdf2:{}:{}${}$00ff".format,
        st.sampled_from(["sha1", "sha256", "md5", "shake_128"]),
        numbers,
        odd_text,
    ),
)


def is_computed(stored: str) -> bool:
    """Whether the libraries compute a hash to its end, for the wrong password."""
    if not stored.startswith("$argon2"):
        return not check_password_hash(stored, "x")
    with pytest.raises(VerifyMismatchError):
        argon2.PasswordHasher().verify(stored, "x")
    return True


@given(hashes)
@example("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA")
@example("scrypt:128:1:1$salt$00ff")
@example("pbkdf2:sha256:1$salt$00ff")
def test_what_is_supported_is_computed_to_its_end(stored: str) -> None:
    """No hash that passes is refused half-way: that would be an error, or be seen."""
    assert not is_supported(stored) or is_computed(stored)


def test_the_dummy_is_a_real_hash_that_nobody_knows() -> None:
    """It is computed like a stored one, at the same cost."""
    dummy = PasswordHasher(CHEAP).dummy
    assert is_supported(dummy)
    assert not verify_password(dummy, "")


@pytest.mark.parametrize("stored", [None, "", "nonsense", b"$argon2id$", 5, "$2b$12$a"])
def test_where_no_hash_can_be_read_the_dummy_is_verified(
    stored: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same work, and no password is right."""
    hasher = PasswordHasher(CHEAP)
    seen: list[str] = []
    verify = argon2.PasswordHasher.verify

    def noted(self: argon2.PasswordHasher, stored: str, password: str) -> bool:
        seen.append(stored)
        return verify(self, stored, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", noted)
    assert hasher.verify(stored, "correct horse") is None
    assert seen == [hasher.dummy]


def test_an_application_may_verify_the_hashes_of_another_system() -> None:
    """Its verdict counts; None leaves a hash to the usual schemes."""

    def verify(stored: str, password: str) -> bool | None:
        if not stored.startswith("plain:"):
            return None
        return stored == f"plain:{password}"

    hasher = PasswordHasher(CHEAP, verify)
    assert hasher.verify("plain:correct horse", "correct horse") is True
    assert hasher.verify("plain:correct horse", "wrong horse") is False
    assert hasher.verify(hash_password("correct horse", CHEAP), "correct horse") is True
    assert hasher.verify(hash_password("correct horse", CHEAP), "wrong horse") is False
    assert hasher.verify("other:correct horse", "correct horse") is None
    for no_text in (None, b"plain:correct horse", 5):
        assert hasher.verify(no_text, "correct horse") is None
    assert hasher.needs_upgrade("plain:correct horse")


@pytest.mark.parametrize(
    ("owner", "name", "error"),
    [
        (argon2.PasswordHasher, "hash", HashingError("Memory allocation error")),
        (argon2.PasswordHasher, "verify", VerificationError("Threading failure")),
        (argon2.PasswordHasher, "verify", MemoryError()),
        (hashlib, "scrypt", ValueError("memory limit exceeded")),
    ],
)
def test_what_could_not_be_computed_is_not_wrong(
    owner: Any,
    name: str,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No memory is the server's trouble: to be tried again, and no guess."""
    stored = hash_password("correct horse", CHEAP)
    if owner is hashlib:
        stored = generate_password_hash("correct horse", "scrypt:1024:8:1")

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(owner, name, fail)
    compute: Callable[[], object] = partial(hash_password, "correct horse", CHEAP)
    if name != "hash":
        compute = partial(verify_password, stored, "correct horse")
    with pytest.raises(OverloadedError) as caught:
        compute()
    assert caught.value.__suppress_context__
    assert type(error).__name__ in caplog.text


NO_MEMORY = """
import resource
from tests.harness.kit import make_app
from tokenauth import DictUserStore
from argon2 import PasswordHasher
stored = PasswordHasher(time_cost=1, memory_cost=65536, parallelism=1).hash("right one")
app = make_app(users=DictUserStore({"ann": stored}), config={
    "TOKENAUTH_LOGIN_LIMITS": "2 per hour"})
client, body = app.test_client(), {"username": "ann", "password": "right one"}
statuses = [client.post("/auth/login", json=body).status_code]
with open("/proc/self/statm") as f:
    size = int(f.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (8 << 20), resource.RLIM_INFINITY))
statuses += [client.post("/auth/login", json=body).status_code for _ in range(4)]
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
statuses += [client.post("/auth/login", json=body).status_code]
assert statuses == [200, 503, 503, 503, 503, 200], statuses
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_without_memory_answers_503_and_counts_no_attempt() -> None:
    """As under a memory limit: the right password is not wrong."""
    subprocess.run([sys.executable, "-c", NO_MEMORY], check=True, timeout=60)


def test_a_lone_surrogate_is_refused_without_being_quoted() -> None:
    """No client can send it, and no error shows what stands beside it."""
    with pytest.raises(PasswordRefusedError) as caught:
        hash_password("hunter2\ud800", CHEAP)
    assert caught.value.__context__ is None
    assert caught.value.rule == "not_text"
    assert "surrogate" in caught.value.description
    assert "hunter2" not in str(caught.value)
    assert PasswordHasher(CHEAP).verify(None, "hunter2\ud800") is False
