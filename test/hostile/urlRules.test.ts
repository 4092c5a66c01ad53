import { createContext, runInContext } from 'node:vm';
import { networkFlags } from '../../src/browser/policy/networkFlags.js';
import { UrlRules } from '../../src/browser/policy/urlRules.js';
import { compileNetworks, withoutBrackets } from '../../src/networkAddresses.js';

test.each([
  ['example.com', 'https://example.com/x', true],
  ['example.com', 'https://www.example.com/x', true],
  ['example.com', 'wss://example.com/', true],
  ['example.com', 'https://notexample.com/', false],
  ['example.com', 'https://example.com.evil.test/', false],
  ['*.example.com:8080', 'http://a.example.com:8080/', true],
  ['*.example.com:8080', 'http://a.example.com/', false],
  ['https://example.com/docs/*', 'https://example.com/docs/a?b', true],
  ['https://example.com/docs/*', 'http://example.com/docs/a', false],
  ['https://example.com/docs/*', 'https://www.example.com/docs/a', false],
  ['10.0.0.0/8', 'http://10.1.2.3:99/', true],
  ['10.0.0.0/8', 'http://[::ffff:10.1.2.3]/', true],
  ['10.0.0.0/8', 'http://11.1.2.3/', false],
  ['127.0.0.1', 'http://2130706433/', true],
  ['*', 'https://anything.test/', true],
  ['*secret*', 'https://x.test/?secret=1', true],
  ['*://x.test/*', 'blob:https://x.test/0', true],
  ['x.test', 'https://x.test./', true],
  ['127.0.0.0/8', 'http://0.0.0.0:8000/', true],
  ['127.0.0.0/8', 'http://[::]/', true],
  ['10.0.0.0/8', 'http://[64:ff9b::10.1.2.3]/', true],
  ['http*://x.test/*', 'https://x.test/a', true],
])('the pattern %s and %s: %s', (pattern, address, matches) => {
  const rules = (lists: object) => new UrlRules([{ allowed: [], blocked: [], ...lists }], { blocksMetadata: false });
  const url = new URL(address);
  expect(rules({ blocked: [pattern] }).refusalOf(url) !== undefined).toBe(matches);
  expect(rules({ allowed: [pattern] }).refusalOf(url) === undefined).toBe(matches);
});

test.each([
  ['*.x.test', 'https://evil.test/a.x.test'],
  ['*://x.test/*', 'https://evil.test/://x.test/a'],
  ['x.test', 'https://evil.test/?x.test'],
  ['http*://x.test/*', 'https://evil.test/?http://x.test/'],
])('an address that only contains what the pattern %s names is not allowed: %s', (pattern, address) => {
  const rules = new UrlRules([{ allowed: [pattern], blocked: [] }], { blocksMetadata: false });
  expect(rules.refusalOf(new URL(address))).toContain('--allowed-urls');
});

test.each([
  'http://169.254.169.254/latest/meta-data/',
  'http://2852039166/',
  'http://0xa9fea9fe/',
  'http://0251.0376.0251.0376/',
  'http://169.254.43518/',
  'http://[::ffff:169.254.169.254]/',
  'http://[::ffff:a9fe:a9fe]/',
  'http://[::169.254.169.254]/',
  'http://[64:ff9b::169.254.169.254]/',
  'http://[64:ff9b:1::a9fe:a9fe]/',
  'http://[2002:a9fe:a9fe::1]/',
  'http://[fe80::1]/',
  'http://[fd00:ec2::254]/',
  'http://100.100.100.200/',
  'http://[::ffff:100.100.100.200]/',
  'http://168.63.129.16/',
  'http://metadata.google.internal/',
  'http://METADATA.google.internal./',
  'ws://169.254.169.254/',
  'blob:http://169.254.169.254/1',
])('with authentication %s is not reached', (address) => {
  const blocks = (blocksMetadata: boolean) => new UrlRules([], { blocksMetadata }).refusalOf(new URL(address));
  expect(blocks(true)).toMatch(/link-local address or a cloud metadata service.*--auth/);
  expect(blocks(false)).toBeUndefined();
});

/** What Chrome would ask the proxy script: `null` for a connection without a proxy. */
function proxyScriptOf(rules: UrlRules, resolved: Readonly<Record<string, string>> = {}): (url: string) => string {
  const flag = networkFlags(rules).find((each) => each.startsWith('--proxy-pac-url=')) ?? '';
  const context = createContext({
    dnsResolveEx: (host: string) => resolved[host] ?? host,
    isInNetEx: (address: string, network: string) => {
      const [prefix = '', length = ''] = network.split('/');
      return compileNetworks([[prefix, Number(length)]])(address);
    },
  });
  runInContext(Buffer.from(flag.split('base64,')[1] ?? '', 'base64').toString(), context);
  return (url) => {
    const { protocol, host, hostname } = new URL(url);
    // Chrome tells it no path of an encrypted address.
    const told = /^(https|wss):$/.test(protocol) ? `${protocol}//${host}/` : url;
    return String(
      runInContext(`FindProxyForURL(${JSON.stringify(told)}, ${JSON.stringify(withoutBrackets(hostname))})`, context),
    );
  };
}

describe('what Chrome connects to without asking for a page, by its proxy script', () => {
  const refused = 'PROXY 0.0.0.0:1';
  test.each([
    [{ blocked: ['evil.test'] }, 'ws://evil.test/', true],
    [{ blocked: ['evil.test'] }, 'wss://www.evil.test/x', true],
    [{ blocked: ['evil.test'] }, 'wss://evil.test./x', true],
    [{ blocked: ['evil.test:8080'] }, 'wss://evil.test/x', false],
    [{ blocked: ['*/private/*'] }, 'ws://any.test/private/x', true],
    [{ blocked: ['https://a.test/private/*'] }, 'ws://a.test/private/x', false],
    [{ blocked: ['http://a.test/private/*'] }, 'ws://a.test/private/x', true],
    [{ blocked: ['http://a.test/private/*'] }, 'ws://a.test/open', false],
    [{ blocked: ['https://a.test/private/*'] }, 'wss://a.test/any', true],
    [{ blocked: ['https://a.test/private/*'] }, 'https://a.test/any', false],
    [{ blocked: ['10.0.0.0/8'] }, 'wss://inner.test/', true],
    [{ allowed: ['good.test'] }, 'ws://good.test/', false],
    [{ allowed: ['good.test'] }, 'wss://evil.test/', true],
    [{ allowed: ['good.test'] }, 'ws://evil.test/good.test', true],
    [{ allowed: ['*.good.test'] }, 'ws://evil.test/a.good.test', true],
    [{ allowed: ['*://good.test/*'] }, 'ws://evil.test/://good.test/x', true],
    [{ allowed: ['https://good.test/docs/*'] }, 'https://good.test/docs/a', false],
    [{ allowed: ['http://good.test/docs/*'] }, 'ws://good.test/other', true],
    [{ allowed: ['*secret*'] }, 'https://any.test/secret', false],
    [{ allowed: ['10.0.0.0/8'] }, 'ws://inner.test/', false],
    [{ allowed: ['10.0.0.0/8'] }, 'ws://evil.test/', true],
    [{}, 'https://inner.test/', false],
    [{}, 'wss://metadata.google.internal/', true],
    [{}, 'ws://rebound.test/', true],
  ])('%j %s is refused: %s', (lists, url, isRefused) => {
    const rules = new UrlRules([{ allowed: [], blocked: [], ...lists }], { blocksMetadata: true });
    const ask = proxyScriptOf(rules, { 'inner.test': '10.1.2.3', 'rebound.test': '93.184.216.34;169.254.169.254' });
    expect(ask(url)).toBe(isRefused ? refused : 'DIRECT');
  });

  test('of this machine only what is allowed; WebRTC goes the same way; a proxy of the operator stays', () => {
    const rules = new UrlRules([{ allowed: ['http://127.0.0.1:3000'], blocked: [] }], { blocksMetadata: false });
    const [resolver = '', , webRtc] = networkFlags(rules);
    expect(resolver).toBe(
      '--host-resolver-rules=EXCLUDE 127.0.0.1,MAP localhost ~NOTFOUND,MAP *.localhost ~NOTFOUND,MAP 127.* ~NOTFOUND,MAP ::1 ~NOTFOUND',
    );
    expect(webRtc).toBe('--webrtc-ip-handling-policy=disable_non_proxied_udp');
    const flags = networkFlags(rules, { server: 'socks5://10.0.0.1:1080', isInEnvironment: true }).join(' ');
    expect(Buffer.from(/base64,(\S+)/.exec(flags)?.[1] ?? '', 'base64').toString()).toContain("'SOCKS5 10.0.0.1:1080'");
    const many = 'http=10.0.0.1:80;https=10.0.0.2:80';
    expect(networkFlags(rules, { server: many, isInEnvironment: false })).toContain(`--proxy-server=${many}`);
  });
});

test('a name that resolves to a forbidden address is refused, whatever it resolved to before', async () => {
  const rules = new UrlRules([{ allowed: [], blocked: ['127.0.0.0/8', '::1/128'] }], { blocksMetadata: true });
  await expect(rules.check(new URL('http://localhost:1/'))).rejects.toThrow('--blocked-urls');
  expect(rules.refusalOfAddress('evil.test', '169.254.169.254')).toContain('evil.test (169.254.169.254)');
  const flags = networkFlags(rules).join(' ');
  expect(flags).toContain('--host-resolver-rules=MAP 169.254.* ~NOTFOUND');
  expect(flags).toContain('--proxy-pac-url=data:');
  expect(networkFlags(new UrlRules([], { blocksMetadata: false }))).toEqual([]);
});
