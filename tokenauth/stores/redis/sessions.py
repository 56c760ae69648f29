"""Sessions in Redis or Valkey: each is a hash that expires with it.

A sorted set holds the ids of a user's sessions in the order in which they began, and
expires with the last of them. What is written together begins with the same tag (see
`user_tag`), by which a cluster keeps it on one server.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

import redis
from redis.exceptions import (
    NoPermissionError,
    NoScriptError,
    RedisClusterException,
)

from ...errors import ConfigurationError, StoreUnavailableError
from ...errors.unavailable import ROLE_CHANGED
from ...sessions.session import Session, user_tag
from ...sessions.store import Endings
from ...tokens.redact import Redacted
from . import rows, scripts
from .client import open_client

_STEP: Final = 500
_FAILURES: Final = (redis.RedisError, RedisClusterException, OSError)


class RedisSessionStore(Redacted):
    """Sessions in Redis or Valkey, shared by all processes and hosts that use it.

    One primary, with or without replicas and Sentinel, or a cluster. Applications
    whose users are not the same need different databases or servers. All keys begin
    with `tokenauth:`.

    Args:
        client: `redis://`, `rediss://` (TLS) or `unix://`, whose query overrides
            `DEFAULTS`; `redis+cluster://host1,host2` or
            `redis+sentinel://host1,host2/service`; or a client of redis-py, for
            whatever a URL cannot say.

    Raises:
        ConfigurationError: the URL is malformed, has an option that cannot be set
            there, or the client decodes what it reads.
    """

    def __init__(self, client: str | redis.Redis | redis.RedisCluster) -> None:
        if isinstance(client, str):
            client = open_client(client)
        elif client.get_encoder().decode_responses:
            raise ConfigurationError(
                "RedisSessionStore needs a client that does not decode what it reads: "
                "leave out 'decode_responses=True'."
            )
        self._redis: Any = client
        self._is_cluster = not isinstance(client, redis.Redis)

    def add(self, session: Session, *, limit: int) -> None:
        """Keep a new session; end its user's oldest of that kind beyond a limit.

        Raises:
            ValueError: the store is a cluster, and the session's id does not begin with
                its user's tag.
        """
        if self._is_cluster and session.id[0] != user_tag(session.user_id):
            raise ValueError("A session's id must be from new_session_id(user_id).")
        now = session.created_at
        changing = [(name, getattr(session, name)) for name in scripts.FIELDS[1:]]
        self._run(
            scripts.ADD,
            [
                rows.session_key(session.id),
                rows.user_key(session.user_id),
                rows.endings_key(session.id),
            ],
            [
                session.id,
                session.kind,
                limit,
                rows.milliseconds(session.ends_at - now),
                rows.milliseconds(session.expires_at - now),
                *("began", rows.encode(session)),
                *itertools.chain.from_iterable(changing),
            ],
        )

    def get(self, session_id: str) -> Session | None:
        """Return the session, or None when there is none with this id."""
        if not rows.is_id(session_id):
            return None
        with self._unavailable():
            return rows.session_of(self._read(rows.session_key(session_id)))

    def rotate(
        self, session_id: str, generation: int, *, now: float, idle_expires_at: float
    ) -> Session | None:
        """Move a session from this generation to the next, if it is at this one."""
        if not rows.is_id(session_id):
            return None
        values = [generation, now, idle_expires_at]
        found = self._run(scripts.ROTATE, [rows.session_key(session_id)], values)
        return None if found is None else rows.session_of(found)

    def touch(self, session_id: str, *, now: float) -> None:
        """Set when a session was last used, if there is one with this id."""
        if rows.is_id(session_id):
            self._run(scripts.TOUCH, [rows.session_key(session_id)], [now])

    def end(self, session_id: str) -> bool:
        """End a session; True for at most one of many callers."""
        if not rows.is_id(session_id):
            return False
        # A cluster has none of another tag, and its endings would be elsewhere.
        may_be = not self._is_cluster or session_id[0] in rows.TAGS
        return may_be and self._end([session_id]) == 1

    def end_all(
        self, user_id: str, *, kind: str | None = None, keep: str | None = None
    ) -> int:
        """End a user's sessions, of one kind or all, but for one to keep."""
        ids = [each for each in self._ids_of(user_id) if each != keep]
        return self._end(ids, kind or "")

    def end_everyone(self) -> int:
        """End every session of every user; return how many."""
        waiting, ended = defaultdict[str, list[str]](list), 0
        with self._unavailable():
            for key in self._redis.scan_iter(match="tokenauth:*:session:*", count=1000):
                session_id = key.decode().rpartition(":")[2]
                waiting[session_id[0]].append(session_id)
                if len(waiting[session_id[0]]) == _STEP:
                    ended += self._end(waiting.pop(session_id[0]))
        return ended + sum(map(self._end, waiting.values()))

    def of_user(self, user_id: str, *, kind: str | None = None) -> list[Session]:
        """Return a user's sessions, of one kind or all, newest first."""
        read = self._of_all(
            ("HMGET", rows.session_key(session_id), *scripts.FIELDS)
            for session_id in self._ids_of(user_id)
        )
        found = map(rows.session_of, read)
        return [each for each in found if each and kind in (None, each.kind)]

    def purge(self, *, now: float, limit: int) -> int:  # noqa: ARG002 # the protocol's
        """Drop nothing: Redis itself drops what has expired."""
        return 0

    def ended_since(self, mark: str | None) -> Endings:
        """Return which sessions were ended through a store since a mark.

        A mark has the id of an entry of each stream: if one is gone, so may be others.
        """
        if mark is None:
            return Endings([], self._newest_mark())
        marks, most = mark.split(), scripts.MOST_ENDINGS
        found = self._of_all(
            ("XRANGE", key, each, "+", "COUNT", most + 1)
            for key, each in zip(rows.ENDINGS, marks, strict=True)
        )
        for entries, each in zip(found, marks, strict=True):
            if not entries or entries[0][0] != each.encode() or len(entries) > most:
                return Endings(None, self._newest_mark())
        ended = [fields[b"id"].decode() for each in found for _, fields in each[1:]]
        return Endings(ended, " ".join(each[-1][0].decode() for each in found))

    def _newest_mark(self) -> str:
        keys = rows.ENDINGS
        found = self._of_all(("XREVRANGE", key, "+", "-", "COUNT", 1) for key in keys)
        empty = [key for key, entries in zip(keys, found, strict=True) if not entries]
        begun = iter(self._of_all(("XADD", key, "*", "id", "") for key in empty))
        marks = [entries[0][0] if entries else next(begun) for entries in found]
        return " ".join(mark.decode() for mark in marks)

    def read_clock(self) -> float:
        """Return the server's time in seconds since the epoch."""
        with self._unavailable():
            seconds, microseconds = self._redis.time()
        return float(seconds + microseconds / 1e6)

    def read_info(self) -> dict[str, object]:
        """Return what the server says of itself, empty if the account may not ask.

        Of a cluster it is the primary that may drop or lose most.
        """
        client, servers = self._redis, [self._redis]
        with self._unavailable(), suppress(NoPermissionError):
            if self._is_cluster:
                servers = list(map(client.get_redis_connection, client.get_primaries()))
            infos: list[dict[str, object]] = [server.info() for server in servers]
            return min(infos, key=_is_safe)
        return {}

    def _read(self, key: str) -> Any:
        """Read a session; from a cluster, without all that its client does."""
        client, command = self._redis, ("HMGET", key, *scripts.FIELDS)
        if self._is_cluster:
            with suppress(*_FAILURES):  # moved, or down: the client finds out
                node = client.get_node_from_key(key)
                return client.get_redis_connection(node).execute_command(*command)
        return client.execute_command(*command)

    def _ids_of(self, user_id: str) -> list[str]:
        with self._unavailable():
            ids = self._redis.zrevrange(rows.user_key(user_id), 0, -1)
        return [session_id.decode() for session_id in ids]

    def _end(self, session_ids: Sequence[str], kind: str = "") -> int:
        """End sessions of one tag."""
        if not session_ids:
            return 0
        keys = [rows.endings_key(session_ids[0]), *map(rows.session_key, session_ids)]
        return int(self._run(scripts.END, keys, [kind, *session_ids]))

    def _of_all(self, commands: Iterable[tuple[Any, ...]]) -> list[Any]:
        with self._unavailable():
            pipeline = self._redis.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)
            found: list[Any] = pipeline.execute()
            return found

    def _run(self, script: str, keys: Sequence[Any], args: Sequence[Any]) -> Any:
        with self._unavailable():
            name = self._redis.register_script(script).sha
            try:
                return self._redis.evalsha(name, len(keys), *keys, *args)
            except NoScriptError:
                return self._redis.eval(script, len(keys), *keys, *args)

    @contextmanager
    def _unavailable(self) -> Generator[None]:
        """Turn what the driver raises into the one error that stores raise."""
        try:
            yield
        except _FAILURES as error:  # its text may hold what was sent
            unavailable = StoreUnavailableError(reason=error)
            if unavailable.reason in ROLE_CHANGED and not self._is_cluster:
                # Kept connections lead to a server that is no primary any more.
                self._redis.connection_pool.disconnect(inuse_connections=False)
            raise unavailable from None


def _is_safe(info: dict[str, object]) -> tuple[bool, bool]:
    return info.get("maxmemory_policy") == "noeviction", info.get("aof_enabled") == 1
