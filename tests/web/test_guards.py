"""What a view asks of a login, beside `@login_required`: scopes and freshness.

Which scopes a token has is told in test_scopes.py, how old a login is in
test_step_up.py; here is who else comes along: cookie users, strangers, mistakes.
"""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask_login import current_user

from tests.harness.kit import (
    REDIRECTS,
    assert_problem,
    bearer,
    let_in_by_cookie,
    make_app,
    make_users,
    token_of,
)
from tokenauth import (
    Claims,
    current_claims,
    fresh_login_required,
    require_scopes,
    token_required,
)
from tokenauth.web import state

BROWSER = {"Accept": "text/html"}


@pytest.fixture
def app() -> Flask:
    return guarded_app()


def guarded_app(**config: Any) -> Flask:
    app = make_app(users=make_users(alice=["read"]), config=config)
    for name, guard in {
        "read": require_scopes("read"),
        "write": require_scopes("read", "write"),
        "fresh": fresh_login_required(),
    }.items():
        app.add_url_rule(f"/{name}", name, guard(name.__str__))

    @app.get("/claims")
    def claims() -> dict[str, Any]:
        return {"is_there": bool(current_claims)}

    return app


# -- scopes --------------------------------------------------------------------------


def test_a_cookie_user_has_the_user_s_scopes(app: Flask) -> None:
    """There is no token that could have fewer."""
    client = let_in_by_cookie(app)
    assert client.get("/read").text == "read"
    refused = client.get("/write")
    assert_problem(refused, 403, "insufficient_scope")
    assert refused.headers["WWW-Authenticate"] == (
        'Bearer realm="app", error="insufficient_scope", error_description="The token '
        "lacks a scope. Required here: read write. Log in again to use "
        'a newly granted scope.", scope="read write"'
    )


def test_a_token_s_scopes_count_and_not_a_cookie_s(app: Flask) -> None:
    """Alice's cookie may read; her token without scopes and bob's may not."""
    client = let_in_by_cookie(app)
    for token in (token_of(app, scopes=[]), token_of(app, "bob")):
        refused = client.get("/read", headers=bearer(token))
        assert_problem(refused, 403, "insufficient_scope")
    assert client.get("/read", headers=bearer(token_of(app))).text == "read"


def test_a_name_that_is_no_scope_is_refused_at_once() -> None:
    """Among them the view itself, when the parentheses were forgotten."""
    wrong: Any
    for wrong in ("", "two words", 'quo"te', "ä", None, lambda: "view"):
        with pytest.raises(ValueError, match="cannot be the name of a scope"):
            require_scopes("read", wrong)


def test_a_guard_in_an_application_without_us_names_the_cure() -> None:
    for guard in (token_required, require_scopes("read"), fresh_login_required):
        with (
            Flask("x").test_request_context(),
            pytest.raises(RuntimeError, match="no TokenAuth"),
        ):
            guard(lambda: "view")()


def test_a_guarded_view_keeps_its_name(app: Flask) -> None:
    """Flask names endpoints after views."""

    def report() -> None:
        """Say what is."""

    guarded = require_scopes("read")(fresh_login_required()(report))
    assert (guarded.__name__, guarded.__doc__) == ("report", "Say what is.")


# -- freshness -----------------------------------------------------------------------


def test_a_cookie_user_s_freshness_is_flask_login_s(app: Flask) -> None:
    """Fresh after a login; not fresh when it was remembered."""
    client = let_in_by_cookie(app)
    assert client.get("/fresh").text == "fresh"
    client.delete_cookie("session")
    remembered = client.get("/fresh", headers={"Accept": "application/json"})
    assert remembered.status_code == 401
    assert remembered.json is not None
    assert remembered.json["code"] == "fresh_login_required"
    assert 'error="insufficient_user_authentication"' in str(remembered.headers)


def test_a_remembered_browser_is_sent_to_the_refresh_page(app: Flask) -> None:
    """As by Flask-Login's own decorator of this name."""
    app.login_manager.refresh_view = "/refresh"  # type: ignore[attr-defined]
    client = let_in_by_cookie(app)
    client.delete_cookie("session")
    answer = client.get("/fresh", headers=BROWSER)
    assert answer.status_code in REDIRECTS
    assert answer.location == "/refresh?next=%2Ffresh"


def test_handlers_that_answer_nothing_let_nobody_in(app: Flask) -> None:
    """Flask makes that an error of the application's; the view never runs."""
    manager: Any = app.login_manager  # type: ignore[attr-defined]
    manager.unauthorized_handler(lambda: None)
    manager.needs_refresh_handler(lambda: None)
    remembered, stranger = let_in_by_cookie(app), app.test_client()
    remembered.delete_cookie("session")
    for path, client in (("/fresh", remembered), ("/read", stranger)):
        with pytest.raises(TypeError, match="did not return a valid response"):
            client.get(path, headers=BROWSER)


# -- login disabled ------------------------------------------------------------------


# -- claims --------------------------------------------------------------------------


def test_claims_are_those_of_the_request_s_token(app: Flask) -> None:
    """A value like any other: it can be compared and taken out of the proxy."""
    with app.test_request_context(headers=bearer(token_of(app))):
        claims: Claims = current_claims._get_current_object()  # type: ignore[attr-defined]
        assert isinstance(claims, Claims)
        assert claims == current_claims
        assert claims.subject == current_user.get_id() == "u-alice"
        assert claims.scopes == {"read"}
        session = state.current_state().sessions.get(claims.session_id)
        assert session is not None


def test_without_a_good_token_claims_are_falsy(app: Flask) -> None:
    """Nothing sent, something bad sent, or a cookie: no exception, nothing to read."""
    client = app.test_client()
    for header in ("", "Bearer", "Bearer abc.def", "Bearer a.b,Bearer a.b"):
        answer = client.get("/claims", headers={"Authorization": header})
        assert answer.json == {"is_there": False}
    assert let_in_by_cookie(guarded_app()).get("/claims").json == {"is_there": False}
    good = client.get("/claims", headers=bearer(token_of(app)))
    assert good.json == {"is_there": True}


def test_outside_a_request_claims_are_falsy(app: Flask) -> None:
    """Like `current_user`, which is None there."""
    assert not current_claims
    with app.app_context():
        assert not current_claims
        assert not current_user
