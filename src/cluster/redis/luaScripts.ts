import { defineScript, type CommandParser } from '@redis/client';

/** A script that Redis runs as one step; loaded at its first use, then called by its hash. */
export const defineLuaScript = (lua: string) =>
  defineScript({
    SCRIPT: lua,
    parseCommand(parser: CommandParser, keys: readonly string[], values: readonly (string | number)[]) {
      parser.pushKeysLength([...keys]);
      parser.push(...values.map(String));
    },
    transformReply: (reply: unknown): unknown => reply,
  });

/** Begins every write: KEYS[1] is the entry, ARGV[1] the epoch. What is over changes nothing. */
const luaFence = `
local held = redis.call('HMGET', KEYS[1], 'epoch', 'state')
if held[1] ~= ARGV[1] or held[2] == 'closed' then return false end
`;

/** Takes what lies at the place of a stream out of the log (KEYS 2: events, 3: their order, 4: counts). */
const luaDropEvent = `
local function drop(stream, place)
  local id = stream .. '.' .. place
  local size = tonumber(redis.call('HGET', KEYS[2], id .. ':size') or 0)
  redis.call('HDEL', KEYS[2], id, id .. ':size')
  redis.call('ZREM', KEYS[3], id)
  redis.call('HSET', KEYS[4], stream .. ':dropped', place)
  redis.call('HINCRBY', KEYS[4], stream .. ':bytes', 0 - size)
  redis.call('HINCRBY', KEYS[4], 'bytes', 0 - size)
  redis.call('HINCRBY', KEYS[4], 'count', -1)
end
local function number(field) return tonumber(redis.call('HGET', KEYS[4], field) or 0) end
`;

export /** Milliseconds by the clock of Redis: those of the nodes may differ. */
const luaNow = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

/** A key lives as long as what lives longest in it. */
const luaExtendTtl = `
local function live(key, ms)
  redis.call('PEXPIRE', key, ms, 'NX')
  redis.call('PEXPIRE', key, ms, 'GT')
end
`;

/** What the nodes share beside the sessions. The keys of one script have one hash tag; see serverKeys.ts. */
const serverLuaScripts = {
  /** KEYS: the places of all, of the owner. ARGV: id, most of all, most of the owner, for how long. */
  acquireSlot: defineLuaScript(`${luaNow}${luaExtendTtl}
    for _, key in ipairs(KEYS) do redis.call('ZREMRANGEBYSCORE', key, '-inf', now) end
    if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 'full' end
    if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[3]) then return 'full-of-owner' end
    for _, key in ipairs(KEYS) do
      redis.call('ZADD', key, now + ARGV[4], ARGV[1])
      live(key, ARGV[4])
    end
    return 'taken'`),

  /** KEYS: the places of all, of the owner. ARGV: for how long, ids. */
  renewSlots: defineLuaScript(`${luaNow}${luaExtendTtl}
    for _, key in ipairs(KEYS) do
      for index = 2, #ARGV do redis.call('ZADD', key, now + ARGV[1], ARGV[index]) end
      live(key, ARGV[1])
    end`),

  /** KEYS: the places of all, of the owner. ARGV: id. */
  releaseSlot: defineLuaScript(`
    for _, key in ipairs(KEYS) do redis.call('ZREM', key, ARGV[1]) end`),

  /** KEYS: the users. ARGV: the version that is known. Answers false if it is this one still. */
  readUsers: defineLuaScript(`
    local version = redis.call('HGET', KEYS[1], 'version') or '0'
    if version == ARGV[1] then return false end
    return { version, redis.call('HGET', KEYS[1], 'text') or '' }`),

  /** KEYS: the users. ARGV: text, the version that it takes the place of, channel. */
  writeUsers: defineLuaScript(`
    local version = redis.call('HGET', KEYS[1], 'version') or '0'
    if version ~= ARGV[2] then return 0 end
    redis.call('HSET', KEYS[1], 'version', version + 1, 'text', ARGV[1])
    redis.call('PUBLISH', ARGV[3], version + 1)
    return 1`),

  /** KEYS: rosters, their times. ARGV: node, for how long, and its roster, if it is another one. */
  putRoster: defineLuaScript(`${luaNow}${luaExtendTtl}
    if ARGV[3] then redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
    elseif redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
    redis.call('ZADD', KEYS[2], now + ARGV[2], ARGV[1])
    for _, key in ipairs(KEYS) do live(key, ARGV[2]) end
    return 1`),

  /** KEYS: rosters, their times. Answers each node that is there, and after it its roster. */
  listRosters: defineLuaScript(`${luaNow}
    for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now)) do
      redis.call('HDEL', KEYS[1], node)
      redis.call('ZREM', KEYS[2], node)
    end
    return redis.call('HGETALL', KEYS[1])`),

  /** KEYS: rosters, their times. ARGV: node. */
  removeRoster: defineLuaScript(`
    redis.call('HDEL', KEYS[1], ARGV[1])
    redis.call('ZREM', KEYS[2], ARGV[1])`),

  /** KEYS: contexts of a browser. ARGV: for how long. Answers each context, and after it its owner. */
  listContexts: defineLuaScript(`
    redis.call('PEXPIRE', KEYS[1], ARGV[1])
    return redis.call('HGETALL', KEYS[1])`),

  /** KEYS: contexts of a browser. ARGV: for how long, context, owner. */
  putContext: defineLuaScript(`
    redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
    redis.call('PEXPIRE', KEYS[1], ARGV[1])`),

  /** KEYS: contexts of a browser. ARGV: for how long, context, owner before and after it ('' for none). */
  compareAndSetContext: defineLuaScript(`
    if (redis.call('HGET', KEYS[1], ARGV[2]) or '') ~= ARGV[3] then return 0 end
    if ARGV[4] == '' then redis.call('HDEL', KEYS[1], ARGV[2])
    else redis.call('HSET', KEYS[1], ARGV[2], ARGV[4]) end
    redis.call('PEXPIRE', KEYS[1], ARGV[1])
    return 1`),

  /**
   * KEYS: creations. ARGV: the window, and why one more failed ('' if it did not). They are counted in twelfths of the window.
   * Answers how many there were in it, by why they failed.
   */
  countCreations: defineLuaScript(`${luaNow}
    local part = math.floor(now / (ARGV[1] / 12))
    if ARGV[2] then
      redis.call('HINCRBY', KEYS[1], part .. ' ' .. ARGV[2], 1)
      redis.call('PEXPIRE', KEYS[1], math.ceil(ARGV[1] * 13 / 12))
    end
    local counts, causes, all = {}, {}, redis.call('HGETALL', KEYS[1])
    for index = 1, #all, 2 do
      local at, cause = string.match(all[index], '^(%d+) (.*)$')
      if tonumber(at) <= part - 12 then redis.call('HDEL', KEYS[1], all[index])
      else
        if not counts[cause] then
          counts[cause] = 0
          causes[#causes + 1] = cause
        end
        counts[cause] = counts[cause] + tonumber(all[index + 1])
      end
    end
    local answer = {}
    for index, cause in ipairs(causes) do answer[index] = { cause, counts[cause] } end
    return answer`),

  /** KEYS: the episode. ARGV: for how long. */
  extendEpisode: defineLuaScript(`
    if redis.call('GET', KEYS[1]) == 'ringing' then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end`),

  /** KEYS: the episode. ARGV: for how long none begins. */
  endEpisode: defineLuaScript(`
    if redis.call('GET', KEYS[1]) ~= 'ringing' then return 0 end
    redis.call('SET', KEYS[1], 'over', 'PX', ARGV[1])
    return 1`),
};

export const luaScripts = {
  ...serverLuaScripts,

  /** ARGV: issuer, user, node, transport, time to live. */
  claim: defineLuaScript(`
    if redis.call('EXISTS', KEYS[1]) == 1 then return false end
    redis.call('HSET', KEYS[1], 'issuer', ARGV[1], 'user', ARGV[2], 'node', ARGV[3], 'transport', ARGV[4],
      'epoch', 1, 'state', 'open', 'because', '', 'inbox', 0)
    redis.call('PEXPIRE', KEYS[1], ARGV[5])
    return 1`),

  /** KEYS: the entry and all else that is kept of the session. ARGV: epoch, time to live. */
  renew: defineLuaScript(`${luaFence}
    for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[2]) end
    return 1`),

  /** ARGV: epoch, node, time to live. */
  takeOver: defineLuaScript(`${luaFence}
    redis.call('HSET', KEYS[1], 'node', ARGV[2], 'epoch', held[1] + 1, 'state', 'restoring')
    redis.call('PEXPIRE', KEYS[1], ARGV[3])
    return held[1] + 1`),

  /** ARGV: epoch. */
  completeTakeover: defineLuaScript(`${luaFence}
    redis.call('HSET', KEYS[1], 'state', 'open')
    return 1`),

  /** KEYS: the entry and all else that is kept of the session. ARGV: epoch, why, time to live. */
  close: defineLuaScript(`${luaFence}
    redis.call('HSET', KEYS[1], 'state', 'closed', 'because', ARGV[2])
    redis.call('PEXPIRE', KEYS[1], ARGV[3])
    for index = 2, #KEYS do redis.call('DEL', KEYS[index]) end
    return 1`),

  /**
   * KEYS: entry, inbox, the offer's id. ARGV: `anyone` or `user`, issuer, user, data, most offers, most bytes, time to live
   * of the inbox and of the id, channels, hint. Answers the entry, and last `ok` or `full` if it may be offered.
   */
  enqueue: defineLuaScript(`
    local entry = redis.call('HMGET', KEYS[1], 'state', 'issuer', 'user', 'node', 'epoch', 'transport', 'because')
    if not entry[1] then return entry end
    if ARGV[1] ~= 'anyone' and (entry[2] ~= ARGV[2] or entry[3] ~= ARGV[3]) then return entry end
    if entry[1] ~= 'open' then return entry end
    entry[8] = 'ok'
    if redis.call('EXISTS', KEYS[3]) == 1 then return entry end
    local size = #ARGV[4]
    local waiting = redis.call('LLEN', KEYS[2])
    local held = tonumber(redis.call('HGET', KEYS[1], 'inbox'))
    if waiting > 0 and (waiting >= tonumber(ARGV[5]) or held + size > tonumber(ARGV[6])) then
      entry[8] = 'full'
      return entry
    end
    redis.call('SET', KEYS[3], 1, 'PX', ARGV[8])
    redis.call('RPUSH', KEYS[2], ARGV[4])
    redis.call('PEXPIRE', KEYS[2], ARGV[7])
    redis.call('HINCRBY', KEYS[1], 'inbox', size)
    redis.call('PUBLISH', ARGV[9] .. entry[4], ARGV[10])
    return entry`),

  /** KEYS: entry, inbox. ARGV: epoch, how many. */
  takeMessages: defineLuaScript(`${luaFence}
    local taken = redis.call('LPOP', KEYS[2], ARGV[2]) or {}
    for _, data in ipairs(taken) do redis.call('HINCRBY', KEYS[1], 'inbox', 0 - #data) end
    return taken`),

  /** KEYS: entry, pieces. ARGV: epoch, piece, most pieces, time to live, channel, hint. */
  putPiece: defineLuaScript(`${luaFence}
    if redis.call('LLEN', KEYS[2]) >= tonumber(ARGV[3]) then return 'full' end
    redis.call('RPUSH', KEYS[2], ARGV[2])
    redis.call('PEXPIRE', KEYS[2], ARGV[4])
    redis.call('PUBLISH', ARGV[5], ARGV[6])
    return 'put'`),

  /** KEYS: pieces. */
  takePieces: defineLuaScript(`
    local taken = redis.call('LRANGE', KEYS[1], 0, -1)
    redis.call('DEL', KEYS[1])
    return taken`),

  /**
   * KEYS: entry, events, order, counts. ARGV: epoch, stream, data, its size, most events and bytes of a stream, most of the
   * session, time to live. Answers the event's place.
   */
  appendEvent: defineLuaScript(`${luaFence}${luaDropEvent}
    local stream, size = ARGV[2], tonumber(ARGV[4])
    local place = redis.call('HINCRBY', KEYS[4], stream .. ':last', 1)
    local id = stream .. '.' .. place
    redis.call('HSET', KEYS[2], id, ARGV[3], id .. ':size', size)
    redis.call('ZADD', KEYS[3], redis.call('HINCRBY', KEYS[4], 'order', 1), id)
    redis.call('HINCRBY', KEYS[4], stream .. ':bytes', size)
    redis.call('HINCRBY', KEYS[4], 'bytes', size)
    redis.call('HINCRBY', KEYS[4], 'count', 1)
    while place - number(stream .. ':dropped') > tonumber(ARGV[5]) or number(stream .. ':bytes') > tonumber(ARGV[6]) do
      drop(stream, number(stream .. ':dropped') + 1)
    end
    while number('count') > tonumber(ARGV[7]) or number('bytes') > tonumber(ARGV[8]) do
      local oldest = redis.call('ZRANGE', KEYS[3], 0, 0)[1]
      local of, at = string.match(oldest, '^(.*)%.(%d+)$')
      drop(of, tonumber(at))
    end
    for index = 2, 4 do redis.call('PEXPIRE', KEYS[index], ARGV[9]) end
    return place`),

  /** KEYS: entry, events, order, counts. ARGV: stream, place. Answers last place, last dropped place, data from then on. */
  eventsAfter: defineLuaScript(`${luaDropEvent}
    local stream, place = ARGV[1], tonumber(ARGV[2])
    local dropped, last = number(stream .. ':dropped'), number(stream .. ':last')
    local answer = { last, dropped }
    for at = math.max(place, dropped) + 1, last do
      answer[#answer + 1] = redis.call('HGET', KEYS[2], stream .. '.' .. at)
    end
    return answer`),

  /** KEYS: entry, events, order, counts. ARGV: epoch, stream. */
  discardStream: defineLuaScript(`${luaFence}${luaDropEvent}
    local stream = ARGV[2]
    for at = number(stream .. ':dropped') + 1, number(stream .. ':last') do drop(stream, at) end
    redis.call('HDEL', KEYS[4], stream .. ':last', stream .. ':dropped', stream .. ':bytes')
    return 1`),

  /** KEYS: entry, events, order, counts. ARGV: epoch. */
  discardEvents: defineLuaScript(`${luaFence}
    redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
    return 1`),

  /** KEYS: entry, snapshot. ARGV: epoch, snapshot, time to live. */
  putSnapshot: defineLuaScript(`${luaFence}
    redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
    return 1`),
};
