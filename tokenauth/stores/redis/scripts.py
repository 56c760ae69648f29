"""What Redis does in one step, in Lua."""

from __future__ import annotations

from typing import Final

# What is read of a hash: the session as it began, and what has changed since. Times
# are passed and kept as text, since Lua would round them.
FIELDS: Final = ("began", "generation", "refreshed_at", "idle_expires_at")
MOST_ENDINGS: Final = 1000
"""Endings that a stream keeps at least."""

_DROP: Final = f"""
local function drop(key, id, endings)
  local dropped = redis.call('DEL', key)
  if dropped == 1 then
    redis.call('XADD', endings, 'MAXLEN', '~', {MOST_ENDINGS}, '*', 'id', id)
  end
  return dropped
end
"""
# The score in the set is one more than the last: clocks may stand still or differ.
ADD: Final = f"""{_DROP}
local id, kind, limit = ARGV[1], ARGV[2], tonumber(ARGV[3])
local ttl, longest_ttl = tonumber(ARGV[4]), tonumber(ARGV[5])
local function key_of(id)
  return 'tokenauth:{{' .. string.sub(id, 1, 1) .. 'l}}:session:' .. id
end
redis.call('HSET', KEYS[1], 'user', KEYS[2], 'kind', kind, unpack(ARGV, 6))
redis.call('PEXPIRE', KEYS[1], ttl)
local last = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')
redis.call('ZADD', KEYS[2], (tonumber(last[2]) or 0) + 1, id)
if redis.call('PTTL', KEYS[2]) < longest_ttl then
  redis.call('PEXPIRE', KEYS[2], longest_ttl)
end
local kept = 0
for _, other in ipairs(redis.call('ZREVRANGE', KEYS[2], 0, -1)) do
  local its_kind = redis.call('HGET', key_of(other), 'kind')
  if its_kind == kind then kept = kept + 1 end
  if not its_kind or (its_kind == kind and kept > limit) then
    drop(key_of(other), other, KEYS[3])
    redis.call('ZREM', KEYS[2], other)
  end
end
"""
# The user's set first: where a cluster has moved it away, this fails, and nothing
# has changed. So it is in `END`.
ROTATE: Final = f"""
local found = redis.call('HMGET', KEYS[1], 'generation', 'user')
if found[1] ~= ARGV[1] then return false end
local ttl = math.max(1, math.ceil((tonumber(ARGV[3]) - tonumber(ARGV[2])) * 1000))
if redis.call('PTTL', found[2]) < ttl then redis.call('PEXPIRE', found[2], ttl) end
redis.call('HINCRBY', KEYS[1], 'generation', 1)
redis.call('HSET', KEYS[1], 'refreshed_at', ARGV[2], 'idle_expires_at', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ttl)
return redis.call('HMGET', KEYS[1], '{"', '".join(FIELDS)}')
"""
TOUCH: Final = """
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HSET', KEYS[1], 'refreshed_at', ARGV[1])
end
"""
END: Final = f"""{_DROP}
local kind, ended = ARGV[1], 0
for i = 2, #KEYS do
  local found = redis.call('HMGET', KEYS[i], 'user', 'kind')
  if found[1] and (kind == '' or kind == found[2]) then
    redis.call('ZREM', found[1], ARGV[i])
    ended = ended + drop(KEYS[i], ARGV[i], KEYS[1])
  end
end
return ended
"""
