"""Sessions in Redis or Valkey: one command or one script for each promise.

A session is a hash that goes when its time is over. A sorted set holds the ids of a
user's sessions in the order in which they began, and goes with the last of them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ..errors import ConfigurationError, StoreUnavailableError
from ..secrecy import Secretive
from ..sessions import MOST_ENDINGS, Endings, Session

DEFAULTS: Final[Mapping[str, Any]] = {
    "socket_connect_timeout": 2,
    "socket_timeout": 2,
    "socket_keepalive": True,
    "max_connections": 50,
}
"""Seconds to wait, and connections of a process at most, unless the URL says more."""

_SESSION: Final = "tokenauth:session:"
_USER: Final = "tokenauth:user:"
_ENDINGS: Final = "tokenauth:endings"
_NOTHING: Final = "0-0"  # before the first entry of a stream

# What is read of a hash: the session as it began, and what has changed since. Times
# are passed and kept as text, since Lua would round them.
_FIELDS: Final = ("began", "generation", "refreshed_at", "idle_expires_at")
_READ: Final = f"""
local function read(key) return redis.call('HMGET', key, '{"', '".join(_FIELDS)}') end
"""
# The last so many at least are told.
_NOTE_END: Final = f"""
local function drop(key, id, endings)
  local dropped = redis.call('DEL', key)
  if dropped == 1 then
    redis.call('XADD', endings, 'MAXLEN', '~', {MOST_ENDINGS}, '*', 'id', id)
  end
  return dropped
end
"""
# A place in the set that is one after the last: clocks may stand still or differ.
_ADD: Final = f"""{_NOTE_END}
local id, kind, limit, prefix = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local ttl, longest_ttl = tonumber(ARGV[5]), tonumber(ARGV[6])
redis.call('HSET', KEYS[1], 'user', KEYS[2], 'kind', kind, unpack(ARGV, 7))
redis.call('PEXPIRE', KEYS[1], ttl)
local last = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')
redis.call('ZADD', KEYS[2], (tonumber(last[2]) or 0) + 1, id)
if redis.call('PTTL', KEYS[2]) < longest_ttl then
  redis.call('PEXPIRE', KEYS[2], longest_ttl)
end
local kept = 0
for _, other in ipairs(redis.call('ZREVRANGE', KEYS[2], 0, -1)) do
  local its_kind = redis.call('HGET', prefix .. other, 'kind')
  if its_kind == kind then kept = kept + 1 end
  if not its_kind or (its_kind == kind and kept > limit) then
    drop(prefix .. other, other, KEYS[3])
    redis.call('ZREM', KEYS[2], other)
  end
end
"""
_ROTATE: Final = f"""{_READ}
local found = redis.call('HMGET', KEYS[1], 'generation', 'expires_at', 'user')
if found[1] ~= ARGV[1] then return false end
redis.call('HINCRBY', KEYS[1], 'generation', 1)
redis.call('HSET', KEYS[1], 'refreshed_at', ARGV[2], 'idle_expires_at', ARGV[3])
local ends_at = math.min(tonumber(ARGV[3]), tonumber(found[2]))
local ttl = math.max(1, math.ceil((ends_at - tonumber(ARGV[2])) * 1000))
redis.call('PEXPIRE', KEYS[1], ttl)
if redis.call('PTTL', found[3]) < ttl then redis.call('PEXPIRE', found[3], ttl) end
return read(KEYS[1])
"""
_TOUCH: Final = """
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HSET', KEYS[1], 'refreshed_at', ARGV[1])
end
"""
_END: Final = f"""{_NOTE_END}
local user = redis.call('HGET', KEYS[1], 'user')
if user then redis.call('ZREM', user, ARGV[1]) end
return drop(KEYS[1], ARGV[1], KEYS[2])
"""
_END_ALL: Final = f"""{_NOTE_END}
local kind, keep, prefix = unpack(ARGV)
local ended = 0
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local its_kind = redis.call('HGET', prefix .. id, 'kind')
  local is_meant = kind == '' or its_kind == kind
  if is_meant and id ~= keep then
    ended = ended + drop(prefix .. id, id, KEYS[2])
    redis.call('ZREM', KEYS[1], id)
  end
end
return ended
"""
_OF_USER: Final = f"""{_READ}
local sessions = {{}}
for _, id in ipairs(redis.call('ZREVRANGE', KEYS[1], 0, -1)) do
  local key = ARGV[2] .. id
  if redis.call('HGET', key, 'kind') == ARGV[1] then
    table.insert(sessions, read(key))
  end
end
return sessions
"""

_encode = msgspec.msgpack.Encoder(order="deterministic").encode
_decode = msgspec.msgpack.Decoder(Session).decode


class RedisSessionStore(Secretive):
    """Sessions in Redis or Valkey, shared by all processes and hosts that use it.

    It needs one primary, with or without replicas: a script touches keys that a cluster
    would part. Applications whose users are not the same need different databases.

    Args:
        url: `redis://`, `rediss://` (TLS) or `unix://`; its query goes over `DEFAULTS`.

    Raises:
        ConfigurationError: the URL is malformed.
    """

    def __init__(self, url: str) -> None:
        try:
            self._redis = redis.Redis.from_url(
                url,
                encoding_errors="surrogatepass",  # any text may be asked for
                # What is sent is sent once: whether a lost command was done, nobody
                # knows. A kept connection is looked at before it is used again.
                retry=Retry(NoBackoff(), 0),
                **DEFAULTS,
            )
        except ValueError:
            raise ConfigurationError(
                "The URL of Redis is malformed: a password in it must be "
                "percent-encoded. Use 'redis://:password@host:6379/0'."
            ) from None
        self._add = self._redis.register_script(_ADD)
        self._rotate = self._redis.register_script(_ROTATE)
        self._touch = self._redis.register_script(_TOUCH)
        self._end = self._redis.register_script(_END)
        self._end_all = self._redis.register_script(_END_ALL)
        self._of_user = self._redis.register_script(_OF_USER)

    def add(self, session: Session, *, limit: int) -> None:
        """Keep a new session; end its user's oldest of that kind beyond a limit."""
        now = session.created_at
        changing = [(name, getattr(session, name)) for name in _FIELDS[1:]]
        with _unavailable():
            self._add(
                keys=[_SESSION + session.id, _USER + session.user_id, _ENDINGS],
                args=[
                    session.id,
                    session.kind,
                    limit,
                    _SESSION,
                    _milliseconds(session.ends_at - now),
                    _milliseconds(session.expires_at - now),
                    *("began", _encode(session)),
                    *("expires_at", session.expires_at),
                    *itertools.chain.from_iterable(changing),
                ],
            )

    def get(self, session_id: str) -> Session | None:
        """Return the session, or None when it has ended or never was."""
        with _unavailable():
            return _session_of(self._redis.hmget(_SESSION + session_id, _FIELDS))

    def rotate(
        self, session_id: str, generation: int, *, now: float, idle_expires_at: float
    ) -> Session | None:
        """Move a session from this generation to the next, if it is at this one."""
        with _unavailable():
            found = self._rotate(
                keys=[_SESSION + session_id], args=[generation, now, idle_expires_at]
            )
        return None if found is None else _session_of(found)

    def touch(self, session_id: str, *, now: float) -> None:
        """Note that a session was used, if it still stands."""
        with _unavailable():
            self._touch(keys=[_SESSION + session_id], args=[now])

    def end(self, session_id: str) -> bool:
        """End a session; true for one of many callers at most."""
        with _unavailable():
            ended = self._end(keys=[_SESSION + session_id, _ENDINGS], args=[session_id])
        return bool(ended)

    def end_all(
        self,
        user_id: str,
        *,
        kind: str | None = None,
        keep: str | None = None,
    ) -> int:
        """End a user's sessions, of one kind or all, but for one to keep."""
        with _unavailable():
            ended = self._end_all(
                keys=[_USER + user_id, _ENDINGS],
                args=[kind or "", keep or "", _SESSION],
            )
        return int(ended)

    def of_user(self, user_id: str, *, kind: str) -> list[Session]:
        """Return a user's sessions of one kind, newest first."""
        with _unavailable():
            found = self._of_user(keys=[_USER + user_id], args=[kind, _SESSION])
        return [session for row in found if (session := _session_of(row))]

    def purge(self, *, now: float, limit: int) -> int:  # noqa: ARG002 # the protocol's
        """Drop nothing: Redis itself drops what is over."""
        return 0

    def ended_since(self, mark: str | None) -> Endings:
        """Return which sessions ended since a mark, but for what Redis itself drops."""
        after = mark or _NOTHING
        with _unavailable(), self._redis.pipeline(transaction=False) as pipeline:
            pipeline.xrevrange(_ENDINGS, count=1)
            pipeline.xrange(_ENDINGS, f"({after}", count=MOST_ENDINGS)
            newest, found = pipeline.execute()
        last = newest[0][0].decode() if newest else _NOTHING
        if mark is None:
            return Endings([], last)
        # A server that lost what it had, or was replaced by one that is behind.
        is_lost = _order(last) < _order(mark)
        if is_lost or len(found) >= MOST_ENDINGS:
            return Endings(None, last)
        ended = [fields[b"id"].decode() for _, fields in found]
        return Endings(ended, found[-1][0].decode() if found else mark)

    def read_clock(self) -> float:
        """Return the server's time in seconds since the epoch."""
        with _unavailable():
            seconds, microseconds = self._redis.time()
        return seconds + microseconds / 1e6


@contextmanager
def _unavailable() -> Generator[None]:
    """Turn what the driver raises into the one error that stores raise."""
    try:
        yield
    except (redis.RedisError, OSError) as error:  # its text may hold what was sent
        raise StoreUnavailableError(reason=type(error).__name__) from None


def _order(entry_id: str) -> tuple[int, int]:
    """Return what the id of a stream's entry is ordered by."""
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number)


def _milliseconds(seconds: float) -> int:
    return max(1, math.ceil(seconds * 1000))


def _session_of(row: list[Any]) -> Session | None:
    """Return the session that a row of `_FIELDS` holds, if there is one."""
    began, generation, refreshed_at, idle_expires_at = row
    if began is None:
        return None
    return msgspec.structs.replace(
        _decode(began),
        generation=int(generation),
        refreshed_at=float(refreshed_at),
        idle_expires_at=float(idle_expires_at),
    )
