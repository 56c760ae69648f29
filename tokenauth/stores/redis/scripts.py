"""What Redis does in one step, in Lua."""

from __future__ import annotations

from typing import Final

from ...sessions.store import MOST_ENDINGS

# What is read of a hash: the session as it began, and what has changed since. Times
# are passed and kept as text, since Lua would round them.
FIELDS: Final = ("began", "generation", "refreshed_at", "idle_expires_at")
_READ: Final = f"""
local function read(key) return redis.call('HMGET', key, '{"', '".join(FIELDS)}') end
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
# The score in the set is one more than the last: clocks may stand still or differ.
ADD: Final = f"""{_NOTE_END}
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
ROTATE: Final = f"""{_READ}
local found = redis.call('HMGET', KEYS[1], 'generation', 'user')
if found[1] ~= ARGV[1] then return false end
redis.call('HINCRBY', KEYS[1], 'generation', 1)
redis.call('HSET', KEYS[1], 'refreshed_at', ARGV[2], 'idle_expires_at', ARGV[3])
local ttl = math.max(1, math.ceil((tonumber(ARGV[3]) - tonumber(ARGV[2])) * 1000))
redis.call('PEXPIRE', KEYS[1], ttl)
if redis.call('PTTL', found[2]) < ttl then redis.call('PEXPIRE', found[2], ttl) end
return read(KEYS[1])
"""
TOUCH: Final = """
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HSET', KEYS[1], 'refreshed_at', ARGV[1])
end
"""
END: Final = f"""{_NOTE_END}
local user = redis.call('HGET', KEYS[1], 'user')
if user then redis.call('ZREM', user, ARGV[1]) end
return drop(KEYS[1], ARGV[1], KEYS[2])
"""
END_ALL: Final = f"""{_NOTE_END}
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
OF_USER: Final = f"""{_READ}
local sessions = {{}}
for _, id in ipairs(redis.call('ZREVRANGE', KEYS[1], 0, -1)) do
  local key = ARGV[2] .. id
  if redis.call('HGET', key, 'kind') == ARGV[1] then
    table.insert(sessions, read(key))
  end
end
return sessions
"""
