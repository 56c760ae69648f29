"""What every store must do; an engine runs it all by giving one fixture."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tokenauth import SessionStore, User, UserStore
from tokenauth.sessions import Session, new_session_id

BEGUN = 1_790_000_000.5


def make_session(
    *, user_id: str = "u-1", kind: str = "login", begun: float = BEGUN
) -> Session:
    return Session(
        id=new_session_id(),
        user_id=user_id,
        kind=kind,
        label="naïve ☎ label",
        client="curl/8",
        scopes=frozenset({"read", "write"}),
        created_at=begun,
        authenticated_at=begun - 0.25,
        refreshed_at=begun,
        idle_expires_at=begun + 700,
        expires_at=begun + 3000,
    )


def at_once(count: int, step: Callable[[], bool]) -> int:
    """Run a step in many threads at the same moment; return how often it was true."""
    barrier = threading.Barrier(count)
    outcomes: list[bool] = []

    def run() -> None:
        barrier.wait()
        outcomes.append(step())

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == count
    return sum(outcomes)


class SessionStoreContract:
    """The promises of `SessionStore`."""

    def test_it_is_a_session_store(self, store: SessionStore) -> None:
        """The protocol can be checked."""
        assert isinstance(store, SessionStore)

    def test_a_row_comes_back_as_it_went(self, store: SessionStore) -> None:
        """Every field, to the fraction of a second."""
        kept = make_session()
        store.add(kept, limit=9)
        assert store.get(kept.id) == kept
        assert store.get(new_session_id()) is None

    def test_a_rotation_happens_or_does_not(self, store: SessionStore) -> None:
        """It moves a session from the generation that it is at, and no other."""
        kept = make_session()
        store.add(kept, limit=9)
        assert store.rotate(kept.id, 1, now=BEGUN, idle_expires_at=BEGUN) is None
        rotated = store.rotate(
            kept.id, 0, now=BEGUN + 9.25, idle_expires_at=BEGUN + 709.25
        )
        assert rotated is not None
        assert (rotated.generation, rotated.refreshed_at) == (1, BEGUN + 9.25)
        assert rotated.idle_expires_at == BEGUN + 709.25
        assert rotated.expires_at == kept.expires_at
        assert store.get(kept.id) == rotated
        assert store.rotate(kept.id, 0, now=BEGUN, idle_expires_at=BEGUN) is None

    def test_of_parallel_rotations_one_happens(self, store: SessionStore) -> None:
        """One winner, every time."""
        kept = make_session()
        store.add(kept, limit=9)
        for generation in range(5):
            winners = at_once(
                16,
                lambda g=generation: (  # type: ignore[misc]
                    store.rotate(kept.id, g, now=BEGUN, idle_expires_at=BEGUN + 9)
                    is not None
                ),
            )
            assert winners == 1

    def test_of_parallel_ends_one_is_the_first(self, store: SessionStore) -> None:
        """True for one caller at most: a one-time token is redeemed once."""
        for _ in range(5):
            kept = make_session()
            store.add(kept, limit=9)
            assert at_once(16, lambda k=kept: store.end(k.id)) == 1  # type: ignore[misc]
            assert store.get(kept.id) is None

    def test_what_has_ended_does_not_come_back(self, store: SessionStore) -> None:
        """Neither a rotation nor a use revives it."""
        kept = make_session()
        store.add(kept, limit=9)
        assert store.end(kept.id)
        assert not store.end(kept.id)
        store.touch(kept.id, now=BEGUN)
        assert store.rotate(kept.id, 0, now=BEGUN, idle_expires_at=BEGUN) is None
        assert store.get(kept.id) is None

    def test_a_use_is_noted(self, store: SessionStore) -> None:
        """And nothing else changes."""
        kept = make_session()
        store.add(kept, limit=9)
        store.touch(kept.id, now=BEGUN + 60)
        found = store.get(kept.id)
        assert found is not None
        assert found.refreshed_at == BEGUN + 60
        assert found.generation == 0

    def test_the_oldest_of_a_kind_end_beyond_the_limit(
        self, store: SessionStore
    ) -> None:
        """Each kind and each user for themselves; listed newest first."""
        logins = [make_session(begun=BEGUN + i) for i in range(5)]
        others = [make_session(kind="personal"), make_session(user_id="u-2")]
        for each in (*others, *logins):
            store.add(each, limit=3)
        assert store.of_user("u-1", kind="login") == logins[:1:-1]
        assert store.of_user("u-1", kind="personal") == others[:1]
        assert store.of_user("u-2", kind="login") == others[1:]
        assert store.of_user("nobody", kind="login") == []

    def test_a_limit_holds_for_parallel_logins(self, store: SessionStore) -> None:
        """Fifty at a time at a limit of four leave four."""

        def begin() -> bool:
            store.add(make_session(), limit=4)
            return True

        at_once(50, begin)
        assert len(store.of_user("u-1", kind="login")) == 4

    def test_a_user_s_sessions_end_together(self, store: SessionStore) -> None:
        """But for those of other kinds, other users, and the one that is kept."""
        logins = [make_session(begun=BEGUN + i) for i in range(3)]
        personal, other = make_session(kind="personal"), make_session(user_id="u-2")
        for each in (*logins, personal, other):
            store.add(each, limit=9)
        assert store.end_all("u-1", kind="login", keep=logins[0].id) == 2
        assert store.of_user("u-1", kind="login") == [logins[0]]
        assert store.get(personal.id) == personal
        assert store.end_all("u-1") == 2
        assert store.end_all("u-1") == 0
        assert store.get(other.id) == other

    def test_a_purge_counts_what_it_drops(self, store: SessionStore) -> None:
        """Never more than asked for, never what stands, and at the end it says 0."""
        over = [make_session(user_id=f"u-{i}") for i in range(5)]
        standing = make_session(user_id="u-standing", begun=BEGUN + 5000)
        for each in (*over, standing):
            store.add(each, limit=9)
        counts = [store.purge(now=BEGUN + 5000, limit=2) for _ in range(9)]
        assert all(0 <= count <= 2 for count in counts)
        assert counts[-1] == 0
        assert store.get(standing.id) == standing

    def test_a_limit_of_one_replaces(self, store: SessionStore) -> None:
        """As for one-time tokens: a newer one ends the older."""
        first, second = (make_session(kind="once:reset") for _ in range(2))
        store.add(first, limit=1)
        store.add(second, limit=1)
        assert store.get(first.id) is None
        assert store.get(second.id) == second


class UserStoreContract:
    """The promises of `UserStore`."""

    def test_a_user_is_found_by_id_and_by_folded_name(
        self, users: UserStore, alice: User
    ) -> None:
        """The two ways in, and nobody else."""
        assert isinstance(users, UserStore)
        for found in (users.get(alice.id), users.find("alice")):
            assert isinstance(found, User)
            assert (found.id, found.username) == (alice.id, "Alice")
            assert found.password_hash == "old"
            assert found.scopes == {"read", "write"}
            assert found.is_active
        assert users.get("nobody") is None
        assert users.find("nobody") is None

    def test_a_hash_is_replaced_if_it_is_the_expected_one(
        self, users: UserStore, alice: User
    ) -> None:
        """Also where there is none, and never where there is no user."""
        assert not users.set_password_hash(alice.id, "new", expected="other")
        assert users.set_password_hash(alice.id, None, expected="old")
        assert not users.set_password_hash(alice.id, "new", expected="old")
        assert users.set_password_hash(alice.id, "new", expected=None)
        assert not users.set_password_hash("nobody", "new", expected=None)
        found = users.get(alice.id)
        assert found is not None
        assert found.password_hash == "new"

    def test_of_parallel_changes_one_happens(
        self, users: UserStore, alice: User
    ) -> None:
        """The others are told that they came too late."""
        changed = at_once(
            16, lambda: users.set_password_hash(alice.id, "new", expected="old")
        )
        assert changed == 1


@pytest.fixture
def alice() -> User:
    """The user that the contract's stores hold."""
    return User("Alice", "old", id="u-alice", scopes=["read", "write"])
