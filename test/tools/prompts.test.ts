import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Completer } from '../../src/mcp/definitions.js';
import { allPrompts } from '../../src/mcp/prompts.js';
import { skillNamed, stepsOf } from '../../src/mcp/skills.js';
import {
  sampleExtensionFolder,
  startPageServer,
  type PageServer,
  sampleExtensionId,
} from '../../src/selftest/pageServer.js';
import { allTools } from '../../src/tools/allTools.js';
import { plainClient, sessionFacts as session } from './support/plainSession.js';
import { startToolHarness, type ToolHarness } from './support/toolHarness.js';

let pages: PageServer;
let harness: ToolHarness;
let workspace: readonly string[] = [];
let forgetfulId = '';
beforeAll(async () => {
  [pages, harness] = await Promise.all([startPageServer(), startToolHarness(allTools)]);
});
afterAll(async () => {
  await harness.close();
  await pages.close();
});

function completerOf(prompt: string, argument: string): Completer {
  const completer = allPrompts.find(({ name }) => name === prompt)?.complete?.[argument];
  if (!completer) throw new Error(`${prompt} does not complete ${argument}.`);
  return completer;
}

const complete = (prompt: string, argument: string) => {
  const { signal } = new AbortController();
  return completerOf(prompt, argument)(
    { client: plainClient, session, signal, browser: harness.browser },
    { value: '', others: {} },
  );
};

test("[C-OFFER] an extension's id is completed from those that are installed, a url from the pages that are open", async () => {
  expect(await complete('diagnose_extension', 'extensionId')).toEqual([]);
  expect(await complete('profile_page', 'url')).toEqual([]);
  await harness.run('install_extension', { path: sampleExtensionFolder }, { workspace: [sampleExtensionFolder] });
  await harness.run('navigate_page', { url: `${pages.url}/look.html` });
  expect(await complete('diagnose_extension', 'extensionId')).toEqual([sampleExtensionId]);
  expect(await complete('audit_manifest', 'extensionId')).toEqual([sampleExtensionId]);
  expect(await complete('profile_page', 'url')).toEqual([`${pages.url}/look.html`]);
});

interface Followed {
  /** What stands in place of the words in capitals. */
  readonly words: Readonly<Record<string, unknown>>;
  /** The name of the element that UID stands for. */
  readonly element?: string;
}

/** What the tools answer to the steps of a guide, in its order, as a model that knows nothing else would make them. */
async function follow(name: string, { words, element = '' }: Followed): Promise<string> {
  const answers: string[] = [];
  for (const { tool, args } of stepsOf(skillNamed(name))) {
    const snapshot = answers.findLast((answer) => answer.startsWith('take_snapshot')) ?? '';
    const [uid] = /\be\d+\b/.exec(snapshot.split('\n').find((line) => line.includes(element)) ?? '') ?? [];
    const known = { ...words, UID: uid };
    const filled = Object.entries(known).reduce(
      (text, [word, value]) => text.replaceAll(`"${word}"`, () => JSON.stringify(value ?? word)),
      JSON.stringify(args),
    );
    const given = JSON.parse(filled) as Record<string, unknown>;
    const rows = answers.findLast((answer) => answer.startsWith(tool.replace(/^get_(\w+)$/, 'list_$1s'))) ?? '';
    const [, row] = /^\S+: .*?#(\d+)/s.exec(rows) ?? [];
    if ('id' in given && row !== undefined) given['id'] = Number(row);
    const answering = harness.text(tool, given, { workspace });
    answers.push(`${tool}: ${await answering.catch((error: unknown) => String(error))}`);
  }
  return answers.join('\n');
}

const buggyPage = `<!doctype html><title>Shop</title><button id="save">Save</button><button id="load">Load</button>
<script src="/shop.js"></script>`;
const buggyScript = `const save = (note) => note.text.length;
document.querySelector('#save').addEventListener('click', () => save(undefined));
document.querySelector('#load').addEventListener('click', () => fetch('/orders', { method: 'POST', body: 'count=x' }));`;
const slowPage = `<!doctype html><title>Slow</title><script src="/slow.js"></script><h1>Orders of this week</h1>`;
const slowScript = `const used = 1;\n${'function never() { return "never called, and loaded all the same"; }\n'.repeat(300)}`;
const forgetfulWorker = `let count = 0;
chrome.runtime.onMessage.addListener((message, sender, reply) => reply((count += 1)));`;

describe('the steps of the guides find what is planted', () => {
  let site: Server;
  let url: string;
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'greenroom-guides-'));
    const manifest = { manifest_version: 3, name: 'Counter', version: '1', permissions: ['bookmarks', 'storage'] };
    await writeFile(
      join(folder, 'manifest.json'),
      JSON.stringify({ ...manifest, background: { service_worker: 'worker.js' } }),
    );
    await writeFile(join(folder, 'worker.js'), forgetfulWorker);
    workspace = [folder, sampleExtensionFolder];
    site = createServer(({ url: path }, answer) => {
      if (path === '/orders') answer.writeHead(422).end('{"error":"count is not a number"}');
      else if (path === '/slow') answer.setHeader('content-type', 'text/html').end(slowPage);
      else if (path === '/slow.js')
        setTimeout(() => answer.setHeader('content-type', 'text/javascript').end(slowScript), 300);
      else if (path === '/shop.js') answer.setHeader('content-type', 'text/javascript').end(buggyScript);
      else answer.setHeader('content-type', 'text/html').end(buggyPage);
    }).listen(0, '127.0.0.1');
    await once(site, 'listening');
    url = `http://127.0.0.1:${(site.address() as AddressInfo).port}/`;
  });

  afterAll(async () => {
    site.close();
    site.closeAllConnections();
    await rm(folder, { recursive: true, force: true });
  });

  test.each<[string, () => Followed, RegExp[]]>([
    [
      'debug-page',
      () => ({ words: { PAGE: url, WORD: 'save', FILE: 'shop.js', VALUE: 'note' }, element: 'Save' }),
      [/Cannot read properties of undefined \(reading 'text'\).*shop\.js:1/, /logpoint|note = undefined/],
    ],
    [
      'debug-failing-request',
      () => ({ words: { PAGE: url, REQUEST_URL: `${url}orders`, BODY: '{}' }, element: 'Load' }),
      [/POST \S+\/orders.* 422|422.*\/orders/, /count=x/, /count is not a number/, /shop\.js:3/],
    ],
    [
      'find-memory-leak',
      () => ({ words: { PAGE: `${pages.url}/memory.html`, CLASS: 'LeakedNote', NAME: 'notes' }, element: '"Leak"' }),
      [/LeakedNote \+10/, /notes/],
    ],
    [
      'debug-slow-load',
      () => ({ words: { PAGE: `${url}slow` } }),
      [/LCP \d/, /fail RenderBlocking/, /script 20\.9 kB \d{3} ms \S+slow\.js/, /slow\.js: 1 of 301 lines ran/],
    ],
    [
      'debug-extension',
      () => ({
        words: {
          FOLDER: sampleExtensionFolder,
          EXTENSION_ID: sampleExtensionId,
          PAGE: `${pages.url}/look.html`,
          TYPE: 'notes.measure',
          EXPRESSION: 'location.href',
        },
      }),
      [/Cannot read properties of undefined \(reading 'text'\).*worker\.js:9/],
    ],
    [
      'debug-sleeping-worker',
      () => ({ words: { FOLDER: folder, EXTENSION_ID: forgetfulId, MESSAGE: '{"type":"count"}' } }),
      [/count/, /worker\.js:1/],
    ],
    [
      'audit-extension',
      () => ({ words: { FOLDER: folder, EXTENSION_ID: forgetfulId } }),
      [/"bookmarks" is not used/, /manifest\.json:\d/, /has no errors/],
    ],
  ])('%s', async (name, planned, facts) => {
    if (name === 'debug-sleeping-worker')
      forgetfulId = String((await harness.run('install_extension', { path: folder }, { workspace })).structured['id']);
    const answers = await follow(name, planned());
    expect(answers.match(/^\w+: (Tool)?Error: .*/gm)).toBeNull();
    for (const fact of facts) expect(answers).toMatch(fact);
  });
});
