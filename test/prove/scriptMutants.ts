import { defineLuaScript, luaScripts } from '../../src/cluster/redis/luaScripts.js';
import { openRedisStore, type RedisServer } from '../support/redisServer.js';
import { inboxLimits, programsOf, opened, runStoreOrders } from './storeOrders.js';

/** The scripts by which a session is owned, and reached by other nodes. */
const names = [
  'claim',
  'renew',
  'takeOver',
  'completeTakeover',
  'close',
  'enqueue',
  'takeMessages',
  'putSnapshot',
] as const;

/** Steps without which every order is the same, each with its reason. */
const equivalents: Readonly<Record<string, string>> = {
  'enqueue: without if not entry[1] then return entry end':
    'what has no entry is not open either, and the line after the next returns it',
  "enqueue: without redis.call('PUBLISH', ARGV[9] .. entry[4], ARGV[10])": 'a hint: nothing depends on its arrival',
};

/** Time is no part of these orders: that every key expires is tested with the store. */
const isExpiry = (statement: string): boolean => /^(for .* do )?redis\.call\('PEXPIRE'/.test(statement.trim());

const count = (text: string, words: RegExp): number => text.match(words)?.length ?? 0;

/** The statements of a script: whole lines, which belong together up to the end of what they begin. */
function statementsOf(script: string): string[] {
  const statements: string[] = [];
  let begun = '';
  for (const line of script.split('\n').filter((each) => each.trim() !== '')) {
    begun += `${line}\n`;
    const isOpen = count(begun, /\b(then|do)\b/g) > count(begun, /\bend\b/g) || line.trimEnd().endsWith(',');
    if (isOpen) continue;
    statements.push(begun);
    begun = '';
  }
  return statements;
}

export interface ScriptScore {
  readonly mutants: number;
  readonly noticed: number;
  readonly equivalent: readonly string[];
  readonly survivors: readonly string[];
}

/** Every statement of every script is left out once, and everything is done in every order: something must be wrong. */
export async function scoreScripts(redis: RedisServer): Promise<ScriptScore> {
  const equivalent: string[] = [];
  const survivors: string[] = [];
  let [mutants, noticed] = [0, 0];
  for (const name of names) {
    const { SCRIPT: original } = luaScripts[name];
    const statements = statementsOf(original);
    for (const [index, left] of statements.entries()) {
      if (isExpiry(left)) continue;
      const label = `${name}: without ${left.trim().replaceAll(/\s+/g, ' ')}`;
      Object.assign(luaScripts[name], defineLuaScript(statements.with(index, '').join('')));
      mutants += 1;
      if (await isNoticed(redis)) noticed += 1;
      else if (label in equivalents) equivalent.push(label);
      else survivors.push(label);
    }
    Object.assign(luaScripts[name], defineLuaScript(original));
  }
  return { mutants, noticed, equivalent, survivors };
}

/** A script that fails is noticed, too. */
async function isNoticed(redis: RedisServer): Promise<boolean> {
  const store = await openRedisStore(redis, inboxLimits);
  try {
    const { violations } = await runStoreOrders(programsOf('whole'), opened('Redis', store));
    return violations.size > 0;
  } catch {
    return true;
  } finally {
    await store.close();
  }
}
