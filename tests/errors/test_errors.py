"""Every failure as a type, and every type as an answer."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest
from flask import Flask

from tests.harness.grammar import PROBLEMS
from tests.harness.kit import assert_problem, make_app
from tokenauth import AuthError, errors
from tokenauth.errors import (
    AmbiguousTokenError,
    ConfigurationError,
    FreshLoginRequiredError,
    InsufficientScopeError,
    InvalidRequestError,
    MethodNotAllowedError,
    OverloadedError,
    PasswordRefusedError,
    RetryLaterError,
    StoreUnavailableError,
    TokenError,
    TokenExpiredError,
    TokenInvalidError,
    TokenMissingError,
    TokenRevokedError,
    TooManyAttemptsError,
    UnsupportedMediaTypeError,
)

ARGUMENTS: dict[type[AuthError], tuple[object, ...]] = {
    InsufficientScopeError: (frozenset({"read"}),),
    PasswordRefusedError: ("common", "Use another one."),
    MethodNotAllowedError: (["POST", "GET"],),
    UnsupportedMediaTypeError: ("application/json",),
}


def subclasses(base: type[AuthError]) -> set[type[AuthError]]:
    below = {each for child in base.__subclasses__() for each in subclasses(child)}
    return {base} | below


# A base is a name to catch, and is never raised.
BASES = {AuthError, TokenError, RetryLaterError}
RAISED = sorted(
    (
        each
        for each in subclasses(AuthError) - BASES
        if each.__module__.startswith(errors.__name__)
    ),
    key=lambda each: each.__name__,
)


def make(error: type[AuthError]) -> AuthError:
    construct: Callable[..., AuthError] = error
    return construct(*ARGUMENTS.get(error, ()))


@pytest.mark.parametrize("error", RAISED)
def test_every_error_is_of_the_contract(error: type[AuthError]) -> None:
    """Its code, status and challenge are those that clients rely on."""
    status, challenge = PROBLEMS[error.error_code]
    made = make(error)
    assert made.code == status
    assert made.challenge in {challenge, error.error_code}
    assert made.title[0].isupper()
    assert made.description is not None
    assert made.description[0].isupper()
    assert made.description.endswith(".")
    assert made.description in str(made)


def test_the_contract_has_an_error_for_every_code() -> None:
    """And no code stands for two outcomes: whoever shares one is of one family."""
    assert {error.error_code for error in RAISED} == set(PROBLEMS)
    for error in RAISED:
        family = [each for each in RAISED if each.error_code == error.error_code]
        assert len(family) == 1 or any(
            all(issubclass(each, head) for each in family) for head in family
        )


def test_the_names_say_what_they_are() -> None:
    """All are errors; one base catches all, one all that a token can cause."""
    for error in RAISED:
        assert error.__name__.endswith("Error")
        assert issubclass(error, AuthError)
    for token_error in (
        TokenMissingError,
        TokenInvalidError,
        TokenExpiredError,
        TokenRevokedError,
    ):
        assert issubclass(token_error, TokenError)
    for later in (TooManyAttemptsError, OverloadedError, StoreUnavailableError):
        assert issubclass(later, RetryLaterError)
    assert issubclass(AmbiguousTokenError, InvalidRequestError)


def test_a_mistake_at_start_is_no_answer() -> None:
    """It stops the start: no handler of requests may catch it."""
    assert issubclass(ConfigurationError, RuntimeError)
    assert not issubclass(ConfigurationError, AuthError)


@pytest.mark.parametrize("error", [AuthError, RetryLaterError])
def test_a_failure_without_a_status_is_no_success(error: type[AuthError]) -> None:
    """Who raises a base, or a class that names no status, gets no 200."""
    assert error().get_response().status_code == 500
    assert error.code is None  # so Flask asks a handler of the base for any status


@pytest.mark.parametrize("seconds", [-5, 0, 1, 90])
def test_a_retry_is_never_at_once(seconds: int) -> None:
    """`Retry-After: 0` would call every client back in the same moment."""
    assert OverloadedError(seconds).retry_after == max(1, seconds)
    assert OverloadedError().retry_after == 1


def test_details_say_what_was_asked_for() -> None:
    """The scopes in a fixed order, the age, the methods, the header."""
    assert InsufficientScopeError(frozenset({"b", "a"})).scope == "a b"
    assert "300 seconds" in FreshLoginRequiredError(300).description
    assert FreshLoginRequiredError().description == FreshLoginRequiredError.description
    assert MethodNotAllowedError(["POST", "GET"]).valid_methods == ["GET", "POST"]
    assert (
        "'Content-Type: text/csv'" in UnsupportedMediaTypeError("text/csv").description
    )
    assert TokenInvalidError("In short.").description == "In short."
    assert TokenInvalidError("").description == TokenInvalidError.description


def test_the_operator_s_reason_is_not_the_client_s() -> None:
    """And is one of a closed set: of any other text nothing is kept."""
    error = StoreUnavailableError(reason="refused")
    assert error.reason == "refused"
    assert "refused" not in str(error) + repr(error)
    error = StoreUnavailableError(reason="connection to 10.0.0.7 refused")
    assert error.reason == "failed"
    assert "10.0.0.7" not in str(error) + repr(error)


@pytest.fixture(scope="module")
def raising_app() -> Flask:
    """An application whose views raise each of the errors."""
    app = make_app(config={"PROPAGATE_EXCEPTIONS": False})

    @app.route("/raise/<name>", methods=["GET", "POST"])
    def raise_one(name: str) -> str:
        raise make(getattr(errors, name))

    return app


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("error", RAISED)
def test_raised_in_any_view_it_is_answered(
    error: type[AuthError], method: str, raising_app: Flask
) -> None:
    """The problem document and the challenge of its code, from any view."""
    path = f"/raise/{error.__name__}"
    answer = raising_app.test_client().open(path, method=method)
    assert answer.status_code == error.code
    assert answer.mimetype == "application/problem+json"
    if method != "HEAD":
        assert_problem(answer, error.code or 0, error.error_code)
        assert answer.get_json()["title"] == make(error).title


@pytest.mark.parametrize("error", RAISED)
def test_an_error_can_be_carried_to_another_process(error: type[AuthError]) -> None:
    """It comes back as what it was: a pool of workers raises it as its own."""
    made = make(error)
    copy = pickle.loads(pickle.dumps(made))  # noqa: S301 # our own pickle
    assert type(copy) is error
    assert vars(copy) == vars(made)
    assert str(copy) == str(made)
