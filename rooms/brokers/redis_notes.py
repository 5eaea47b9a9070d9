"""Notes, on Redis or Valkey: the ends in a sorted set, the values in a hash, both of one slot."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rooms.brokers.notes import Note, Notes
from rooms.brokers.redis_calls import Call
from rooms.brokers.redis_engine import Engine
from rooms.brokers.redis_scripts import make_script

PAGE = 1000
"""How many notes are read, or written, by one call."""

# KEYS: when each note ends (a sorted set), and the values (a hash).
# ARGV: milliseconds to add to the time.  Sets `now`, in milliseconds.
_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
"""

# ARGV from 2: of each note the name, the value and for how many milliseconds it is kept.
# On an engine that is full, too: what is forgotten would be allowed.
WRITE = make_script(
    _NOW
    + """
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)) do
  redis.call('HDEL', KEYS[2], name)
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for i = 2, #ARGV, 3 do
  local known = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[i]) or 0)
  local ends = math.max(known, now + ARGV[i + 2])
  if ends > now then
    redis.call('ZADD', KEYS[1], string.format('%.0f', ends), ARGV[i])
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
  end
end
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
if last then
  for _, key in ipairs(KEYS) do
    redis.call('PEXPIRE', key, string.format('%.0f', last - now))
  end
end
return 1
"""
)

# ARGV from 2: how many notes to skip, and how many to return.  Those that end last come first: what
# ends meanwhile, or is written, can make one come twice, but none be skipped.
READ = make_script(
    _NOW
    + """
local names = redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', '(' .. string.format('%.0f', now),
  'WITHSCORES', 'LIMIT', ARGV[2], ARGV[3])
local found = {}
for i = 1, #names, 2 do
  table.insert(found, names[i])
  table.insert(found, redis.call('HGET', KEYS[2], names[i]) or '')
  table.insert(found, string.format('%.0f', names[i + 1] - now))
end
return found
"""
)


class RedisNotes(Notes):
    """The notes on an engine that a broker has opened.

    Args:
        ahead: Seconds by which the engine's time is taken to be later than it is, for tests.
    """

    def __init__(self, engine: Engine, *, ahead: Callable[[], float] = lambda: 0.0) -> None:
        self._engine = engine
        self._ahead = ahead
        self._keys = [engine.names.shared("{notes}:ends"), engine.names.shared("{notes}:values")]

    async def write(self, notes: Sequence[Note]) -> None:
        for start in range(0, len(notes), PAGE):
            args: list[str | bytes | int] = [self._ahead_ms()]
            for note in notes[start : start + PAGE]:
                args += [note.name, note.value, int(note.seconds * 1000)]
            await self._engine.call(Call(WRITE, self._keys, args))

    async def read(self) -> list[Note]:
        notes: list[Note] = []
        while len(notes) % PAGE == 0:
            args = [self._ahead_ms(), len(notes), PAGE]
            found = await self._engine.call(Call(READ, self._keys, args, read=_notes))
            if not found:
                break
            notes += found
        return notes

    def _ahead_ms(self) -> int:
        return int(self._ahead() * 1000)


def _notes(found: list[bytes]) -> list[Note]:
    triples = zip(found[::3], found[1::3], found[2::3], strict=True)
    named = ((name.decode("utf-8", "replace"), value, ms) for name, value, ms in triples)
    return [Note(name, value, int(ms) / 1000) for name, value, ms in named]
