"""Users, their folded names, and the store in a dict."""

from __future__ import annotations

import pickle
import time
import unicodedata
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.harness.kit import make_users, password_hash
from tokenauth import DictUserStore, User, UserStore
from tokenauth.accounts.users import MAX_USERNAME_LENGTH, fold_username, scopes_of
from tokenauth.errors import ConfigurationError


@pytest.mark.parametrize(
    ("username", "folded"),
    [
        ("JohnDoe", "johndoe"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("ｊｏｈｎ", "john"),
        ("ﬁona", "fiona"),
        ("İ", "i̇"),
        ("a" * MAX_USERNAME_LENGTH, "a" * MAX_USERNAME_LENGTH),
        ("", None),
        ("a" * (MAX_USERNAME_LENGTH + 1), None),
        ("nul\x00", None),
        ("line\nbreak", None),
        ("zero\u200bwidth", None),
        ("soft\u00adhyphen", None),
        ("right\u202eleft", None),
        ("\ud800", None),
    ],
)
def test_all_spellings_of_a_name_are_one(username: str, folded: str | None) -> None:
    """NFKC and case folding; what cannot be a name is nobody's."""
    assert fold_username(username) == folded
    if folded is not None:
        assert fold_username(folded) == folded


FORMS: list[Literal["NFC", "NFD", "NFKC", "NFKD"]] = ["NFC", "NFD", "NFKC", "NFKD"]


@given(st.text(max_size=MAX_USERNAME_LENGTH))
def test_folding_is_final(username: str) -> None:
    """What is folded folds to itself, and so do all its other spellings."""
    folded = fold_username(username)
    spellings = [unicodedata.normalize(form, username) for form in FORMS]
    for spelling in [folded or "", *spellings]:
        is_long = len(spelling) > MAX_USERNAME_LENGTH
        assert fold_username(spelling) == (None if is_long else folded)


@given(st.text(st.characters(exclude_categories=[])))
def test_any_text_may_be_asked_for(username: str) -> None:
    """A name that is nobody's is an answer, not an error."""
    folded = fold_username(username)
    assert (
        folded is None
        or make_users().find(folded) is None
        or folded in {"alice", "bob"}
    )


@pytest.mark.advisory("Django CVE-2023-46695")
def test_a_long_name_is_refused_before_it_is_normalised() -> None:
    """CVE-2023-46695: normalising combining marks takes quadratic time."""
    begun = time.process_time()
    assert fold_username("e" + "\u0301" * 200_000) is None
    assert time.process_time() - begun < 0.2


def test_a_dict_of_hashes_is_a_store() -> None:
    """Found by any spelling of the name and by id."""
    store = DictUserStore({"Alice": password_hash("alice")})
    assert isinstance(store, UserStore)
    user = store.find("alice")
    assert user is not None
    assert user is store.get(user.get_id())
    assert user.username == "Alice"
    assert store.find("ALICE") is user
    assert store.get("nobody") is None


@pytest.mark.parametrize(
    ("users", "message"),
    [
        ({"John": "John"}, "no supported scheme.*Werkzeug's scrypt and pbkdf2"),
        ({"": "x"}, "cannot be used"),
        ({"a\nb": "x"}, "cannot be used"),
    ],
)
def test_a_bad_entry_is_refused(users: dict[str, str], message: str) -> None:
    """The tutorial's clear-text password, and names that nobody could type."""
    with pytest.raises(ConfigurationError, match=message):
        DictUserStore(users)


def test_two_spellings_of_a_name_are_refused() -> None:
    """One account a folded name, one user an id."""
    stored = password_hash("alice")
    with pytest.raises(ConfigurationError, match="taken"):
        DictUserStore({"Alice": stored, "ALICE": stored})
    with pytest.raises(ConfigurationError, match="taken"):
        DictUserStore({"a": User("a", id="1"), "b": User("b", id="1")})


def test_a_hash_is_replaced_only_if_it_is_the_expected_one() -> None:
    """Of two changes at a time, one happens."""
    store = make_users()
    old, new = password_hash("alice"), password_hash("bob")
    assert not store.set_password_hash("u-alice", new, expected=new)
    assert store.set_password_hash("u-alice", new, expected=old)
    assert not store.set_password_hash("u-alice", new, expected=old)
    assert not store.set_password_hash("nobody", new, expected=old)
    user = store.get("u-alice")
    assert user is not None
    assert user.password_hash == new


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
    assert repr(make_users()) == "<DictUserStore of 2 users>"


def test_an_account_can_be_closed() -> None:
    """`is_active` is an attribute like any other."""
    user = User("alice")
    user.is_active = False
    assert not user.is_active
    assert not user.is_authenticated
