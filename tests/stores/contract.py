"""What every store promises: one suite for all engines.

A store of another engine is tested by one module: a fixture `sessions` that gives an
empty store (or `users`, one that holds `make_kept_users`), and
`from tests.stores.contract import *`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import pytest

from tests.stores.engines import HASH, NOW, make_kept_users, make_session
from tokenauth import (
    InvalidRequestError,
    MemorySessionStore,
    SessionStore,
    StoreUnavailableError,
    User,
    UserStore,
)
from tokenauth.sessions.session import NEVER, Session
from tokenauth.sessions.store import PURGE_STEP
from tokenauth.stores.sql import SQLUserStore

T = TypeVar("T")

# What no driver may see, or may misread.
STRANGE = (
    *("", "5", "x" * 22, "a\0b", "\ud800", "\U0010ffff", "' OR 1=1 --", "*"),
    "é" * 50_000,
)
NO_TEXTS: tuple[Any, ...] = (7, None, b"x")


def in_parallel(count: int, act: Callable[[int], T]) -> list[T]:
    """Do something in many threads at the same moment; return what each got."""
    barrier = threading.Barrier(count)
    results: list[T] = []

    def run(number: int) -> None:
        barrier.wait()
        results.append(act(number))

    threads = [threading.Thread(target=run, args=[i]) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == count, "a thread failed"
    return results


def kept(store: SessionStore, count: int, **fields: Any) -> list[Session]:
    """Keep new sessions, and return them."""
    new = [make_session(**fields) for _ in range(count)]
    for session in new:
        store.add(session, limit=100)
    return new


# -- sessions --------------------------------------------------------------------------


def test_it_has_the_methods_of_a_session_store(sessions: SessionStore) -> None:
    """So it can be passed to `TokenAuth`, and its repr tells nothing."""
    assert isinstance(sessions, SessionStore)
    assert "@" not in repr(sessions)


def test_what_is_kept_comes_back_whole(sessions: SessionStore) -> None:
    """Every field, times to the last bit."""
    many: list[dict[str, Any]] = [
        {},
        {"label": "täblet \U0001f4f1", "client": "curl/8 (x; y)", "user_id": "u-2"},
        {"scopes": frozenset({"a", "b"}), "user_id": "u-3"},
        {"kind": "personal", "refreshed_at": 0.0, "expires_at": NEVER, "idle": 1e9},
        {"kind": "once:reset", "generation": 2**40, "authenticated_at": 0.1 + 0.2},
        {"user_id": "ü'; --", "at": 1e-9, "client": ""},
    ]
    for fields in many:
        session = make_session(**fields)
        sessions.add(session, limit=9)
        assert sessions.get(session.id) == session
        assert sessions.of_user(session.user_id, kind=session.kind) == [session]


def test_nothing_is_found_under_a_strange_id(sessions: SessionStore) -> None:
    """And asking fails nowhere: an id may come from an address or a shell."""
    (session,) = kept(sessions, 1)
    for strange in STRANGE:
        assert sessions.get(strange) is None
        assert sessions.rotate(strange, 0, now=NOW, idle_expires_at=NOW + 9) is None
        sessions.touch(strange, now=NOW)
        assert not sessions.end(strange)
        assert sessions.end_all(strange) == 0
        assert sessions.of_user(strange, kind="login") == []
        assert sessions.get(session.id) == session


def test_an_id_that_is_no_text_is_refused(sessions: SessionStore) -> None:
    """Who ends the sessions of user 7 must not be told that there were none."""
    refuse_no_texts(
        sessions.get,
        lambda wrong: sessions.rotate(wrong, 0, now=NOW, idle_expires_at=NOW + 9),
        lambda wrong: sessions.touch(wrong, now=NOW),
        sessions.end,
        sessions.end_all,
        lambda wrong: sessions.of_user(wrong, kind="login"),
    )


def refuse_no_texts(*calls: Callable[[Any], Any]) -> None:
    for call in calls:
        for wrong in NO_TEXTS:
            with pytest.raises(TypeError, match="must be text, not"):
                call(wrong)


def test_a_rotation_moves_one_generation(sessions: SessionStore) -> None:
    """It says what stands there now, and changes nothing else."""
    session, other = kept(sessions, 2)
    rotated = sessions.rotate(session.id, 0, now=NOW + 1.5, idle_expires_at=NOW + 999.5)
    assert rotated == msgspec.structs.replace(
        session, generation=1, refreshed_at=NOW + 1.5, idle_expires_at=NOW + 999.5
    )
    assert sessions.get(session.id) == rotated
    assert sessions.get(other.id) == other


def test_another_generation_is_not_rotated(sessions: SessionStore) -> None:
    """Neither an older one nor one that is yet to come."""
    (session,) = kept(sessions, 1)
    stands = sessions.rotate(session.id, 0, now=NOW + 1, idle_expires_at=NOW + 800)
    for other in (0, 2, -1, 2**62):
        again = sessions.rotate(
            session.id, other, now=NOW + 2, idle_expires_at=NOW + 900
        )
        assert again is None
        assert sessions.get(session.id) == stands


def test_of_many_rotations_one_happens(sessions: SessionStore) -> None:
    """Promise 5: the others are told that it is at another generation."""
    (session,) = kept(sessions, 1)
    results = in_parallel(
        16,
        lambda i: sessions.rotate(session.id, 0, now=NOW + i, idle_expires_at=NOW + 99),
    )
    (winner,) = filter(None, results)
    assert winner.generation == 1
    assert sessions.get(session.id) == winner


def test_a_use_is_noted(sessions: SessionStore) -> None:
    """Only the time of it changes."""
    session, other = kept(sessions, 2)
    sessions.touch(session.id, now=NOW + 60.5)
    assert sessions.get(session.id) == msgspec.structs.replace(
        session, refreshed_at=NOW + 60.5
    )
    assert sessions.get(other.id) == other


def test_a_note_of_a_use_revives_nothing(sessions: SessionStore) -> None:
    """A session that ended while it was used stays ended."""
    (session,) = kept(sessions, 1)
    sessions.end(session.id)
    sessions.touch(session.id, now=NOW + 60)
    assert sessions.get(session.id) is None
    assert sessions.of_user("u-1", kind="login") == []


def test_an_end_is_final(sessions: SessionStore) -> None:
    """Nothing finds or moves it any more, and no other session ended."""
    session, other = kept(sessions, 2)
    assert sessions.end(session.id)
    assert not sessions.end(session.id)
    assert sessions.get(session.id) is None
    assert sessions.rotate(session.id, 0, now=NOW, idle_expires_at=NOW + 9) is None
    assert sessions.of_user("u-1", kind="login") == [other]


def test_of_many_ends_one_is_told(sessions: SessionStore) -> None:
    """So of many uses of a one-time token, one succeeds."""
    (session,) = kept(sessions, 1)
    assert sum(in_parallel(16, lambda _: sessions.end(session.id))) == 1


def test_a_user_s_sessions_end_together(sessions: SessionStore) -> None:
    """Of one kind or of all, but for the one to keep; nobody else's."""
    logins = kept(sessions, 3)
    personal, once = kept(sessions, 1, kind="personal") + kept(
        sessions, 1, kind="once:x"
    )
    (strangers,) = kept(sessions, 1, user_id="u-2")
    assert sessions.end_all("u-1", kind="login", keep=logins[1].id) == 2
    assert [s for s in logins if sessions.get(s.id)] == [logins[1]]
    assert sessions.get(personal.id) == personal
    assert sessions.end_all("u-1", keep=personal.id) == 2
    assert sessions.get(once.id) is None
    assert sessions.end_all("u-1") == 1
    assert sessions.end_all("u-1") == 0
    assert sessions.get(strangers.id) == strangers


def test_a_rotation_and_an_end_leave_nothing(sessions: SessionStore) -> None:
    """Whichever comes first, the session has ended when the end has returned."""
    for _ in range(10):
        (session,) = kept(sessions, 1)

        def act(number: int, id_: str = session.id) -> None:
            if number % 2:
                sessions.rotate(id_, 0, now=NOW, idle_expires_at=NOW + 900)
            else:
                sessions.end_all("u-1")

        in_parallel(4, act)
        assert sessions.get(session.id) is None
        assert sessions.of_user("u-1", kind="login") == []


def test_the_clock_of_a_server_is_read(sessions: Any) -> None:
    """Of those that have one, so that `check` can compare it."""
    if not isinstance(sessions, MemorySessionStore):
        seconds = sessions.read_clock()
        assert seconds is None or abs(seconds - time.time()) < 60


def test_a_user_s_sessions_are_listed_newest_first(sessions: SessionStore) -> None:
    """In the order in which they were kept, whatever the clocks of the hosts say."""
    new = kept(sessions, 3) + kept(sessions, 1, at=NOW - 5)
    personal = kept(sessions, 1, kind="personal")
    assert sessions.of_user("u-1", kind="login") == new[::-1]
    assert sessions.of_user("u-1") == [*personal, *new[::-1]]


def test_the_oldest_ends_beyond_a_limit(sessions: SessionStore) -> None:
    """However the clock goes; of this user and this kind only."""
    for step in (60, 0, -60):
        user = f"u{step}"
        others = kept(sessions, 1) + kept(sessions, 1, user_id=user, kind="personal")
        new = [make_session(user, at=NOW + i * step) for i in range(4)]
        for session in new:
            sessions.add(session, limit=2)
        assert sessions.of_user(user, kind="login") == [new[3], new[2]]
        assert [sessions.get(s.id) is None for s in new] == [True, True, False, False]
        assert [sessions.get(s.id) for s in others] == others


def test_what_is_over_gives_way_first(sessions: SessionStore) -> None:
    """A login that was left to run out does not cost a living one its place."""
    alive, over = make_session(), make_session(idle=0.05)
    for session in (alive, over):
        sessions.add(session, limit=2)
    threading.Event().wait(0.1)  # for an engine whose rows go by themselves
    new = make_session(at=NOW + 1)
    sessions.add(new, limit=2)
    assert sessions.of_user("u-1", kind="login") == [new, alive]


def test_of_many_logins_at_a_limit_as_many_stand(sessions: SessionStore) -> None:
    """Counting and keeping are one step."""
    new = [make_session() for _ in range(12)]
    in_parallel(12, lambda i: sessions.add(new[i], limit=3))
    listed = sessions.of_user("u-1", kind="login")
    assert len(listed) == 3
    assert [s for s in new if sessions.get(s.id)] == [s for s in new if s in listed]


def test_a_purge_is_bounded_and_takes_only_what_is_over(sessions: SessionStore) -> None:
    """A session that was refreshed, or only ends now, is not what is over."""
    over = kept(sessions, 5, idle=0.05)
    (alive,) = kept(sessions, 1)
    (old,) = kept(sessions, 1, idle=60)
    refreshed = sessions.rotate(old.id, 0, now=NOW, idle_expires_at=NOW + 800)
    threading.Event().wait(0.1)
    steps = [sessions.purge(now=NOW + 61, limit=2) for _ in range(6)]
    assert max(steps) <= 2
    assert sum(steps) in (5, 0)  # an engine may do it by itself
    assert [sessions.get(session.id) for session in over] == [None] * 5
    assert sessions.of_user("u-1", kind="login") == [refreshed, alive]


def test_each_new_session_takes_a_few_that_are_over(sessions: SessionStore) -> None:
    """So their number falls, and no login pays for all of them."""
    over = [make_session("u-2", idle=0.05) for _ in range(3 * PURGE_STEP)]
    for session in over:
        sessions.add(session, limit=100)
    threading.Event().wait(0.1)
    left = sum(sessions.get(session.id) is not None for session in over)
    kept(sessions, 1, at=NOW + 1)
    now_left = sum(sessions.get(session.id) is not None for session in over)
    assert now_left == max(0, left - PURGE_STEP)


# -- users -----------------------------------------------------------------------------


def test_a_user_comes_back_whole(users: UserStore) -> None:
    """By id, and by any spelling of the name."""
    for user in make_kept_users():
        spellings = [user.username, user.username.upper(), user.username.lower()]
        for found in (users.get(user.id), *map(users.find, spellings)):
            assert isinstance(found, User)
            assert vars(found) == vars(user)


def test_nobody_is_found_under_a_strange_name(users: UserStore) -> None:
    """And asking fails nowhere."""
    for strange in STRANGE:
        assert users.get(strange) is None
        assert users.find(strange) is None
        assert not users.set_password_hash(strange, HASH, expected=None)


def test_a_user_id_that_is_no_text_is_refused(users: UserStore) -> None:
    """Not taken for that of nobody."""
    refuse_no_texts(
        users.get,
        users.find,
        lambda wrong: users.set_password_hash(wrong, HASH, expected=None),
    )


def test_a_hash_replaces_the_one_that_is_expected(users: UserStore) -> None:
    """Also where there was none, or shall be none."""
    new = HASH.replace("0", "1")
    assert not users.set_password_hash("u-1", new, expected=None)
    assert not users.set_password_hash("u-1", new, expected=new)
    assert users.set_password_hash("u-1", new, expected=HASH)
    assert users.set_password_hash("u-3", new, expected=None)
    assert users.set_password_hash("u-1", None, expected=new)
    hashes = [getattr(users.get(f"u-{n}"), "password_hash", "") for n in (1, 2, 3)]
    assert hashes == [None, HASH, new]


def test_of_many_new_hashes_one_is_kept(users: UserStore) -> None:
    """Who expected what stood there before is told that it stands there no more."""
    new = [HASH.replace("0", str(i)) for i in range(1, 9)]
    results = in_parallel(
        8, lambda i: users.set_password_hash("u-1", new[i], expected=HASH)
    )
    assert sum(results) == 1


# -- users that are managed from here --------------------------------------------------


def test_a_managed_user_id_that_is_no_text_is_refused(
    managed: SQLUserStore,
) -> None:
    """Neither is a user removed, nor said not to be there."""
    refuse_no_texts(
        lambda wrong: managed.set_active(wrong, active=False),
        lambda wrong: managed.set_scopes(wrong, ["read"]),
        managed.remove,
    )


def test_a_name_is_given_once(managed: SQLUserStore) -> None:
    """Whatever the spelling; and so is an id. Who had it first keeps it."""
    for twin in (User("ålice"), User("A\u030aLICE"), User("dave", id="u-1")):
        assert not managed.add(twin)
        assert vars(managed.get("u-1")) == vars(make_kept_users()[0])
        assert len(list(managed.all())) == 3


def test_a_name_that_nobody_can_have_is_refused(managed: SQLUserStore) -> None:
    """With what names look like."""
    for name in ("", "a\0b", "\ud800", "a\nb", "é" * 255):
        with pytest.raises(InvalidRequestError, match="1 to 254 characters"):
            managed.add(User(name))


def test_of_many_with_one_name_one_is_added(managed: SQLUserStore) -> None:
    """The name is taken in one step."""
    added = in_parallel(8, lambda i: managed.add(User("dave", id=f"d-{i}")))
    assert sum(added) == 1


def test_all_users_are_listed_by_name(managed: SQLUserStore) -> None:
    """Also when there are more than are read at a time."""
    for number in range(1000):
        managed.add(User(f"user-{number:04}"))
    names = [user.username for user in managed.all()]
    assert names == ["bob", "carol", *(f"user-{n:04}" for n in range(1000)), "Ålice"]


def test_a_user_is_disabled_and_enabled(managed: SQLUserStore) -> None:
    """And nothing else of the user changes."""
    alice, *_ = make_kept_users()
    assert managed.set_active("u-1", active=False)
    assert vars(managed.get("u-1")) == vars(alice) | {"is_active": False}
    assert managed.set_active("u-1", active=True)
    assert vars(managed.get("u-1")) == vars(alice)


def test_user_is_renamed_to_a_name_that_nobody_else_has(
    managed: SQLUserStore,
) -> None:
    """Or to another spelling of the own one; everything else stays."""
    alice = managed.get("u-1")
    assert managed.rename("u-1", "ann@example.com")
    assert managed.rename("u-1", "Ann@example.com")
    assert vars(managed.get("u-1")) == vars(alice) | {"username": "Ann@example.com"}
    assert vars(managed.find("ann@example.com")) == vars(managed.get("u-1"))
    assert managed.find("ålice") is None
    assert not managed.rename("u-1", "BOB")
    assert not managed.rename("u-9", "dave")
    with pytest.raises(InvalidRequestError):
        managed.rename("u-1", "")
    assert [user.id for user in managed.all()] == ["u-1", "u-2", "u-3"]


def test_of_many_who_want_one_name_one_gets_it(managed: SQLUserStore) -> None:
    """At the same moment; the others hear that it is taken, or to try again."""

    def rename(number: int) -> bool:
        try:
            return managed.rename(f"u-{number}", "dave")
        except StoreUnavailableError:
            return False

    assert sum(in_parallel(3, lambda i: rename(i + 1))) == 1
    assert [user.username for user in managed.all()].count("dave") == 1


def test_a_user_gets_other_scopes(managed: SQLUserStore) -> None:
    """And nothing else of the user changes; what cannot be a scope is refused."""
    alice, *_ = make_kept_users()
    for scopes in (["write", "a:b"], "a:b write", ()):
        assert managed.set_scopes("u-1", scopes)
        assert vars(managed.get("u-1"))["scopes"] == (
            {"a:b", "write"} if scopes else set()
        )
    with pytest.raises(ValueError, match="cannot be the name of a scope"):
        managed.set_scopes("u-1", ["a b"])
    assert managed.set_scopes("u-1", alice.scopes)
    assert vars(managed.get("u-1")) == vars(alice)


def test_a_user_is_removed_for_good(managed: SQLUserStore) -> None:
    """Neither the id nor the name is found, and the name is free again."""
    assert managed.remove("u-1")
    assert managed.get("u-1") is None
    assert managed.find("ålice") is None
    assert managed.add(User("ålice", id="u-4"))


def test_nobody_is_changed_under_a_strange_id(managed: SQLUserStore) -> None:
    """The caller is told."""
    for strange in STRANGE:
        assert not managed.rename(strange, "dave")
        assert not managed.set_active(strange, active=False)
        assert not managed.set_scopes(strange, ["read"])
        assert not managed.remove(strange)
        assert all(map(managed.get, ["u-1", "u-2", "u-3"]))
