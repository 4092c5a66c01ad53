import { z } from 'zod';
import { defineTextTool, ToolError } from '../../src/index.js';
import { Changes } from '../../src/mcp/changes.js';
import { MemoryStore } from '../../src/cluster/memoryStore.js';
import { Tasks } from '../../src/mcp/tasks.js';
import { ManualClock } from '../support/manualClock.js';
import { envelope, messagesOf, StatelessClient, type Answer } from '../support/statelessClient.js';
import { startTestServer, type TestServer } from '../support/testServer.js';

const nothing = z.strictObject({});
const started = new Map<string, { signal: AbortSignal; finish: (text: string) => void }>();
/** Begins, says so, and answers what the test says. */
const held = (name: string, task?: { afterMs: 0; isRequired?: true }) =>
  defineTextTool({
    ...{ name, description: 'Waits', input: nothing, timeoutMs: 60_000, ...(task && { task }) },
    handler: (_args, { signal, progress }) =>
      new Promise<string>((resolve) => {
        progress(1, 2, 'Half of it');
        started.set(name, { signal, finish: resolve });
      }),
  });
const form = z.object({ name: z.string() });
const tools = [
  held('later', { afterMs: 0 }),
  held('long'),
  held('only_later', { afterMs: 0, isRequired: true }),
  defineTextTool({ name: 'quick', description: 'Answers', input: nothing, handler: () => 'At once.' }),
  defineTextTool({
    ...{ name: 'fails', description: 'Fails', input: nothing, task: { afterMs: 0 } },
    handler: () => Promise.reject(new ToolError('No.')),
  }),
  defineTextTool({
    ...{ name: 'needs_folders', description: 'Needs folders', input: nothing, task: { afterMs: 0 } },
    handler: async (_args, { client }) => String((await client.listRoots()).length),
  }),
  defineTextTool({
    ...{ name: 'asks', description: 'Asks twice', input: nothing, task: { afterMs: 0 } },
    handler: async (_args, { client }) => {
      const ask = () => client.elicit({ message: 'Who?', form }, { key: 'who' });
      const answers = await Promise.all([ask(), ask()]);
      return JSON.stringify([...answers, await ask()]);
    },
  }),
];

let served: TestServer;
const clock = new ManualClock();
beforeAll(async () => (served = await startTestServer({ tools, clock })));
afterAll(() => served.close());

const meta = envelope({ clientCapabilities: { elicitation: {}, extensions: { 'io.modelcontextprotocol/tasks': {} } } });
const at = (user: string): StatelessClient => new StatelessClient(served.url, `/mcp?userId=${user}`);
const call = (client: StatelessClient, name: string) => client.call(name, {}, { meta });
const about = (client: StatelessClient, method: string, params: object, sent: object = { meta }): Promise<Answer> =>
  client.request(`tasks/${method}`, { params: { ...params }, ...sent });
const get = async (client: StatelessClient, taskId: unknown) =>
  (await about(client, 'get', { taskId })).response.result ?? {};
const ended = async (client: StatelessClient, taskId: unknown): Promise<Record<string, unknown>> => {
  for (;;) {
    const task = await get(client, taskId);
    if (task['status'] !== 'working') return task;
  }
};
const errorOf = ({ status, response }: Answer) => [status, response.error?.code, response.error?.data?.['reason']];

test('a call is answered with a task that can be found, says what it does, and has the answer at last', async () => {
  const anna = at('anna');
  const { result = {} } = (await call(anna, 'later')).response;
  const { taskId } = result;
  expect(result).toEqual({
    ...{
      resultType: 'task',
      taskId: expect.stringMatching(/^[\w-]{22}$/),
      status: 'working',
      statusMessage: expect.any(String),
    },
    ...{ createdAt: expect.any(String), lastUpdatedAt: expect.any(String), ttlMs: 660_000, pollIntervalMs: 1_000 },
    _meta: { 'io.modelcontextprotocol/serverInfo': expect.any(Object) },
  });
  expect(await get(anna, taskId)).toMatchObject({
    ...{ resultType: 'complete', taskId, status: 'working', statusMessage: 'Half of it' },
  });
  started.get('later')?.finish('Here it is.');
  const done = await ended(anna, taskId);
  expect(done).toMatchObject({ status: 'completed', result: { content: [{ text: 'Here it is.' }] } });
  expect(done).not.toHaveProperty('error');
});

test('a call becomes a task once it takes long; a quick one, and one of a client that takes none, is answered itself', async () => {
  const anna = at('anna');
  expect((await call(anna, 'quick')).response.result).toMatchObject({ resultType: 'complete' });
  const begun = async (): Promise<unknown> => {
    while (started.get('long') === undefined) await new Promise(setImmediate);
    return started.get('long');
  };
  const [becomes] = [call(anna, 'long'), await begun()];
  clock.advance(5_000);
  expect((await becomes).response.result).toMatchObject({ resultType: 'task', status: 'working' });
  started.get('long')?.finish('done');
  started.delete('long');
  const [waits] = [anna.text('long'), await begun()];
  clock.advance(5_000);
  started.get('long')?.finish('The answer');
  expect(await waits).toBe('The answer');
  expect(errorOf(await anna.call('only_later'))).toEqual([400, -32021, 'missing_capability']);
});

test('tasks/cancel stops the call, and is acknowledged again and for one that has ended', async () => {
  const anna = at('anna');
  const { taskId } = (await call(anna, 'later')).response.result ?? {};
  for (let count = 0; count < 2; count += 1)
    expect((await about(anna, 'cancel', { taskId })).response.result).toEqual({
      resultType: 'complete',
      _meta: expect.any(Object),
    });
  expect(started.get('later')?.signal.aborted).toBe(true);
  expect(await get(anna, taskId)).toMatchObject({ status: 'cancelled' });
});

test('a task asks: each question has a name of its own, and goes when it is answered', async () => {
  const anna = at('anna');
  const { taskId } = (await call(anna, 'asks')).response.result ?? {};
  const answer = async (name: string): Promise<Record<string, unknown>> => {
    const inputResponses = { [name]: { action: 'accept', content: { name } }, other: {} };
    expect((await about(anna, 'update', { taskId, inputResponses })).response.result).toMatchObject({
      resultType: 'complete',
    });
    return ended(anna, taskId);
  };
  expect(await ended(anna, taskId)).toMatchObject({
    status: 'input_required',
    inputRequests: { who: { method: 'elicitation/create' }, who_2: expect.any(Object) },
  });
  expect(Object.keys((await answer('who'))['inputRequests'] ?? {})).toEqual(['who_2']);
  expect(Object.keys((await answer('who_2'))['inputRequests'] ?? {})).toEqual(['who_3']);
  expect((await answer('who'))['status']).toBe('input_required');
  const accepted = ['who', 'who_2', 'who_3'].map((name) => ({ action: 'accept', content: { name } }));
  expect((await answer('who_3'))['result']).toMatchObject({ content: [{ text: JSON.stringify(accepted) }] });
  expect(errorOf(await about(anna, 'update', { taskId, inputResponses: { a: 1 } }))).toEqual([
    ...[400, -32602, 'invalid_input'],
  ]);
});

test('a failed tool is a completed task, and an error of the protocol a failed one', async () => {
  const anna = at('anna');
  const one = (await call(anna, 'fails')).response.result?.['taskId'];
  expect(await ended(anna, one)).toMatchObject({ status: 'completed', result: { isError: true } });
  const two = (await call(anna, 'needs_folders')).response.result?.['taskId'];
  const failed = await ended(anna, two);
  expect(failed).toMatchObject({ status: 'failed', error: { code: -32021, message: expect.any(String) } });
  expect(failed).not.toHaveProperty('result');
});

test('a task of somebody else, one that never was and no id at all are unknown alike; who takes no tasks is told so', async () => {
  const anna = at('anna');
  const { taskId } = (await call(anna, 'later')).response.result ?? {};
  for (const method of ['get', 'update', 'cancel']) {
    const ask = async (id: unknown, client = anna) =>
      (await about(client, method, { taskId: id, inputResponses: {} }, { meta, headers: { 'mcp-name': String(id) } }))
        .text;
    const unknown = await ask('never');
    expect(JSON.parse(unknown)).toMatchObject({ error: { code: -32602, data: { reason: 'unknown_task' } } });
    expect(await ask(taskId, at('bert'))).toBe(unknown);
    expect(await ask(7)).toBe(unknown);
    expect(errorOf(await about(anna, method, { taskId, inputResponses: {} }, {}))).toEqual([
      ...[400, -32021, 'missing_capability'],
    ]);
    expect(errorOf(await about(anna, method, { taskId }, { meta, headers: { 'mcp-name': 'other' } }))).toEqual([
      ...[400, -32020, 'header_mismatch'],
    ]);
  }
  expect(await get(anna, taskId)).toMatchObject({ status: 'working' });
  started.get('later')?.finish('');
});

test('subscriptions/listen tells of the tasks that the user named and has', async () => {
  const anna = at('anna');
  const { taskId } = (await call(anna, 'later')).response.result ?? {};
  const notifications = { taskIds: [taskId, 'none'] };
  expect(errorOf(await anna.request('subscriptions/listen', { params: { notifications } }))).toEqual([
    ...[400, -32021, 'missing_capability'],
  ]);
  const { head, close } = anna.stream('subscriptions/listen', { id: 'mine', meta, params: { notifications } });
  const stream = messagesOf(head);
  const next = async (): Promise<unknown> => (await stream.next()).value;
  expect(await next()).toMatchObject({
    method: 'notifications/subscriptions/acknowledged',
    params: { notifications: { taskIds: [taskId] } },
  });
  expect(await next()).toMatchObject({ method: 'notifications/tasks', params: { taskId, status: 'working' } });
  started.get('later')?.finish('Told.');
  expect(await next()).toMatchObject({
    method: 'notifications/tasks',
    params: {
      ...{ status: 'completed', result: { content: [{ text: 'Told.' }] } },
      _meta: { 'io.modelcontextprotocol/subscriptionId': 'mine' },
    },
  });
  close();
});

test('[S10] a user who has too many running tasks gets answers', async () => {
  const dora = at('dora');
  for (let count = 0; count < 32; count += 1)
    expect((await call(dora, 'asks')).response.result).toMatchObject({ resultType: 'task' });
  expect((await call(dora, 'asks')).response.result).toMatchObject({ resultType: 'input_required' });
});

test('[C-NODES] a task is found at every node, ends with its node, and takes from every node what its client sends', async () => {
  const [one, two] = [new ManualClock(), new ManualClock()];
  const store = new MemoryStore(one);
  const node = (time: ManualClock): Tasks => {
    const relay = store.server.broadcast('tasks');
    return new Tasks({ store: store.server.tasks, relay, clock: time, changes: new Changes() });
  };
  const [here, there] = [node(one), node(two)];
  const cancelled = new AbortController();
  const begin = async () => {
    const cancel = (reason: Error): void => cancelled.abort(reason);
    const task = here.begin({ owner: 'anna', deadlineMs: 1_000, cancel });
    if (task === null) throw new Error('There is no room.');
    await here.created(task);
    return task;
  };
  const task = await begin();
  const asked = task.ask('who', { method: 'roots/list' }, new AbortController().signal);
  expect(await there.get(task.id, 'anna')).toMatchObject({ status: 'working' });
  await expect(there.get(task.id, 'bert')).rejects.toMatchObject({ reason: 'unknown_task' });
  await there.send(task.id, 'anna', { who: { roots: [] } });
  expect(await asked).toEqual({ roots: [] });
  await there.send(task.id, 'anna', null);
  await new Promise((resolve) => cancelled.signal.addEventListener('abort', resolve));
  const lost = await begin();
  two.advance(30_001);
  expect(await there.get(lost.id, 'anna')).toMatchObject({ status: 'failed', error: { code: -32010 } });
  await here.close();
  expect(await there.get(lost.id, 'anna')).toMatchObject({ status: 'failed', error: { data: { reason: 'draining' } } });
  await there.close();
});
