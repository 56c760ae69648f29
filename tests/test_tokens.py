"""Promises 2 and 3: one spelling, one purpose; and what a payload may be."""

from __future__ import annotations

import hashlib
import hmac
import pickle
import string
from typing import Any

import msgspec
import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from flask_login import encode_cookie
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import Signer, URLSafeTimedSerializer
from itsdangerous.encoding import base64_encode

from tests.kit import SECRET, Clock, assert_problem, bearer, log_in, make_app
from tokenauth import Claims, TokenExpiredError, TokenInvalidError
from tokenauth.tokens import ACCESS, REFRESH, RefreshClaims, TokenSigner

NOW = 1_790_000_000
KEY = SECRET.encode()
ALPHABET = string.ascii_letters + string.digits + "-_.=+/~ \n\x00é"


def make_signer(
    *keys: bytes, purpose: str = ACCESS, realm: str = "app", leeway: float = 30
) -> TokenSigner[Claims]:
    return TokenSigner(
        keys or (KEY,),
        purpose=purpose,
        realm=realm,
        claims_type=Claims,
        clock_leeway=leeway,
    )


def make_claims(**changes: Any) -> Claims:
    claims = Claims("u-1", "A" * 22, NOW, NOW + 900, NOW, frozenset())
    return msgspec.structs.replace(claims, **changes)


SIGNER = make_signer()
TOKEN = SIGNER.issue(make_claims(scopes=frozenset({"read"})))

times = st.integers(0, 2**53)
claims_strategy = st.builds(
    Claims,
    subject=st.text(min_size=1, max_size=40).filter(lambda s: s.isprintable()),
    session_id=st.text(string.ascii_letters, min_size=22, max_size=22),
    issued_at=st.just(NOW),
    expires_at=st.integers(NOW + 1, 2**53),
    authenticated_at=times,
    scopes=st.frozensets(st.text(string.ascii_lowercase, min_size=1, max_size=9)),
)


@given(claims_strategy)
def test_what_is_issued_is_what_is_verified(claims: Claims) -> None:
    """Issue, then verify, is identity."""
    assert SIGNER.verify(SIGNER.issue(claims), NOW) == claims


def alterations(token: str) -> set[str]:
    """Return each one-character edit of a token, and suffixes decoders forgive."""
    edits = {token[:i] + token[i + 1 :] for i in range(len(token))}
    for char in ALPHABET:
        edits |= {token[:i] + char + token[i:] for i in range(len(token) + 1)}
        edits |= {token[:i] + char + token[i + 1 :] for i in range(len(token))}
    edits |= {token + suffix for suffix in ("=", "==", "===", ",!!!", "====", "A" * 4)}
    edits |= {token.replace(".", sep) for sep in ("", "..", ":", "%2E")}
    edits |= {token.swapcase(), token.upper(), token[::-1], token * 2, "", "."}
    return edits - {token}


@given(claims_strategy)
def test_no_altered_token_verifies(claims: Claims) -> None:
    """Each insertion, deletion, substitution and base64 sibling is refused."""
    token = SIGNER.issue(claims)
    sample = sorted(alterations(token))[:: max(1, len(token) // 3)]
    for altered in sample:
        with pytest.raises(TokenInvalidError):
            SIGNER.verify(altered, NOW)


def test_every_alteration_of_one_token_is_refused() -> None:
    """All of them, for one token."""
    for altered in alterations(TOKEN):
        with pytest.raises(TokenInvalidError):
            SIGNER.verify(altered, NOW)


def test_altered_tokens_are_refused_over_http() -> None:
    """A sample of the same, with the code that a client sees."""
    client = make_app().test_client()
    token = log_in(client)["access_token"]
    for altered in sorted(alterations(token))[::97]:
        if set(altered) & set(" \n\x00é,") or not altered:
            continue
        answer = client.get("/protected", headers=bearer(altered))
        assert_problem(answer, 401, "token_invalid")


@pytest.mark.parametrize("made", [ACCESS, REFRESH, "personal", "once:reset"])
@pytest.mark.parametrize("realm", ["app", "app2", "personal/app"])
def test_a_token_verifies_in_its_own_cell_only(made: str, realm: str) -> None:
    """Of all purposes and realms, a token verifies in exactly one pair."""
    token = make_signer(purpose=made, realm=realm).issue(make_claims())
    for purpose in (ACCESS, REFRESH, "personal", "once:reset"):
        for other in ("app", "app2", "personal/app"):
            signer = make_signer(purpose=purpose, realm=other)
            if (purpose, other) == (made, realm):
                assert signer.verify(token, NOW) == make_claims()
            else:
                with pytest.raises(TokenInvalidError):
                    signer.verify(token, NOW)


def test_what_other_libraries_sign_with_the_same_key_is_refused() -> None:
    """Flask's session cookie, Flask-Login's remember cookie, a JWT: none is a token."""
    app = make_app()
    assert isinstance(app, Flask)
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer is not None
    jwt = base64_encode(b'{"alg":"HS256"}') + b"." + base64_encode(b'{"sub":"u-alice"}')
    mac = hmac.digest(KEY, jwt, "sha256")
    foreign = [
        serializer.dumps({"_user_id": "u-alice"}),
        encode_cookie("u-alice", SECRET),
        (jwt + b"." + base64_encode(mac)).decode(),
        URLSafeTimedSerializer(SECRET).dumps({"sub": "u-alice"}),
    ]
    for text in foreign:
        with pytest.raises(TokenInvalidError):
            SIGNER.verify(text, NOW)


def test_ours_accepts_a_subset_of_what_itsdangerous_accepts() -> None:
    """The signature is itsdangerous's own, with the derivation it documents."""
    plain = Signer(
        SECRET,
        salt="tokenauth/access/app",
        key_derivation="hmac",
        digest_method=hashlib.sha256,
    )
    assert plain.validate(TOKEN)
    assert plain.validate(TOKEN + "=")  # the spelling that we refuse
    assert plain.sign(TOKEN.rpartition(".")[0]).decode() == TOKEN


def sign(payload: bytes) -> str:
    return SIGNER.sign(base64_encode(payload)).decode()


GOOD: list[Any] = [1, "u-1", "A" * 22, NOW, NOW + 900, NOW, []]
WRONG: list[Any] = [
    None,
    {},
    [],
    GOOD[:-1],
    [*GOOD, 0],
    [2, *GOOD[1:]],
    [True, *GOOD[1:]],
    [1, "", *GOOD[2:]],
    [1, 7, *GOOD[2:]],
    [1, "u-1", "A" * 21, *GOOD[3:]],
    [1, "u-1", "A" * 23, *GOOD[3:]],
    [*GOOD[:3], -1, *GOOD[4:]],
    [*GOOD[:3], float(NOW), *GOOD[4:]],
    [*GOOD[:4], "9", *GOOD[5:]],
    [*GOOD[:4], None, *GOOD[5:]],
    [*GOOD[:4], float("nan"), *GOOD[5:]],
    [*GOOD[:6], "read"],
    [*GOOD[:6], [1]],
    [*GOOD[:6], {}],
]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        msgspec.msgpack.encode(GOOD) + b"\x00",
        msgspec.json.encode(GOOD),
        *(msgspec.msgpack.encode(value) for value in WRONG),
    ],
)
def test_a_payload_of_another_shape_is_refused(payload: bytes) -> None:
    """Nothing unexpected passes, even signed with the right key."""
    with pytest.raises(TokenInvalidError):
        SIGNER.verify(sign(payload), NOW)


def test_a_signed_content_that_is_no_base64_is_refused() -> None:
    """The right signature over something else than our own spelling helps nobody."""
    with pytest.raises(TokenInvalidError):
        SIGNER.verify(SIGNER.sign(b"!").decode(), NOW)


def test_a_refresh_token_says_its_generation() -> None:
    """Its shape is its own: neither is read as the other under one key."""
    signer = TokenSigner((KEY,), purpose=ACCESS, realm="app", claims_type=RefreshClaims)
    claims = RefreshClaims("u-1", "A" * 22, NOW, NOW + 9, NOW, frozenset(), 3)
    assert signer.verify(signer.issue(claims), NOW) == claims
    with pytest.raises(TokenInvalidError):
        SIGNER.verify(signer.issue(claims), NOW)
    with pytest.raises(TokenInvalidError):
        signer.verify(TOKEN, NOW)


def test_a_token_expires_at_its_second() -> None:
    """`now >= exp` is expired; a moment before it is not."""
    assert SIGNER.verify(TOKEN, NOW + 899.999)
    with pytest.raises(TokenExpiredError):
        SIGNER.verify(TOKEN, NOW + 900)


def test_a_token_may_come_from_a_clock_that_is_ahead() -> None:
    """Issued exactly at the leeway is accepted, one second past it is not."""
    assert SIGNER.verify(TOKEN, NOW - 30)
    with pytest.raises(TokenInvalidError):
        SIGNER.verify(TOKEN, NOW - 31)
    assert make_signer(leeway=0).verify(TOKEN, NOW)


def test_the_newest_key_signs_and_all_verify() -> None:
    """After a rotation new tokens need the new key alone; a retired key is dead."""
    old, new = KEY, b"n" * 16 + b"m" * 16
    rotated = make_signer(old, new)
    token = rotated.issue(make_claims())
    assert make_signer(new).verify(token, NOW)
    with pytest.raises(TokenInvalidError):
        make_signer(old).verify(token, NOW)
    assert rotated.verify(TOKEN, NOW)
    with pytest.raises(TokenInvalidError):
        make_signer(new).verify(TOKEN, NOW)


def test_tokens_are_stable_between_releases() -> None:
    """Key, purpose, realm and claims give these very characters: a frozen vector."""
    claims = make_claims(scopes=frozenset({"write", "read"}))
    signer = TokenSigner(
        (b"k" * 16 + b"e" * 16,), purpose=ACCESS, realm="app", claims_type=Claims
    )
    assert signer.issue(claims) == (
        "lwGjdS0xtkFBQUFBQUFBQUFBQUFBQUFBQUFBQUHOarE7gM5qsT8EzmqxO4C"
        "SpHJlYWSld3JpdGU.qU39tA2dcBpBADQ6hH8lXp0lhEY79jcXN2iI0c3rjus"
    )


def test_the_content_is_not_read_before_the_signature_is_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """ASVS 9.1.1: a bad MAC, and no decoder sees one byte."""
    signer = make_signer()
    monkeypatch.setattr(signer, "_decoder", None)
    with pytest.raises(TokenInvalidError):
        signer.verify(TOKEN[:-2] + "AA", NOW)


@pytest.mark.parametrize("text", [None, 5, b"a.b", "", ".", "a" * 5000, "\ud800.a"])
def test_what_cannot_be_a_token_is_refused(text: Any) -> None:
    """Whatever is given, the answer is the one error."""
    with pytest.raises(TokenInvalidError):
        SIGNER.verify(text, NOW)


def test_a_token_is_short() -> None:
    """An access token without scopes has at most 130 characters."""
    tokens = log_in(make_app(clock=Clock()).test_client())
    assert len(tokens["access_token"]) <= 130


def test_a_signer_shows_and_gives_away_nothing() -> None:
    """Neither repr nor pickle carries the key."""
    assert repr(SIGNER) == str(SIGNER) == "<TokenSigner>"
    with pytest.raises(TypeError):
        pickle.dumps(SIGNER)
