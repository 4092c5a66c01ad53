import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  sampleExtensionFolder,
  startPageServer,
  type PageServer,
  sampleExtensionId as extensionId,
} from '../../src/selftest/pageServer.js';
import { extensionTools } from '../../src/tools/allTools.js';
import { startToolHarness, type ToolHarness } from './support/toolHarness.js';

let tools: ToolHarness;
let pages: PageServer;
let workspace: string;

beforeAll(async () => {
  pages = await startPageServer();
  workspace = await mkdtemp(join(tmpdir(), 'greenroom-test-'));
  tools = await startToolHarness(extensionTools);
  await tools.run('install_extension', { path: sampleExtensionFolder }, { workspace: [sampleExtensionFolder] });
});

afterAll(async () => {
  await tools.close();
  await pages.close();
  await rm(workspace, { recursive: true, force: true });
});

async function write(name: string, manifest: object, worker?: string): Promise<string> {
  const folder = join(workspace, name);
  await mkdir(folder, { recursive: true });
  const whole = { manifest_version: 3, name, version: '1.0', ...manifest };
  await writeFile(join(folder, 'manifest.json'), JSON.stringify(whole));
  if (worker !== undefined) await writeFile(join(folder, 'worker.js'), worker);
  return folder;
}

async function stopWorkers(): Promise<void> {
  const session = await tools.browser.page().page.createCDPSession();
  const stopped = new Promise<void>((resolve) => {
    session.on('ServiceWorker.workerVersionUpdated', ({ versions }) => {
      if (versions.some((version) => version.scriptURL.includes(extensionId) && version.runningStatus === 'stopped'))
        resolve();
    });
  });
  await session.send('ServiceWorker.enable');
  await session.send('ServiceWorker.stopAllWorkers');
  await stopped;
  await session.detach();
}

const wake = () => tools.run('activate_extension_service_worker', { extensionId });

const evaluate = async (expression: string, more: object = {}): Promise<unknown> => {
  const { structured } = await tools.run('evaluate_in_extension', { extensionId, expression, ...more });
  return JSON.parse(String(structured['result']));
};

const refusal = (expression: string, more: object = {}): Promise<string> =>
  tools.refusal('evaluate_in_extension', { extensionId, expression, ...more });

describe('install_extension', () => {
  it('answers id, name, version and what Chrome warns of', async () => {
    const path = await write('Warned', { nonsense: true });
    const { text, structured } = await tools.run('install_extension', { path }, { workspace: [workspace] });
    expect(structured).toMatchObject({
      name: 'Warned',
      version: '1.0',
      warnings: ["Unrecognized manifest key 'nonsense'."],
    });
    expect(text).toBe(
      `Installed "Warned" 1.0 as ${String(structured['id'])}.\nWarning: Unrecognized manifest key 'nonsense'.`,
    );
  });

  it('takes a relative path from the first folder of the workspace', async () => {
    await write('Relative', {});
    const { structured } = await tools.run('install_extension', { path: 'Relative' }, { workspace: [workspace] });
    expect(structured).toMatchObject({ name: 'Relative' });
  });

  it('says that a folder is missing', async () => {
    const path = join(workspace, 'missing');
    expect(await tools.refusal('install_extension', { path }, { workspace: [workspace] })).toBe(
      `There is no folder ${path} on the server's disk. Pass the folder with manifest.json.`,
    );
  });

  it('stays inside the workspace, also past a symbolic link', async () => {
    const { refusal } = tools;
    expect(await refusal('install_extension', { path: sampleExtensionFolder }, { workspace: [workspace] })).toContain(
      '--workspace',
    );
    await symlink(sampleExtensionFolder, join(workspace, 'link'));
    expect(await refusal('install_extension', { path: 'link' }, { workspace: [workspace] })).toContain('outside');
    expect(await refusal('install_extension', { path: '../elsewhere' }, { workspace: [workspace] })).toContain(
      'outside',
    );
  });
});

describe('list_extensions', () => {
  it('tells running, sleeping and missing service workers apart, and counts contexts', async () => {
    await wake();
    const path = await write('Plain', {});
    await tools.run('install_extension', { path }, { workspace: [workspace] });
    const row = async (name: string): Promise<unknown> => {
      const { structured } = await tools.run('list_extensions');
      return (structured['extensions'] as { name: string }[]).find((extension) => extension.name === name);
    };
    expect(await row('Plain')).toMatchObject({
      version: '1.0',
      enabled: true,
      path,
      serviceWorker: 'none',
      workerFailed: false,
      contexts: 0,
    });
    expect(await row('Page Notes')).toMatchObject({ id: extensionId, serviceWorker: 'running', contexts: 1 });
    await stopWorkers();
    expect(await row('Page Notes')).toMatchObject({ serviceWorker: 'stopped', contexts: 0 });
    expect(await tools.text('list_extensions')).toContain(
      `${extensionId} "Page Notes" 1.0.0 enabled, service worker stopped, 0 contexts, ${sampleExtensionFolder}`,
    );
  });
});

describe('a service worker that throws at its first start', () => {
  it('is listed as failed, with the tool that tells why', async () => {
    const path = await write('Failing', { background: { service_worker: 'worker.js' } }, 'throw new Error("at once")');
    const { structured } = await tools.run('install_extension', { path }, { workspace: [workspace] });
    const row = expect.objectContaining({ id: structured['id'], serviceWorker: 'none', workerFailed: true });
    const listed = await tools.run('list_extensions');
    expect(listed.structured['extensions']).toContainEqual(row);
    expect(listed.text).toContain('its service worker failed to start (get_extension_runtime_errors says why)');
    const told = await tools.text('get_extension_runtime_errors', { extensionId: structured['id'] });
    expect(told).toContain('at once');
  });
});

describe('activate_extension_service_worker', () => {
  it('says what state the worker was in', async () => {
    await stopWorkers();
    const woken = await wake();
    expect(woken.structured).toEqual({ extensionId, before: 'stopped', errors: [] });
    expect(woken.text).toBe('The service worker of "Page Notes" runs now; before it was stopped.');
    expect((await wake()).text).toBe('The service worker of "Page Notes" was running already.');
  });

  it('says what a worker throws, and brings it up once it is mended', async () => {
    const path = await write('Broken', { background: { service_worker: 'worker.js' } }, 'undefined.property;');
    const { structured } = await tools.run('install_extension', { path }, { workspace: [workspace] });
    const broken = { extensionId: structured['id'] };
    expect(await tools.refusal('activate_extension_service_worker', broken)).toMatch(
      /TypeError: .*property.*worker\.js:1/,
    );
    await write('Broken', { background: { service_worker: 'worker.js' } }, '');
    const mended = await tools.run('activate_extension_service_worker', broken);
    expect(mended.structured).toMatchObject({ before: 'none', errors: [] });
  });
});

describe('evaluate_in_extension', () => {
  beforeEach(wake);

  it('runs in the service worker unless told otherwise', async () => {
    const { text, structured } = await tools.run('evaluate_in_extension', {
      extensionId,
      expression: '() => ({ id: chrome.runtime.id, url: location.pathname })',
    });
    const result = `{"id":"${extensionId}","url":"/worker.js"}`;
    expect({ text, structured }).toEqual({
      text: result,
      structured: { extensionId, target: 'service_worker', type: 'object', result },
    });
  });

  it('says undefined in words', async () => {
    const { text, structured } = await tools.run('evaluate_in_extension', { extensionId, expression: 'void 0' });
    expect(text).toBe('undefined');
    expect(structured).toMatchObject({ type: 'undefined', result: 'undefined' });
  });

  it('cuts what is too long and says so', async () => {
    const { text } = await tools.run('evaluate_in_extension', { extensionId, expression: '"long ".repeat(40_000)' });
    expect(Buffer.byteLength(text)).toBeLessThan(70_000);
    expect(text).toContain('return a part in the expression');
  });

  it('passes on an exception with its stack and where it was thrown', async () => {
    const said = await refusal('(function culprit() { null.field })()');
    expect(said).toMatch(/threw in the service worker of Page Notes: TypeError: .*\n +at culprit/);
  });

  it('finds the deliberate error of the sample, sent as a message from its popup', async () => {
    const popup = await tools.browser.newPage();
    await popup.page.goto(`chrome-extension://${extensionId}/popup.html`);
    const sent = await evaluate('chrome.runtime.sendMessage({ type: "notes.measure" })', { target: 'popup' });
    expect(sent).toEqual({ error: expect.stringContaining('undefined') });
    await tools.browser.closePage(popup.id);
  });

  it('reaches options, side panel and offscreen document when they are open, and says how to open them', async () => {
    expect(await refusal('1', { target: 'options' })).toContain(
      `chrome-extension://${extensionId}/options.html with new_page`,
    );
    expect(await refusal('1', { target: 'offscreen' })).toContain('chrome.offscreen.createDocument');
    const options = await tools.browser.newPage();
    await options.page.goto(`chrome-extension://${extensionId}/options.html`);
    expect(await evaluate('document.title', { target: 'options' })).toBe('Page Notes: options');
    const message = '{ type: "text.fromHtml", html: "<b>bold</b> text" }';
    const parsed = await evaluate(`chrome.runtime.sendMessage(${message})`, { target: 'options' });
    expect(parsed).toEqual({ text: 'bold text' });
    expect(await evaluate('document.title', { target: 'offscreen' })).toBe('Page Notes: parser');
    await evaluate('chrome.offscreen.closeDocument().then(() => null)');
    await options.page.goto(`chrome-extension://${extensionId}/panel.html`);
    expect(await evaluate('document.title', { target: 'side_panel' })).toBe('Page Notes: side panel');
    await tools.browser.closePage(options.id);
  });

  it('runs in the world of the content script of the page that pageId names', async () => {
    const plain = tools.browser.page();
    const page = await tools.browser.newPage();
    await page.page.goto(`${pages.url}/extension-notes.html?here`);
    const world = { target: 'content_script', pageId: page.id };
    expect(await evaluate('[chrome.runtime.id, location.search, typeof badge]', world)).toEqual([
      extensionId,
      '?here',
      'object',
    ]);
    expect(await page.page.evaluate('typeof badge')).toBe('undefined');
    expect(await refusal('1', { target: 'content_script', pageId: plain.id })).toContain('no content script in page');
    await tools.browser.closePage(page.id);
  });

  it('runs in a page of an extension that has no service worker, open or hidden, and says so', async () => {
    const path = await write('Workerless', { action: { default_popup: 'manifest.json' }, permissions: ['bookmarks'] });
    const { structured } = await tools.run('install_extension', { path }, { workspace: [workspace] });
    const without = {
      extensionId: structured['id'],
      expression: 'chrome.bookmarks.getTree().then((all) => all.length)',
    };
    const hidden = await tools.run('evaluate_in_extension', without);
    expect(hidden.text).toMatch(/^1\n\(It has no service worker: this ran in a hidden page/);
    expect(hidden.structured).toMatchObject({ target: 'page', result: '1' });
    expect(await tools.refusal('evaluate_in_extension', { ...without, target: 'service_worker' })).toContain(
      'Workerless has no service worker',
    );
    await tools.run('uninstall_extension', { extensionId: structured['id'] });
  });

  it('says that the worker sleeps and names the tool that wakes it', async () => {
    await stopWorkers();
    expect(await refusal('1')).toBe(
      `The service worker of Page Notes is asleep. Call activate_extension_service_worker with extensionId ${extensionId}, then again.`,
    );
  });

  it('names the extensions that exist when the id is unknown, and refuses what is no id', async () => {
    const unknown = { extensionId: 'p'.repeat(32), expression: '1' };
    expect(await tools.refusal('evaluate_in_extension', unknown)).toContain(`${extensionId} (Page Notes)`);
    await expect(tools.run('evaluate_in_extension', { extensionId: 'xyz', expression: '1' })).rejects.toThrow(
      '32 letters',
    );
  });

  it('ends with the reason of a cancellation', async () => {
    const cancel = new AbortController();
    const args = { extensionId, expression: 'new Promise(() => {})' };
    const waiting = tools.run('evaluate_in_extension', args, { signal: cancel.signal });
    cancel.abort(new Error('cancelled by the client'));
    await expect(waiting).rejects.toThrow('cancelled by the client');
  });
});
