import { Refusal } from '../../errors/errors.js';
import { metadataNames, metadataPrefixes } from '../../networkAddresses.js';
import type { UrlPattern, UrlRules } from './urlRules.js';

/** Chrome fails to connect to it at once. */
const deadProxy = 'PROXY 0.0.0.0:1';
/** Linux takes no longer argument of a program: 128 KiB. */
const maxScriptChars = 90_000;
/** Chrome does not ask a proxy script about these. */
const loopbackHosts = ['localhost', '*.localhost', '127.*', '::1'];

/** How the browser reaches the network. */
export interface ProxySettings {
  /** `--proxy-server`. */
  readonly server?: string | undefined;
  /** Whether the environment names a proxy, which resolves names in Chrome's place. */
  readonly isInEnvironment: boolean;
}

/**
 * The flags that make Chrome itself refuse addresses, for pages, workers, extensions, downloads, WebSockets, WebTransport
 * and connections in advance alike. A proxy script decides by scheme, host and port, by the path where the scheme is not
 * encrypted, and by what the name resolves to, from the same cache as the connection that follows. Hosts about which it is
 * not asked are mapped to nothing (`--host-resolver-rules`). With URL rules WebRTC connects through proxies alone, by TCP.
 * Paths of encrypted requests, and the rules of one user in a shared browser, are enforced by `TargetGuard`. With a proxy
 * of the environment there is no script.
 */
export function networkFlags(rules: UrlRules, proxy: ProxySettings = { isInEnvironment: false }): string[] {
  const unreachable = [
    // Link-local addresses, also in their mapped form (::ffff:a9fe:…).
    ...(rules.blocksMetadata ? ['169.254.*', '::ffff:a9fe:*', ...metadataNames] : []),
    ...rules.blockedPatterns.flatMap(hostRules),
  ].map((host) => `MAP ${host} ~NOTFOUND`);
  const resolver = [...unreachable, ...rules.lists.flatMap(({ allowed }) => loopbackRules(allowed))];
  const server = proxy.server === undefined ? 'DIRECT' : scriptFormOf(proxy.server);
  const isElsewhere = proxy.isInEnvironment && proxy.server === undefined;
  const isScripted = (rules.blocksMetadata || rules.hasPatterns) && !isElsewhere && server !== undefined;
  return [
    ...(resolver.length === 0 ? [] : [`--host-resolver-rules=${resolver.join(',')}`]),
    ...(isScripted ? [`--proxy-pac-url=${dataUrlOf(proxyScript(rules, server))}`] : []),
    ...(proxy.server === undefined || isScripted ? [] : [`--proxy-server=${proxy.server}`]),
    ...(rules.hasPatterns ? ['--webrtc-ip-handling-policy=disable_non_proxied_udp'] : []),
  ];
}

/** Extension APIs that take precedence over these flags, and over the preferences that accompany them. */
export function refusedApis(rules: UrlRules | undefined): string[] {
  if (rules === undefined) return [];
  return [
    ...(rules.blocksMetadata || rules.hasPatterns ? ['proxy', 'vpnProvider'] : []),
    ...(rules.hasPatterns ? ['privacy'] : []),
  ];
}

/** A proxy as a proxy script names it; undefined if it is not one address: each scheme may have its own. */
function scriptFormOf(server: string): string | undefined {
  const [, scheme = 'http', address] = /^(?:(https?|socks[45]?):\/\/)?([^\s=;,/]+)\/?$/i.exec(server) ?? [];
  if (address === undefined) return undefined;
  const kind = { http: 'PROXY', https: 'HTTPS', socks: 'SOCKS', socks4: 'SOCKS', socks5: 'SOCKS5' }[
    scheme.toLowerCase()
  ];
  return `${kind} ${address}`;
}

/** The hosts of a pattern, as Chrome's rules write them. A host of IPv6 cannot be written there. */
function hostRules({ hosts }: UrlPattern): string[] {
  if (hosts === undefined || !isWritable(hosts.host)) return [];
  const { host, port, withSubdomains } = hosts;
  const suffix = port === '*' ? '' : `:${port}`;
  return [host, ...(withSubdomains && !/^[\d.*]+$/.test(host) ? [`*.${host}`] : [])].map((name) => `${name}${suffix}`);
}

/** Of this machine only the hosts of the patterns are reached. Here Chrome knows no exceptions by port. */
function loopbackRules(allowed: readonly UrlPattern[]): string[] {
  if (allowed.length === 0 || allowed.some(({ networks, parts }) => networks === undefined && parts?.isFree !== false))
    return [];
  const named = allowed.flatMap(({ parts }) => (parts !== undefined && isWritable(parts.host) ? [parts.host] : []));
  const isInNetwork = allowed.some(
    ({ networks, matches }) => networks !== undefined && matches(new URL('http://127.0.0.1/')),
  );
  if (isInNetwork || named.includes('*')) return [];
  return [
    ...named.flatMap((host) => [`EXCLUDE ${host}`, ...(/^[\d.*]+$/.test(host) ? [] : [`EXCLUDE *.${host}`])]),
    ...loopbackHosts.map((host) => `MAP ${host} ~NOTFOUND`),
  ];
}

const isWritable = (host: string): boolean => !/[\s,[]/.test(host);

interface ScriptList {
  readonly allowed: readonly ScriptPattern[];
  readonly blocked: readonly ScriptPattern[];
}

type ScriptPattern = { readonly text: string; readonly networks?: readonly string[] } & Partial<
  NonNullable<UrlPattern['parts']>
>;

const toScriptPattern = ({ text, networks, parts }: UrlPattern): ScriptPattern => ({
  text: text.toLowerCase(),
  ...parts,
  ...(networks !== undefined && { networks: networks.map((network) => network.join('/')) }),
});

function proxyScript(rules: UrlRules, server: string): string {
  const metadata = rules.blocksMetadata ? metadataPrefixes.map(([address, length]) => `${address}/${length}`) : [];
  const lists: ScriptList[] = rules.lists.map(({ allowed, blocked }) => ({
    allowed: allowed.map(toScriptPattern),
    blocked: blocked.map(toScriptPattern),
  }));
  const names = rules.blocksMetadata ? metadataNames : [];
  const script = `var metadata = ${JSON.stringify(metadata)}, names = ${JSON.stringify(names)}, lists = ${JSON.stringify(lists)};
${scriptSource}
function FindProxyForURL(url, host) { return isRefused(url, host) ? '${deadProxy}' : '${server}'; }`;
  if (script.length > maxScriptChars)
    throw new Refusal('browser_failed', {
      detail: 'The URL patterns are too long together: Chrome takes 64 KB of them.',
    });
  return script;
}

/**
 * Runs in Chrome, which passes an encrypted address without its path. Patterns with a path then decide nothing about
 * requests, which are checked before they are sent; WebSockets, which are not, are refused if a blocked pattern with a
 * path names the host.
 */
const scriptSource = String.raw`
function fits(glob, text) {
  var at = 0, from = -1, mark = 0, i = 0;
  while (at < text.length) {
    if (i < glob.length && glob[i] === '*') { from = i++; mark = at; }
    else if (i < glob.length && glob[i] === text[at]) { i++; at++; }
    else if (from !== -1) { i = from + 1; at = ++mark; }
    else return false;
  }
  while (i < glob.length && glob[i] === '*') i++;
  return i === glob.length;
}
function isInside(addresses, networks) {
  for (var i = 0; i < addresses.length; i++)
    for (var j = 0; j < networks.length; j++)
      if (addresses[i] !== '' && isInNetEx(addresses[i], networks[j])) return true;
  return false;
}
function fitsParts(p, a) {
  if (p.host === undefined) return false;
  var isScheme = p.scheme === undefined || fits(p.scheme, a.scheme) || fits(p.scheme, a.web);
  var host = p.host.replace(/^\[|\]$/g, '');
  var isHost = fits(host, a.host) || (p.withSubdomains && fits('*.' + host, a.host));
  return isScheme && isHost && (p.port === '*' || p.port === a.port);
}
function isAnyPath(p) { return p.path === '' || p.path === '/' || p.path === '/*'; }
function isBlocked(p, a) {
  if (p.networks) return isInside(a.addresses, p.networks);
  if (!a.isSecret && fits(p.text, a.url)) return true;
  if (!fitsParts(p, a)) return false;
  if (isAnyPath(p)) return true;
  return a.isSecret ? a.scheme === 'wss' && p.host !== '*' : fits(p.path, a.path);
}
function isAllowed(p, a) {
  if (p.networks) return isInside(a.addresses, p.networks);
  if (p.isFree !== false && (a.scheme === 'https' || fits(p.text, a.url))) return true;
  return fitsParts(p, a) && (isAnyPath(p) || a.isSecret || fits(p.path, a.path));
}
function some(list, test, a) {
  for (var i = 0; i < list.length; i++) if (test(list[i], a)) return true;
  return false;
}
function isRefused(url, host) {
  var found = /^([a-z]+):\/\/(?:[^\/?#@]*@)?(?:\[[^\]]*\]|[^\/?#:]*)(?::(\d+))?([^#]*)/.exec(url) || ['', '', '', ''];
  var scheme = found[1], isSecret = scheme === 'https' || scheme === 'wss';
  var a = { url: url.toLowerCase(), host: host.toLowerCase().replace(/^\[|\]$/g, '').replace(/\.$/, ''), scheme: scheme, web: scheme.replace('ws', 'http'),
    port: found[2] || (isSecret ? '443' : '80'), path: found[3] || '/', isSecret: isSecret, addresses: dnsResolveEx(host).split(';') };
  for (var n = 0; n < names.length; n++) if (a.host === names[n]) return true;
  if (isInside(a.addresses, metadata)) return true;
  for (var i = 0; i < lists.length; i++) {
    if (some(lists[i].blocked, isBlocked, a)) return true;
    if (lists[i].allowed.length > 0 && !some(lists[i].allowed, isAllowed, a)) return true;
  }
  return false;
}`;

const dataUrlOf = (script: string): string =>
  `data:application/x-ns-proxy-autoconfig;base64,${Buffer.from(script).toString('base64')}`;
