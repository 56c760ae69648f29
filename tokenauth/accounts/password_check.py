"""Proving a password: equal work for every failure, whoever is asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, TypeVar

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
from . import passwords
from .hashing_pool import HashingPool
from .passwords import Argon2Cost
from .policy import PasswordPolicy
from .users import UserRecord, UserStore, fold_username

if TYPE_CHECKING:
    from .throttle import Attempt, LoginThrottle

T = TypeVar("T")


class CheckedPassword(Redacted, msgspec.Struct, frozen=True):
    """A user whose password was proved, and how.

    Attributes:
        user: Whose password it is.
        password_hash: The hash that it was proved against.
        attempt: The attempt that proved it.
    """

    user: UserRecord
    password_hash: str
    attempt: Attempt


class PasswordChecker:
    """Checks usernames and passwords.

    Args:
        users: Where users are kept.
        cost: What hashing a password costs.
        policy: What a new password must satisfy.
        throttle: Counts attempts.
        gate: Bounds how many hashes are computed at a time.
        emit: Announces an event.
    """

    def __init__(
        self,
        users: UserStore,
        *,
        cost: Argon2Cost,
        policy: PasswordPolicy,
        throttle: LoginThrottle,
        pool: HashingPool,
        emit: Emit,
    ) -> None:
        self._users = users
        self._cost = cost
        self._policy = policy
        self._throttle = throttle
        self._pool = pool
        self._emit = emit
        self._dummy = passwords.dummy_hash(cost)

    def check(
        self, username: str, password: str, address: str | None = None
    ) -> CheckedPassword:
        """Return the user that a username and a password belong to.

        One hash is computed, whoever is asked for: the amount of work tells nothing
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
        account = fold_username(username)
        with self._attempt(account or username, address) as attempt:
            user = None if account is None else self._users.find(account)
            return self._prove(user, attempt, password)

    def check_user(
        self, user: UserRecord, password: str, address: str | None = None
    ) -> CheckedPassword:
        """Return the proof that a password is this user's, as `prove` does."""
        with self._attempt(account_of(user), address) as attempt:
            return self._prove(user, attempt, password)

    def recheck(self, proof: CheckedPassword, password: str) -> CheckedPassword:
        """Return a proof as it holds now, for what is done on the strength of it.

        A password may be changed between the check and what follows; a hash that was
        only upgraded meanwhile still is this password's.

        Raises:
            InvalidCredentialsError: it does not hold any more.
            OverloadedError: too many passwords are being checked.
            StoreUnavailableError: a store cannot answer.
        """
        user = self.active_user(proof.user.get_id())
        if user.password_hash == proof.password_hash:
            return msgspec.structs.replace(proof, user=user)
        return self._prove(user, proof.attempt, password)

    def active_user(self, user_id: str) -> UserRecord:
        """Return the user with this id as the store has it now.

        Raises:
            InvalidCredentialsError: gone or disabled.
            StoreUnavailableError: the store cannot answer.
        """
        user = self._users.get(user_id)
        if user is None or not user.is_active:
            reason = "unknown_user" if user is None else "disabled"
            self._emit(events.login_failed, user_id=user_id, reason=reason)
            raise InvalidCredentialsError
        return user

    def upgrade(self, proof: CheckedPassword, password: str) -> None:
        """Store a stronger hash of a proved password where the stored one is weak.

        Whatever fails here, a store or a busy gate, fails nothing else: the next login
        tries again.
        """
        if not passwords.needs_upgrade(proof.password_hash, self._cost):
            return
        try:
            self._users.set_password_hash(
                proof.user.get_id(),
                self._hash(password, proof.attempt),
                expected=proof.password_hash,
            )
        except (OverloadedError, StoreUnavailableError):
            pass
        except Exception as error:  # noqa: BLE001 # the password was right all the same
            # The type alone: the text of a store's own error may quote the hash.
            LOGGER.error(  # no traceback, for the same reason
                "a stronger password hash was not stored: %s", type(error).__name__
            )

    def hash_new(self, password: str, proof: CheckedPassword) -> str:
        """Return the hash to store for the new password of a user who proved the old.

        Raises:
            PasswordRefusedError: the policy refuses it; the error names the rule.
            StoreUnavailableError: the application's breach check failed.
            OverloadedError: too many passwords are being checked.
        """
        self._policy.check(password, proof.attempt.account)
        return self._hash(password, proof.attempt)

    def hash_set(self, password: str, account: str) -> str:
        """Return the hash to store for a password that is set without the old one.

        Args:
            password: The new password.
            account: The folded username of whoever will use it.

        Raises:
            PasswordRefusedError: the policy refuses it; the error names the rule.
            StoreUnavailableError: the application's breach check failed.
            OverloadedError: too many passwords are being checked.
        """
        self._policy.check(password, account)
        work = partial(passwords.hash_password, password, self._cost)
        return self._pool.run(work, (account,), is_known=True)

    @contextlib.contextmanager
    def _attempt(self, account: str, address: str | None) -> Generator[Attempt]:
        """Count an attempt for as long as it is one: not if it succeeds or is put off.

        It is counted before it is made, so parallel guesses are all counted in time
        (CVE-2019-5421).
        """
        try:
            attempt = self._throttle.reserve(account, address)
        except TooManyAttemptsError:
            self._emit(events.attempts_limited, account=account)
            raise
        try:
            yield attempt
        except InvalidCredentialsError:
            raise
        except AuthError:  # overloaded, or a store that is down: no guess was made
            self._throttle.cancel(attempt)
            raise
        self._throttle.record_success(attempt)

    def _prove(
        self, user: UserRecord | None, attempt: Attempt, password: str
    ) -> CheckedPassword:
        stored = self._stored_hash(user)
        try:
            return self._verify(user, stored, attempt, password)
        except InvalidCredentialsError:
            self._emit(
                events.login_failed,
                account=attempt.account,
                user_id=None if user is None else user.get_id(),
                reason=self._reason(user, stored),
            )
            raise

    def _stored_hash(self, user: UserRecord | None) -> str:
        """Return the hash to compute against; the dummy where there is none to use.

        The dummy is looked at like any other: that alone took measurable time.
        """
        stored = None if user is None else user.password_hash
        stored = stored or self._dummy
        return stored if passwords.is_supported(stored) else self._dummy

    def _verify(
        self, user: UserRecord | None, stored: str, attempt: Attempt, password: str
    ) -> CheckedPassword:
        self._compute(attempt, partial(passwords.verify_password, stored, password))
        if user is None or not user.is_active:
            raise InvalidCredentialsError
        return CheckedPassword(user, stored, attempt)

    def _reason(self, user: UserRecord | None, stored: str) -> str:
        """Say for the operator why a login failed; the client is never told."""
        if user is None:
            return "unknown_user"
        if not user.is_active:
            return "disabled"
        if user.password_hash is None:
            return "no_password"
        return "unsupported_hash" if stored is self._dummy else "wrong_password"

    def _hash(self, password: str, attempt: Attempt) -> str:
        return self._compute(
            attempt, partial(passwords.hash_password, password, self._cost)
        )

    def _compute(self, attempt: Attempt, work: Callable[[], T]) -> T:
        return self._pool.run(work, attempt.keys, is_known=attempt.is_known)


def account_of(user: UserRecord) -> str:
    """Return the folded name that attempts on a user's password are counted under."""
    username: str = getattr(user, "username", None) or user.get_id()
    return fold_username(username) or username
