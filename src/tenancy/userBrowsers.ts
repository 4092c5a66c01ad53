import { lookup } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';
import { messageOf, Refusal } from '../errors/errors.js';
import type { AuthConfig } from './auth.js';
import type { Principal } from './principal.js';
import type { Users } from './users.js';

/**
 * Says where to connect for the address of a user's browser: the same address, with the name replaced by what it resolves
 * to, so that what was checked is what is used. An encrypted address keeps its name, which the certificate proves. Throws
 * `forbidden_address`, or `browser_unreachable` for a name that does not resolve.
 */
export type ResolveAddress = (url: string) => Promise<string>;

/** Addresses that answer to whoever is on this machine with what was meant for the machine itself. */
const blockedAddresses = new BlockList();
blockedAddresses.addSubnet('0.0.0.0', 8);
blockedAddresses.addSubnet('169.254.0.0', 16);
blockedAddresses.addAddress('100.100.100.200');
blockedAddresses.addAddress('192.0.0.192');
blockedAddresses.addAddress('168.63.129.16');
blockedAddresses.addSubnet('224.0.0.0', 3);
blockedAddresses.addAddress('::', 'ipv6');
blockedAddresses.addSubnet('fe80::', 10, 'ipv6');
blockedAddresses.addAddress('fd00:ec2::254', 'ipv6');
blockedAddresses.addSubnet('ff00::', 8, 'ipv6');
// 169.254.0.0/16 as NAT64 and 6to4 write it.
blockedAddresses.addSubnet('64:ff9b::a9fe:0', 112, 'ipv6');
blockedAddresses.addSubnet('2002:a9fe::', 32, 'ipv6');

const isBlocked = (address: string): boolean => blockedAddresses.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');

/** `allowed`: addresses or names (`--allow-browser-addresses`) that are let through. */
export function createAddressResolver(exceptionNames: readonly string[]): ResolveAddress {
  const exceptions = new Set(exceptionNames.map((name) => withoutBrackets(name.toLowerCase())));
  return async (text) => {
    const url = new URL(text);
    const name = withoutBrackets(url.hostname);
    const addresses = isIP(name) === 0 ? await resolveHostName(name) : [name];
    const isAllowed = (address: string): boolean => exceptions.has(address) || !isBlocked(address);
    if (!exceptions.has(name) && !addresses.every(isAllowed)) {
      const detail = `No browser may be at ${url.hostname}: it is a link-local address or a cloud's metadata service. The operator may allow it with --allow-browser-addresses.`;
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

const withoutBrackets = (host: string): string => host.replace(/^\[|\]$/g, '');

/** The address of the browser that a session works in; undefined: one of the server's. */
export type ChooseBrowser = (principal: Principal, requested: string | null) => Promise<string | undefined>;

/**
 * `?browser=ID` is one of the user's own, `?browser=launch` one of the server's. Without it an authenticated user gets the
 * first of those that are registered for them, if any. Throws `invalid_parameter` for an id that is not theirs.
 */
export function createBrowserChooser({ auth }: Pick<AuthConfig, 'auth'>, users: Users): ChooseBrowser {
  return async ({ user }, requested) => {
    // Without authentication a user is only a name, and the store stays shut until somebody asks for it.
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
