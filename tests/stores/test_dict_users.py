"""Users in a dict, which the application may change."""

from __future__ import annotations

import threading
import time
from types import MappingProxyType

import pytest

from tests.harness.kit import CHEAP, PASSWORDS, make_app, make_users, password_hash
from tokenauth import DictUserStore, User, UserStore, hash_password
from tokenauth.errors import ConfigurationError

ALICE, BOB = password_hash("alice"), password_hash("bob")


def test_a_dict_of_hashes_is_a_store() -> None:
    """Found by folded name and by id."""
    store = DictUserStore({"Alice": password_hash("alice")})
    assert isinstance(store, UserStore)
    user = store.find("alice")
    assert user is not None
    assert user is store.get(user.get_id())
    assert user.username == "Alice"
    assert store.find(" ALICE") is user  # in any spelling
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


def test_who_is_removed_from_the_mapping_is_gone() -> None:
    """At once, by name and by id."""
    users: dict[str, str | User] = {"alice": ALICE, "bob": BOB}
    store = DictUserStore(users)
    del users["alice"]
    assert store.get("alice") is None
    assert store.find("alice") is None
    assert store.find("bob") is not None


def test_who_is_added_to_the_mapping_is_found() -> None:
    """By id first, or by name first; also in place of somebody else."""
    users: dict[str, str | User] = {"alice": ALICE}
    store = DictUserStore(users)
    users["Bob"] = BOB
    assert store.find("bob") is store.get("Bob")
    del users["alice"]
    users["carol"] = User("carol", id="u-carol")
    assert store.get("u-carol") is users["carol"]
    assert repr(store) == "<DictUserStore of 2 users>"


def test_an_entry_that_is_changed_is_read_again() -> None:
    """Its hash is the application's; until then what was changed here holds."""
    users: dict[str, str | User] = {"alice": ALICE}
    store = DictUserStore(users)
    assert store.set_password_hash("alice", BOB, expected=ALICE)
    found = store.find("alice")
    assert found is not None
    assert found.password_hash == BOB
    assert users["alice"] == ALICE
    users["alice"] = changed = hash_password("another", CHEAP)
    for found in (store.get("alice"), store.find("alice")):
        assert found is not None
        assert found.password_hash == changed


def test_a_bad_entry_that_is_added_lets_nobody_in() -> None:
    """The others are not disturbed, and it can be corrected."""
    users: dict[str, str | User] = {"alice": ALICE}
    store = DictUserStore(users)
    users["ALICE"], users["bob"], users["a\nb"] = BOB, PASSWORDS["bob"], BOB
    users["carol"] = User("carol", BOB, id="alice")
    client = make_app(users=store).test_client()
    body = {"username": "bob", "password": PASSWORDS["bob"]}
    assert client.post("/auth/login", json=body).status_code == 401
    assert store.find("a\nb") is None
    found = store.find("ALICE")
    assert found is store.get("alice")
    assert found is not None
    assert found.password_hash == ALICE
    del users["ALICE"], users["a\nb"], users["carol"]
    users["bob"] = BOB
    assert client.post("/auth/login", json=body).status_code == 200
    assert store.find("alice") is found


def test_a_mapping_that_cannot_be_changed_is_a_store_too() -> None:
    """Nothing is written to the application's mapping."""
    store = DictUserStore(MappingProxyType({"alice": ALICE}))
    assert store.set_password_hash("alice", BOB, expected=ALICE)


def test_changes_during_logins_are_all_seen() -> None:
    """Threads that look while another one changes the mapping."""
    users: dict[str, str | User] = {f"user-{i}": ALICE for i in range(50)}
    store = DictUserStore(users)
    is_over = threading.Event()
    failures: list[Exception] = []

    def look() -> None:
        try:
            while not is_over.is_set():
                store.find("user-3")
                store.get("user-7")
        except Exception as error:  # noqa: BLE001 # shown below
            failures.append(error)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        users["new"] = BOB
        assert store.find("new") is not None
        del users["new"]
        assert store.get("new") is None
    is_over.set()
    for thread in threads:
        thread.join()
    assert not failures
