"""Every failure as a type: its stable code, its HTTP status, and what to do.

No error ever carries a token, a password, a key or a hash, so it may be logged.
"""

from __future__ import annotations

from typing import ClassVar


class ConfigurationError(RuntimeError):
    """The application is set up in a way that would not be safe; the start stops."""


class AuthError(Exception):
    """Base of every failure that a request or a token can cause.

    Args:
        detail: What went wrong and what the client can do, for a person to read.
            The default is the type's own description.

    Attributes:
        code: Stable machine-readable name (the `code` of the problem document).
        status: HTTP status of the answer.
        title: Short name of the problem (RFC 9457 section 3.1.3).
        challenge: The `error` of the `WWW-Authenticate` challenge (RFC 6750
            section 3). Empty: a challenge without `error`. None: no challenge.
        about: For the operator's eyes: whose token it is about, by `user_id`,
            `session_id` and `purpose`, as far as they are known.
    """

    code: ClassVar[str] = "auth_error"
    status: ClassVar[int] = 400
    title: ClassVar[str] = "Authentication error"
    description: ClassVar[str] = "The request could not be authenticated."
    challenge: ClassVar[str | None] = None

    def __init__(self, detail: str | None = None) -> None:
        self.detail = detail or self.description
        self.about: dict[str, str] = {}

    def __str__(self) -> str:
        return self.detail


class TokenError(AuthError):
    """The request cannot be tied to a user by its token."""

    status = 401
    challenge = "invalid_token"


class TokenMissingError(TokenError):
    """No credentials of our kind were sent (RFC 6750 section 3.1: no `error`)."""

    code = "token_missing"
    title = "Token missing"
    description = (
        "This resource needs a token: send the header 'Authorization: Bearer <token>'."
    )
    challenge = ""


class TokenInvalidError(TokenError):
    """The token was not issued here, for this purpose, or not spelled like this."""

    code = "token_invalid"
    title = "Token invalid"
    description = "The token is not valid here: log in to get a new one."


class TokenExpiredError(TokenError):
    """The token's lifetime is over."""

    code = "token_expired"
    title = "Token expired"
    description = "The token has expired: refresh it, or log in again."


class TokenRevokedError(TokenError):
    """The session, the token's use, or the user's account has ended."""

    code = "token_revoked"
    title = "Token revoked"
    description = "The token has been revoked: log in again."


class InvalidCredentialsError(AuthError):
    """Username and password do not belong together, whatever the reason."""

    code = "invalid_credentials"
    status = 401
    title = "Invalid credentials"
    description = "The username or the password is wrong."
    challenge = ""


class InsufficientScopeError(AuthError):
    """The token is good but may not do this (RFC 6750 section 3.1).

    Args:
        scopes: The scopes that the resource requires.
    """

    code = "insufficient_scope"
    status = 403
    title = "Insufficient scope"
    challenge = "insufficient_scope"

    def __init__(self, scopes: frozenset[str]) -> None:
        self.scope = " ".join(sorted(scopes))
        super().__init__(f"The token lacks a scope. Required here: {self.scope}.")


class FreshLoginRequiredError(AuthError):
    """The password was proved too long ago for this resource (RFC 9470 section 3).

    Args:
        max_age: Greatest accepted age of the login in seconds; None: the view asks for
            a freshness that only a cookie login has.
    """

    code = "fresh_login_required"
    status = 401
    title = "Fresh login required"
    challenge = "insufficient_user_authentication"
    description = "This needs a fresh login, which these credentials cannot stand for."

    def __init__(self, max_age: int | None = None) -> None:
        self.max_age = max_age
        super().__init__(
            None
            if max_age is None
            else f"This needs a login at most {max_age} seconds old: log in again."
        )


class InvalidGrantError(AuthError):
    """The refresh token is bad, expired, reused or revoked (RFC 6749 section 5.2)."""

    code = "invalid_grant"
    title = "Invalid grant"
    description = "The refresh token is not valid any more: log in again."


class InvalidRequestError(AuthError):
    """The request is malformed; the detail names the field, never its value."""

    code = "invalid_request"
    title = "Invalid request"
    description = "The request is malformed."


class AmbiguousTokenError(InvalidRequestError):
    """More than one token was sent (RFC 6750 section 2: one method a request)."""

    description = "Send exactly one token, in one Authorization header."
    challenge = "invalid_request"


class InvalidScopeError(AuthError):
    """A scope was asked for that the user does not have (RFC 6749 section 5.2)."""

    code = "invalid_scope"
    title = "Invalid scope"
    description = "A requested scope is malformed or not allowed for this user."


class PasswordRefusedError(AuthError):
    """The new password fails the policy; the detail says which rule.

    Args:
        rule: Stable name of the rule (`too_short`, `too_long`, `not_text`, `username`,
            `common`, `breached`); the `rule` of the problem document.
        detail: The rule in words.
    """

    code = "password_refused"
    status = 422
    title = "Password refused"

    def __init__(self, rule: str, detail: str) -> None:
        self.rule = rule
        super().__init__(detail)


class NotFoundError(AuthError):
    """There is no such resource, or it belongs to somebody else."""

    code = "not_found"
    status = 404
    title = "Not found"
    description = "There is nothing at this address."


class MethodNotAllowedError(AuthError):
    """The resource does not know this method (RFC 9110 section 15.5.6).

    Args:
        allowed: The methods that it knows.
    """

    code = "method_not_allowed"
    status = 405
    title = "Method not allowed"

    def __init__(self, allowed: list[str]) -> None:
        self.allow = ", ".join(sorted(allowed))
        super().__init__(f"Use one of: {self.allow}.")


class PayloadTooLargeError(AuthError):
    """The body is larger than any body that these routes need."""

    code = "payload_too_large"
    status = 413
    title = "Payload too large"
    description = "The body may have at most 16384 bytes."


class UnsupportedMediaTypeError(AuthError):
    """The body is not of the media type that the route reads.

    Args:
        media_type: The one that it reads.
    """

    code = "unsupported_media_type"
    status = 415
    title = "Unsupported media type"

    def __init__(self, media_type: str) -> None:
        super().__init__(f"Send the body with the header 'Content-Type: {media_type}'.")


class RetryLaterError(AuthError):
    """The same request may succeed later.

    Args:
        retry_after: Seconds after which a retry makes sense.
    """

    def __init__(self, retry_after: int = 1) -> None:
        self.retry_after = max(1, retry_after)
        super().__init__()


class TooManyAttemptsError(RetryLaterError):
    """The budget of password attempts is used up (RFC 6585 section 4)."""

    code = "too_many_attempts"
    status = 429
    title = "Too many attempts"
    description = "Too many login attempts: wait before the next one."


class OverloadedError(RetryLaterError):
    """The server is busy hashing passwords and does not queue more of them."""

    code = "overloaded"
    status = 503
    title = "Overloaded"
    description = "Too many logins at this moment: try again shortly."


class StoreUnavailableError(RetryLaterError):
    """The store of users or sessions cannot answer; nobody is let in.

    Args:
        retry_after: Seconds after which a retry makes sense.
        reason: Why, for the operator; the client is not told.
    """

    code = "store_unavailable"
    status = 503
    title = "Store unavailable"
    description = "The service cannot check this at the moment: try again shortly."

    def __init__(self, retry_after: int = 1, *, reason: str | None = None) -> None:
        self.reason = reason
        super().__init__(retry_after)


class ServerError(AuthError):
    """Code failed, ours or the application's; its log tells what.

    The name is that of RFC 6749 section 4.1.2.1.
    """

    code = "server_error"
    status = 500
    title = "Server error"
    description = "Something failed on the server: try again later."
