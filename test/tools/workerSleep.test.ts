import { startExtensionTools, type ExtensionTools } from './support/extensionTools.js';

let tools: ExtensionTools;

beforeAll(async () => {
  tools = await startExtensionTools();
});

afterAll(() => tools.close());

const worker = `
let count = 0;
const seen = new Map();
const times = [];
chrome.runtime.onMessage.addListener((message, sender, reply) => {
  if (message.type === 'count') {
    count += 1;
    chrome.storage.local.set({ count });
    reply({ count, at: Date.now() });
    seen.set(message.type, true);
    times.push({ at: Date.now() });
  } else if (message.type === 'total') reply(count);
  else if (message.type === 'first') {
    if (!seen.has('count')) { setTimeout(() => { throw new Error('never counted'); }); }
    reply('ok');
  } else reply('steady');
});`;

it('tells which answers, storage, errors and variables a sleep changes, and leaves the storage as it was', async () => {
  const extensionId = await tools.install(
    'Forgetful',
    { permissions: ['storage'], background: { service_worker: 'w.js' } },
    { 'w.js': worker },
  );
  await tools.run('set_extension_storage', { extensionId, set: { kept: 'yes' } });
  const steps = ['count', 'total', 'first', 'other'].map((type) => JSON.stringify({ type }));
  const { structured, text } = await tools.run('check_worker_sleep', { extensionId, steps });
  const differences = structured['differences'] as object[];
  expect(differences).toContainEqual({ step: 2, what: 'answer', name: '', awake: '1', asleep: '0' });
  expect(differences).toContainEqual({
    ...{ step: 2, what: 'variable', name: 'count', at: 'w.js:2', awake: '1', asleep: '0' },
  });
  expect(differences).toContainEqual(expect.objectContaining({ step: 2, name: 'seen', awake: '[["count",true]]' }));
  expect(differences).toContainEqual(expect.objectContaining({ step: 2, name: 'times', at: 'w.js:4', asleep: '[]' }));
  expect(differences).toContainEqual(expect.objectContaining({ step: 3, what: 'error', awake: 'nothing' }));
  expect(differences).not.toContainEqual(expect.objectContaining({ what: 'answer', step: 1 }));
  expect(differences).not.toContainEqual(expect.objectContaining({ what: 'answer', step: 4 }));
  expect(structured['suspected']).toContainEqual(expect.objectContaining({ at: 'w.js:2' }));
  expect(text).toContain('Step 2, message {"type":"total"}:\n  answer: awake 1, after sleep 0');
  expect(text).toContain('only after sleep it threw Uncaught Error: never counted');
  const { structured: stored } = await tools.run('inspect_extension_storage', { extensionId });
  expect(JSON.stringify(stored)).toContain('kept');
  expect(JSON.stringify(stored)).not.toContain('"count"');
});

it('takes the messages that were recorded as its steps, and finds nothing wrong with a worker that keeps nothing', async () => {
  const extensionId = await tools.install(
    'Steady',
    { background: { service_worker: 'w.js' } },
    { 'w.js': 'chrome.runtime.onMessage.addListener((message, sender, reply) => reply(message.of * 2));' },
  );
  expect(await tools.refusal('check_worker_sleep', { extensionId })).toMatch(/No message .* was recorded\. Pass steps/);
  await tools.run('send_extension_message', { extensionId, message: { of: 21 } });
  const { structured, text } = await tools.run('check_worker_sleep', { extensionId });
  expect(structured).toMatchObject({ steps: ['message {"of":21}'], differences: [] });
  expect(text).toContain('1 step, with the worker of "Steady" awake and asleep before each: no difference.');
});

it('tells what a worker has from its installation alone, and closes the tabs that its steps opened', async () => {
  const extensionId = await tools.install(
    'Installed once',
    { background: { service_worker: 'w.js' } },
    {
      'w.js': `let data;
chrome.runtime.onInstalled.addListener(() => { data = { version: 1 }; });
chrome.runtime.onMessage.addListener((message, sender, reply) => {
  if (message === 'open') chrome.tabs.create({ url: 'about:blank' });
  reply(data.version);
});`,
    },
  );
  expect(await tools.text('send_extension_message', { extensionId, message: 'x' })).toContain('1');
  const before = tools.browser.pages().length;
  const { structured, text } = await tools.run('check_worker_sleep', { extensionId, steps: ['"open"'] });
  expect(structured['differences']).toContainEqual(expect.objectContaining({ step: 1, what: 'answer', awake: '1' }));
  expect(text).toMatch(/only after sleep it threw .*Cannot read properties of undefined/);
  expect(tools.browser.pages()).toHaveLength(before);
});

it('tells by its logs what a module loses, whose variables cannot be read', async () => {
  const extensionId = await tools.install(
    'Module',
    { background: { service_worker: 'w.js', type: 'module' } },
    {
      'w.js': `let isOn = false;
chrome.runtime.onMessage.addListener((message, sender, reply) => { isOn = !isOn; console.log(isOn ? 'on' : 'off'); reply(1); });`,
    },
  );
  const { structured } = await tools.run('check_worker_sleep', { extensionId, steps: ['"a"', '"b"'] });
  expect(structured['differences']).toContainEqual({ step: 2, what: 'log', name: '', awake: 'off', asleep: 'on' });
});

it('says what keeps the worker awake instead of comparing', async () => {
  const extensionId = await tools.install('Kept', { background: { service_worker: 'w.js' } }, { 'w.js': '' });
  await tools.run('trace_extension_api_calls', { extensionId, action: 'start' });
  const steps = ['runtime.onInstalled'];
  expect(await tools.refusal('check_worker_sleep', { extensionId, steps })).toContain('Stop trace_extension_api_calls');
});
