import { defineScript, type CommandParser } from '@redis/client';

/** A script that Redis runs as one atomic step. Loaded with each connection, then called by its hash. */
export const defineLuaScript = (lua: string) =>
  defineScript({
    SCRIPT: lua,
    parseCommand(parser: CommandParser, keys: readonly string[], values: readonly (string | number)[]) {
      parser.pushKeysLength([...keys]);
      parser.push(...values.map(String));
    },
    transformReply: (reply: unknown): unknown => reply,
  });

/** Begins every write: KEYS[1] is the entry, ARGV[1] the epoch. Returns nil if the term is over. */
const luaFence = `
local held = redis.call('HMGET', KEYS[1], 'epoch', 'state')
if held[1] ~= ARGV[1] or held[2] == 'closed' then return false end
`;

/** `drop` removes the event with a sequence number of a stream (KEYS 2: events, 3: their order, 4: counts). */
const luaDropEvent = `
local function drop(stream, sequence)
  local id = stream .. '.' .. sequence
  local size = tonumber(redis.call('HGET', KEYS[2], id .. ':size') or 0)
  redis.call('HDEL', KEYS[2], id, id .. ':size')
  redis.call('ZREM', KEYS[3], id)
  redis.call('HSET', KEYS[4], stream .. ':dropped', sequence)
  redis.call('HINCRBY', KEYS[4], stream .. ':bytes', 0 - size)
  redis.call('HINCRBY', KEYS[4], 'bytes', 0 - size)
  redis.call('HINCRBY', KEYS[4], 'count', -1)
end
local function number(field) return tonumber(redis.call('HGET', KEYS[4], field) or 0) end
`;

/** `now`: milliseconds by the clock of Redis, since the clocks of the nodes may differ. */
const luaNow = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

/** `extend_ttl` extends the time to live of a key to `ms`; never shortens it. */
const luaExtendTtl = `
local function extend_ttl(key, ms)
  redis.call('PEXPIRE', key, ms, 'NX')
  redis.call('PEXPIRE', key, ms, 'GT')
end
`;

/** Scripts of the server store. All keys of one script have the same hash tag; see redisKeys.ts. */
const serverLuaScripts = {
  /** KEYS: slots of all users, of the owner. ARGV: id, limit of all, limit of the owner, time to live. */
  acquireSlot: defineLuaScript(`${luaNow}${luaExtendTtl}
    for _, key in ipairs(KEYS) do redis.call('ZREMRANGEBYSCORE', key, '-inf', now) end
    if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 'full' end
    if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[3]) then return 'full-of-owner' end
    for _, key in ipairs(KEYS) do
      redis.call('ZADD', key, now + ARGV[4], ARGV[1])
      extend_ttl(key, ARGV[4])
    end
    return 'taken'`),

  /** KEYS: slots of all users, of the owner. ARGV: time to live, ids. */
  renewSlots: defineLuaScript(`${luaNow}${luaExtendTtl}
    for _, key in ipairs(KEYS) do
      for index = 2, #ARGV do redis.call('ZADD', key, now + ARGV[1], ARGV[index]) end
      extend_ttl(key, ARGV[1])
    end`),

  /** KEYS: slots of all users, of the owner. ARGV: id. */
  releaseSlot: defineLuaScript(`
    for _, key in ipairs(KEYS) do redis.call('ZREM', key, ARGV[1]) end`),

  /** KEYS: users. ARGV: known version. Returns version and text; nil if the version is the known one. */
  readUsers: defineLuaScript(`
    local version = redis.call('HGET', KEYS[1], 'version') or '0'
    if version == ARGV[1] then return false end
    return { version, redis.call('HGET', KEYS[1], 'text') or '' }`),

  /** KEYS: users. ARGV: text, the version that it replaces, channel. */
  writeUsers: defineLuaScript(`
    local version = redis.call('HGET', KEYS[1], 'version') or '0'
    if version ~= ARGV[2] then return 0 end
    redis.call('HSET', KEYS[1], 'version', version + 1, 'text', ARGV[1])
    redis.call('PUBLISH', ARGV[3], version + 1)
    return 1`),

  /** KEYS: rosters, their expiry times. ARGV: node, time to live, and the roster, unless the stored one is kept. */
  putRoster: defineLuaScript(`${luaNow}${luaExtendTtl}
    if ARGV[3] then redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
    elseif redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
    redis.call('ZADD', KEYS[2], now + ARGV[2], ARGV[1])
    for _, key in ipairs(KEYS) do extend_ttl(key, ARGV[2]) end
    return 1`),

  /** KEYS: rosters, their expiry times. Returns node and roster, alternating. */
  listRosters: defineLuaScript(`${luaNow}
    for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now)) do
      redis.call('HDEL', KEYS[1], node)
      redis.call('ZREM', KEYS[2], node)
    end
    return redis.call('HGETALL', KEYS[1])`),

  /** KEYS: rosters, their expiry times. ARGV: node. */
  removeRoster: defineLuaScript(`
    redis.call('HDEL', KEYS[1], ARGV[1])
    redis.call('ZREM', KEYS[2], ARGV[1])`),

  /** KEYS: contexts of a browser. ARGV: time to live. Returns context and owner, alternating. */
  listContexts: defineLuaScript(`
    redis.call('PEXPIRE', KEYS[1], ARGV[1])
    return redis.call('HGETALL', KEYS[1])`),

  /** KEYS: contexts of a browser. ARGV: time to live, context, owner. */
  putContext: defineLuaScript(`
    redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
    redis.call('PEXPIRE', KEYS[1], ARGV[1])`),

  /** KEYS: contexts of a browser. ARGV: time to live, context, owner before and after ('' for none). */
  compareAndSetContext: defineLuaScript(`
    if (redis.call('HGET', KEYS[1], ARGV[2]) or '') ~= ARGV[3] then return 0 end
    if ARGV[4] == '' then redis.call('HDEL', KEYS[1], ARGV[2])
    else redis.call('HSET', KEYS[1], ARGV[2], ARGV[4]) end
    redis.call('PEXPIRE', KEYS[1], ARGV[1])
    return 1`),

  /**
   * KEYS: creations. ARGV: window, and the cause of one more creation ('' for a success). Creations are counted in twelfths
   * of the window. Returns pairs of cause and count.
   */
  countCreations: defineLuaScript(`${luaNow}
    local part = math.floor(now / (ARGV[1] / 12))
    if ARGV[2] then
      redis.call('HINCRBY', KEYS[1], part .. ' ' .. ARGV[2], 1)
      redis.call('PEXPIRE', KEYS[1], math.ceil(ARGV[1] * 13 / 12))
    end
    local counts, causes, all = {}, {}, redis.call('HGETALL', KEYS[1])
    for index = 1, #all, 2 do
      local slice, cause = string.match(all[index], '^(%d+) (.*)$')
      if tonumber(slice) <= part - 12 then redis.call('HDEL', KEYS[1], all[index])
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

  /** KEYS: episode. ARGV: time to live. */
  extendEpisode: defineLuaScript(`
    if redis.call('GET', KEYS[1]) == 'ringing' then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end`),

  /** KEYS: episode. ARGV: the time in which no new episode begins. */
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

  /** KEYS: entry and all other keys of the session. ARGV: epoch, time to live. */
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

  /** KEYS: entry and all other keys of the session. ARGV: epoch, close reason, time to live. */
  close: defineLuaScript(`${luaFence}
    redis.call('HSET', KEYS[1], 'state', 'closed', 'because', ARGV[2])
    redis.call('PEXPIRE', KEYS[1], ARGV[3])
    for index = 2, #KEYS do redis.call('DEL', KEYS[index]) end
    return 1`),

  /**
   * KEYS: entry, inbox, message id. ARGV: `anyone` or `user`, issuer, user, data, message limit, byte limit, time to live
   * of the inbox and of the message id, channel prefix, hint. Returns the entry, then `full` if the caller may send to the
   * session and its inbox has no room.
   */
  enqueue: defineLuaScript(`
    local entry = redis.call('HMGET', KEYS[1], 'state', 'issuer', 'user', 'node', 'epoch', 'transport', 'because')
    if not entry[1] then return entry end
    if ARGV[1] ~= 'anyone' and (entry[2] ~= ARGV[2] or entry[3] ~= ARGV[3]) then return entry end
    if entry[1] ~= 'open' then return entry end
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

  /** KEYS: entry, inbox. ARGV: epoch, count. */
  takeMessages: defineLuaScript(`${luaFence}
    local taken = redis.call('LPOP', KEYS[2], ARGV[2]) or {}
    for _, data in ipairs(taken) do redis.call('HINCRBY', KEYS[1], 'inbox', 0 - #data) end
    return taken`),

  /** KEYS: entry, pieces. ARGV: epoch, piece, limit of pieces, time to live, channel, hint. */
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
   * KEYS: entry, events, order, counts. ARGV: epoch, stream, data, its size, event and byte limit of a stream, event and
   * byte limit of the session, time to live. Returns the sequence number.
   */
  appendEvent: defineLuaScript(`${luaFence}${luaDropEvent}
    local stream, size = ARGV[2], tonumber(ARGV[4])
    local sequence = redis.call('HINCRBY', KEYS[4], stream .. ':last', 1)
    local id = stream .. '.' .. sequence
    redis.call('HSET', KEYS[2], id, ARGV[3], id .. ':size', size)
    redis.call('ZADD', KEYS[3], redis.call('HINCRBY', KEYS[4], 'order', 1), id)
    redis.call('HINCRBY', KEYS[4], stream .. ':bytes', size)
    redis.call('HINCRBY', KEYS[4], 'bytes', size)
    redis.call('HINCRBY', KEYS[4], 'count', 1)
    while sequence - number(stream .. ':dropped') > tonumber(ARGV[5]) or number(stream .. ':bytes') > tonumber(ARGV[6]) do
      drop(stream, number(stream .. ':dropped') + 1)
    end
    while number('count') > tonumber(ARGV[7]) or number('bytes') > tonumber(ARGV[8]) do
      local oldest = redis.call('ZRANGE', KEYS[3], 0, 0)[1]
      local oldestStream, oldestSequence = string.match(oldest, '^(.*)%.(%d+)$')
      drop(oldestStream, tonumber(oldestSequence))
    end
    for index = 2, 4 do redis.call('PEXPIRE', KEYS[index], ARGV[9]) end
    return sequence`),

  /** KEYS: entry, events, order, counts. ARGV: stream, sequence. Returns last and last dropped sequence, later data. */
  eventsAfter: defineLuaScript(`${luaDropEvent}
    local stream, after = ARGV[1], tonumber(ARGV[2])
    local dropped, last = number(stream .. ':dropped'), number(stream .. ':last')
    local answer = { last, dropped }
    for sequence = math.max(after, dropped) + 1, last do
      answer[#answer + 1] = redis.call('HGET', KEYS[2], stream .. '.' .. sequence)
    end
    return answer`),

  /** KEYS: entry, events, order, counts. ARGV: epoch, stream. */
  discardStream: defineLuaScript(`${luaFence}${luaDropEvent}
    local stream = ARGV[2]
    for sequence = number(stream .. ':dropped') + 1, number(stream .. ':last') do drop(stream, sequence) end
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
