import { defineLuaScript } from './script.js';

/** Milliseconds by the clock of Redis: those of the nodes may differ. */
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
export const serverLuaScripts = {
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
