import type { KeptPart } from '../collectors/ringBuffer.js';

const userInfo = /^([a-z][a-z\d+.-]*:\/\/)[^/?#@]*@/i;

/** The address without user name and password, which are never shown. */
export function withoutCredentials(url: string): string {
  return url.replace(userInfo, '$1');
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly url: string;
}

/** The credentials that a server or proxy asks for with its answer, and what supplies them; undefined if it asks for none. */
export function describeChallenge({ status, headers, url }: Answer): string | undefined {
  if (status === 407) return proxyLogin;
  const challenge = Object.entries(headers).find(([name]) => name.toLowerCase() === 'www-authenticate')?.[1];
  return status !== 401 || challenge === undefined ? undefined : describeServerChallenge(challenge, url);
}

/** `challenge`: the header WWW-Authenticate. */
function describeServerChallenge(challenge: string, url: string): string {
  // A server may offer several.
  const basic = /(?:^|[\s,])basic(?=[\s,]|$)/i.exec(challenge);
  const offered = basic === null ? challenge : challenge.slice(basic.index).replace(/^[\s,]+/, '');
  const [scheme = ''] = offered.split(/[\s,]/, 1);
  const realm = /realm="([^"]{0,200})"/i.exec(offered)?.[1];
  const asks = `It asks for credentials: ${scheme}${realm === undefined ? '' : `, realm ${JSON.stringify(realm)}`}.`;
  if (scheme.toLowerCase() !== 'basic') return `${asks} Send them with emulate and extraHttpHeaders.`;
  return `${asks} Give them with set_credentials {"origin": "${new URL(url).origin}", …}, then navigate_page again.`;
}

/** What to do about a proxy that asks for credentials. */
export const proxyLogin =
  'The proxy of --proxy-server asks for credentials, which browsers send to none: use a proxy that lets this machine in, ' +
  'such as a local one that adds them.';

/**
 * User names and passwords of one session, by origin, for HTTP's Basic authentication. They are never shown again.
 * Outlives the session's browser.
 */
export class Credentials {
  /** The header Authorization by origin. */
  readonly #headers = new Map<string, string>();
  readonly #watchers = new Set<() => Promise<unknown>>();
  readonly #kept: KeptPart | undefined;

  constructor(kept?: KeptPart) {
    this.#kept = kept;
    kept?.held.add(this);
  }

  get bytes(): number {
    return [...this.#headers].reduce((sum, [origin, header]) => sum + origin.length + header.length, 0);
  }

  /** The origins that have some. */
  get origins(): readonly string[] {
    return [...this.#headers.keys()];
  }

  /** Resolves when every page uses them. `undefined` forgets those of the origin. */
  async set(origin: string, login: { readonly username: string; readonly password: string } | undefined) {
    if (login === undefined) this.#headers.delete(origin);
    else {
      this.#kept?.checkRoom(2 * (login.username.length + login.password.length) + origin.length);
      const token = Buffer.from(`${login.username}:${login.password}`).toString('base64');
      this.#headers.set(origin, `Basic ${token}`);
    }
    await Promise.all([...this.#watchers].map((update) => update()));
  }

  /** Takes those in an address and answers the address without them. */
  async takeFrom(url: string): Promise<string> {
    const { origin, username, password } = new URL(url);
    if (username === '' && password === '') return url;
    await this.set(origin, { username: decodeURIComponent(username), password: decodeURIComponent(password) });
    return withoutCredentials(url);
  }

  /** The header Authorization for a request to this address. */
  headerFor(url: string): string | undefined {
    return URL.canParse(url) ? this.#headers.get(new URL(url).origin) : undefined;
  }

  /** `update` is called after each change, until the returned function is called. */
  watch(update: () => Promise<unknown>): () => void {
    this.#watchers.add(update);
    return () => this.#watchers.delete(update);
  }
}
