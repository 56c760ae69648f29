"""The rules of sessions once more, in plain dicts: what may be answered, and when.

Where a clock was set back after a login's time was over, a store may have dropped the
row or not. Such a login is in doubt until an answer tells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

ACCESS, GRACE, LEEWAY, LIMIT = 900, 10, 30, 2
IDLE, LIFETIME = 48 * 3600, 60 * 3600
CONFIG: Mapping[str, Any] = {
    "TOKENAUTH_ACCESS_LIFETIME": ACCESS,
    "TOKENAUTH_REFRESH_GRACE": GRACE,
    "TOKENAUTH_CLOCK_LEEWAY": LEEWAY,
    "TOKENAUTH_SESSION_LIMIT": LIMIT,
    "TOKENAUTH_SESSION_IDLE_LIFETIME": IDLE,
    "TOKENAUTH_SESSION_LIFETIME": LIFETIME,
}

Body = Any
Possible = dict[str, Callable[[Body], "Pair | None"]]
"""Each answer that may come, by its code or `ok`, and what it does to the model."""


@dataclass(eq=False)
class Account:
    id: str
    name: str
    password: str
    is_active: bool = True


@dataclass(eq=False)
class Login:
    account: Account
    created_at: float
    rotated_at: float
    idle_end: float
    end: float
    id: str = ""
    generation: int = 0
    state: Literal["standing", "in doubt", "ended"] = "standing"
    refresh_tokens: dict[tuple[int, str], str] = field(default_factory=dict)

    @property
    def ends_at(self) -> float:
        return min(self.idle_end, self.end)

    def may_stand(self, now: float) -> bool:
        return self.state != "ended" and now < self.ends_at

    def is_usable(self, now: float) -> bool:
        return self.account.is_active and self.may_stand(now)


@dataclass(frozen=True)
class Token:
    text: str = field(repr=False)
    purpose: Literal["access", "refresh"]
    login: Login
    generation: int
    key: str
    issued_at: int
    expires_at: int


@dataclass(frozen=True)
class Pair:
    access: Token
    refresh: Token


def nothing(_: Body) -> None:
    """Leave everything as it is."""


@dataclass(eq=False)
class Model:
    accounts: dict[str, Account]
    keys: list[str]  # oldest first, the last one signs
    logins: list[Login] = field(default_factory=list)

    def notice(self, now: float) -> None:
        """Note whose time is over by a clock that a store may have heard of."""
        for login in self.logins:
            if login.state == "standing" and login.ends_at <= now:
                login.state = "in doubt"

    # -- what may be answered ----------------------------------------------------------

    def log_in(self, account: Account, password: str, now: float) -> Possible:
        if password != account.password or not account.is_active:
            return {"invalid_credentials": nothing}
        return {"ok": lambda body: self._begin(account, body, now)}

    def use(self, token: Token, now: float) -> Possible:
        return self._for_bearer(token, now, {"ok": nothing})

    def list_sessions(self, token: Token, now: float) -> Possible:
        def check(body: Body) -> None:
            listed = {each["id"] for each in body["sessions"]}
            assert len(listed) == len(body["sessions"]) <= LIMIT
            for login in self._of(token.login.account):
                if login.may_stand(now):
                    assert login.state == "in doubt" or login.id in listed
                    login.state = "standing" if login.id in listed else "ended"
                assert (login.id in listed) == login.may_stand(now)

        return self._for_bearer(token, now, {"ok": check})

    def refresh(self, token: Token, now: float) -> Possible:
        login = token.login
        is_ours = token.purpose == "refresh" and token.key in self.keys
        refused: Possible = {"invalid_grant": nothing}
        if not (is_ours and login.is_usable(now)):
            return refused
        in_doubt = login.state == "in doubt"
        if token.generation == login.generation:
            if now >= token.expires_at or token.issued_at > now + LEEWAY:
                return refused
            possible: Possible = {"ok": lambda body: self._rotate(login, body, now)}
        elif token.generation == login.generation - 1 and _in_grace(login, now):
            possible = {"ok": lambda body: self._pair(login, body, now)}
        else:
            return {"invalid_grant": lambda _: _end(login)}
        return possible | ({"invalid_grant": lambda _: _end(login)} if in_doubt else {})

    def log_out(self, token: Token, now: float) -> Possible:
        if code := self._flaw(token, now):
            return {code: nothing}
        return {"ok": lambda _: _end(token.login)}

    def end_one(self, token: Token, target: Login, now: float) -> Possible:
        is_own = target.account is token.login.account
        possible: Possible = {}
        if is_own and target.state != "ended":
            possible["ok"] = lambda _: _end(target)
        if not is_own or target.state != "standing":
            possible["not_found"] = (lambda _: _end(target)) if is_own else nothing
        return self._for_bearer(token, now, possible)

    def end_all(self, token: Token, now: float, *, keep: bool) -> Possible:
        kept = token.login if keep else None
        account = token.login.account
        return self._for_bearer(
            token, now, {"ok": lambda _: self.end_all_of(account, kept)}
        )

    def change_password(
        self, token: Token, current: str, new: str, now: float
    ) -> Possible:
        account = token.login.account

        def change(body: Body) -> Pair:
            account.password = new
            self.end_all_of(account)
            return self._begin(account, body, now)

        if current == account.password:
            return self._for_bearer(token, now, {"ok": change})
        return self._for_bearer(token, now, {"invalid_credentials": nothing})

    def end_all_of(self, account: Account, keep: Login | None = None) -> None:
        for login in self._of(account):
            if login is not keep:
                login.state = "ended"

    # -- what it does ------------------------------------------------------------------

    def _for_bearer(self, token: Token, now: float, possible: Possible) -> Possible:
        if code := self._flaw(token, now):
            return {code: nothing}
        login = token.login
        if not login.is_usable(now):
            return {"token_revoked": nothing}
        if login.state == "standing":
            return possible

        def in_favour(effect: Callable[[Body], Pair | None]) -> Any:
            def settle(body: Body) -> Pair | None:
                login.state = "standing"
                return effect(body)

            return settle

        settled = {code: in_favour(effect) for code, effect in possible.items()}
        return settled | {"token_revoked": lambda _: _end(login)}

    def _flaw(self, token: Token, now: float) -> str | None:
        if token.purpose != "access" or token.key not in self.keys:
            return "token_invalid"
        if now >= token.expires_at:
            return "token_expired"
        return "token_invalid" if token.issued_at > now + LEEWAY else None

    def _begin(self, account: Account, body: Body, now: float) -> Pair:
        login = Login(account, now, now, now + IDLE, now + LIFETIME)
        self._make_room(account, now)
        self.logins.append(login)
        return self._pair(login, body, now)

    def _make_room(self, account: Account, now: float) -> None:
        """End the oldest; among logins of one moment, or of clocks set back, doubt."""
        rivals = [login for login in self._of(account) if login.may_stand(now)]
        for place, login in enumerate(rivals):
            newer = rivals[place + 1 :]
            surely = [
                other
                for other in newer
                if other.state == "standing" and other.created_at > login.created_at
            ]
            maybe = newer + [
                other
                for other in rivals[:place]
                if other.created_at >= login.created_at
            ]
            if 1 + len(surely) >= LIMIT:
                login.state = "ended"
            elif 1 + len(maybe) >= LIMIT:
                login.state = "in doubt"

    def _rotate(self, login: Login, body: Body, now: float) -> Pair:
        login.state = "standing"
        login.generation += 1
        login.rotated_at, login.idle_end = now, now + IDLE
        return self._pair(login, body, now)

    def _pair(self, login: Login, body: Body, now: float) -> Pair:
        """Take the tokens of an answer in, and check what they are told to be."""
        login.state = "standing"
        key, issued_at, ends_at = self.keys[-1], int(now), int(login.ends_at)
        expires_at = min(issued_at + ACCESS, ends_at)
        assert body["expires_in"] == expires_at - issued_at
        assert body["refresh_expires_in"] == ends_at - issued_at
        text = body["refresh_token"]
        known = login.refresh_tokens.setdefault((login.generation, key), text)
        assert known == text, "two branches"
        access = Token(
            body["access_token"], "access", login, 0, key, issued_at, expires_at
        )
        rotated_at = int(login.rotated_at)
        refresh = Token(
            text, "refresh", login, login.generation, key, rotated_at, ends_at
        )
        return Pair(access, refresh)

    def _of(self, account: Account) -> list[Login]:
        return [login for login in self.logins if login.account is account]


def _in_grace(login: Login, now: float) -> bool:
    since = now - login.rotated_at
    return -max(LEEWAY, GRACE) <= since < GRACE


def _end(login: Login) -> None:
    login.state = "ended"
