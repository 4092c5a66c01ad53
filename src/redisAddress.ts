export interface HostPort {
  /** A name or an address, IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
}

/** Secret: never logged. */
export interface RedisLogin {
  readonly username?: string;
  readonly password?: string;
}

/** The parsed `--redis-url`: one Redis, the sentinels of a primary, or seed nodes of a cluster. */
export interface RedisAddress {
  readonly kind: 'single' | 'sentinel' | 'cluster';
  /** At least one; exactly one for `single`. */
  readonly hosts: readonly HostPort[];
  /** TLS, for the sentinels too. */
  readonly isEncrypted: boolean;
  readonly login: RedisLogin;
  readonly database: number;
  /** The name of the primary at the sentinels; empty for the other kinds. */
  readonly primary: string;
  readonly sentinelLogin: RedisLogin;
}

const addressPattern = /^redis(s?)(?:\+(sentinel|cluster))?:\/\/([^/?#]+)(?:\/([^?#]*))?(?:\?([^#]*))?$/;
const hostPattern = /^(?:\[([\da-f:.]+)\]|([^\s:[\]@]+))(?::(\d{1,5}))?$/i;
const defaultPorts = { single: 6379, sentinel: 26379, cluster: 6379 };

/**
 * Undefined if the text is not a Redis address. The forms (there is no standard for more than one host):
 * `redis://[user:password@]host[:6379][/database]`, `redis+cluster://[user:password@]host[:6379],…`, and
 * `redis+sentinel://[user:password@]host[:26379],…/primary[/database][?sentinel_username=…&sentinel_password=…]`;
 * `rediss` for TLS. Reserved characters in user names and passwords are percent-encoded.
 */
export function parseRedisAddress(text: string): RedisAddress | undefined {
  const [matched, tls = '', topology = 'single', authority = '', path = '', query = ''] =
    addressPattern.exec(text) ?? [];
  if (matched === undefined) return undefined;
  const kind = topology === 'sentinel' || topology === 'cluster' ? topology : 'single';
  const at = authority.lastIndexOf('@');
  try {
    const hosts = authority.slice(at + 1).split(',');
    if (kind === 'single' && hosts.length > 1) return undefined;
    const [primary, database] = parsePath(kind, path);
    return {
      kind,
      hosts: hosts.map((host) => parseHost(host, defaultPorts[kind])),
      isEncrypted: tls !== '',
      login: at === -1 ? {} : parseLogin(authority.slice(0, at)),
      database,
      primary,
      sentinelLogin: parseSentinelLogin(kind, query),
    };
  } catch {
    // One of the parts is invalid.
    return undefined;
  }
}

function parseHost(text: string, defaultPort: number): HostPort {
  const [, ipv6, name, port] = hostPattern.exec(text) ?? [];
  const [host, number] = [ipv6 ?? name, Number(port ?? defaultPort)];
  if (host === undefined || number === 0 || number > 65_535) throw new Error('invalid host');
  return { host, port: number };
}

function parseLogin(text: string): RedisLogin {
  const colon = text.indexOf(':');
  const [username, password] = colon === -1 ? [text, ''] : [text.slice(0, colon), text.slice(colon + 1)];
  return withoutEmptyFields(decodeURIComponent(username), decodeURIComponent(password));
}

function parseSentinelLogin(kind: RedisAddress['kind'], query: string): RedisLogin {
  const parameters = new URLSearchParams(query);
  const known = kind === 'sentinel' ? ['sentinel_username', 'sentinel_password'] : [];
  if ([...parameters.keys()].some((key) => !known.includes(key))) throw new Error('unknown parameter');
  return withoutEmptyFields(parameters.get('sentinel_username') ?? '', parameters.get('sentinel_password') ?? '');
}

const withoutEmptyFields = (username: string, password: string): RedisLogin => ({
  ...(username === '' ? {} : { username }),
  ...(password === '' ? {} : { password }),
});

/** The name of the primary, and the database: a cluster has database 0 only. */
function parsePath(kind: RedisAddress['kind'], path: string): [string, number] {
  const parts = path === '' ? [] : path.split('/');
  const primary = kind === 'sentinel' ? decodeURIComponent(parts.shift() ?? '') : '';
  const [database = '', ...more] = parts;
  const isNumber = /^\d*$/.test(database) && (kind !== 'cluster' || Number(database) === 0);
  if (more.length > 0 || !isNumber || (kind === 'sentinel' && primary === '')) throw new Error('invalid path');
  return [primary, Number(database)];
}
