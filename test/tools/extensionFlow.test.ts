import { waitUntil } from '../e2e/support/serverProcess.js';
import { messagingExtension } from './support/messagingExtension.js';
import { startExtensionTools, type ExtensionTools } from './support/extensionTools.js';

let tools: ExtensionTools;

beforeAll(async () => {
  tools = await startExtensionTools();
});

afterAll(() => tools.close());

it('shows messages, replies, ports, storage and calls in order, and names what got no answer', async () => {
  const extensionId = await tools.install('Talking', messagingExtension.manifest, messagingExtension.files);
  const first = await tools.text('get_extension_flow', { extensionId });
  expect(first).toContain('Changes of its storage are recorded from this call on.');
  await tools.run('trace_extension_api_calls', { extensionId, action: 'start', filter: 'storage.' });
  await tools.evaluate(extensionId, 'chrome.storage.local.set({ word: 1 }).then(() => 1)');
  await tools.openPage('/settled.html');
  await tools.evaluate(extensionId, `chrome.tabs.query({ active: true }).then(() => 1)`);
  await tools.run('open_extension_page', { extensionId });
  await tools.evaluate(extensionId, `void chrome.runtime.sendMessage({ ask: 'options' }), 1`);
  await tools.run('evaluate_in_extension', { extensionId, expression: 'new Promise((done) => setTimeout(done, 100))' });
  const { structured, text } = await tools.run('get_extension_flow', { extensionId });
  const events = structured['events'] as Record<string, string>[];
  const times = events.map(({ at }) => at);
  expect(times).toEqual(times.toSorted());
  const page = `content_script ${tools.pages.url}/settled.html`;
  expect(events).toContainEqual(
    expect.objectContaining({
      kind: 'message',
      from: page,
      to: ['service_worker'],
      label: expect.stringContaining('"at":"start"'),
    }),
  );
  expect(events).toContainEqual(expect.objectContaining({ kind: 'reply', from: 'service_worker', to: [page] }));
  expect(events).toContainEqual(expect.objectContaining({ kind: 'storage', to: ['storage.local'], label: 'word = 1' }));
  expect(events).toContainEqual(
    expect.objectContaining({
      kind: 'call',
      from: 'service_worker',
      label: expect.stringContaining('storage.local.set'),
    }),
  );
  expect(text).toContain('No listener answered: /options.html heard it and returned without an answer.');
  const drawn = await tools.text('get_extension_flow', { extensionId, format: 'mermaid' });
  expect(drawn).toMatch(/^sequenceDiagram\n {2}participant c0 as /);
  expect(drawn).toMatch(/ {2}c\d-->>c\d: {"echo":/);
  expect(drawn).toMatch(/ {2}Note over c\d: No listener answered/);
});

it('finds nothing wrong with messages that their listeners only hear', async () => {
  const extensionId = await tools.install(
    'Listening',
    { background: { service_worker: 'w.js' }, options_page: 'o.html' },
    {
      'w.js': `
        chrome.runtime.onMessage.addListener((message) => console.log('heard', message.log));
        chrome.runtime.onMessage.addListener(async ({ log }) => { console.log('and kept', log); });`,
      'o.html': '<script src="o.js"></script>',
      'o.js': 'chrome.runtime.sendMessage({ log: 1 }); chrome.runtime.sendMessage({ log: 2 });',
    },
  );
  await tools.run('monitor_extension_messages', { extensionId });
  await tools.run('open_extension_page', { extensionId });
  expect(await tools.text('get_extension_logs', { extensionId })).toContain('and kept 2');
  expect(await tools.text('get_extension_runtime_errors', { extensionId })).toBe('"Listening" has no errors.');
});

it('shows the requests of a worker from its start on, with their ends', async () => {
  const { url } = tools.pages;
  const extensionId = await tools.install(
    'Fetching',
    { host_permissions: ['http://127.0.0.1/*'], background: { service_worker: 'w.js' } },
    { 'w.js': `fetch('${url}/settled.html'); fetch('${url}/none'); fetch('http://localhost:9/x').catch(() => 0);` },
  );
  const requests = async (): Promise<Record<string, string>[]> => {
    const { structured } = await tools.run('get_extension_flow', { extensionId });
    return (structured['events'] as Record<string, string>[]).filter(({ kind }) => kind === 'request');
  };
  await waitUntil(async () => (await requests()).length === 3);
  const found = await requests();
  const at = (path: string) => found.find(({ label }) => label?.startsWith(path));
  expect(at('/settled.html 200, ')).toMatchObject({ from: 'service_worker', to: [url] });
  expect(at('/none 404, ')).toMatchObject({ from: 'service_worker', to: [url] });
  expect(at('/x no status, ')).toMatchObject({ problem: expect.stringContaining('It failed') });
});

it('tells why a request of a worker that sleeps was refused', async () => {
  const [, port] = tools.pages.url.split(/:(?=\d+$)/);
  const extensionId = await tools.install(
    'Refused',
    { background: { service_worker: 'w.js' } },
    { 'w.js': `self.ask = () => fetch('http://localhost:${port}/settled.html').catch(() => 'refused');` },
  );
  expect(await tools.evaluate(extensionId, 'ask()')).toBe('refused');
  expect(await tools.text('get_extension_logs', { extensionId })).toContain('blocked by CORS policy');
});

it('names the other extension at both ends of a message, and says why nobody is there', async () => {
  const asked = await tools.install(
    'Asked',
    { background: { service_worker: 'w.js' } },
    { 'w.js': 'chrome.runtime.onMessageExternal.addListener((message, sender, reply) => reply("yes"));' },
  );
  const asking = await tools.install('Asking', { background: { service_worker: 'w.js' } }, { 'w.js': '' });
  const ask = (id: string) => `chrome.runtime.sendMessage('${id}', { may: 1 }).catch(() => 'nobody')`;
  expect(await tools.evaluate(asking, ask(asked))).toBe('yes');
  const flow = (extensionId: string) => tools.text('get_extension_flow', { extensionId });
  expect(await flow(asking)).toMatch(
    new RegExp(`service_worker -> extension ${asked}: .*\n.*extension ${asked} --> service_worker: "yes"`),
  );
  expect(await flow(asked)).toContain(`extension ${asking} -> service_worker: runtime.onMessageExternal {"may":1}`);
  await tools.run('set_extension_enabled', { extensionId: asked, enabled: false });
  expect(await tools.evaluate(asking, ask(asked))).toBe('nobody');
  expect(await flow(asking)).toContain(
    `The extension ${asked} is not there, has no runtime.onMessageExternal listener`,
  );
});
