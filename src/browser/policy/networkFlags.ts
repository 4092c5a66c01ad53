import { metadataNames, metadataPrefixes } from '../../networkAddresses.js';
import type { UrlPattern, UrlRules } from './urlRules.js';

/** Chrome fails to connect to it at once. */
const deadProxy = 'PROXY 0.0.0.0:1';

/**
 * The flags that make Chrome itself refuse addresses, for pages, workers, extensions, downloads and WebSockets alike.
 * Names are mapped to nothing (`--host-resolver-rules`). A proxy script sees what each name resolves to, from the same
 * cache as the connection that follows, and sends forbidden addresses nowhere. Rules with a path, and those of one user,
 * are enforced by `TargetGuard`. With a proxy of the environment there is no script: that proxy resolves names.
 */
export function networkFlags(rules: UrlRules, hasProxy = false): string[] {
  const unreachable = [
    // The proxy script is not asked about link-local addresses, also not in their mapped form (::ffff:a9fe:…).
    ...(rules.blocksMetadata ? ['169.254.*', '::ffff:a9fe:*', ...metadataNames] : []),
    ...rules.blockedPatterns.flatMap(hostRules),
  ];
  const networks = [
    ...(rules.blocksMetadata ? metadataPrefixes : []),
    ...rules.blockedPatterns.flatMap(({ network }) => (network === undefined ? [] : [network])),
  ].map(([address, length]) => `${address}/${length}`);
  return [
    ...(unreachable.length === 0
      ? []
      : [`--host-resolver-rules=${unreachable.map((host) => `MAP ${host} ~NOTFOUND`).join(',')}`]),
    ...(networks.length === 0 || hasProxy ? [] : [`--proxy-pac-url=${dataUrlOf(proxyScript(networks))}`]),
  ];
}

/** The hosts of a pattern, as Chrome's rules write them. A host of IPv6 cannot be written there. */
function hostRules({ hosts }: UrlPattern): string[] {
  if (hosts === undefined || /[\s,[]/.test(hosts.host)) return [];
  const { host, port, withSubdomains } = hosts;
  const suffix = port === '*' ? '' : `:${port}`;
  return [host, ...(withSubdomains && !/^[\d.*]+$/.test(host) ? [`*.${host}`] : [])].map((name) => `${name}${suffix}`);
}

function proxyScript(networks: readonly string[]): string {
  return `var networks = ${JSON.stringify(networks)};
function FindProxyForURL(url, host) {
  var addresses = dnsResolveEx(host).split(';');
  for (var i = 0; i < addresses.length; i++)
    for (var j = 0; j < networks.length; j++)
      if (addresses[i] !== '' && isInNetEx(addresses[i], networks[j])) return '${deadProxy}';
  return 'DIRECT';
}`;
}

const dataUrlOf = (script: string): string =>
  `data:application/x-ns-proxy-autoconfig;base64,${Buffer.from(script).toString('base64')}`;
