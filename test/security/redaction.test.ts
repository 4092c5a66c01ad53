import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSecrets } from '../../src/config/secretsFile.js';
import { hidingLog } from '../../src/log.js';
import { redact } from '../../src/inspector/redact.js';
import type { JSONRPCMessage } from '../../src/mcp/protocol.js';
import { shareResult } from '../../src/mcp/messageText.js';
import { ResourceStore } from '../../src/mcp/resourceStore.js';
import { Secrets } from '../../src/mcp/secrets.js';
import { hideCredentials, withoutSecrets } from '../../src/networkAddresses.js';
import { adminToken, bearer, recordingLog, serveGuarded } from '../tenancy/support/guardedServer.js';
import { call, initialize } from '../support/messages.js';
import { RawMcp } from '../support/rawMcp.js';
import { RawSse } from '../support/rawSse.js';
import { RawWebSocket } from '../support/rawWebSocket.js';
import { send } from '../support/http.js';
import { TestTools } from '../support/testTools.js';

const value = 'planted "S3cret"/+ü';
const password = 'pl4nted-password';
const address = `https://anna:${password}@a.example/x`;
const spellings = [
  value,
  JSON.stringify(value).slice(1, -1),
  encodeURIComponent(value),
  encodeURIComponent(value).replaceAll('%20', '+'),
  Buffer.from(value).toString('base64'),
  Buffer.from(value).toString('base64url'),
];

let folder: string;
let file: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'greenroom-secrets-'));
  file = join(folder, 'secrets.env');
  await writeFile(file, `# a comment\n\nLOGIN='${value}'\nexport OTHER = another-secret\n`);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('no way out shows a secret or the credentials of an address', async () => {
  const auditLog = join(folder, 'audit.jsonl');
  const guarded = await serveGuarded({
    options: { secrets: file, auditLog, logLevel: 'debug' },
    tools: new TestTools().all,
  });
  const { token } = await guarded.issueToken('anna');
  const seen: Record<string, string> = {};
  const said = [...spellings, address].join('\n');

  const mcp = await new RawMcp(guarded.url, { headers: bearer(token) }).initialize();
  const watching = `/inspector/stream?session=${mcp.sessionId.slice(0, 8)}&contents=1`;
  const inspector = await new RawSse(guarded.url, { path: watching, headers: bearer(adminToken) }).whenOpen();
  seen['answers of Streamable HTTP'] = (await mcp.post(call(1, 'echo', { value: said }))).text;
  const session = guarded.served.orchestrator.registry.find(mcp.sessionId, 'anyone');
  const { uri } = await session.resources.add({ name: address, mimeType: 'text/plain', data: said });
  seen['resources'] = (await mcp.post({ jsonrpc: '2.0', id: 2, method: 'resources/read', params: { uri } })).text;
  seen['names of resources'] = (await mcp.post({ jsonrpc: '2.0', id: 3, method: 'resources/list' })).text;
  seen['refused arguments'] = (await mcp.post(call(4, 'echo', { [value]: address }))).text;
  seen['unknown tools'] = (await mcp.post(call(5, said, {}))).text;
  const stream = await mcp.listen();
  session.server.log('info', { said: [said] });
  await stream.when(({ messages }) => messages.length > 0);
  seen['log messages'] = stream.text;

  const sse = await new RawSse(guarded.url, { headers: bearer(token) }).whenAnnounced();
  for (const message of [initialize('first'), call('second', 'echo', { value: said })]) {
    await sse.post(message, bearer(token));
    await sse.answer(message.id);
  }
  seen['SSE'] = sse.text;
  const webSocket = new RawWebSocket(guarded.url, { headers: bearer(token) });
  await webSocket.whenInitialized();
  await webSocket.call(1, 'tools/call', { name: 'echo', arguments: { value: said } });
  seen['WebSocket'] = webSocket.frames.join('\n');

  for (const path of ['/metrics', '/api/sessions', '/health'])
    seen[path] = (await send(`${guarded.url}${path}`, { headers: bearer(adminToken) })).text;
  seen['the inspector'] = (await inspector.when(({ text }) => text.includes('resources/list'))).text;
  await Promise.all([mcp.disconnect(), sse.disconnect(), inspector.disconnect()]);
  webSocket.socket.terminate();
  await guarded.close();
  seen['the log'] = guarded.log.join('\n');
  seen['the audit log'] = await readFile(auditLog, 'utf8');

  expect(seen['answers of Streamable HTTP']).toContain('<secret>LOGIN</secret>');
  expect(seen['answers of Streamable HTTP']).toContain('https://…@a.example/x');
  for (const [way, text] of Object.entries(seen)) {
    for (const secret of [
      ...spellings,
      ...spellings.map((spelling) => JSON.stringify(spelling).slice(1, -1)),
      password,
    ])
      expect({ way, shows: text.includes(secret) && secret }).toEqual({ way, shows: false });
  }
});

test('a log, an inspected message and a resource name show neither', async () => {
  const lines: string[] = [];
  const secrets = new Secrets(new Map([['LOGIN', value]]));
  hidingLog(recordingLog(lines), (text) => secrets.hide(text)).warn(`to ${address}`, { error: value, count: 1 });
  expect(lines).toEqual([JSON.stringify(['to https://…@a.example/x', { error: '<secret>LOGIN</secret>', count: 1 }])]);
  expect(JSON.stringify(redact(call(1, 'navigate_page', { url: address })))).not.toContain(password);
  const resources = new ResourceStore();
  expect((await resources.add({ name: address, mimeType: 'text/plain', data: '' })).uri).not.toContain(password);
  await resources.close();
});

test('a message without secrets is passed on as it is; ids and tokens of the client are never changed', () => {
  const secrets = new Secrets(new Map([['LOGIN', 'abcdefgh']]));
  const plain: JSONRPCMessage = { jsonrpc: '2.0', id: 1, result: { deep: [{ text: 'x' }] } };
  expect(secrets.hideInMessage(plain)).toBe(plain);
  const answer: JSONRPCMessage = { jsonrpc: '2.0', id: 'abcdefgh', result: { text: 'abcdefgh' } };
  expect(secrets.hideInMessage(answer)).toEqual({ ...answer, result: { text: '<secret>LOGIN</secret>' } });
  const params = { progressToken: 'abcdefgh', message: 'abcdefgh' };
  const progress: JSONRPCMessage = { jsonrpc: '2.0', method: 'notifications/progress', params };
  expect(secrets.hideInMessage(progress)).toMatchObject({
    params: { progressToken: 'abcdefgh', message: '<secret>LOGIN</secret>' },
  });
  // A result of many messages is looked through once for each server, whose secrets differ.
  const shared: JSONRPCMessage = { jsonrpc: '2.0', id: 1, result: shareResult({ tools: [{ name: 'a_abcdefgh' }] }) };
  expect([0, 1].map(() => new Secrets().hideInMessage(shared))).toEqual([shared, shared]);
  for (const _ of [0, 1])
    expect(secrets.hideInMessage(shared)).toMatchObject({ result: { tools: [{ name: 'a_<secret>LOGIN</secret>' }] } });
});

test.each([
  ['fill', { uid: '1', value: 'LOGIN' }, { uid: '1', value }],
  ['fill', { uid: 'LOGIN', value: 'LOGIN please' }, { uid: 'LOGIN', value: 'LOGIN please' }],
  ['fill_form', { elements: [{ uid: '1', value: 'LOGIN' }] }, { elements: [{ uid: '1', value }] }],
  ['type_text', { text: 'LOGIN' }, { text: value }],
  [
    'emulate',
    { extraHttpHeaders: { authorization: 'Bearer LOGIN' } },
    { extraHttpHeaders: { authorization: `Bearer ${value}` } },
  ],
  ['evaluate_script', { function: 'LOGIN', value: 'LOGIN' }, { function: 'LOGIN', value: 'LOGIN' }],
])('%s takes the name of a secret for its value', (tool, args, resolved) => {
  expect(new Secrets(readSecrets(file)).resolve(tool, args)).toEqual(resolved);
});

test.each([
  ['no such file', undefined, 'ENOENT'],
  ['a line without a value', 'LOGIN', 'line 1 is not NAME=value'],
  ['a short value', 'LOGIN=short', 'LOGIN has fewer than 6 characters'],
  ['a name with blanks', 'MY LOGIN=longenough', 'is no name'],
  ['JSON that is none', '{"LOGIN": "planted-S3cret"', 'not a JSON object'],
  ['JSON with numbers', '{"LOGIN": 12345678}', 'not a JSON object'],
])('a file of secrets with %s is refused, and the message shows no value', async (_what, content, problem) => {
  const path = join(folder, 'bad.env');
  await rm(path, { force: true });
  if (content !== undefined) await writeFile(path, content);
  expect(() => readSecrets(path)).toThrow(problem);
  expect(() => readSecrets(path)).not.toThrow('planted-S3cret');
});

test.each([
  ['see http://u:p@h/x and ws://u@h', 'see http://…@h/x and ws://…@h'],
  ['https://medium.test/@user?a=b@c', 'https://medium.test/@user?a=b@c'],
  ['mail a@b.test', 'mail a@b.test'],
  ['http://h/?to=http%3A%2F%2Fu%3Ap%40h%2Fx', 'http://h/?to=http%3A%2F%2F…%40h%2Fx'],
  ['http://h/?to=http%3A%2F%2Fh%2Fx%40y', 'http://h/?to=http%3A%2F%2Fh%2Fx%40y'],
])('%s', (text, shown) => {
  expect(hideCredentials(text)).toBe(shown);
  expect(withoutSecrets('https://u:p@h.test/a?b#c')).toBe('https://h.test/a?…');
});
