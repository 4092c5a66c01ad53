import { BlockList, isIP } from 'node:net';

/** Link-local addresses and cloud metadata services, which trust every program of this machine: IPv4. */
const metadataNetworks = [
  ['169.254.0.0', 16],
  ['100.100.100.200', 32],
  ['192.0.0.192', 32],
  ['168.63.129.16', 32],
] as const;
/** The same in IPv6, with prefix lengths. */
const metadataNetworks6 = [
  ['fe80::', 10],
  ['fd00:ec2::254', 128],
  ['fd20:ce::254', 128],
] as const;

/** Names that cloud metadata services have besides their addresses. */
export const metadataNames = ['metadata.google.internal', 'metadata.goog', 'instance-data.ec2.internal'] as const;

/**
 * Prefixes of IPv6 addresses that contain an IPv4 address in their last 32 bits: mapped, compatible, translated (RFC 2765),
 * NAT64 (RFC 6052 and 8215). 6to4 contains it after its first 16 bits.
 */
const embeddingPrefixes = ['::ffff:', '::', '::ffff:0:', '64:ff9b::', '64:ff9b:1::'];

type Network = readonly [address: string, length: number];

/** A network in all its spellings. A connection to the unspecified address reaches this machine. */
export function spellingsOf([address, length]: Network): readonly Network[] {
  const isIpv4 = isIP(address) === 4;
  const loopback = isIpv4 ? '127.0.0.1' : '::1';
  const unspecified = isIpv4 ? (['0.0.0.0', 32] as const) : (['::', 128] as const);
  const own: readonly Network[] = [
    [address, length],
    ...(compileNetworks([[address, length]])(loopback) ? [unspecified] : []),
  ];
  if (!isIpv4) return own;
  return own.flatMap(([ipv4, bits]) => [
    [ipv4, bits] as const,
    ...embeddingPrefixes.map((prefix) => [`${prefix}${hexGroups(ipv4)}`, 96 + bits] as const),
    [`2002:${hexGroups(ipv4)}::`, 16 + bits] as const,
  ]);
}

/** All spellings of these networks, as addresses with prefix lengths. */
export const metadataPrefixes: readonly Network[] = [...metadataNetworks.flatMap(spellingsOf), ...metadataNetworks6];

/** `169.254.0.0` as `a9fe:0`. */
function hexGroups(address: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number);
  return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
}

/** A test whether an IP address is in one of the networks. Text that is no address is in none. */
export function compileNetworks(prefixes: readonly (readonly [address: string, length: number])[]) {
  const list = new BlockList();
  for (const [address, length] of prefixes) list.addSubnet(address, length, isIP(address) === 6 ? 'ipv6' : 'ipv4');
  return (address: string): boolean => {
    const family = isIP(address);
    return family !== 0 && list.check(address, family === 6 ? 'ipv6' : 'ipv4');
  };
}

/** Whether an address is link-local or a cloud metadata service, however it is spelled. */
export const isMetadataAddress = compileNetworks(metadataPrefixes);

export const withoutBrackets = (host: string): string => host.replace(/^\[|\]$/g, '');

const shownSchemes: ReadonlySet<string> = new Set(['http:', 'https:', 'ws:', 'wss:', 'chrome-extension:']);
/** Longer segments of a path may be secrets. */
const maxSegmentLength = 24;

/**
 * An address as it may be written to logs and shown to operators: without user name, password, query, fragment and long
 * segments of its path. Empty for an address with contents (`data:`), and for other text.
 */
export function withoutSecrets(address: string): string {
  if (address.length > 2_000 || !URL.canParse(address)) return '';
  const { protocol, host, pathname, search } = new URL(address);
  if (!shownSchemes.has(protocol)) return '';
  const path = pathname
    .split('/')
    .map((part) => (part.length > maxSegmentLength ? '…' : part))
    .join('/');
  return `${protocol}//${host}${path}${search === '' ? '' : '?…'}`;
}

/** User name and password in an address. Bounded, so that the time is linear. */
const credentials = /(:\/\/)[^\s/?#@"'<>\\]{1,256}@/g;
/** The same in an address that is part of another one, percent-encoded. */
const encodedCredentials = /(%3A%2F%2F)(?:(?!%2F|%40)[^\s/?#&@"'<>\\]){1,256}%40/gi;

/** A text in which no address contains a user name or password. */
export function hideCredentials(text: string): string {
  const shown = text.includes('://') && text.includes('@') ? text.replace(credentials, '$1…@') : text;
  return shown.includes('%40') ? shown.replace(encodedCredentials, '$1…%40') : shown;
}

/** Numbers and a length like those of a network: 10.0/8 and 10.0.0.0/99 would be hosts that do not exist. */
const networkLike = /^(?:(\d+(?:\.\d+){0,3})|\[?([\da-f]*:[\da-f:.]*)\]?)\/(\d+)$/i;

/** Whether it is a host, an address (as a glob) or a network: anything else would match nothing. */
export function isUrlPattern(text: string): boolean {
  const [found, ipv4, ipv6, length = ''] = networkLike.exec(text) ?? [];
  if (found === undefined) return /^(?:[^\s[\]]|\[[\da-f:.]+\])+$/i.test(text);
  const family = isIP(ipv4 ?? ipv6 ?? '');
  return family !== 0 && Number(length) <= (family === 4 ? 32 : 128);
}
