"""Promises 2 and 3: one spelling, one purpose; and what a payload may be."""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
import pickle
import string
import time
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import msgspec
import pytest
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st
from itsdangerous import BadData, Signer

from tests.harness.kit import (
    SECRET,
    Clock,
    assert_problem,
    bearer,
    let_in_by_cookie,
    log_in,
    make_app,
    token_of,
)
from tokenauth import Claims, TokenExpiredError, TokenInvalidError
from tokenauth.sessions.issuer import PERSONAL_PREFIX, TokenIssuer
from tokenauth.settings import load
from tokenauth.tokens import claims as claims_types
from tokenauth.tokens.claims import OnceClaims, RefreshClaims
from tokenauth.tokens.signing import ACCESS, REFRESH, TokenSigner

NOW = 1_790_000_000
KEY = SECRET.encode()
NEW_KEY = b"n" * 16 + b"m" * 16
ALPHABET = (
    string.ascii_letters + string.digits + "-_.=+/~,;:%!*\"' \n\x00\x7fé\u200b\ud800"
)
SUFFIXES = ("=", "==", "===", "====", ",!!!", "A" * 4, ".", ".A", "%3D", " ", "\r\n")


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


def is_accepted(text: str, signer: TokenSigner[Any] = SIGNER) -> bool:
    """Whether a text verifies. Any error but the one that is promised is raised."""
    try:
        signer.verify(text, NOW)
    except TokenInvalidError:
        return False
    return True


claims_strategy = st.builds(
    Claims,
    subject=st.text(min_size=1, max_size=40),
    session_id=st.text(string.ascii_letters + "-_é", min_size=22, max_size=22),
    issued_at=st.integers(0, NOW + 30),
    expires_at=st.integers(NOW + 1, 2**64 - 1),
    authenticated_at=st.integers(0, 2**64 - 1),
    scopes=st.frozensets(st.text(max_size=9), max_size=4),
)


@given(claims_strategy)
def test_what_is_issued_is_what_is_verified(claims: Claims) -> None:
    """Issue, then verify, is identity."""
    assert SIGNER.verify(SIGNER.issue(claims), NOW) == claims


@given(claims_strategy, st.integers(0, 2**64 - 1))
def test_a_refresh_token_says_its_generation(claims: Claims, generation: int) -> None:
    """Its shape is its own: neither is read as the other, even under one key."""
    signer = TokenSigner(
        (KEY,),
        purpose=ACCESS,
        realm="app",
        claims_type=RefreshClaims,
        clock_leeway=30,
    )
    refresh = RefreshClaims(**msgspec.structs.asdict(claims), generation=generation)
    token = signer.issue(refresh)
    assert signer.verify(token, NOW) == refresh
    assert not is_accepted(token)
    assert not is_accepted(SIGNER.issue(claims), signer)


def alterations(token: str) -> set[str]:
    """Return each one-character edit of a token, and what decoders forgive."""
    places = range(len(token) + 1)
    edits = {token[:i] + char + token[i:] for i in places for char in ALPHABET}
    edits |= {token[:i] + char + token[i + 1 :] for i in places for char in ALPHABET}
    edits |= {token[:i] + token[i + 1 :] for i in places}
    edits |= {token + suffix for suffix in SUFFIXES}
    edits |= {token.replace(".", separator) for separator in ("", "..", ":", "%2E")}
    edits |= {token.swapcase(), token.upper(), token[::-1], token * 2, "", "."}
    return edits - {token}


@pytest.mark.advisory("itsdangerous, which forgives padding and junk")
@settings(max_examples=settings().max_examples // 10)
@given(claims_strategy)
def test_no_altered_token_verifies(claims: Claims) -> None:
    """At every place, every insertion, deletion, substitution and sibling is refused.

    The siblings in base64 of the last character are among the substitutions.
    """
    token = SIGNER.issue(claims)
    assert [text for text in alterations(token) if is_accepted(text)] == []


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_no_made_up_text_verifies(text: str) -> None:
    """Nor does any signature over it that another key made."""
    assert not is_accepted(text)
    assert not is_accepted(f"{TOKEN}{text}") or not text
    assert not is_accepted(
        make_signer(NEW_KEY).sign(text.encode("utf-8", "replace")).decode()
    )


def test_altered_tokens_are_refused_over_http() -> None:
    """A sample of the same, with the code that a client sees."""
    app = make_app()
    client, token = app.test_client(), token_of(app)
    changed = sorted(alterations(token))[::97]
    last = [token[:-1] + char for char in ALPHABET]
    for altered in {*changed, *last, *(token + suffix for suffix in SUFFIXES)}:
        # What a header cannot carry, or what it is stripped of.
        if (
            not altered.isprintable()
            or not altered.isascii()
            or altered.strip() in {token, ""}
        ):
            continue
        answer = client.get("/protected", headers=bearer(altered))
        bare = client.get("/protected", headers={"Authorization": altered})
        if "," in altered:  # two headers, joined
            assert_problem(answer, 400, "invalid_request")
            assert bare.status_code in {400, 401}
            continue
        assert_problem(answer, 401, "token_invalid")
        assert bare.status_code == 401, altered


def test_ours_accepts_a_subset_of_what_itsdangerous_accepts() -> None:
    """The signature is itsdangerous's own, with the derivation that it documents."""
    plain = Signer(
        SECRET,
        salt="tokenauth/access/app",
        key_derivation="hmac",
        digest_method=hashlib.sha256,
    )
    assert plain.validate(TOKEN)
    assert plain.sign(TOKEN.rpartition(".")[0]).decode() == TOKEN
    forgiven = []
    for text in alterations(TOKEN):
        try:
            forgiven += [text] if plain.validate(text) else []
        except (BadData, UnicodeEncodeError):
            continue
    assert TOKEN + "=" in forgiven
    assert len(forgiven) > 50
    assert not any(is_accepted(text) for text in forgiven)


@pytest.mark.advisory("Flask-JWT-Extended 4.4.0 (#483)")
@pytest.mark.parametrize("made", [ACCESS, REFRESH, "personal", "once:reset"])
@pytest.mark.parametrize("realm", ["app", "app2", "App", "personal/app", "/app"])
def test_a_token_verifies_in_its_own_cell_only(made: str, realm: str) -> None:
    """Of all purposes and realms, a token verifies in exactly one pair."""
    token = make_signer(purpose=made, realm=realm).issue(make_claims())
    cells = {
        (purpose, other)
        for purpose in (ACCESS, REFRESH, "personal", "once:reset", "once:access")
        for other in ("app", "app2", "App", "personal/app", "/app")
        if is_accepted(token, make_signer(purpose=purpose, realm=other))
    }
    assert cells == {(made, realm)}


def make_mint(realm: str, key: str = SECRET) -> TokenIssuer:
    return TokenIssuer(load({"SECRET_KEY": key, "TOKENAUTH_REALM": realm}, "app"))


def test_no_signer_of_two_applications_reads_another_s_token() -> None:
    """With one secret for both, all signers that there are, against all tokens."""
    claims = ("u-1", "A" * 22, NOW, NOW + 900, NOW, frozenset[str]())
    signers: list[tuple[TokenSigner[Any], Claims]] = []
    for realm in ("shop", "forum"):
        mint = make_mint(realm)
        signers += [
            (mint.access, Claims(*claims)),
            (mint.refresh, RefreshClaims(*claims, 0)),
            (mint.personal, Claims(*claims)),
            (mint.once("once:reset"), OnceClaims(*claims, "")),
            (mint.once("once:verify"), OnceClaims(*claims, "")),
        ]
    for issuer, said in signers:
        token = issuer.issue(said)
        readers = [signer for signer, _ in signers if is_accepted(token, signer)]
        assert readers == [issuer]


def test_a_personal_token_is_known_by_its_prefix() -> None:
    """The prefix is signed: neither can it be taken off, nor put before another."""
    mint = make_mint("app")
    token = mint.personal.issue(make_claims())
    assert token.startswith(PERSONAL_PREFIX)
    assert not is_accepted(token.removeprefix(PERSONAL_PREFIX), mint.personal)
    assert not is_accepted(token.replace("tka_", "tkb_"), mint.personal)
    assert not is_accepted(token, mint.access)
    assert not is_accepted(
        PERSONAL_PREFIX + mint.access.issue(make_claims()), mint.personal
    )


def test_the_cookies_of_the_same_key_are_no_tokens() -> None:
    """What Flask and Flask-Login themselves signed for a user opens nothing."""
    app = make_app()
    client = let_in_by_cookie(app)
    cookies = [client.get_cookie(name) for name in ("session", "remember_token")]
    stranger = app.test_client()
    for cookie in cookies:
        assert cookie is not None
        assert not is_accepted(cookie.value)
        for text in (cookie.value, cookie.decoded_value):
            answer = stranger.get("/protected", headers=bearer(text))
            assert_problem(answer, 401, "token_invalid")


VECTORS = json.loads(Path(__file__).with_name("vectors.json").read_text())
REFUSED: dict[str, list[str]] = VECTORS["refused"]


def signer_of(vector: dict[str, Any]) -> TokenSigner[Any]:
    return TokenSigner(
        [bytes.fromhex(key) for key in vector["secret_keys"]],
        purpose=vector["purpose"],
        realm=vector["realm"],
        claims_type=getattr(claims_types, vector["kind"]),
        prefix=vector["prefix"],
        clock_leeway=30,
    )


@pytest.mark.parametrize("vector", VECTORS["accepted"], ids=lambda each: each["name"])
def test_tokens_are_stable_between_releases(vector: dict[str, Any]) -> None:
    """Keys, purpose, realm and claims give these very characters, and the reverse.

    The vectors were made without this package, and are never changed: a token that
    was issued before an upgrade works after it.
    """
    signer = signer_of(vector)
    claims = signer.verify(vector["token"], VECTORS["now"])
    said = [*msgspec.structs.astuple(claims)]
    said[5] = sorted(said[5])
    assert said == vector["claims"]
    assert signer.issue(claims) == vector["token"]


@pytest.mark.advisory("PyJWT CVE-2017-11424, CVE-2022-29217", "Authlib CVE-2024-37568")
def test_what_was_refused_stays_refused() -> None:
    """Other spellings, keys, derivations, purposes, libraries, contents: all refused.

    What is called signed has the right signature, over a content of another shape.
    """
    signer = signer_of(VECTORS["accepted"][0])
    for why, texts in REFUSED.items():
        for text in texts:
            with pytest.raises(TokenInvalidError):
                pytest.fail(f"{why}: {signer.verify(text, VECTORS['now'])}")


def test_the_vectors_are_many() -> None:
    """A file cut short would refuse nothing."""
    assert len({text for texts in REFUSED.values() for text in texts}) >= 200


@pytest.mark.advisory("PyJWT CVE-2026-32597", "Authlib CVE-2025-59420")
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.floats()
        | st.text()
        | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=9,
    )
)
def test_no_signed_content_is_read_as_anything_else(content: Any) -> None:
    """Whatever is signed with the right key: the fixed array, or the one error."""
    packed = msgspec.msgpack.encode(content)
    for raw in (packed, msgspec.msgpack.encode([1, "u-1", "A" * 22, NOW, content])):
        encoded = urlsafe_b64encode(raw).rstrip(b"=")
        assert not is_accepted(SIGNER.sign(encoded).decode())


@pytest.mark.parametrize("place", range(7))
@given(
    content=st.none()
    | st.booleans()
    | st.floats()
    | st.binary()
    | st.lists(st.booleans(), min_size=1)
    | st.dictionaries(st.text(), st.text())
)
def test_no_element_is_of_another_type(place: int, content: Any) -> None:
    """Strict types in each place: no truth for one, no float for a time."""
    payload: list[Any] = [1, "u-1", "A" * 22, NOW, NOW + 900, NOW, []]
    payload[place] = content
    encoded = urlsafe_b64encode(msgspec.msgpack.encode(payload)).rstrip(b"=")
    assert not is_accepted(SIGNER.sign(encoded).decode())


@pytest.mark.advisory("knox #389, itsdangerous #429")
def test_a_token_expires_at_its_second() -> None:
    """`now >= exp` is expired; a moment before it is not."""
    assert SIGNER.verify(TOKEN, NOW + 899.999)
    for late in (900, 900.001, 10**9):
        with pytest.raises(TokenExpiredError):
            SIGNER.verify(TOKEN, NOW + late)


def test_a_token_may_come_from_a_clock_that_is_ahead() -> None:
    """Issued exactly at the leeway is accepted, one second past it is not."""
    assert SIGNER.verify(TOKEN, NOW - 30)
    for early in (30.001, 31, NOW):
        with pytest.raises(TokenInvalidError):
            SIGNER.verify(TOKEN, NOW - early)


def test_without_leeway_the_clocks_must_agree() -> None:
    """Zero is zero, and also what a signer has by itself."""
    plain = TokenSigner((KEY,), purpose=ACCESS, realm="app", claims_type=Claims)
    for strict in (make_signer(leeway=0), plain):
        assert strict.verify(TOKEN, NOW)
        with pytest.raises(TokenInvalidError):
            strict.verify(TOKEN, NOW - 0.001)


def test_the_ends_of_a_lifetime_over_http(clock: Clock) -> None:
    """The same boundaries with the clock of an application, at its default lifetime."""
    app = make_app(clock=clock)
    headers = bearer(token_of(app))
    client = app.test_client()
    clock.move(15 * 60 - 0.001)
    assert client.get("/protected", headers=headers).status_code == 200
    clock.move(0.001)
    assert_problem(client.get("/protected", headers=headers), 401, "token_expired")
    clock.move(-15 * 60 - 30)
    assert client.get("/protected", headers=headers).status_code == 200
    clock.move(-1)
    assert_problem(client.get("/protected", headers=headers), 401, "token_invalid")


def test_a_token_may_be_read_after_its_time() -> None:
    """`read` looks at the signature alone."""
    assert SIGNER.read(TOKEN).expires_at == NOW + 900
    with pytest.raises(TokenInvalidError):
        SIGNER.read(TOKEN + "=")


@pytest.mark.advisory("Flask CVE-2025-47278")
def test_the_newest_key_signs_and_all_verify() -> None:
    """CVE-2025-47278: whatever keys there are, new tokens need the newest alone."""
    rotated = make_signer(b"o" * 16 + b"p" * 16, KEY, NEW_KEY)
    token = rotated.issue(make_claims())
    assert is_accepted(token, make_signer(NEW_KEY))
    assert not is_accepted(token, make_signer(KEY))
    assert not is_accepted(token, make_signer(b"o" * 16 + b"p" * 16))
    assert is_accepted(TOKEN, rotated)


def test_a_retired_key_is_dead() -> None:
    """What it signed does not verify once it is out of the list."""
    assert is_accepted(TOKEN, make_signer(KEY, NEW_KEY))
    assert not is_accepted(TOKEN, make_signer(NEW_KEY))


def test_a_rotation_logs_nobody_out(clock: Clock) -> None:
    """Old tokens work under the new key; with the old key gone they do not."""
    newest = NEW_KEY.decode()
    rotation = {"SECRET_KEY": newest, "SECRET_KEY_FALLBACKS": [SECRET]}
    before = make_app(clock=clock)
    sessions = before.extensions["tokenauth"].service.sessions
    during = make_app(clock=clock, sessions=sessions, config=rotation)
    after = make_app(clock=clock, sessions=sessions, config={"SECRET_KEY": newest})
    old = log_in(before.test_client())
    new = log_in(during.test_client())

    def answer(app: Flask, pair: dict[str, Any]) -> Any:
        headers = bearer(pair["access_token"])
        return app.test_client().get("/protected", headers=headers)

    assert answer(during, old).status_code == 200
    assert_problem(answer(before, new), 401, "token_invalid")
    assert answer(after, new).status_code == 200
    assert_problem(answer(after, old), 401, "token_invalid")
    refreshed = during.test_client().post(
        "/auth/refresh", json={"refresh_token": old["refresh_token"]}
    )
    assert answer(after, refreshed.get_json()).status_code == 200


class SpyDecoder:
    """Stands before the decoder, and notes what it is given."""

    def __init__(self, decoder: Any) -> None:
        self.inner, self.seen = decoder, list[bytes]()

    def decode(self, raw: bytes) -> Any:
        self.seen.append(raw)
        return self.inner.decode(raw)


@pytest.mark.advisory("python-jwt CVE-2022-39227")
def test_the_content_is_not_read_before_the_signature_is_checked() -> None:
    """ASVS 9.1.1: a bad MAC, and no decoder sees one byte."""
    signer = make_signer()
    spy = SpyDecoder(signer._decoder)
    signer._decoder = spy  # type: ignore[assignment]
    for altered in alterations(TOKEN):
        assert not is_accepted(altered, signer)
    assert spy.seen == []
    assert signer.verify(TOKEN, NOW)
    assert len(spy.seen) == 1


@given(st.binary(min_size=32), st.text(max_size=20), st.binary(max_size=300))
def test_the_signature_is_the_standard_library_s_hmac(
    key: bytes, realm: str, value: bytes
) -> None:
    """HMAC-SHA-256 in both steps: of purpose and realm, then of the content."""
    signer = make_signer(key, realm=realm)
    derived = hmac.digest(key, f"tokenauth/access/{realm}".encode(), "sha256")
    expected = urlsafe_b64encode(hmac.digest(derived, value, "sha256")).rstrip(b"=")
    assert signer.sign(value) == value + b"." + expected
    assert signer.verify_signature(value, expected)
    assert not signer.verify_signature(value, expected + b"=")


def test_verifying_leaves_no_state_behind() -> None:
    """The kept HMAC is copied, never fed: the same question has the same answer."""
    for _ in range(3):
        assert is_accepted(TOKEN)
        assert not is_accepted(TOKEN + "=")
        assert SIGNER.issue(SIGNER.read(TOKEN)) == TOKEN


@pytest.mark.parametrize("text", [None, 5, b"a.b", TOKEN.encode(), [TOKEN]])
def test_what_is_no_text_is_no_token(text: Any) -> None:
    """Whatever is given, the answer is the one error."""
    with pytest.raises(TokenInvalidError):
        SIGNER.verify(text, NOW)


@pytest.mark.advisory("Authlib CVE-2025-61920, golang-jwt CVE-2025-30204")
@pytest.mark.parametrize(
    "junk", ["a", ".", "a.", "=", "-.", "é", "\ud800", TOKEN + "."]
)
@pytest.mark.parametrize("size", [100_000, 1_000_000])
def test_long_junk_is_refused_at_once(junk: str, size: int) -> None:
    """CVE-2025-61920, CVE-2025-30204: the length is looked at before the content."""
    text = (junk * size)[:size]
    begun = time.process_time()
    assert not is_accepted(text)
    assert time.process_time() - begun < 0.2


def test_a_token_of_the_greatest_length_is_read() -> None:
    """The cap is for what cannot be ours, and exact."""
    claims = make_claims(subject="u")
    while len(SIGNER.issue(claims)) < 4096:
        claims = make_claims(subject=claims.subject + "u")
    assert len(SIGNER.issue(claims)) == 4096
    assert is_accepted(SIGNER.issue(claims))
    assert not is_accepted(SIGNER.issue(make_claims(subject=claims.subject + "u")))


def test_a_token_is_short() -> None:
    """An access token without scopes has at most 130 characters."""
    assert len(token_of(make_app())) <= 130
    assert len(SIGNER.issue(make_claims(subject="x" * 20))) <= 130


def test_a_signer_shows_and_gives_away_nothing() -> None:
    """Neither repr, nor pickle, nor a copy carries the key."""
    assert repr(SIGNER) == str(SIGNER) == f"{SIGNER}" == "<TokenSigner>"
    for carry in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be pickled"):
            carry(SIGNER)
