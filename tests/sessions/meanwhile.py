"""An application in whose stores something happens in the middle of a request."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tests.harness.kit import (
    make_app,
    make_users,
    password_hash,
)
from tests.stores.proxy import proxied
from tokenauth import MemorySessionStore, StoreUnavailableError

DAY = 86_400
NEW = "quite another phrase"


class Meanwhile:
    """An application whose stores let something happen at one of their calls."""

    def __init__(self) -> None:
        self.users = make_users(alice=["read", "write"])
        self.sessions = MemorySessionStore()
        self.meanwhile: dict[str, list[Callable[[], object]]] = {}
        self.app = make_app(
            users=proxied(self.users, partial(self._around, "users")),
            sessions=proxied(self.sessions, partial(self._around, "sessions")),
        )
        self.client = self.app.test_client()

    def after(self, call: str, happens: Callable[[], object], *, nth: int = 1) -> None:
        """Let something happen once, right after the n-th such call from now."""
        self.meanwhile[call] = [lambda: None] * (nth - 1) + [happens]

    def _around(self, store: str, name: str, call: Callable[[], Any]) -> Any:
        answer = call()
        if waiting := self.meanwhile.get(f"{store}.{name}"):
            waiting.pop(0)()
        return answer

    def set_password(self) -> None:
        """Do what an operator does: change the password, then end all."""
        alice = self.users.find("alice")
        assert alice is not None
        alice.password_hash = password_hash("bob")
        self.sessions.end_all(alice.id)

    def disable(self) -> None:
        alice = self.users.find("alice")
        assert alice is not None
        alice.is_active = False
        self.sessions.end_all(alice.id)

    def remove(self) -> None:
        del self.users._by_id["u-alice"]

    def fail(self) -> None:
        raise StoreUnavailableError

    def count(self) -> int:
        return len(self.sessions.of_user("u-alice", kind="login"))
