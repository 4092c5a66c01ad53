import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createAddressResolver } from '../../src/tenancy/userBrowsers.js';
import { reasonOf, serveGuarded, type GuardedServer } from './support/guardedServer.js';

let guarded: GuardedServer;
beforeAll(async () => {
  guarded = await serveGuarded();
});
afterAll(() => guarded.close());

test.each([
  'http://169.254.169.254/latest/meta-data',
  'http://169.254.1.2:9222',
  'ws://169.254.169.254:9222/devtools',
  'http://2852039166/',
  'http://0xa9fea9fe:9222',
  'http://[fe80::1]:9222',
  'http://[fd00:ec2::254]',
  'http://[::ffff:169.254.169.254]:9222',
  'http://[64:ff9b::a9fe:a9fe]',
  'http://0.0.0.0:9222',
  'http://[::]:9222',
  'http://100.100.100.200',
  'http://255.255.255.255',
])('[C-USERS] a browser at %s is refused before anything is sent there', async (url) => {
  await guarded.sendAsOperator('POST', '/api/users', { id: 'ssrf' });
  const reply = await guarded.sendAsOperator('POST', '/api/users/ssrf/browsers', { url });
  expect([reply.status, reasonOf(reply.json)]).toEqual([403, 'forbidden_address']);
  expect((await guarded.sendAsOperator('GET', '/api/users/ssrf/browsers')).json).toEqual({ browsers: [] });
  await guarded.sendAsOperator('DELETE', '/api/users/ssrf');
});

test.each([
  'ftp://127.0.0.1',
  'file:///etc/passwd',
  'javascript:1',
  'chrome://version',
  '127.0.0.1:9222',
  '',
  'http://',
  'http://me:secret@127.0.0.1:9222',
  'ws://127.0.0.1:9222/?token=secret',
  'http://127.0.0.1:9222/#x',
])('[C-USERS] the browser address %j is no address of a browser', async (url) => {
  await guarded.sendAsOperator('POST', '/api/users', { id: 'odd' });
  const reply = await guarded.sendAsOperator('POST', '/api/users/odd/browsers', { url });
  expect([reply.status, reasonOf(reply.json)]).toEqual([400, 'invalid_parameter']);
  expect(reply.text).not.toContain('secret');
  await guarded.sendAsOperator('DELETE', '/api/users/odd');
});

test('[C-USERS] a name is checked by what it resolves to, and what was checked is what is used', async () => {
  const guard = createAddressResolver([]);
  expect(await guard('http://localhost:9222/x')).toMatch(/^http:\/\/(127\.0\.0\.1|\[::1\]):9222\/x$/);
  expect(await guard('wss://localhost/x')).toBe('wss://localhost/x');
  await expect(guard('http://no-such-host.invalid:9222')).rejects.toMatchObject({ reason: 'browser_unreachable' });
  await expect(guard('http://169.254.169.254')).rejects.toMatchObject({ reason: 'forbidden_address' });
  expect(await createAddressResolver(['169.254.169.254'])('http://169.254.169.254:9222/')).toBe(
    'http://169.254.169.254:9222/',
  );
});

test('[C-USERS] a browser that does not answer, or leads elsewhere, is not registered, and the answer says what to do', async () => {
  let redirects = false;
  const evil = createServer((_request, response) => {
    if (redirects) response.writeHead(302, { location: 'http://169.254.169.254/' }).end();
    else response.end(JSON.stringify({ webSocketDebuggerUrl: 'ws://169.254.169.254:9222/devtools/browser/x' }));
  });
  await once(evil.listen(0, '127.0.0.1'), 'listening');
  const { port } = evil.address() as AddressInfo;
  await guarded.sendAsOperator('POST', '/api/users', { id: 'anna' });
  const add = async (url: string) => {
    const reply = await guarded.sendAsOperator('POST', '/api/users/anna/browsers', { url });
    return [reply.status, reasonOf(reply.json), reply.text] as const;
  };
  expect((await add(`http://127.0.0.1:${port}`)).slice(0, 2)).toEqual([403, 'forbidden_address']);
  redirects = true;
  expect((await add(`http://127.0.0.1:${port}`)).slice(0, 2)).toEqual([502, 'browser_unreachable']);
  evil.closeAllConnections();
  await once(evil.close(), 'close');
  const [status, reason, text] = await add(`http://127.0.0.1:${port}`);
  expect([status, reason]).toEqual([502, 'browser_unreachable']);
  expect(text).toMatch(new RegExp(`ECONNREFUSED.*--remote-debugging-port=${port}`));
  expect((await guarded.sendAsOperator('GET', '/api/users/anna')).json).toMatchObject({ browsers: 0 });
  await guarded.sendAsOperator('DELETE', '/api/users/anna');
});
