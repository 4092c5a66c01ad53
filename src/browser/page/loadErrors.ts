import { proxyLogin } from '../policy/credentials.js';
import type { SessionPage } from './sessionPage.js';

const redirectFailures = ['net::ERR_TOO_MANY_REDIRECTS', 'net::ERR_UNSAFE_REDIRECT', 'net::ERR_INVALID_REDIRECT'];

/** Whether the answer that came is no document, but a redirect that Chrome does not follow. */
export const isRedirectFailure = (error: string): boolean => redirectFailures.includes(error);

const checkServer = 'Check the address, and that its server runs.';

/** What to do about a network error: the first that begins like it. */
const advice: readonly (readonly [beginning: string, advice: string])[] = [
  ['PROXY_AUTH_UNSUPPORTED', proxyLogin],
  ...['PROXY_', 'MANDATORY_PROXY_', 'NO_SUPPORTED_PROXIES', 'TUNNEL_', 'SOCKS_'].map(
    (name) => [name, 'The proxy of --proxy-server does not serve it: check its address, and that it runs.'] as const,
  ),
  ...['CERT_', 'SSL_'].map(
    (name) =>
      [
        name,
        'Its TLS certificate or connection is not trusted. For a development server, start greenroom with ' +
          '--accept-insecure-certs.',
      ] as const,
  ),
  [
    'TOO_MANY_REDIRECTS',
    'Its answers redirect in a loop, as a login without its cookie does: list_network_requests shows them.',
  ],
  ['UNSAFE_REDIRECT', 'It redirects to an address that no site may lead to, such as file: or data:.'],
  ['UNSAFE_PORT', 'Browsers refuse this port: serve it at another one.'],
  ['ABORTED', 'The page or its server cancelled it.'],
  ['BLOCKED_BY_', 'The browser refused it: see list_console_messages.'],
  ['CONNECTION_REFUSED', 'Nothing listens at this host and port: check the address, and start its server.'],
  ['NAME_NOT_RESOLVED', 'There is no host of this name: check the address.'],
  ['INVALID_HTTP_RESPONSE', `What listens there speaks no HTTP. ${checkServer}`],
  [
    'EMPTY_RESPONSE',
    'Its server closed the connection without an answer: it failed, or speaks https: instead of http:, or another protocol.',
  ],
  ['CONNECTION_', `Its server does not answer, or breaks the connection off. ${checkServer}`],
];

/** What to do about the network error (`net::ERR_…`) with which the document of a page failed. */
export function adviceFor(page: SessionPage, error: string): string {
  const failed = page.network
    .read()
    .entries.findLast(({ value }) => value.type === 'document' && value.failure !== undefined);
  const rule = failed?.value.failure?.error === error ? failed.value.mockedBy : undefined;
  if (rule !== undefined) return `Rule ${rule} of mock_network aborted it: mock_network with remove ends that.`;
  if (error === 'net::ERR_INTERNET_DISCONNECTED' && page.emulation.applied.networkConditions === 'Offline')
    return 'The page is emulated as offline: emulate with networkConditions "No emulation" ends that.';
  const name = error.replace('net::ERR_', '');
  return advice.find(([beginning]) => name.startsWith(beginning))?.[1] ?? checkServer;
}
