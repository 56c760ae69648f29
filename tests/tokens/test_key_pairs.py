"""Promises 2 and 3 for tokens that are signed with a key pair; what is remembered."""

from __future__ import annotations

import itertools
import random
import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.harness.key_pairs import NEW, OLD, public_line
from tests.harness.kit import SECRET
from tests.tokens.test_signing import (
    ALPHABET,
    NOW,
    SUFFIXES,
    SpyDecoder,
    is_accepted,
    make_claims,
    make_signer,
)
from tokenauth import (
    Claims,
    ConfigurationError,
    StoreUnavailableError,
    TokenExpiredError,
)
from tokenauth.tokens import AccessTokenVerifier, key_set, signing
from tokenauth.tokens.ed25519 import public_of
from tokenauth.tokens.key_set import FetchedKeys, KeySet
from tokenauth.tokens.signing import ACCESS, REFRESH, KeyPairSigner, TokenSigner


def make_pair_signer(
    *privates: bytes,
    purpose: str = ACCESS,
    realm: str = "app",
    keys: KeySet | FetchedKeys | None = None,
) -> KeyPairSigner[Claims]:
    """Return a signer; the first key signs, all verify."""
    privates = privates or (OLD,)
    return KeyPairSigner(
        keys or KeySet(tuple(map(public_of, privates))),
        privates[0],
        purpose=purpose,
        realm=realm,
        claims_type=Claims,
        clock_leeway=30,
    )


SIGNER = make_pair_signer()
TOKEN = SIGNER.issue(make_claims(scopes=frozenset({"read"})))


def test_a_token_verifies_with_the_public_key_alone() -> None:
    """The reader holds no secret, and signs nothing."""
    reader: KeyPairSigner[Claims] = KeyPairSigner(
        KeySet((public_of(OLD),)), purpose=ACCESS, realm="app", claims_type=Claims
    )
    assert reader.verify(TOKEN, NOW) == SIGNER.verify(TOKEN, NOW)
    assert reader.secret_keys == []
    with pytest.raises(IndexError):
        reader.issue(make_claims())


def test_no_character_can_be_another(is_full: bool) -> None:
    """In content and signature, by any other character (a few of them), or left out."""
    for place, character in enumerate(TOKEN):
        others = sorted({*ALPHABET} - {character})
        for other in ["", *(others if is_full else random.sample(others, 8))]:
            altered = TOKEN[:place] + other + TOKEN[place + 1 :]
            assert not is_accepted(altered, SIGNER), altered


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nothing_can_be_added(suffix: str) -> None:
    """Neither after the token nor before it."""
    assert not is_accepted(TOKEN + suffix, SIGNER)
    assert not is_accepted(suffix + TOKEN, SIGNER)


@given(st.integers(0, 511))
def test_no_bit_of_the_signature_can_be_flipped(bit: int) -> None:
    """Ed25519's own malleability among them."""
    content, _, encoded = TOKEN.rpartition(".")
    raw = bytearray(urlsafe_b64decode(encoded + "=="))
    raw[bit // 8] ^= 1 << bit % 8
    altered = urlsafe_b64encode(raw).rstrip(b"=").decode()
    assert not is_accepted(f"{content}.{altered}", SIGNER)


def test_the_content_is_not_read_before_the_signature_is_checked() -> None:
    """A bad signature, and no decoder sees one byte."""
    signer = make_pair_signer()
    spy = SpyDecoder(signer._decoder)
    signer._decoder = spy  # type: ignore[assignment]
    for place in range(0, len(TOKEN), 3):
        assert not is_accepted(TOKEN[:place] + "-" + TOKEN[place + 1 :] + "-", signer)
    assert spy.seen == []
    assert is_accepted(TOKEN, signer)
    assert len(spy.seen) == 1


def test_a_token_verifies_in_its_own_cell_only() -> None:
    """All pairs of purpose, realm, key and algorithm, each against each.

    An HMAC keyed with the public key, in whatever form it is copied, is among them: no
    reader that has the public key accepts it, nor the reverse.
    """
    public = public_of(OLD)
    secrets = [SECRET.encode(), public, public.hex().encode(), public_line().encode()]
    cells: dict[Any, TokenSigner[Claims]] = {}
    for purpose, realm in itertools.product(
        (ACCESS, REFRESH, "personal", "once:reset"), ("app", "app2", "personal/app")
    ):
        for key in (OLD, NEW):
            cells[purpose, realm, key] = make_pair_signer(
                key, purpose=purpose, realm=realm
            )
        for secret in secrets:
            cells[purpose, realm, secret] = make_signer(
                secret, purpose=purpose, realm=realm
            )
    for made, issuer in cells.items():
        token = issuer.issue(make_claims())
        assert [c for c, reader in cells.items() if is_accepted(token, reader)] == [
            made
        ]


def test_the_first_key_signs_and_all_verify() -> None:
    """In a rotation; a key that was removed is dead."""
    rotated = make_pair_signer(NEW, OLD)
    token = rotated.issue(make_claims())
    assert is_accepted(token, make_pair_signer(NEW))
    assert not is_accepted(token, SIGNER)
    assert is_accepted(TOKEN, rotated)
    assert not is_accepted(TOKEN, make_pair_signer(NEW))


@pytest.mark.parametrize("text", [None, 5, b"a.b", TOKEN.encode(), [TOKEN]])
def test_what_is_no_text_is_no_token(text: Any) -> None:
    """Whatever is given, the answer is the one error."""
    assert not is_accepted(text, SIGNER)


def count_verifications(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Note each signature that is computed."""
    seen: list[bytes] = []
    verify = signing._Ed25519.verify_signature

    def spy(self: Any, key: bytes, value: bytes, sig: bytes) -> bool:
        seen.append(sig)
        return verify(self, key, value, sig)

    monkeypatch.setattr(signing._Ed25519, "verify_signature", spy)
    return seen


def test_a_verified_token_is_remembered_by_its_whole_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And for its purpose only; never past its end; nothing is of a refused one."""
    seen = count_verifications(monkeypatch)
    keys = KeySet((public_of(OLD),))
    signer = make_pair_signer(keys=keys)
    for _ in range(3):
        assert is_accepted(TOKEN, signer)
    assert len(seen) == 1
    with pytest.raises(TokenExpiredError):
        signer.verify(TOKEN, NOW + 900)
    assert not is_accepted(TOKEN, make_pair_signer(keys=keys, realm="app2"))
    assert not is_accepted(TOKEN, make_pair_signer(keys=keys, purpose="personal"))
    for altered in (TOKEN + "=", TOKEN[:-1], TOKEN[:-1] + "!"):
        for _ in range(2):
            assert not is_accepted(altered, signer)
    assert [memo for memo in keys.memos.values() if memo] == [
        {TOKEN: signer.read(TOKEN)}
    ]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go first, from many threads, too."""
    monkeypatch.setattr(signing, "MAX_REMEMBERED", 10)
    seen = count_verifications(monkeypatch)
    keys = KeySet((public_of(OLD),))
    signer = make_pair_signer(keys=keys)
    tokens = [signer.issue(make_claims(subject=f"u-{i}")) for i in range(40)]
    threads = [
        threading.Thread(target=lambda: [signer.verify(t, NOW) for t in tokens])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [memo] = keys.memos.values()
    assert 5 < len(memo) <= 10
    seen.clear()
    assert is_accepted(tokens[-1], signer)
    assert is_accepted(tokens[0], signer)
    assert len(seen) == 1


class Issuer:
    """What answers under the address of the keys."""

    def __init__(self, *privates: bytes) -> None:
        self.now, self.asked, self.is_down = 0.0, 0, False
        self.publish(*privates)

    def publish(self, *privates: bytes) -> None:
        import msgspec

        from tokenauth.tokens.jwk import jwk_set

        self.text = msgspec.json.encode(jwk_set(map(public_of, privates)))

    def fetch(self, address: str) -> bytes:
        assert address == "https://issuer"
        self.asked += 1
        if self.is_down:
            raise ConnectionRefusedError
        return self.text

    def keys(self) -> FetchedKeys:
        return FetchedKeys(
            "https://issuer", fetch=self.fetch, monotonic=lambda: self.now
        )


def test_keys_are_fetched_at_start_and_once_more_for_an_unknown_one() -> None:
    """At most once in ten seconds, whatever tokens come."""
    issuer = Issuer(OLD)
    reader = make_pair_signer(keys=issuer.keys())
    assert issuer.asked == 1
    assert is_accepted(TOKEN, reader)
    issuer.publish(NEW, OLD)
    token = make_pair_signer(NEW).issue(make_claims())
    assert not is_accepted(token, reader)
    assert issuer.asked == 1
    issuer.now = key_set.RETRY_SECONDS
    assert is_accepted(token, reader)
    assert issuer.asked == 2
    for _ in range(20):
        assert not is_accepted(TOKEN[:-1], reader)
    assert issuer.asked == 2
    assert is_accepted(TOKEN, reader)


def test_keys_that_stay_are_asked_for_again_and_kept() -> None:
    """With what is remembered of tokens that they verified."""
    issuer = Issuer(OLD)
    keys = issuer.keys()
    known = keys.current()
    issuer.now = key_set.REFRESH_SECONDS
    assert keys.current() is known
    assert issuer.asked == 2
    address = "https://issuer/auth/keys"
    assert key_set.read_verify_keys("keys", address) == address


def test_a_key_that_is_not_published_any_more_is_dropped() -> None:
    """Within five minutes, with all that was remembered of it."""
    issuer = Issuer(OLD)
    reader = make_pair_signer(keys=issuer.keys())
    assert is_accepted(TOKEN, reader)
    issuer.publish(NEW)
    issuer.now = key_set.REFRESH_SECONDS - 1
    assert is_accepted(TOKEN, reader)
    issuer.now = key_set.REFRESH_SECONDS
    assert not is_accepted(TOKEN, reader)


def test_the_last_good_keys_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    """While the issuer is down, or answers nonsense, or a key that is not sound."""
    issuer = Issuer(OLD)
    reader = make_pair_signer(keys=issuer.keys())
    assert is_accepted(TOKEN, reader)
    good = issuer.text
    neutral = urlsafe_b64encode((1).to_bytes(32, "little")).rstrip(b"=")
    bad = [
        b"",
        b"[]",
        b"{}",
        b'{"keys": []}',
        b'{"keys": [1]}',
        b'{"keys": [{"kty": "RSA", "n": "x"}]}',
        b'{"keys": [{"crv": "Ed25519"}]}',
        good.replace(b'"x":"', b'"x":"A'),
        b'{"keys": [{"crv": "Ed25519", "x": "' + neutral + b'"}]}',
    ]
    for issuer.text in bad:
        issuer.now += key_set.REFRESH_SECONDS
        assert is_accepted(TOKEN, reader)
    issuer.is_down = True
    issuer.now += key_set.REFRESH_SECONDS
    assert is_accepted(TOKEN, reader)
    assert issuer.asked == len(bad) + 2
    assert caplog.text.count("could not be fetched") == len(bad) + 1
    assert "https://issuer" not in caplog.text


def test_without_keys_nobody_is_let_in() -> None:
    """The issuer is down when a service starts: 503 until it is up."""
    issuer = Issuer(OLD)
    issuer.is_down = True
    reader = make_pair_signer(keys=issuer.keys())
    with pytest.raises(StoreUnavailableError):
        reader.verify(TOKEN, NOW)
    issuer.is_down = False
    issuer.now = key_set.RETRY_SECONDS
    assert is_accepted(TOKEN, reader)
    assert issuer.asked == 2


def test_the_verifier_of_other_services() -> None:
    """Times are those of the system, unless the caller's clock is given."""
    verifier = AccessTokenVerifier([public_line()], realm="app")
    assert verifier.verify(TOKEN, now=NOW).scopes == {"read"}
    assert repr(verifier) == "<AccessTokenVerifier>"
    with pytest.raises(TokenExpiredError):
        verifier.verify(SIGNER.issue(make_claims(issued_at=1, expires_at=2)))
    wrong: Any
    for wrong in ("", None):
        with pytest.raises(ConfigurationError, match=r"realm must be .*_REALM"):
            AccessTokenVerifier([public_line()], realm=wrong)
    with pytest.raises(ConfigurationError, match=r"keys must be a list .*\)\.$"):
        AccessTokenVerifier({}, realm="app")  # type: ignore[arg-type]


class Answers(BaseHTTPRequestHandler):
    """Answers with a status, and a place where more can be found."""

    status, text = 200, b""

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Location", "/other")
        self.end_headers()
        self.wfile.write(self.text)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/auth/keys"
        server.shutdown()
        thread.join()


def test_keys_come_from_a_real_address(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redirects are not followed, errors are none, and no answer fills the memory."""
    good = Issuer(OLD).text
    monkeypatch.setattr(Answers, "text", good)
    assert is_accepted(TOKEN, make_pair_signer(keys=key_set.open_keys(address)))
    for status, text in ((302, good), (404, good), (200, b" " * 70_000 + good)):
        monkeypatch.setattr(Answers, "status", status)
        monkeypatch.setattr(Answers, "text", text)
        with pytest.raises(StoreUnavailableError):
            key_set.open_keys(address).current()


def test_another_thread_may_have_asked_meanwhile() -> None:
    """Whoever waited for its answer takes that, and asks no more."""
    issuer = Issuer(OLD)
    keys = issuer.keys()
    known = keys.current()
    issuer.publish(NEW)
    issuer.now = key_set.RETRY_SECONDS
    newer = keys.newer(known)
    assert newer is not None
    assert keys.newer(known) is newer
    assert issuer.asked == 2
