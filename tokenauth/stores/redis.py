"""Sessions on Redis or Valkey: one command or one script for each step.

A session is a hash that expires with it; a user's sessions are a sorted set, oldest
first, that expires with the last of them. Scripts touch keys of both sorts, so they
need one primary (with or without replicas and Sentinel), not a cluster.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import redis

from ..errors import ConfigurationError, StoreUnavailableError
from ..secrecy import Secretive
from ..sessions import Session

TIMEOUTS: Final = {"socket_connect_timeout": 2, "socket_timeout": 2}
"""Seconds to wait for a connection and for an answer; the URL may say otherwise."""

_PREFIX: Final = "tokenauth:"

# What is read of the hash: the session as it began, and what changes.
_FIELDS: Final = ("began", "generation", "refreshed_at", "idle_expires_at")

# Members of the sorted set are "<kind> <id>". KEYS[1] is the user's set.
_ADD: Final = """
redis.call('HSET', KEYS[2], 'began', ARGV[1], 'user', KEYS[1], 'member', ARGV[2],
  'expires_at', ARGV[3], 'generation', 0, 'refreshed_at', ARGV[4],
  'idle_expires_at', ARGV[5])
redis.call('PEXPIRE', KEYS[2], ARGV[6])
redis.call('ZADD', KEYS[1], ARGV[4], ARGV[2])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[6]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[7])
end
local left = tonumber(ARGV[8])
for _, member in ipairs(redis.call('ZREVRANGE', KEYS[1], 0, -1)) do
  local kind, id = string.match(member, '^(.*) (%S+)$')
  local key = ARGV[10] .. id
  if redis.call('EXISTS', key) == 0 then
    redis.call('ZREM', KEYS[1], member)
  elseif kind == ARGV[9] and member ~= ARGV[2] then
    left = left - 1
    if left < 1 then
      redis.call('DEL', key)
      redis.call('ZREM', KEYS[1], member)
    end
  end
end
"""
_ROTATE: Final = """
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then return false end
redis.call('HSET', KEYS[1], 'generation', ARGV[1] + 1, 'refreshed_at', ARGV[2],
  'idle_expires_at', ARGV[3])
local ends = math.min(ARGV[3], redis.call('HGET', KEYS[1], 'expires_at'))
redis.call('PEXPIRE', KEYS[1], math.max(1, math.ceil((ends - ARGV[2]) * 1000)))
return redis.call('HMGET', KEYS[1], 'began', 'generation', 'refreshed_at',
  'idle_expires_at')
"""
_TOUCH: Final = """
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HSET', KEYS[1], 'refreshed_at', ARGV[1])
end
"""
_END: Final = """
local found = redis.call('HMGET', KEYS[1], 'user', 'member')
if not found[1] then return 0 end
redis.call('ZREM', found[1], found[2])
return redis.call('DEL', KEYS[1])
"""
_END_ALL: Final = """
local ended = 0
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local kind, id = string.match(member, '^(.*) (%S+)$')
  local meant = ARGV[1] == '' or kind == ARGV[1]
  if meant and kind ~= ARGV[2] and id ~= ARGV[3] then
    ended = ended + redis.call('DEL', ARGV[4] .. id)
    redis.call('ZREM', KEYS[1], member)
  end
end
return ended
"""
_OF_USER: Final = """
local sessions = {}
for _, member in ipairs(redis.call('ZREVRANGE', KEYS[1], 0, -1)) do
  local kind, id = string.match(member, '^(.*) (%S+)$')
  if kind == ARGV[1] then
    local found = redis.call('HMGET', ARGV[2] .. id, 'began', 'generation',
      'refreshed_at', 'idle_expires_at')
    if found[1] then table.insert(sessions, found) end
  end
end
return sessions
"""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Session).decode


class RedisSessionStore(Secretive):
    """Sessions on Redis or Valkey, shared by all processes and hosts that use it.

    No acknowledged logout is lost when the server is killed if it runs with
    `appendonly yes` and `appendfsync always`.

    Args:
        url: `redis://...`, `rediss://...` or `unix://...`; options of redis-py may
            stand in its query.

    Raises:
        ConfigurationError: the URL cannot be read.
    """

    def __init__(self, url: str) -> None:
        try:
            self._redis = redis.Redis.from_url(url, **TIMEOUTS)
        except ValueError:
            raise ConfigurationError(
                "The Redis URL cannot be read: use 'redis://host:6379/0'."
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
        with _translated():
            self._add(
                keys=[_user(session.user_id), _key(session.id)],
                args=[
                    _encode(session),
                    f"{session.kind} {session.id}",
                    session.expires_at,
                    session.refreshed_at,
                    session.idle_expires_at,
                    _milliseconds(session.ends_at - now),
                    _milliseconds(session.expires_at - now),
                    limit,
                    session.kind,
                    _key(""),
                ],
            )

    def get(self, session_id: str) -> Session | None:
        """Return the session, or None when it has ended or never was."""
        with _translated():
            return _session(self._redis.hmget(_key(session_id), _FIELDS))

    def rotate(
        self, session_id: str, generation: int, *, now: float, idle_expires_at: float
    ) -> Session | None:
        """Move a session from this generation to the next, if it is at this one."""
        with _translated():
            found = self._rotate(
                keys=[_key(session_id)], args=[generation, now, idle_expires_at]
            )
        return None if found is None else _session(found)

    def touch(self, session_id: str, *, now: float) -> None:
        """Note that a session was used, if it still stands."""
        with _translated():
            self._touch(keys=[_key(session_id)], args=[now])

    def end(self, session_id: str) -> bool:
        """End a session; true for one of many callers at most."""
        with _translated():
            return bool(self._end(keys=[_key(session_id)]))

    def end_all(
        self,
        user_id: str,
        *,
        kind: str | None = None,
        sparing: str | None = None,
        keep: str | None = None,
    ) -> int:
        """End a user's sessions, of one kind or all, but for those to leave alone."""
        with _translated():
            return int(
                self._end_all(
                    keys=[_user(user_id)],
                    args=[kind or "", sparing or "", keep or "", _key("")],
                )
            )

    def of_user(self, user_id: str, *, kind: str) -> list[Session]:
        """Return a user's sessions of one kind, newest first."""
        with _translated():
            found = self._of_user(keys=[_user(user_id)], args=[kind, _key("")])
        return [session for fields in found if (session := _session(fields))]

    def purge(self, *, now: float, limit: int) -> int:  # noqa: ARG002 # by the protocol
        """Drop nothing: keys expire with their sessions."""
        return 0


def _key(session_id: str) -> str:
    return f"{_PREFIX}session:{session_id}"


def _user(user_id: str) -> str:
    return f"{_PREFIX}user:{user_id}"


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))


def _session(fields: list[Any]) -> Session | None:
    began, generation, refreshed_at, idle_expires_at = fields
    if began is None:
        return None
    return msgspec.structs.replace(
        _decode(began),
        generation=int(generation),
        refreshed_at=float(refreshed_at),
        idle_expires_at=float(idle_expires_at),
    )


@contextmanager
def _translated() -> Generator[None]:
    """Turn what the driver raises into the one error that stores raise."""
    try:
        yield
    except (redis.RedisError, OSError):
        raise StoreUnavailableError from None
