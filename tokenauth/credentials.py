"""Proving a password: equal work for every failure, whoever is asked for."""

from __future__ import annotations

from typing import NamedTuple

from . import events, passwords
from .errors import InvalidCredentialsError, StoreUnavailableError
from .events import LOGGER, Emit
from .passwords import Argon2Cost, PasswordPolicy
from .users import UserRecord, UserStore, fold_username


class Proof(NamedTuple):
    """A user whose password was proved, and the hash that it was proved against."""

    user: UserRecord
    password_hash: str


class Credentials:
    """Checks usernames and passwords.

    Args:
        users: Where users are kept.
        cost: What hashing a password costs.
        policy: What a new password must satisfy.
        emit: Announces an event.
    """

    def __init__(
        self,
        users: UserStore,
        *,
        cost: Argon2Cost,
        policy: PasswordPolicy,
        emit: Emit,
    ) -> None:
        self._users = users
        self._cost = cost
        self._policy = policy
        self._emit = emit
        self._dummy = passwords.dummy_hash(cost)

    def prove(self, username: str, password: str) -> Proof:
        """Return the user that a username and a password belong to.

        One hash is computed, whoever is asked for: the amount of work tells nothing
        about the account.

        Raises:
            InvalidCredentialsError: no such user, wrong password, or an account that is
                disabled or has no usable password.
        """
        account = fold_username(username)
        user = None if account is None else self._users.find(account)
        return self._prove(user, account or username, password)

    def prove_user(self, user: UserRecord, password: str) -> Proof:
        """Return the proof that a password is this user's, as `prove` does."""
        return self._prove(user, account_of(user), password)

    def prove_again(self, proof: Proof, password: str) -> Proof:
        """Return a proof as it holds now, for what is done on the strength of it.

        A password may be changed between the check and what follows; a hash that was
        only upgraded meanwhile still is this password's.

        Raises:
            InvalidCredentialsError: it does not hold any more.
        """
        user = self.active_user(proof.user.get_id())
        if user.password_hash == proof.password_hash:
            return Proof(user, proof.password_hash)
        return self._verify(user, password)

    def active_user(self, user_id: str) -> UserRecord:
        """Return the user with this id as the store has it now.

        Raises:
            InvalidCredentialsError: gone or disabled.
        """
        user = self._users.get(user_id)
        if user is None or not user.is_active:
            raise InvalidCredentialsError
        return user

    def upgrade(self, proof: Proof, password: str) -> None:
        """Store a stronger hash of a proved password where the stored one is weak.

        A store that fails here fails nothing: the next login tries again.
        """
        if not passwords.needs_upgrade(proof.password_hash, self._cost):
            return
        try:
            self._users.set_password_hash(
                proof.user.get_id(),
                passwords.hash_password(password, self._cost),
                expected=proof.password_hash,
            )
        except StoreUnavailableError:
            LOGGER.warning("a password hash could not be upgraded: store unavailable")

    def hash_new(self, password: str) -> str:
        """Return the hash to store for a new password.

        Raises:
            PasswordRefusedError: the policy refuses it; the error names the rule.
        """
        self._policy.check(password)
        return passwords.hash_password(password, self._cost)

    def _prove(self, user: UserRecord | None, account: str, password: str) -> Proof:
        try:
            return self._verify(user, password)
        except InvalidCredentialsError:
            self._emit(
                events.login_failed,
                account=account,
                user_id=None if user is None else user.get_id(),
                reason=_reason(user),
            )
            raise

    def _verify(self, user: UserRecord | None, password: str) -> Proof:
        stored = None if user is None else user.password_hash
        if stored is None or not passwords.is_supported(stored):
            stored = self._dummy
        passwords.verify_password(stored, password)
        if user is None or not user.is_active:
            raise InvalidCredentialsError
        return Proof(user, stored)


def account_of(user: UserRecord) -> str:
    """Return the folded name that attempts on a user's password are counted under."""
    username: str = getattr(user, "username", user.get_id())
    return fold_username(username) or username


def _reason(user: UserRecord | None) -> str:
    """Say for the operator why a login failed; the client is never told."""
    if user is None:
        return "unknown user"
    if user.password_hash is None:
        return "no password"
    if not passwords.is_supported(user.password_hash):
        return "stored hash of no supported scheme"
    return "wrong password" if user.is_active else "disabled"
