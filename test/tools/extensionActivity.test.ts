import { join } from 'node:path';
import { messageOf } from '../../src/errors/errors.js';
import { startExtensionTools, type ExtensionTools } from './support/extensionTools.js';
import { messagingExtension } from './support/messagingExtension.js';

let tools: ExtensionTools;
let extensionId: string;

beforeAll(async () => {
  tools = await startExtensionTools();
  extensionId = await tools.install('Talker', messagingExtension.manifest, messagingExtension.files);
  await tools.browser.newPage();
});

afterAll(() => tools.close());

type Rows = Record<string, unknown>[];

const open = (): Promise<unknown> => tools.browser.page().page.goto(`${tools.pages.url}/settled.html`);

const evaluate = (expression: string, more: object = {}): Promise<string> =>
  tools.text('evaluate_in_extension', { extensionId, expression, ...more });

/** Asks again until the row is there: what happens in the browser is told a moment later. */
async function row(tool: string, key: string, wanted: object, args: object = {}): Promise<Record<string, unknown>> {
  for (;;) {
    const { structured } = await tools.run(tool, { extensionId, ...args });
    const found = (structured[key] as Rows).find((candidate) =>
      Object.entries(wanted).every(([name, value]) => JSON.stringify(candidate[name]) === JSON.stringify(value)),
    );
    if (found) return found;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const message = (wanted: object): Promise<Record<string, unknown>> =>
  row('monitor_extension_messages', 'messages', wanted);

async function stopWorker(): Promise<void> {
  await tools.run('stop_extension_service_worker', { extensionId });
}

describe('monitor_extension_messages', () => {
  it('sees what a content script sends in its first statement, and the reply', async () => {
    await open();
    const payload = '{"from":"content","at":"start"}';
    const reply = `{"echo":${payload}}`;
    // Its receiver may report it first, as runtime.onMessage.
    expect(await message({ payload, reply, api: 'runtime.sendMessage' })).toMatchObject({
      from: `content_script ${tools.pages.url}/settled.html`,
    });
  });

  it('sees both directions of a port', async () => {
    await open();
    const contentScript = `content_script ${tools.pages.url}/settled.html`;
    expect(await message({ payload: '"hello"' })).toMatchObject({ api: 'port "line"', from: contentScript });
    expect(await message({ payload: '"re hello"', to: [contentScript] })).toMatchObject({ from: 'service_worker' });
  });

  it('sees what the worker sends to a tab at the receiver, and its reply', async () => {
    await open();
    const toTab = (await tools.run('list_extension_contexts', { extensionId })).structured;
    expect(JSON.stringify(toTab)).toContain('content_script');
    await evaluate(
      'chrome.tabs.query({ active: true }).then(([tab]) => chrome.tabs.sendMessage(tab.id, "from worker"))',
    );
    const to = [`content_script ${tools.pages.url}/settled.html`];
    expect(await message({ payload: '"from worker"', reply: '"content heard from worker"', to })).toMatchObject({
      from: 'service_worker',
    });
  });

  it('shows only what is new after a cursor, and filters by text', async () => {
    await open();
    await message({ payload: '"re hello"' });
    const { structured } = await tools.run('monitor_extension_messages', { extensionId });
    const since = structured['cursor'];
    await evaluate('chrome.runtime.sendMessage("fresh")', { target: 'content_script' });
    const { structured: fresh } = await tools.run('monitor_extension_messages', { extensionId, since, text: 'fresh' });
    expect((fresh['messages'] as Rows).map(({ payload }) => payload)).toEqual(['"fresh"']);
  });

  it('changes nothing that the extension sees', async () => {
    await open();
    const seen = (code: string): Promise<string> => evaluate(code, { target: 'content_script' });
    expect(await seen('chrome.runtime.onMessage.hasListener(heard)')).toBe('true');
    expect(await seen('chrome.runtime.onMessage.hasListener(() => 0)')).toBe('false');
    expect(
      await seen('{ chrome.runtime.onMessage.removeListener(heard); chrome.runtime.onMessage.hasListeners() }'),
    ).toBe('false');
    expect(await seen('chrome.runtime.sendMessage()?.catch?.((error) => error.message)').catch(String)).toContain(
      'sendMessage',
    );
    expect(await seen('new Promise((done) => chrome.runtime.sendMessage({ ask: "later" }, done))')).toBe(
      '{"late":true}',
    );
    expect(await seen('Object.keys(globalThis).filter((key) => /greenroom/i.test(key)).length <= 1')).toBe('true');
    expect(await tools.browser.page().page.evaluate('"greenroomActivity" in window')).toBe(false);
  });
});

describe('send_extension_message', () => {
  it('awaits the reply, also of a worker that sleeps', async () => {
    await stopWorker();
    const { structured } = await tools.run('send_extension_message', { extensionId, message: { ask: 'later' } });
    expect(structured).toMatchObject({ reply: '{"late":true}' });
  });

  it('sends from a content script, and to one', async () => {
    await open();
    const { structured } = await tools.run('send_extension_message', {
      extensionId,
      message: 7,
      from: 'content_script',
    });
    expect(structured['reply']).toBe('{"echo":7}');
    const toPageId = tools.browser.page().id;
    expect(await tools.text('send_extension_message', { extensionId, message: 'tab', toPageId })).toContain(
      '"content heard tab"',
    );
  });

  it('cuts a reply of a million characters, and says how long it is', async () => {
    const message = '"'.repeat(600_000);
    for (const from of [undefined, 'service_worker' as const]) {
      const toPageId = from && tools.browser.page().id;
      const { text } = await tools.run('send_extension_message', { extensionId, message, from, toPageId });
      expect(text).toMatch(/^Reply of 1\d{6} characters after \d+ ms: .*evaluate_in_extension can return a part/s);
      expect(text.length).toBeLessThan(100_000);
    }
  });

  it('says when nobody replies or hears', async () => {
    expect(
      await tools.refusal('send_extension_message', { extensionId, message: { ask: 'never' }, timeoutMs: 50 }),
    ).toContain('No reply within 50 ms');
    const blank = await tools.browser.newPage();
    expect(await tools.refusal('send_extension_message', { extensionId, message: 1, toPageId: blank.id })).toContain(
      'Receiving end does not exist',
    );
    await tools.browser.closePage(blank.id);
    expect(await tools.refusal('send_extension_message', { extensionId, message: 1, from: 'popup' })).toContain(
      'popup',
    );
    expect(await tools.refusal('send_extension_message', { extensionId, message: 1, toPageId: 99 })).toContain('99');
  });
});

describe('messages without a proper answer', () => {
  const worker = `
    chrome.runtime.onMessage.addListener((message, sender, reply) => {
      if (message === 'ok') reply('fine');
      if (message === 'late') setTimeout(reply, 1, 'too late');
      if (message === 'throws') throw new Error('listener broke');
      if (message === 'keeps') return true;
    });
    chrome.runtime.onMessage.addListener(() => undefined);`;
  const content = 'self.ask = (message) => chrome.runtime.sendMessage(message);';
  let id: string;

  beforeAll(async () => {
    id = await tools.install(
      'Silent',
      {
        background: { service_worker: 'worker.js' },
        content_scripts: [{ matches: ['<all_urls>'], js: ['content.js'] }],
      },
      { 'worker.js': worker, 'content.js': content },
    );
    await open();
  });

  afterAll(() => tools.run('uninstall_extension', { extensionId: id }));

  const reasons = [
    ['unknown', 'No listener answered: service_worker heard it'],
    ['late', 'Answered too late: the listener in service_worker'],
    ['throws', 'The listener in service_worker threw'],
  ] as const;

  it.each(reasons)('says of %s why, when sent, monitored and among the errors', async (message, reason) => {
    await tools.run('clear_extension_errors', { extensionId: id });
    const sent = await tools
      .text('send_extension_message', { extensionId: id, message })
      .catch((error: unknown) => messageOf(error));
    expect(sent).toContain(reason);
    expect(await tools.text('get_extension_runtime_errors', { extensionId: id })).not.toContain('[send_extension');
    await tools.evaluate(id, `ask("${message}").catch(() => 0)`, { target: 'content_script' }).catch(() => 0);
    const from = `content_script ${tools.pages.url}/settled.html`;
    const wanted = { from, payload: JSON.stringify(message) };
    const reported = { ...wanted, to: ['service_worker'], api: 'runtime.sendMessage' };
    const monitored = await row('monitor_extension_messages', 'messages', reported, { extensionId: id });
    expect(monitored['problem']).toContain(reason);
    const unanswered = await row('get_extension_runtime_errors', 'unanswered', wanted, { extensionId: id });
    expect(unanswered).toMatchObject({ problem: expect.stringContaining(reason), place: 'content.js:1' });
    await tools.run('clear_extension_errors', { extensionId: id });
    const cleared = await tools.run('get_extension_runtime_errors', { extensionId: id });
    expect(cleared.structured['unanswered']).toEqual([]);
  });

  it('names what is awaited, what nothing hears, and ports that nothing opens', async () => {
    const waiting = await tools.refusal('send_extension_message', { extensionId: id, message: 'keeps', timeoutMs: 50 });
    expect(waiting).toContain('The listener in service_worker returned true or a promise, and has not answered.');
    const toPageId = tools.browser.page().id;
    expect(await tools.refusal('send_extension_message', { extensionId: id, message: 1, toPageId })).toContain(
      'no content script of that tab has a runtime.onMessage listener',
    );
    await tools.evaluate(id, 'void chrome.runtime.connect({ name: "nobody" }), 0', { target: 'content_script' });
    const port = await row('get_extension_runtime_errors', 'unanswered', { payload: '"nobody"' }, { extensionId: id });
    expect(port['problem']).toContain('no context has a runtime.onConnect listener');
  });

  it('says nothing of what was answered, and has it once, however many listeners heard it', async () => {
    await tools.evaluate(id, 'ask("ok")', { target: 'content_script' });
    const { structured } = await tools.run('monitor_extension_messages', { extensionId: id, text: '"ok"' });
    expect(structured['messages']).toHaveLength(1);
    expect((structured['messages'] as Rows)[0]).toMatchObject({ reply: '"fine"', to: ['service_worker'] });
    expect((structured['messages'] as Rows)[0]).not.toHaveProperty('problem');
  });
});

it('tells nothing that the tools themselves do as something that the extension did', async () => {
  const id = await tools.install('Bare', { action: {}, background: { service_worker: 'w.js' } }, { 'w.js': '' });
  const started = await tools.text('trace_extension_api_calls', { extensionId: id, action: 'start' });
  expect(started).toContain('stays awake until you stop');
  await tools.run('inspect_extension_storage', { extensionId: id }).catch(() => 0);
  await tools.run('watch_extension_storage', { extensionId: id }).catch(() => 0);
  await tools.run('trigger_extension_action', { extensionId: id });
  await tools.run('check_content_script_injection', { extensionId: id });
  const { structured } = await tools.run('trace_extension_api_calls', { extensionId: id, action: 'stop' });
  expect(structured['calls']).toEqual([]);
  expect(await tools.text('get_extension_runtime_errors', { extensionId: id })).toBe('"Bare" has no errors.');
  expect((await tools.run('get_extension_logs', { extensionId: id })).structured['entries']).toEqual([]);
  await tools.run('uninstall_extension', { extensionId: id });
});

it('says of a trace what becomes of the service worker, if there is one', async () => {
  const id = await tools.install('Workerless', { action: {} });
  expect(await tools.text('trace_extension_api_calls', { extensionId: id, action: 'start' })).toContain(
    'It has no service worker.',
  );
  await tools.run('trace_extension_api_calls', { extensionId: id, action: 'stop' });
  await stopWorker();
  expect(await tools.text('trace_extension_api_calls', { extensionId, action: 'start' })).toContain(
    'Its service worker is stopped; once it starts',
  );
  await tools.run('trace_extension_api_calls', { extensionId, action: 'stop' });
  await tools.run('activate_extension_service_worker', { extensionId });
  await tools.run('uninstall_extension', { extensionId: id });
});

describe('watch_extension_storage', () => {
  it('has old and new values of all areas, also while the worker sleeps, and wakes none', async () => {
    await tools.run('watch_extension_storage', { extensionId });
    await evaluate('chrome.storage.local.set({ note: "a" }).then(() => chrome.storage.session.set({ now: 1 }))');
    await stopWorker();
    await open();
    await evaluate('chrome.storage.local.set({ note: "b" })', { target: 'content_script' });
    const changed = (wanted: object) => row('watch_extension_storage', 'changes', wanted);
    expect(await changed({ area: 'local', key: 'note', oldValue: '"a"' })).toMatchObject({ newValue: '"b"' });
    expect(await changed({ area: 'session', key: 'now' })).toMatchObject({ newValue: '1' });
    const { structured } = await tools.run('watch_extension_storage', { extensionId, area: 'session' });
    expect(structured).toMatchObject({ wasWatching: true, changes: [{ area: 'session' }] });
  });

  it('goes on after the extension was loaded again', async () => {
    await tools.run('watch_extension_storage', { extensionId });
    await tools.run('install_extension', { path: join(tools.workspace, 'Talker') }, { workspace: [tools.workspace] });
    const { structured } = await tools.run('watch_extension_storage', { extensionId });
    expect(structured['wasWatching']).toBe(false);
    await evaluate('chrome.storage.local.set({ again: true })');
    expect(await row('watch_extension_storage', 'changes', { key: 'again' })).toMatchObject({ newValue: 'true' });
  });
});

describe('trace_extension_api_calls', () => {
  it('has arguments, result, error, context and duration, until it is stopped', async () => {
    await open();
    expect(await tools.refusal('trace_extension_api_calls', { extensionId })).toContain('action start');
    await tools.run('activate_extension_service_worker', { extensionId });
    await tools.run('trace_extension_api_calls', { extensionId, action: 'start', filter: 'storage.' });
    await evaluate('chrome.storage.local.set({ traced: 1 })');
    await evaluate('chrome.storage.local.get("traced")', { target: 'content_script' });
    await evaluate('chrome.storage.sync.set({ big: "x".repeat(9000) }).catch(() => 0)');
    await evaluate('chrome.tabs.query({})');
    const call = (wanted: object) => row('trace_extension_api_calls', 'calls', wanted);
    expect(await call({ api: 'storage.local.set', context: 'service_worker' })).toMatchObject({ args: '{"traced":1}' });
    const got = await call({ api: 'storage.local.get', result: '{"traced":1}' });
    expect(got).toMatchObject({ args: '"traced"', context: `content_script ${tools.pages.url}/settled.html` });
    expect(got['durationMs']).toBeGreaterThanOrEqual(0);
    expect((await call({ api: 'storage.sync.set' }))['error']).toContain('quota');
    const { structured } = await tools.run('trace_extension_api_calls', { extensionId, action: 'stop' });
    expect((structured['calls'] as Rows).map(({ api }) => api)).not.toContain('tabs.query');
    expect(structured['tracing']).toBe(false);
    await evaluate('chrome.storage.local.get("untraced")');
    const after = await tools.text('trace_extension_api_calls', { extensionId });
    expect(after).toContain('no longer being traced');
    expect(after).not.toContain('untraced');
  });

  it('sees the calls of a worker that starts meanwhile, from its first statement on', async () => {
    const id = await tools.install(
      'Starter',
      { permissions: ['storage'], background: { service_worker: 'w.js' } },
      { 'w.js': 'chrome.storage.local.get("at start");' },
    );
    await tools.run('stop_extension_service_worker', { extensionId: id });
    await tools.run('trace_extension_api_calls', { extensionId: id, action: 'start' });
    await tools.run('activate_extension_service_worker', { extensionId: id });
    const found = await row('trace_extension_api_calls', 'calls', { api: 'storage.local.get' }, { extensionId: id });
    expect(found).toMatchObject({ args: '"at start"', context: 'service_worker' });
    await tools.run('trace_extension_api_calls', { extensionId: id, action: 'stop' });
  });
});

describe('get_extension_logs', () => {
  it('has worker and content script in one timeline, each entry once, with values and places', async () => {
    await tools.run('activate_extension_service_worker', { extensionId });
    await open();
    await row('get_extension_logs', 'entries', { text: 'content here true', level: 'info' });
    await evaluate('console.warn("from the worker")');
    const { structured, text } = await tools.run('get_extension_logs', { extensionId });
    const entries = structured['entries'] as Rows;
    expect(entries.filter((entry) => entry['text'] === 'from the worker')).toHaveLength(1);
    expect(text).toContain('worker up {deep: {er: 1}}');
    expect(text).toContain('worker.js:2:');
    expect(text).toContain('may stop when idle');
    const again = await tools.run('get_extension_logs', { extensionId, level: 'warning' });
    expect((again.structured['entries'] as Rows).map((entry) => entry['text'])).toEqual(['from the worker']);
  });

  it('misses nothing of a worker that it keeps alive', async () => {
    await tools.run('get_extension_logs', { extensionId, keepAlive: true });
    await stopWorker();
    await tools.run('activate_extension_service_worker', { extensionId });
    await evaluate('console.error("last words")');
    await stopWorker();
    expect(await row('get_extension_logs', 'entries', { text: 'last words' })).toMatchObject({
      context: 'service_worker',
    });
    expect(await tools.text('get_extension_logs', { extensionId, keepAlive: false })).not.toContain('kept running');
  });
});

describe('get_extension_runtime_errors', () => {
  it('has file, line, stack and count of errors in all contexts, until they are cleared', async () => {
    const id = await tools.install(
      'Faulty',
      { ...messagingExtension.manifest, nonsense: 1 },
      {
        'worker.js': 'function culprit() {\n  undefined.property;\n}\nsetTimeout(culprit);',
        'content.js': 'setTimeout(function broken() {\n\n  throw new Error("in content");\n});',
        'options.html': '',
      },
    );
    await open();
    const error = (wanted: object) => row('get_extension_runtime_errors', 'errors', wanted, { extensionId: id });
    expect(await error({ context: 'manifest' })).toMatchObject({ message: "Unrecognized manifest key 'nonsense'." });
    const inWorker = await error({ context: 'service_worker' });
    expect(inWorker).toMatchObject({ line: 2, url: `chrome-extension://${id}/worker.js`, count: 1 });
    expect(String(inWorker['message'])).toContain("reading 'property'");
    expect(JSON.stringify(inWorker['stack'])).toContain('culprit');
    const { structured } = await tools.run('get_extension_runtime_errors', { extensionId: id });
    expect(JSON.stringify(structured)).toContain('in content');
    await tools.run('clear_extension_errors', { extensionId: id });
    expect(await tools.text('get_extension_runtime_errors', { extensionId: id })).toBe('"Faulty" has no errors.');
    await open();
    expect(await error({ line: 3 })).toMatchObject({ url: `chrome-extension://${id}/content.js` });
    await tools.run('uninstall_extension', { extensionId: id });
  });
});

it('names unknown extensions and those that exist', async () => {
  const unknown = { extensionId: 'a'.repeat(32), message: 1 };
  for (const tool of [
    'monitor_extension_messages',
    'send_extension_message',
    'watch_extension_storage',
    'trace_extension_api_calls',
    'get_extension_logs',
    'get_extension_runtime_errors',
    'clear_extension_errors',
    'inspect_extension_manifest',
    'check_content_script_injection',
  ]) {
    const { message: _, ...rest } = unknown;
    const refusal = await tools.refusal(tool, tool.startsWith('send') ? unknown : rest);
    expect(refusal).toContain(`No extension ${'a'.repeat(32)}. Installed:`);
    expect(refusal).toContain(extensionId);
  }
});
