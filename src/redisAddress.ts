/** Where one server is reached. */
export interface HostPort {
  /** A name or an address, IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
}

/** Never shown. */
export interface RedisLogin {
  readonly username?: string;
  readonly password?: string;
}

/** What `--redis-url` says: one Redis, the sentinels that know which Redis is the primary, or some nodes of a cluster. */
export interface RedisAddress {
  readonly kind: 'single' | 'sentinel' | 'cluster';
  /** At least one; one of a single Redis. */
  readonly hosts: readonly HostPort[];
  /** TLS, also to sentinels. */
  readonly isEncrypted: boolean;
  readonly login: RedisLogin;
  readonly database: number;
  /** What the sentinels call the primary; empty without them. */
  readonly primary: string;
  readonly sentinelLogin: RedisLogin;
}

const form = /^redis(s?)(?:\+(sentinel|cluster))?:\/\/([^/?#]+)(?:\/([^?#]*))?(?:\?([^#]*))?$/;
const hostForm = /^(?:\[([\da-f:.]+)\]|([^\s:[\]@]+))(?::(\d{1,5}))?$/i;
const ports = { single: 6379, sentinel: 26379, cluster: 6379 };

/**
 * Undefined if it is none. The forms are those of the field (there is no standard for more than one host):
 * `redis://[user:password@]host[:6379][/database]`, `redis+cluster://[user:password@]host[:6379],…`, and
 * `redis+sentinel://[user:password@]host[:26379],…/primary[/database][?sentinel_username=…&sentinel_password=…]`;
 * `rediss` for TLS. What is in a password and means something in an address is percent-encoded.
 */
export function parseRedisAddress(text: string): RedisAddress | undefined {
  const [isAddress, tls = '', topology = 'single', authority = '', path = '', query = ''] = form.exec(text) ?? [];
  if (isAddress === undefined) return undefined;
  const kind = topology === 'sentinel' || topology === 'cluster' ? topology : 'single';
  const at = authority.lastIndexOf('@');
  try {
    const hosts = authority.slice(at + 1).split(',');
    if (kind === 'single' && hosts.length > 1) return undefined;
    const [primary, database] = placeOf(kind, path);
    return {
      kind,
      hosts: hosts.map((host) => hostOf(host, ports[kind])),
      isEncrypted: tls !== '',
      login: at === -1 ? {} : loginOf(authority.slice(0, at)),
      database,
      primary,
      sentinelLogin: sentinelLoginOf(kind, query),
    };
  } catch {
    // One of its parts is none.
    return undefined;
  }
}

function hostOf(text: string, defaultPort: number): HostPort {
  const [, v6, name, port] = hostForm.exec(text) ?? [];
  const [host, number] = [v6 ?? name, Number(port ?? defaultPort)];
  if (host === undefined || number === 0 || number > 65_535) throw new Error('no host');
  return { host, port: number };
}

function loginOf(text: string): RedisLogin {
  const colon = text.indexOf(':');
  const [username, password] = colon === -1 ? [text, ''] : [text.slice(0, colon), text.slice(colon + 1)];
  return given(decodeURIComponent(username), decodeURIComponent(password));
}

function sentinelLoginOf(kind: RedisAddress['kind'], query: string): RedisLogin {
  const asked = new URLSearchParams(query);
  const known = kind === 'sentinel' ? ['sentinel_username', 'sentinel_password'] : [];
  if ([...asked.keys()].some((key) => !known.includes(key))) throw new Error('an unknown parameter');
  return given(asked.get('sentinel_username') ?? '', asked.get('sentinel_password') ?? '');
}

const given = (username: string, password: string): RedisLogin => ({
  ...(username === '' ? {} : { username }),
  ...(password === '' ? {} : { password }),
});

/** The name of the primary, and the database: a cluster has only the first one. */
function placeOf(kind: RedisAddress['kind'], path: string): [string, number] {
  const parts = path === '' ? [] : path.split('/');
  const primary = kind === 'sentinel' ? decodeURIComponent(parts.shift() ?? '') : '';
  const [database = '', ...more] = parts;
  const isNumber = /^\d*$/.test(database) && (kind !== 'cluster' || Number(database) === 0);
  if (more.length > 0 || !isNumber || (kind === 'sentinel' && primary === '')) throw new Error('no such place');
  return [primary, Number(database)];
}
