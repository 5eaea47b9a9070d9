"""What the engine does at one go, in Lua.

Every script gets a room's count (a hash: ``e`` the epoch, ``n`` the last offset, ``w`` the epoch
with which it began, if that is over) and its stream, whose ids are the offsets.  A count that is
not there begins a new epoch.
"""

from __future__ import annotations

from hashlib import sha1
from typing import NamedTuple


class Script(NamedTuple):
    """A script and the name by which the engine remembers it."""

    text: str
    sha: str


def make_script(text: str) -> Script:
    """Return a script to be run."""
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


# An engine that is full refuses a script at its first write if that needs memory, and no later one:
# so what grows is written first, and what is to be done on a full engine begins with another write.

# KEYS: count, stream.  Sets `epoch`, `last`, `origin` and `now`, in milliseconds.
_COUNT = """
local count = redis.call('HMGET', KEYS[1], 'e', 'n', 'w')
local epoch, last, origin = count[1], tonumber(count[2]), count[3]
if not epoch or not last then
  epoch, last, origin = ARGV[1], 0, false
  redis.call('HSET', KEYS[1], 'e', epoch, 'n', 0)
  redis.call('HDEL', KEYS[1], 'w')
  redis.call('DEL', KEYS[2])
end
origin = origin or epoch
local time = redis.call('TIME')
time[1] = time[1] + ARGV[3]
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

# What all scripts get as ARGV: a new epoch, how long a count lives, seconds to add to the time, how
# many publications are kept and for how long.  Times are in milliseconds but for that one.

# ARGV from 6: the command and the channel for members, the channel for everybody or '', the
# message, how long a key is remembered.  KEYS: count, stream, and the key if there is one.
PUBLISH = make_script(
    _COUNT
    + """
if KEYS[3] then
  local known = redis.call('GET', KEYS[3])
  if known then
    local known_origin, offset = string.match(known, '^(%S+) (%d+)$')
    offset = tonumber(offset)
    if known_origin == origin and offset <= last then return {epoch, offset} end
  end
end
local offset = redis.call('HINCRBY', KEYS[1], 'n', 1)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local stamp = time[1] .. string.format('%06d', time[2])
if tonumber(ARGV[4]) > 0 then
  redis.call('XADD', KEYS[2], 'MAXLEN', '=', ARGV[4], offset .. '-0', 't', stamp, 'm', ARGV[9])
  redis.call('PEXPIRE', KEYS[2], ARGV[5])
end
if KEYS[3] then
  redis.call('SET', KEYS[3], origin .. ' ' .. offset, 'PX', ARGV[10])
end
local message = epoch .. ' ' .. offset .. ' ' .. stamp .. '\\n' .. ARGV[9]
redis.call(ARGV[6], ARGV[7], message)
if ARGV[8] ~= '' then
  redis.call('PUBLISH', ARGV[8], message)
end
return {epoch, offset}
"""
)

# ARGV from 6: the offsets after and before which to look (-1: none), the limit, and '1' if the
# newest are wanted.  Returns the epoch, the last offset, the stamp of the publication after which
# to look, the first offset that is kept, and the entries.
PAGE = make_script(
    _COUNT
    + """
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local keep, since, before = tonumber(ARGV[4]), tonumber(ARGV[6]), tonumber(ARGV[7])
local limit, first = tonumber(ARGV[8]), last + 1
local function stamp(offset)
  local found = redis.call('XRANGE', KEYS[2], offset .. '-0', offset .. '-0')
  return found[1] and found[1][2][2]
end
local oldest = keep > 0 and redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
if oldest then
  first = math.max(tonumber(string.match(oldest[1], '^%d+')), last - keep + 1)
  local low, high = first, last + 1
  while low < high do
    local middle = math.floor((low + high) / 2)
    local at = stamp(middle)
    if at and tonumber(at) / 1000 > now - tonumber(ARGV[5]) then high = middle
    else low = middle + 1 end
  end
  first = low
end
local from, to = first, last
if since >= 0 then from = math.max(from, since + 1) end
if before >= 0 then to = math.min(to, before - 1) end
local entries = {}
if limit > 0 and from <= to then
  if ARGV[9] == '1' then from = math.max(from, to - limit + 1)
  else to = math.min(to, from + limit - 1) end
  entries = redis.call('XRANGE', KEYS[2], from .. '-0', to .. '-0')
end
local checked = false
if since > 0 then checked = stamp(since) end
return {epoch, last, checked or '', first, entries}
"""
)

# KEYS: count.  ARGV: the epoch that is over, the new one, the command and channel for members.
RENEW = make_script(
    """
local epoch = redis.call('HGET', KEYS[1], 'e')
if epoch == ARGV[1] then
  redis.call('HSETNX', KEYS[1], 'w', epoch)
  redis.call('HSET', KEYS[1], 'e', ARGV[2])
  redis.call(ARGV[3], ARGV[4], ARGV[2] .. ' 0 0\\n')
end
return 1
"""
)

TELL = make_script("return redis.call(ARGV[1], KEYS[1], ARGV[2])")
"""Publishes ``ARGV[2]`` on a channel with the command ``ARGV[1]``."""

SOUND = make_script("""
local found = redis.pcall('DEL', KEYS[1])
if type(found) == 'table' and string.find(found.err, 'READONLY') then return found end
return redis.call(ARGV[1], KEYS[1], ARGV[2])
""")
"""As `TELL`, but for a replica, which could publish and refuses all else."""
