"""What the engine does at one go for nodes that share it, in Lua."""

from __future__ import annotations

from rooms.brokers.redis_scripts import make_script

# KEYS: when each node renewed its lease (a sorted set), what it tells of itself (a hash).
# ARGV: the node, what it tells, a lease's length, milliseconds to add to the time, the keys' life.
# On an engine that is full, too: nodes would lose each other.
_LEASES = """
redis.call('PEXPIRE', KEYS[1], ARGV[5])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[4]
for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[3])) do
  redis.call('ZREM', KEYS[1], node)
  redis.call('HDEL', KEYS[2], node)
end
"""

_LIST = """
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
local listed = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
return {now, listed, redis.call('HGETALL', KEYS[2])}
"""

JOIN = make_script(_LEASES + _LIST)

RENEW = make_script(
    _LEASES + "if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return false end" + _LIST
)
"""As `JOIN`, but returns nil if the node is not listed."""

LEAVE = make_script(
    "redis.call('ZREM', KEYS[1], ARGV[1]) return redis.call('HDEL', KEYS[2], ARGV[1])"
)

# KEYS: what a node holds of a room (a hash; the field '' is the number of its last change).
# ARGV: the number, the key's life, whether all that was is gone, how many are gone, those, and
# then those who are there, each with what is told of it.
# On an engine that is full, too: counts would be wrong for others.
HOLD = make_script("""
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if ARGV[3] == '1' then redis.call('DEL', KEYS[1]) end
local gone = tonumber(ARGV[4])
for i = 5, 4 + gone do redis.call('HDEL', KEYS[1], ARGV[i]) end
for i = 5 + gone, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
if redis.call('HLEN', KEYS[1]) <= redis.call('HEXISTS', KEYS[1], '') then
  return redis.call('DEL', KEYS[1])
end
redis.call('HSET', KEYS[1], '', ARGV[1])
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
""")

HELD = make_script("return redis.call('HGETALL', KEYS[1])")
KEEP = make_script("return redis.call('PEXPIRE', KEYS[1], ARGV[1])")

# KEYS: who holds a name (a hash).  ARGV: the node, the secret, the value, the key's life, and the
# nodes that are alive.
# On an engine that is full, too: no node could start, or come back.
CLAIM = make_script("""
redis.call('PEXPIRE', KEYS[1], ARGV[4])
local secret = redis.call('HGET', KEYS[1], 'secret')
if secret and secret ~= ARGV[2] then
  for i = 5, #ARGV do
    if redis.call('HEXISTS', KEYS[1], 'node:' .. ARGV[i]) == 1 then return false end
  end
  redis.call('DEL', KEYS[1])
  secret = false
end
if not secret then redis.call('HSET', KEYS[1], 'secret', ARGV[2], 'value', ARGV[3]) end
redis.call('HSET', KEYS[1], 'node:' .. ARGV[1], '1')
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return redis.call('HGET', KEYS[1], 'value')
""")

RELEASE = make_script("""
redis.call('HDEL', KEYS[1], 'node:' .. ARGV[1])
if redis.call('HLEN', KEYS[1]) <= 2 then redis.call('DEL', KEYS[1]) end
return 1
""")
