"""Users: what a user is, and what it gives away."""

from __future__ import annotations

import pickle

import pytest

from tests.harness.kit import make_users, password_hash
from tokenauth import User
from tokenauth.accounts.users import active_user, scopes_of


@pytest.mark.parametrize("is_banned", [False, True])
def test_a_user_may_compute_whether_it_is_active(is_banned: bool) -> None:
    """By a property, as with Flask-Login's own mixin."""

    class Guest(User):
        @property
        def is_active(self) -> bool:  # type: ignore[override]
            return not is_banned

    guest = Guest("guest")
    assert guest.is_active == guest.is_authenticated == (not is_banned)


def test_a_user_shows_and_gives_away_no_hash() -> None:
    """Neither repr nor pickle carries it."""
    user = User("alice", password_hash("alice"), scopes=["read"])
    assert repr(user) == "<User 'alice'>"
    copy = pickle.loads(pickle.dumps(user))  # noqa: S301 # our own pickle
    assert copy.password_hash is None
    assert copy.username == "alice"
    assert scopes_of(user) == {"read"}


def test_an_account_can_be_closed() -> None:
    """`is_active` is an attribute like any other."""
    user = User("alice")
    user.is_active = False
    assert not user.is_active
    assert not user.is_authenticated


def test_only_a_user_who_is_there_and_enabled_is_active() -> None:
    """And the one who was asked for: a stale cache returns others."""
    users = make_users()
    assert active_user(users, "u-alice") is users.get("u-alice")
    assert active_user(users, "nobody") is None
    user = users.get("u-alice")
    assert user is not None
    user.id = "another"
    assert active_user(users, "u-alice") is None
    user.id, user.is_active = "u-alice", False
    assert active_user(users, "u-alice") is None
