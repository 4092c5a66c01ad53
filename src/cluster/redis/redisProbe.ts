import { timeLimit } from '../../clock.js';
import { messageOf } from '../../errors/errors.js';
import { parseRedisAddress, type HostPort, type RedisAddress } from '../../redisAddress.js';
import {
  querySentinelForPrimary,
  createRedisClient,
  isProtectedMode,
  protectedModeFix,
  sentinelEndpoint,
  type RedisEndpoint,
} from './redisClients.js';

/** Whether a server can use the Redis; a problem comes with its fix. */
export type ProbeResult = { readonly kind: 'healthy'; readonly summary: string } | ProbeProblem;

interface ProbeProblem {
  readonly kind: 'problem';
  readonly summary: string;
  readonly fix: string;
}

/** The fields of the reply to `INFO`. */
interface Info {
  readonly kind: 'info';
  readonly fields: Partial<Record<string, string>>;
}

const minMajorVersion = 7;

const problem = (summary: string, fix: string): ProbeProblem => ({ kind: 'problem', summary, fix });
const formatHostPort = ({ host, port }: HostPort): string => `${host}:${port}`;

/**
 * Checks every server that the address names, for at most `timeoutMs` each. Read-only. Never rejects. The result contains
 * no user and no password.
 */
export async function probeRedis(url: string, timeoutMs: number): Promise<ProbeResult> {
  const address = parseRedisAddress(url);
  if (address === undefined) return problem('not a Redis address', 'see --redis-url in --help');
  const summaries: string[] = [];
  for (const host of address.hosts) {
    const probed = await (address.kind === 'sentinel'
      ? probeSentinel(host, address, timeoutMs)
      : probeServer(host, address, timeoutMs));
    if (probed.kind === 'problem') return probed;
    summaries.push(probed.summary);
  }
  return { kind: 'healthy', summary: summaries.join('; ') };
}

async function probeSentinel(sentinel: HostPort, address: RedisAddress, timeoutMs: number): Promise<ProbeResult> {
  const { primary } = address;
  const endpoint = sentinelEndpoint(sentinel, address, timeoutMs);
  const info = await readInfo(endpoint, 'sentinel_username and sentinel_password of');
  if (info.kind === 'problem') return info;
  const name = formatHostPort(sentinel);
  if (info.fields['redis_mode'] !== 'sentinel')
    return problem(`${name} is not a sentinel`, 'name the sentinels, by their own port, in --redis-url');
  try {
    const found = await querySentinelForPrimary(endpoint, primary);
    const probed = await probeServer(found, address, timeoutMs);
    return probed.kind === 'problem' ? probed : { kind: 'healthy', summary: `${name} names ${probed.summary}` };
  } catch (error) {
    return problem(messageOf(error), 'end --redis-url with the name that the sentinels monitor it by: …/NAME');
  }
}

async function probeServer(server: HostPort, address: RedisAddress, timeoutMs: number): Promise<ProbeResult> {
  const { kind, login, isEncrypted, database } = address;
  const probed = await readInfo({ ...server, login, isEncrypted, database, timeoutMs }, 'user and password in');
  if (probed.kind === 'problem') return probed;
  const info = probed.fields;
  const [name, version = ''] = [formatHostPort(server), info['redis_version']];
  if (info['redis_mode'] === 'sentinel')
    return problem(`${name} is a sentinel`, `set --redis-url redis+sentinel://${name}/NAME`);
  if (Number.parseInt(version, 10) < minMajorVersion) {
    return problem(
      `${name} is Redis ${version}, which is too old`,
      `install Redis ${minMajorVersion} or later, or Valkey`,
    );
  }
  const isClusterNode = info['cluster_enabled'] === '1';
  if (kind === 'cluster' && !isClusterNode)
    return problem(`${name} is not a cluster node`, `set --redis-url redis://${name}`);
  if (kind !== 'cluster' && isClusterNode)
    return problem(`${name} is a cluster node`, `set --redis-url redis+cluster://${name}`);
  if (kind !== 'cluster' && info['role'] !== 'master') {
    return problem(`${name} is a read-only replica`, 'name its primary, or its sentinels, in --redis-url');
  }
  if (Number(info['maxmemory']) > 0 && info['maxmemory_policy'] !== 'noeviction') {
    return problem(`${name} drops keys when its memory is full`, 'set its maxmemory-policy to noeviction');
  }
  if (info['aof_enabled'] === '0') {
    const loss = 'keeps no append-only file: users, tokens and sessions of the last minutes are lost when it restarts';
    return problem(`${name} ${loss}`, 'set its appendonly to yes');
  }
  const product = info['valkey_version'] === undefined ? `Redis ${version}` : `Valkey ${info['valkey_version']}`;
  return { kind: 'healthy', summary: `${product} at ${name}` };
}

async function readInfo(endpoint: RedisEndpoint, credentialsIn: string): Promise<Info | ProbeProblem> {
  const client = createRedisClient(endpoint);
  const connectionError = new Promise<never>((_resolve, reject) => client.on('error', reject));
  const timeout = timeLimit(endpoint.timeoutMs);
  const timedOut = new Promise<never>((_resolve, reject) =>
    timeout.addEventListener('abort', () => reject(new Error('it did not answer in time'))),
  );
  const query = async (): Promise<string> => {
    await client.connect();
    return client.info();
  };
  try {
    const lines = (await Promise.race([query(), connectionError, timedOut])).split('\r\n');
    const fields = lines.flatMap((line): [string, string][] => {
      const colon = line.indexOf(':');
      return colon === -1 ? [] : [[line.slice(0, colon), line.slice(colon + 1)]];
    });
    return { kind: 'info', fields: Object.fromEntries(fields) };
  } catch (error) {
    const message = messageOf(error);
    if (isProtectedMode(error))
      return problem(`${formatHostPort(endpoint)} is in protected mode and refuses other machines`, protectedModeFix);
    return /\b(WRONGPASS|NOAUTH|NOPERM|AUTH)\b/.test(message)
      ? problem(`${formatHostPort(endpoint)} refuses the login: ${message}`, `correct the ${credentialsIn} --redis-url`)
      : problem(`${formatHostPort(endpoint)} cannot be reached: ${message}`, 'start it, or correct --redis-url');
  } finally {
    client.destroy();
  }
}
