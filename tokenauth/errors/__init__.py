"""Every failure as a type: an HTTP exception that is its own response.

No error ever carries a token, a password, a key or a hash, so it may be logged.
"""

from __future__ import annotations

from typing import Any

from werkzeug import exceptions as http

from .base import AuthError as AuthError
from .base import ConfigurationError as ConfigurationError
from .base import RetryLaterError as RetryLaterError
from .base import current_setting
from .unavailable import StoreUnavailableError as StoreUnavailableError


class TokenError(AuthError, http.Unauthorized):
    """The request cannot be tied to a user by its token."""

    challenge = "invalid_token"


class TokenMissingError(TokenError):
    """No credentials of our kind were sent (RFC 6750 section 3.1: no `error`)."""

    error_code = "token_missing"
    challenge = ""

    def __init__(self, description: str | None = None) -> None:
        header = current_setting("header") or "Authorization"
        send = f"send the header '{header}: Bearer <token>'"
        super().__init__(description or f"This resource needs a token: {send}.")


class TokenInvalidError(TokenError):
    """The token was not issued here, for this purpose, or not spelled like this."""

    error_code = "token_invalid"
    description = "The token is not valid here: log in to get a new one."


class TokenExpiredError(TokenError):
    """The token's lifetime has passed."""

    error_code = "token_expired"
    description = "The token has expired: refresh it, or log in again."


class TokenRevokedError(TokenError):
    """The token's session has ended, or its user is disabled or removed."""

    error_code = "token_revoked"
    description = "The token has been revoked: log in again."


class InvalidCredentialsError(AuthError, http.Unauthorized):
    """Username and password do not belong together, whatever the reason."""

    error_code = "invalid_credentials"
    description = "The username or the password is wrong."
    challenge = ""


class InsufficientScopeError(AuthError, http.Forbidden):
    """The token is good but may not do this (RFC 6750 section 3.1).

    Args:
        scopes: The scopes that the resource requires.
    """

    error_code = "insufficient_scope"
    challenge = "insufficient_scope"

    def __init__(self, scopes: frozenset[str]) -> None:
        self.scope = " ".join(sorted(scopes))
        self.challenge_attributes = {"scope": self.scope}
        super().__init__(
            f"The token lacks a scope. Required here: {self.scope}. Log in again to "
            "use a newly granted scope."
        )


class FreshLoginRequiredError(AuthError, http.Unauthorized):
    """The password was proved too long ago for this resource (RFC 9470 section 3).

    Args:
        max_age: Greatest accepted age of the login in seconds. None: a login with a
            password is needed, which a personal access token is not.
    """

    error_code = "fresh_login_required"
    challenge = "insufficient_user_authentication"
    description = (
        "This needs a recent login with a password; a personal access token is not "
        "enough."
    )

    def __init__(self, max_age: int | None = None) -> None:
        super().__init__()
        self.max_age = max_age
        if max_age is not None:
            self.challenge_attributes = {"max_age": str(max_age)}
            self.description = (
                f"This needs a login at most {max_age} seconds old: log in again."
            )


class InvalidGrantError(AuthError, http.BadRequest):
    """The refresh token is bad, expired, reused or revoked (RFC 6749 section 5.2)."""

    error_code = "invalid_grant"
    description = "The refresh token is not valid any more: log in again."


class InvalidRequestError(AuthError, http.BadRequest):
    """The request is malformed; the description names the field, never its value."""

    error_code = "invalid_request"
    description = "The request is malformed."


class AmbiguousTokenError(InvalidRequestError):
    """More than one token was sent (RFC 6750 section 2: one method a request)."""

    description = "Send exactly one token, in one header."
    challenge = "invalid_request"


class InvalidScopeError(AuthError, http.BadRequest):
    """A scope was asked for that the user does not have (RFC 6749 section 5.2)."""

    error_code = "invalid_scope"
    description = "A requested scope is malformed or not allowed for this user."


class PasswordRefusedError(AuthError, http.UnprocessableEntity):
    """The new password fails the policy; the description says which rule.

    Args:
        rule: Stable name of the rule (`too_short`, `too_long`, `not_text`, `username`,
            `common`, `breached`); the `rule` of the problem document.
        description: The rule in words.
    """

    error_code = "password_refused"

    def __init__(self, rule: str, description: str) -> None:
        self.rule = rule
        super().__init__(description)

    @property
    def data(self) -> dict[str, Any]:
        """The problem document, with the rule."""
        return {**super().data, "rule": self.rule}


class NotFoundError(AuthError, http.NotFound):
    """There is no such resource, or it belongs to somebody else."""

    error_code = "not_found"
    description = "There is nothing at this address."


class MethodNotAllowedError(AuthError, http.MethodNotAllowed):
    """The resource does not know this method (RFC 9110 section 15.5.6).

    Args:
        allowed: The methods that it knows.
    """

    error_code = "method_not_allowed"

    def __init__(self, allowed: list[str]) -> None:
        super().__init__(f"Use one of: {', '.join(sorted(allowed))}.")
        self.valid_methods = sorted(allowed)


class PayloadTooLargeError(AuthError, http.RequestEntityTooLarge):
    """The body is larger than any body that these routes need."""

    error_code = "payload_too_large"
    description = "The body may have at most 16384 bytes."


class UnsupportedMediaTypeError(AuthError, http.UnsupportedMediaType):
    """The body is not of the media type that the route reads.

    Args:
        media_type: The one that it reads.
    """

    error_code = "unsupported_media_type"

    def __init__(self, media_type: str) -> None:
        super().__init__(
            f"Send the body with the header 'Content-Type: {media_type}', and without "
            "'Content-Encoding'."
        )


class TooManyAttemptsError(RetryLaterError, http.TooManyRequests):
    """A limit of attempts or uses is reached (RFC 6585 section 4)."""

    error_code = "too_many_attempts"
    description = "Too many attempts: wait before the next one."


class OverloadedError(RetryLaterError, http.ServiceUnavailable):
    """The server is busy hashing passwords and does not queue more of them."""

    error_code = "overloaded"
    description = "Too many logins at this moment: try again shortly."


class ServerError(AuthError, http.InternalServerError):
    """Code failed, ours or the application's; its log tells what.

    The name is that of RFC 6749 section 4.1.2.1.
    """

    error_code = "server_error"
    description = "Something failed on the server: try again later."
