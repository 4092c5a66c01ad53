import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { messageOf, Refusal } from '../errors/errors.js';
import { compileNetworks, isMetadataAddress, withoutBrackets } from '../networkAddresses.js';
import type { AuthConfig } from './auth.js';
import type { Principal } from './principal.js';
import type { Users } from './users.js';

/**
 * Checks the address of a user's browser and returns the address to connect to: the host name is replaced by the IP address
 * that was checked, so that a second DNS answer cannot bypass the check. An encrypted address keeps its name, which the
 * certificate proves. Throws `forbidden_address`, or `browser_unreachable` for a name that does not resolve.
 */
export type ResolveAddress = (url: string) => Promise<string>;

/** The unspecified address and multicast. */
const isSpecial = compileNetworks([
  ['0.0.0.0', 8],
  ['224.0.0.0', 3],
  ['::', 128],
  ['ff00::', 8],
]);

/** Link-local addresses and cloud metadata services trust every program on this machine. */
const isBlocked = (address: string): boolean => isSpecial(address) || isMetadataAddress(address);

/** `exceptionNames`: addresses or names that are allowed nevertheless (`--allow-browser-addresses`). */
export function createAddressResolver(exceptionNames: readonly string[]): ResolveAddress {
  const exceptions = new Set(exceptionNames.map((name) => withoutBrackets(name.toLowerCase())));
  return async (text) => {
    const url = new URL(text);
    const name = withoutBrackets(url.hostname);
    const addresses = isIP(name) === 0 ? await resolveHostName(name) : [name];
    const isAllowed = (address: string): boolean => exceptions.has(address) || !isBlocked(address);
    if (!exceptions.has(name) && !addresses.every(isAllowed)) {
      const detail = `A browser at ${url.hostname} is not allowed: it is a link-local address or a cloud's metadata service. The operator may allow it with --allow-browser-addresses.`;
      throw new Refusal('forbidden_address', { detail });
    }
    const [address = name] = addresses;
    const isEncrypted = url.protocol === 'https:' || url.protocol === 'wss:';
    if (!isEncrypted) url.hostname = isIP(address) === 6 ? `[${address}]` : address;
    return url.href;
  };
}

async function resolveHostName(name: string): Promise<string[]> {
  try {
    return (await lookup(name, { all: true })).map(({ address }) => address);
  } catch (error) {
    const detail = `The name ${name} does not resolve (${messageOf(error)}). Correct the browser's address.`;
    throw new Refusal('browser_unreachable', { detail }, { cause: error });
  }
}

/** The address of the browser for a session; undefined for one of the server's. */
export type ChooseBrowser = (principal: Principal, requested: string | null) => Promise<string | undefined>;

/**
 * `?browser=ID` is a registered browser of the user, `?browser=launch` one of the server's. Without the parameter an
 * authenticated user gets their first registered browser, if any. Throws `invalid_parameter` for an id that is not a
 * browser of the user.
 */
export function createBrowserChooser({ auth }: Pick<AuthConfig, 'auth'>, users: Users): ChooseBrowser {
  return async ({ user }, requested) => {
    // Without authentication the user store is opened only if a request names a browser.
    if (requested === 'launch' || (requested === null && auth === 'none')) return undefined;
    const browsers = await users.browsersOf(user);
    if (requested === null) return browsers[0]?.url;
    const browser = browsers.find(({ id }) => id === requested);
    if (browser !== undefined) return browser.url;
    const known = ['launch', ...browsers.map(({ id }) => id)].join(', ');
    throw new Refusal('invalid_parameter', {
      detail: `"browser" names none of this user's browsers. Known: ${known}.`,
    });
  };
}
