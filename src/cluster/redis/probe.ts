import { timeLimit } from '../../clock.js';
import { messageOf } from '../../errors.js';
import { parseRedisAddress, type HostPort, type RedisAddress } from '../../redisAddress.js';
import { askSentinel, clientAt, sentinelAt, type Place } from './clients.js';

/** What is to be known of a Redis before a server starts over it. */
export type Probed = { readonly is: 'well'; readonly what: string } | Wrong;

interface Wrong {
  readonly is: 'wrong';
  readonly what: string;
  readonly mend: string;
}

/** What a server says of itself: its `INFO`. */
interface Info {
  readonly is: 'info';
  readonly of: Partial<Record<string, string>>;
}

const oldestMajor = 7;

const wrong = (what: string, mend: string): Wrong => ({ is: 'wrong', what, mend });
const nameOf = ({ host, port }: HostPort): string => `${host}:${port}`;

/**
 * Looks at every server that the address names, for at most `timeoutMs` each. Changes nothing, never rejects, and shows no
 * user and no password.
 */
export async function probeRedis(url: string, timeoutMs: number): Promise<Probed> {
  const address = parseRedisAddress(url);
  if (address === undefined) return wrong('this is no address of Redis', 'see --redis-url in --help');
  const told: string[] = [];
  for (const host of address.hosts) {
    const probed = await (address.kind === 'sentinel'
      ? probeSentinel(host, address, timeoutMs)
      : probeServer(host, address, timeoutMs));
    if (probed.is === 'wrong') return probed;
    told.push(probed.what);
  }
  return { is: 'well', what: told.join('; ') };
}

async function probeSentinel(at: HostPort, address: RedisAddress, timeoutMs: number): Promise<Probed> {
  const { primary } = address;
  const place = sentinelAt(at, address, timeoutMs);
  const info = await infoOf(place, 'sentinel_username and sentinel_password of');
  if (info.is === 'wrong') return info;
  const name = nameOf(at);
  if (info.of['redis_mode'] !== 'sentinel')
    return wrong(`${name} is no sentinel`, 'name the sentinels, by their own port, in --redis-url');
  try {
    const found = await askSentinel(place, primary);
    const probed = await probeServer(found, address, timeoutMs);
    return probed.is === 'wrong' ? probed : { is: 'well', what: `${name} names ${probed.what}` };
  } catch (error) {
    return wrong(messageOf(error), 'end --redis-url with the name that the sentinels monitor it by: …/NAME');
  }
}

async function probeServer(at: HostPort, address: RedisAddress, timeoutMs: number): Promise<Probed> {
  const { kind, login, isEncrypted, database } = address;
  const probed = await infoOf({ ...at, login, isEncrypted, database, timeoutMs }, 'user and password in');
  if (probed.is === 'wrong') return probed;
  const info = probed.of;
  const [name, version = ''] = [nameOf(at), info['redis_version']];
  if (info['redis_mode'] === 'sentinel')
    return wrong(`${name} is a sentinel`, `set --redis-url redis+sentinel://${name}/NAME`);
  if (Number.parseInt(version, 10) < oldestMajor) {
    return wrong(`${name} is Redis ${version}, which is too old`, `install Redis ${oldestMajor} or later, or Valkey`);
  }
  const isOfCluster = info['cluster_enabled'] === '1';
  if (kind === 'cluster' && !isOfCluster)
    return wrong(`${name} is no node of a cluster`, `set --redis-url redis://${name}`);
  if (kind !== 'cluster' && isOfCluster)
    return wrong(`${name} is a node of a cluster`, `set --redis-url redis+cluster://${name}`);
  if (kind !== 'cluster' && info['role'] !== 'master') {
    return wrong(
      `${name} is a replica, and cannot be written to`,
      'name its primary, or its sentinels, in --redis-url',
    );
  }
  if (Number(info['maxmemory']) > 0 && info['maxmemory_policy'] !== 'noeviction') {
    return wrong(`${name} drops keys when its memory is full`, 'set its maxmemory-policy to noeviction');
  }
  const product = info['valkey_version'] === undefined ? `Redis ${version}` : `Valkey ${info['valkey_version']}`;
  return { is: 'well', what: `${product} at ${name}` };
}

/** What the server says of itself; or why it says nothing. */
async function infoOf(place: Place, whose: string): Promise<Info | Wrong> {
  const client = clientAt(place);
  const lost = new Promise<never>((_resolve, reject) => client.on('error', reject));
  const timeout = timeLimit(place.timeoutMs);
  const late = new Promise<never>((_resolve, reject) =>
    timeout.addEventListener('abort', () => reject(new Error('it does not answer in time'))),
  );
  const ask = async (): Promise<string> => {
    await client.connect();
    return client.info();
  };
  try {
    const lines = (await Promise.race([ask(), lost, late])).split('\r\n');
    const fields = lines.flatMap((line): [string, string][] => {
      const colon = line.indexOf(':');
      return colon === -1 ? [] : [[line.slice(0, colon), line.slice(colon + 1)]];
    });
    return { is: 'info', of: Object.fromEntries(fields) };
  } catch (error) {
    const message = messageOf(error);
    return /\b(WRONGPASS|NOAUTH|NOPERM|AUTH)\b/.test(message)
      ? wrong(`${nameOf(place)} refuses the login: ${message}`, `mend the ${whose} --redis-url`)
      : wrong(`${nameOf(place)} cannot be reached: ${message}`, 'start it, or mend --redis-url');
  } finally {
    client.destroy();
  }
}
