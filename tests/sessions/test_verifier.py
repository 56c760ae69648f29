"""The whole check of an access token or a personal access token."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import msgspec
import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.harness.kit import (
    Clock,
    assert_problem,
    bearer,
    log_in,
    make_app,
    make_users,
)
from tokenauth import (
    DictUserStore,
    InvalidCredentialsError,
    InvalidGrantError,
    MemorySessionStore,
    TokenAuth,
    TokenRevokedError,
    User,
)
from tokenauth.sessions.session import Session
from tokenauth.sessions.verifier import TokenVerifier
from tokenauth.web import state


@pytest.fixture
def users() -> DictUserStore:
    return make_users(alice=["read", "write"])


@pytest.fixture
def app(users: DictUserStore, clock: Clock) -> Flask:
    return make_app(users=users, clock=clock)


@pytest.fixture
def verifier(app: Flask) -> Iterator[TokenVerifier]:
    with app.app_context():
        yield state.current_state().verifier


@pytest.fixture
def tokens(client: FlaskClient) -> dict[str, str]:
    """One token of each purpose, of one user."""
    pair = log_in(client)
    made = client.post(
        "/auth/tokens", json={"name": "ci"}, headers=bearer(pair["access_token"])
    )
    return {
        "access": pair["access_token"],
        "refresh": pair["refresh_token"],
        "personal": made.get_json()["token"],
    }


def test_the_identity_holds_the_session_it_was_checked_against(
    verifier: TokenVerifier, tokens: dict[str, str], users: DictUserStore
) -> None:
    """So nothing reads that row twice in one request."""
    for purpose, kind in (("access", "login"), ("personal", "personal")):
        identity = verifier.authenticate(tokens[purpose])
        assert identity.user is users.get("u-alice")
        assert identity.session.id == identity.claims.session_id
        assert identity.session.kind == kind
        assert identity.claims.scopes == {"read", "write"}


def test_a_session_that_ends_before_its_tokens_ends_them(
    app: Flask, tokens: dict[str, str], clock: Clock
) -> None:
    """At its very end, as a store may have moved it."""
    kept = state.state_of(app)

    def read(session_id: str) -> Session | None:
        session = kept.stores.sessions.get(session_id)
        assert session is not None
        return msgspec.structs.replace(session, idle_expires_at=clock() + left)

    verifier = msgspec.structs.replace(kept.verifier, read=read)
    left = 0.001
    assert verifier.authenticate(tokens["access"]).user.get_id() == "u-alice"
    left = 0
    with pytest.raises(TokenRevokedError):
        verifier.authenticate(tokens["access"])


# -- token, session and user are compared with each other -----------------------------


@pytest.fixture
def sessions(app: Flask) -> MemorySessionStore:
    store = state.state_of(app).stores.sessions
    assert isinstance(store, MemorySessionStore)
    return store


def test_a_key_alone_makes_no_token_of_another_user(
    app: Flask, verifier: TokenVerifier, tokens: dict[str, str]
) -> None:
    """Whoever has a leaked key and a session of their own is still nobody else."""
    for purpose, signer in state.state_of(app).verifier.issuer.signers.items():
        if purpose == "refresh":
            continue
        claims = signer.read(tokens[purpose])
        forged = signer.issue(msgspec.structs.replace(claims, subject="u-bob"))
        assert verifier.authenticate(tokens[purpose]).user.get_id() == "u-alice"
        with pytest.raises(TokenRevokedError):
            verifier.authenticate(forged)


def test_a_session_of_one_kind_is_none_of_another(
    app: Flask, verifier: TokenVerifier, tokens: dict[str, str]
) -> None:
    """A key and the session of a link do not make an access token."""
    with app.app_context():
        alice = state.current_state().stores.users.get("u-alice")
        assert alice is not None
        state.current_state().one_time.issue("verify", alice, 60)
    issuer = verifier.issuer
    ids = {
        kind: state.state_of(app).stores.sessions.of_user("u-alice", kind=kind)[0].id
        for kind in ("login", "personal", "once:verify")
    }
    for signer, own in ((issuer.access, "login"), (issuer.personal, "personal")):
        claims = issuer.access.read(tokens["access"])
        for kind, session_id in ids.items():
            token = signer.issue(msgspec.structs.replace(claims, session_id=session_id))
            if kind == own:
                assert verifier.authenticate(token).session.kind == kind
            else:
                with pytest.raises(TokenRevokedError):
                    verifier.authenticate(token)


def test_a_changed_session_makes_no_token_of_another_user(
    client: FlaskClient, tokens: dict[str, str], sessions: MemorySessionStore
) -> None:
    """Write access to the sessions is not enough to be served or to refresh."""
    for session_id, session in sessions._sessions.items():
        changed = msgspec.structs.replace(session, user_id="u-bob")
        sessions._sessions[session_id] = changed
    for purpose in ("access", "personal"):
        answer = client.get("/protected", headers=bearer(tokens[purpose]))
        assert_problem(answer, 401, "token_revoked")
    body = {"refresh_token": tokens["refresh"]}
    assert_problem(client.post("/auth/refresh", json=body), 400, "invalid_grant")


def test_a_store_that_returns_another_user_lets_nobody_in(clock: Clock) -> None:
    """A stale cache in front of a user table must not serve one user as another."""
    is_confused = False

    class Confused(DictUserStore):
        def get(self, user_id: str) -> User | None:
            return super().get("u-bob" if is_confused else user_id)

    users = Confused({name: User(name, id=f"u-{name}") for name in ("alice", "bob")})
    app = make_app(users=users, clock=clock)
    alice = users.get("u-alice")
    assert alice is not None
    with app.app_context():
        auth = TokenAuth()
        pair, once = auth.login(alice), auth.issue_once("verify", alice, 60)
        is_confused = True
        for check in (auth.verify, partial(auth.redeem, "verify")):
            with pytest.raises(TokenRevokedError):
                check(pair.access_token if check == auth.verify else once)
        with pytest.raises(InvalidCredentialsError):
            auth.login(alice)
        with pytest.raises(InvalidGrantError):
            state.current_state().service.refresh(pair.refresh_token, admit=print)
