"""Checking passwords: the same work for every failure, whichever account is tried."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar

import msgspec

from .. import events
from ..errors import (
    AuthError,
    InvalidCredentialsError,
    OverloadedError,
    StoreUnavailableError,
    TooManyAttemptsError,
)
from ..events import LOGGER, Emit
from ..tokens.redact import Redacted
from .hashing_pool import HashingPool
from .names import fold_username
from .passwords import PasswordHasher
from .policy import PasswordPolicy
from .users import UserRecord, UserStore, active_user, find_user, id_of

if TYPE_CHECKING:
    from .throttle import Attempt, LoginThrottle


R = TypeVar("R")


class CheckedPassword(Redacted, msgspec.Struct, frozen=True):
    """A user whose password was right.

    Attributes:
        user: The user.
        password_hash: The hash that the password was checked against.
        attempt: The attempt, as it was counted.
    """

    user: UserRecord
    password_hash: str
    attempt: Attempt


class PasswordChecker(Redacted, msgspec.Struct, frozen=True, kw_only=True):
    """Checks usernames and passwords.

    Attributes:
        users: The store of users.
        hasher: Makes and verifies hashes.
        policy: What a new password must satisfy.
        throttle: Counts attempts.
        pool: Limits how many hashes are computed at a time.
        emit: Announces an event.
        upgrades: Whether stored hashes that are weak are replaced at login.
    """

    users: UserStore
    hasher: PasswordHasher
    policy: PasswordPolicy
    throttle: LoginThrottle
    pool: HashingPool
    emit: Emit
    upgrades: bool = True

    def check(
        self, username: str, password: str, address: str | None = None
    ) -> CheckedPassword:
        """Return the user that a username and a password belong to.

        One hash is computed whichever account is tried, so that the work tells nothing
        about the account.

        Args:
            username: As the client sent it.
            password: As the client sent it.
            address: The client's network address.

        Raises:
            InvalidCredentialsError: no such user, wrong password, or an account that is
                disabled or has no usable password.
            TooManyAttemptsError: the account or the network has no attempts left.
            OverloadedError: too many passwords are being checked.
            StoreUnavailableError: a store cannot answer.
        """
        user = find_user(self.users, username)
        name = fold_username(username) or username
        with self._attempt(name, user, address) as attempt:
            return self._verify(user, attempt, password)

    def check_user(
        self, user: UserRecord, password: str, address: str | None = None
    ) -> CheckedPassword:
        """Check the current password of a user who changes it, as `check` does."""
        with self._attempt(account_of(user), user, address, "change") as attempt:
            return self._verify(user, attempt, password)

    def recheck(self, checked: CheckedPassword, password: str) -> CheckedPassword:
        """Return a checked password as it is now; raise as `check` does.

        A password may be changed between the check and what follows from it. A hash
        that was only upgraded meanwhile is still of this password.
        """
        user = confirm_active(self.users, checked.user.get_id(), self.emit)
        if user.password_hash == checked.password_hash:
            return checked
        return self._verify(user, checked.attempt, password)

    def upgrade(self, checked: CheckedPassword, password: str) -> None:
        """Replace the stored hash of a checked password if it is weak.

        What fails here fails nothing else: the next login tries again.
        """
        stored = checked.password_hash
        if not (self.upgrades and self.hasher.needs_upgrade(stored)):
            return
        user_id = checked.user.get_id()
        try:
            new = self._run(partial(self.hasher.hash, password), checked.attempt)
            self.users.set_password_hash(user_id, new, expected=stored)
        except (OverloadedError, StoreUnavailableError):
            pass
        except Exception as error:  # noqa: BLE001 # the password was right all the same
            # Its type alone: the text of a store's own error may quote the hash.
            LOGGER.error(  # no traceback, for the same reason
                "A stronger password hash was not stored: %s", type(error).__name__
            )

    def hash_new(self, password: str, user: UserRecord | str) -> str:
        """Return the hash to store for a new password.

        Args:
            password: The new password.
            user: The user who will use it, or the username.

        Raises:
            PasswordRefusedError: the policy refuses it; the error names the rule.
        """
        name = user if isinstance(user, str) else account_of(user)
        account = fold_username(name) or ""
        self.policy.check(password, account)
        work = partial(self.hasher.hash, password)
        return self.pool.run(work, (f"new {account}",), is_known=True)

    @contextlib.contextmanager
    def _attempt(
        self,
        name: str,
        user: UserRecord | None,
        address: str | None,
        purpose: Literal["login", "change"] = "login",
    ) -> Generator[Attempt]:
        """Count an attempt, and take it back if it succeeds or was not made.

        It is counted before it is made, so that parallel guesses are all counted in
        time (CVE-2019-5421).
        """
        user_id = None if user is None else id_of(user)
        try:
            attempt = self.throttle.reserve(
                name, address, user_id=user_id, purpose=purpose, admit=self._admit
            )
        except TooManyAttemptsError:
            self.emit(events.attempts_limited, account=name, user_id=user_id)
            raise
        try:
            yield attempt
        except InvalidCredentialsError:
            raise
        except AuthError:  # overloaded, or a store that is down: no guess was made
            self.throttle.cancel(attempt)
            raise
        self.throttle.record_success(attempt)

    def _verify(
        self, user: UserRecord | None, attempt: Attempt, password: str
    ) -> CheckedPassword:
        stored = None if user is None else user.password_hash
        is_right = self._run(partial(self.hasher.verify, stored, password), attempt)
        if user is not None and user.is_active and stored and is_right:
            return CheckedPassword(user, stored, attempt)
        self.emit(
            events.login_failed,
            account=attempt.name,
            user_id=None if user is None else user.get_id(),
            reason=_reason(user, is_right=is_right),
        )
        raise InvalidCredentialsError

    def _admit(self, attempt: Attempt) -> None:
        self.pool.check(attempt.keys, is_known=attempt.is_known)

    def _run(self, work: Callable[[], R], attempt: Attempt) -> R:
        return self.pool.run(work, attempt.keys, is_known=attempt.is_known)


def confirm_active(users: UserStore, user_id: str, emit: Emit) -> UserRecord:
    """Return the user with this id as the store has it now.

    Raises:
        InvalidCredentialsError: removed or disabled, which is announced.
    """
    user = active_user(users, user_id)
    if user is None:
        reason = "unknown_id" if users.get(user_id) is None else "disabled"
        emit(events.login_failed, user_id=user_id, reason=reason)
        raise InvalidCredentialsError
    return user


def account_of(user: UserRecord) -> str:
    """Return a user's folded username; the id where there is none that can be folded.

    Nothing is counted under it: an application may let its users choose it.
    """
    username: str = getattr(user, "username", None) or user.get_id()
    return fold_username(username) or username


def _reason(user: UserRecord | None, *, is_right: bool | None) -> str:
    """Return for the operator why a login failed; the client is never told."""
    if user is None:
        return "unknown_user"
    if not user.is_active:
        return "disabled"
    if not user.password_hash:
        return "no_password"
    return "unsupported_hash" if is_right is None else "wrong_password"
