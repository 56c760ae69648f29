"""Sessions in Redis or Valkey: each method is one command or one script.

A session is a hash that expires with it. A sorted set holds the ids of a user's
sessions in the order in which they began, and expires with the last of them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, Final

import msgspec
import redis
from redis.exceptions import NoPermissionError

from ...accounts.unavailable import ROLE_CHANGED, reason_of
from ...accounts.users import check_id
from ...errors import ConfigurationError, StoreUnavailableError
from ...sessions.session import Session
from ...sessions.store import MOST_ENDINGS, Endings
from ...tokens.redact import Redacted
from . import scripts
from .client import open_client

_SESSION: Final = b"tokenauth:session:"
_USER: Final = b"tokenauth:user:"
_ENDINGS: Final = "tokenauth:endings"

_encode = msgspec.msgpack.Encoder(order="deterministic").encode
_decode = msgspec.msgpack.Decoder(Session).decode


class RedisSessionStore(Redacted):
    """Sessions in Redis or Valkey, shared by all processes and hosts that use it.

    It needs one primary, with or without replicas: a script touches keys that a cluster
    would part. Applications whose users are not the same need different databases. All
    keys begin with `tokenauth:`.

    Args:
        client: `redis://`, `rediss://` (TLS) or `unix://`, whose query overrides
            `DEFAULTS`; or a client of redis-py, for whatever a URL cannot say.

    Raises:
        ConfigurationError: the URL is malformed, has an option that cannot be set
            there, or the client decodes what it reads.
    """

    def __init__(self, client: str | redis.Redis) -> None:
        if isinstance(client, str):
            client = open_client(client)
        if client.get_encoder().decode_responses:
            raise ConfigurationError(
                "RedisSessionStore needs a client that does not decode what it reads: "
                "leave out 'decode_responses=True'."
            )
        self._redis = client
        self._add = self._redis.register_script(scripts.ADD)
        self._rotate = self._redis.register_script(scripts.ROTATE)
        self._touch = self._redis.register_script(scripts.TOUCH)
        self._end = self._redis.register_script(scripts.END)
        self._end_all = self._redis.register_script(scripts.END_ALL)
        self._of_user = self._redis.register_script(scripts.OF_USER)

    def add(self, session: Session, *, limit: int) -> None:
        """Keep a new session; end its user's oldest of that kind beyond a limit."""
        now = session.created_at
        changing = [(name, getattr(session, name)) for name in scripts.FIELDS[1:]]
        with self._unavailable():
            self._add(
                keys=[
                    _key(_SESSION, session.id),
                    _key(_USER, session.user_id),
                    _ENDINGS,
                ],
                args=[
                    session.id,
                    session.kind,
                    limit,
                    _SESSION,
                    _milliseconds(session.ends_at - now),
                    _milliseconds(session.expires_at - now),
                    *("began", _encode(session)),
                    *itertools.chain.from_iterable(changing),
                ],
            )

    def get(self, session_id: str) -> Session | None:
        """Return the session, or None when there is none with this id."""
        with self._unavailable():
            row = self._redis.hmget(_key(_SESSION, session_id), scripts.FIELDS)
        return _session_of(row)

    def rotate(
        self, session_id: str, generation: int, *, now: float, idle_expires_at: float
    ) -> Session | None:
        """Move a session from this generation to the next, if it is at this one."""
        with self._unavailable():
            found = self._rotate(
                keys=[_key(_SESSION, session_id)],
                args=[generation, now, idle_expires_at],
            )
        return None if found is None else _session_of(found)

    def touch(self, session_id: str, *, now: float) -> None:
        """Set when a session was last used, if there is one with this id."""
        with self._unavailable():
            self._touch(keys=[_key(_SESSION, session_id)], args=[now])

    def end(self, session_id: str) -> bool:
        """End a session; True for at most one of many callers."""
        with self._unavailable():
            ended = self._end(
                keys=[_key(_SESSION, session_id), _ENDINGS], args=[_raw(session_id)]
            )
        return bool(ended)

    def end_all(
        self, user_id: str, *, kind: str | None = None, keep: str | None = None
    ) -> int:
        """End a user's sessions, of one kind or all, but for one to keep."""
        with self._unavailable():
            ended = self._end_all(
                keys=[_key(_USER, user_id), _ENDINGS],
                args=[kind or "", _raw(keep or ""), _SESSION],
            )
        return int(ended)

    def end_everyone(self) -> int:
        """End every session of every user; return how many."""
        with self._unavailable():
            keys = self._redis.scan_iter(match=_SESSION + b"*", count=1000)
            return sum(self.end(key[len(_SESSION) :].decode()) for key in keys)

    def of_user(self, user_id: str, *, kind: str) -> list[Session]:
        """Return a user's sessions of one kind, newest first."""
        with self._unavailable():
            found = self._of_user(keys=[_key(_USER, user_id)], args=[kind, _SESSION])
        return [session for row in found if (session := _session_of(row))]

    def purge(self, *, now: float, limit: int) -> int:  # noqa: ARG002 # the protocol's
        """Drop nothing: Redis itself drops what has expired."""
        return 0

    def ended_since(self, mark: str | None) -> Endings:
        """Return which sessions were ended through a store since a mark.

        A mark is the id of an entry: if that is gone, so may be others.
        """
        with self._unavailable():
            if mark is None:
                return Endings([], self._newest_mark())
            found: Any = self._redis.xrange(_ENDINGS, mark, count=MOST_ENDINGS + 1)
            if not found or found[0][0].decode() != mark or len(found) > MOST_ENDINGS:
                return Endings(None, self._newest_mark())
        ended = [fields[b"id"].decode() for _, fields in found[1:]]
        return Endings(ended, found[-1][0].decode())

    def _newest_mark(self) -> str:
        newest: Any = self._redis.xrevrange(_ENDINGS, count=1)
        entry_id: Any = (
            newest[0][0] if newest else self._redis.xadd(_ENDINGS, {"id": ""})
        )
        return str(entry_id.decode())

    def read_clock(self) -> float:
        """Return the server's time in seconds since the epoch."""
        with self._unavailable():
            seconds, microseconds = self._redis.time()
        return seconds + microseconds / 1e6

    def read_info(self) -> dict[str, object]:
        """Return what the server says of itself, empty if the account may not ask."""
        with self._unavailable(), suppress(NoPermissionError):
            info: dict[str, object] = self._redis.info()
            return info
        return {}

    @contextmanager
    def _unavailable(self) -> Generator[None]:
        """Turn what the driver raises into the one error that stores raise."""
        try:
            yield
        except (redis.RedisError, OSError) as error:  # its text may hold what was sent
            reason = reason_of(error)
            if reason in ROLE_CHANGED:
                # Kept connections lead to a server that is no primary any more.
                self._redis.connection_pool.disconnect(inuse_connections=False)
            raise StoreUnavailableError(reason=reason) from None


def _key(prefix: bytes, id: str) -> bytes:
    return prefix + _raw(id)


def _raw(text: str) -> bytes:
    """Encode an id: any text may be asked for, and hiredis takes no lone surrogate."""
    check_id(text)
    return text.encode(errors="surrogatepass")


def _milliseconds(seconds: float) -> int:
    return max(1, math.ceil(seconds * 1000))


def _session_of(row: list[Any]) -> Session | None:
    """Return the session that a row of `scripts.FIELDS` holds, if there is one."""
    began, generation, refreshed_at, idle_expires_at = row
    if began is None:
        return None
    return msgspec.structs.replace(
        _decode(began),
        generation=int(generation),
        refreshed_at=float(refreshed_at),
        idle_expires_at=float(idle_expires_at),
    )
