import { mkdtemp, mkdir, readdir, readFile, rm, rmdir, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AuditLog } from '../../src/telemetry/auditLog.js';
import type { Observation } from '../../src/telemetry/observer.js';
import { bearer, recordingLog, serveGuarded } from '../tenancy/support/guardedServer.js';
import { RawMcp } from '../support/rawMcp.js';
import { TestTools } from '../support/testTools.js';
import { call } from '../support/messages.js';

const planted = 'planted-S3cret';
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'greenroom-audit-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const linesOf = async (file: string): Promise<Record<string, unknown>[]> =>
  (await readFile(file, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test('what a user did is one line each, with nothing of what was said', async () => {
  const file = join(folder, 'audit.jsonl');
  const guarded = await serveGuarded({ options: { auditLog: file }, tools: new TestTools().all });
  const { token } = await guarded.issueToken('anna');
  const client = await new RawMcp(guarded.url, { headers: bearer(token) }).initialize();
  const url = `https://${planted}:${planted}@a.example/shop?key=${planted}#${planted}`;
  await client.post(call(1, 'echo', { value: planted }));
  await client.post(call(2, 'fail', { how: 'tool' }));
  await client.post(call(3, 'echo', { url }));
  await client.post(call(4, 'echo', { url: `data:text/html,${planted}` }));
  await client.post(call(5, 'echo', { path: '/srv/app' }));
  await client.post({ jsonrpc: '2.0', id: 6, method: 'ping' });
  await client.post({ jsonrpc: '2.0', id: 7, method: 'resources/list' });
  await client.delete();
  await guarded.close();
  const lines = await linesOf(file);
  expect(lines.map(({ action, tool, target, outcome }) => [action, tool, target, outcome])).toEqual([
    ['session.open', undefined, undefined, 'ok'],
    ['tools/call', 'echo', undefined, 'ok'],
    ['tools/call', 'fail', undefined, 'failed'],
    ['tools/call', 'echo', 'https://a.example/shop?…', 'failed'],
    ['tools/call', 'echo', 'data', 'failed'],
    ['tools/call', 'echo', '/srv/app', 'failed'],
    ['resources/list', undefined, undefined, 'ok'],
    ['session.end', undefined, undefined, 'client-closed'],
  ]);
  const who = { user: 'anna', issuer: 'local', session: client.sessionId.slice(0, 8), transport: 'streamable-http' };
  for (const line of lines.slice(1)) {
    expect(line).toMatchObject({ ...who, client: 'raw 1', ms: expect.any(Number) as number });
    expect(Date.parse(String(line['time']))).toBeGreaterThan(0);
  }
  const text = await readFile(file, 'utf8');
  for (const secret of [planted, token, client.sessionId]) expect(text).not.toContain(secret);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
});

const observation: Observation = {
  kind: 'creation',
  actor: 'a-session',
  outcome: 'announced',
  cause: null,
  at: 0,
  durationMs: 1,
};
const find = () => undefined;
const clock = { now: () => 0 };

test('a full file is moved away; the oldest of five is dropped', async () => {
  const file = join(folder, 'audit.jsonl');
  const audit = new AuditLog({ file, clock, log: recordingLog([]), find, maxBytes: 1 });
  for (let count = 0; count < 9; count += 1) {
    audit.onObservation(observation);
    await audit.close();
  }
  const names = ['audit.jsonl', ...[1, 2, 3, 4, 5].map((number) => `audit.jsonl.${number}`)];
  expect((await readdir(folder)).toSorted()).toEqual(names);
  for (const name of names) expect(await linesOf(join(folder, name))).toHaveLength(1);
});

test('a disk that takes nothing stops nothing: it is told once, and what was lost when it takes lines again', async () => {
  const file = join(folder, 'audit.jsonl');
  const log: string[] = [];
  const audit = new AuditLog({ file, clock, log: recordingLog(log), find });
  await mkdir(file);
  for (let count = 0; count < 3; count += 1) {
    audit.onObservation(observation);
    await audit.close();
  }
  expect(log).toEqual([expect.stringContaining('audit log cannot be written')]);
  await rmdir(file);
  audit.onObservation(observation);
  await audit.close();
  expect(log[1]).toContain('"lostLines":3');
  expect(await linesOf(file)).toHaveLength(1);
});
