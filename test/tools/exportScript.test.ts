import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { parse } from 'acorn';
import { packageRoot } from '../../src/packageInfo.js';
import { evidenceTools } from '../../src/tools/evidenceTools.js';
import { inputTools } from '../../src/tools/inputTools.js';
import { lookTools } from '../../src/tools/lookTools.js';
import { emulationTools } from '../../src/tools/emulationTools.js';
import { pointerTools } from '../../src/tools/pointerTools.js';
import { navigationTools } from '../../src/tools/navigationTools.js';
import { chromium } from '../support/chromium.js';
import { startToolHarness, type ToolHarness } from './support/toolHarness.js';

const page = `<!doctype html><title>Shop</title>
  <form><label>Name <input name="who"></label>
    <label>Size <select name="size"><option value="1">Small</option><option value="2">Large</option></select></label>
    <label><input type="checkbox" name="gift"> Gift</label></form>
  <button>Other</button><button>Other</button>
  <div id="host"></div><button id="order1234567">Order</button>
  <script>
    host.attachShadow({ mode: 'open' }).innerHTML = '<button>Inner</button>';
    host.shadowRoot.querySelector('button').addEventListener('click', () => (document.title = 'inner'));
    order1234567.addEventListener('click', () => { if (!confirm('Sure?')) return;
      const form = document.forms[0]; const data = new URLSearchParams(new FormData(form));
      fetch('/done?' + data + '&title=' + document.title + '&keys=' + keys.join('')); });
    const keys = []; addEventListener('keydown', ({ key, ctrlKey }) => keys.push(ctrlKey && key !== 'Control' ? 'ctrl-' + key : ''));
  </script>`;

const tall = `<!doctype html><body style="height: 3000px; margin: 0"><button style="position: fixed; top: 0" ondragover="event.preventDefault()">Place</button>
  <script>
    let up = ''; addEventListener('mouseup', ({ clientX, clientY }) => (up = clientX + '-' + clientY));
    const report = () => fetch('/done?' + [flag, innerWidth, matchMedia('(prefers-color-scheme: dark)').matches, scrollY, up]);
  </script>`;

const orders: string[] = [];
const site = createServer(({ url = '' }, response) => {
  if (url.startsWith('/done')) orders.push(url);
  response.setHeader('content-type', 'text/html').end(url.startsWith('/tall') ? tall : page);
});
let address: string;
let harness: ToolHarness;
let folder: string;

beforeAll(async () => {
  await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve));
  address = `http://127.0.0.1:${(site.address() as AddressInfo).port}/`;
  folder = await mkdtemp(join(tmpdir(), 'script-'));
  harness = await startToolHarness([
    ...[...evidenceTools, ...inputTools, ...lookTools, ...navigationTools, ...emulationTools, ...pointerTools],
  ]);
});

afterAll(async () => {
  await harness.close();
  site.close();
  await rm(folder, { recursive: true });
});

async function uidOf(name: string, at = 0): Promise<string> {
  const text = await harness.text('take_snapshot');
  const line = text.split('\n').filter((candidate) => candidate.includes(`"${name}"`))[at];
  return /uid=(e\d+)/.exec(line ?? '')?.[1] ?? `no ${name} in ${text}`;
}

/** The script with this project's library and browser. */
function runnable(script: string): string {
  const library = join(packageRoot, 'node_modules/puppeteer-core/lib/esm/puppeteer/puppeteer-core.js');
  return script
    .replace(`from 'puppeteer'`, `from ${JSON.stringify(library)}`)
    .replace('launch()', `launch({ executablePath: ${JSON.stringify(chromium)}, args: ['--no-sandbox'] })`);
}

test('a session without actions says so', async () => {
  expect(await harness.refusal('export_script')).toContain('Nothing was done in a page yet');
});

test('the script of a session does again what the session did', async () => {
  await harness.run('navigate_page', { url: address });
  await harness.run('fill_form', {
    elements: [
      { uid: await uidOf('Name'), value: 'Ada "the" first' },
      { uid: await uidOf('Size'), value: 'Large' },
      { uid: await uidOf('Gift'), value: 'true' },
    ],
  });
  await harness.run('press_key', { key: 'Control+K' });
  await harness.run('click', { uid: await uidOf('Inner') });
  await harness.run('click', { uid: await uidOf('Order') });
  await harness.run('handle_dialog', { action: 'accept' });
  const [first] = orders;
  expect(first).toContain('who=Ada+%22the%22+first&size=2&gift=on&title=inner&keys=ctrl-k');

  const { structured, text } = await harness.run('export_script');
  expect(text).toContain('Wrote 6 action(s)');
  const file = join(folder, 'session.mjs');
  await writeFile(file, runnable(String(structured['script'])));
  await promisify(execFile)(process.execPath, [file]);
  expect(orders).toEqual([first, first]);
});

test('elements are found by what is stable, else by their place', async () => {
  await harness.run('navigate_page', { url: address });
  await harness.run('click', { uid: await uidOf('Other', 1) });
  await harness.run('click', { uid: await uidOf('Order') });
  await harness.run('handle_dialog', { action: 'dismiss' });
  const script = String((await harness.run('export_script', { framework: 'playwright' })).structured['script']);
  expect(() => parse(script, { ecmaVersion: 'latest', sourceType: 'module' })).not.toThrow();
  expect(script).toContain(`page1.locator("html > body > button:nth-of-type(2)").click();`);
  expect(script).toContain(`.locator("#host >> button").click();`);
  expect(script).toContain(`.selectOption({ label: "Large" });`);
  expect(script).toContain(`page1.once('dialog', (dialog) => dialog.dismiss());\nawait page1.locator(`);
  expect(script).not.toContain('order1234567');
});

test('what a page emulates, runs first, scrolls and drags is done again, and what is left out is named', async () => {
  const before = orders.length;
  await harness.run('add_init_script', { script: '() => { window.flag = "on"; }' });
  await harness.run('emulate', { viewport: { width: 500, height: 400 }, colorScheme: 'dark', contrast: 'more' });
  await harness.run('navigate_page', { url: `${address}tall` });
  await harness.run('scroll', { pixels: 120 });
  await harness.run('pointer', { action: 'drag', x: 20, y: 30, to: '60,70 90,80' });
  await harness.run('drop_on', { uid: await uidOf('Place'), data: { 'text/plain': 'x' } });
  await harness.run('evaluate_script', { function: '() => report()' });
  const [done] = orders.slice(before);
  expect(done).toBe('/done?on,500,true,120,90-80');
  const { structured, text } = await harness.run('export_script');
  expect(text).toContain('It does not repeat: emulate contrast, drop_on.');
  const file = join(folder, 'acting.mjs');
  await writeFile(file, runnable(String(structured['script'])));
  await promisify(execFile)(process.execPath, [file]);
  expect(orders.at(-1)).toBe(done);
  const other = String((await harness.run('export_script', { framework: 'playwright' })).structured['script']);
  expect(() => parse(other, { ecmaVersion: 'latest', sourceType: 'module' })).not.toThrow();
  expect(other).toContain('.addInitScript({ content: ');
});
