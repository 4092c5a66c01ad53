import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { evidenceTools } from '../../src/tools/evidenceTools.js';
import { lookTools } from '../../src/tools/lookTools.js';
import { navigationTools } from '../../src/tools/navigationTools.js';
import { webMcpTools } from '../../src/tools/webMcpTools.js';
import { connectionTo } from './support/toolHarness.js';
import { servePages } from '../support/servePages.js';
import { chromium, chromiumFlags } from '../support/chromium.js';
import { startToolHarness, type ToolHarness } from './support/toolHarness.js';
import puppeteer from 'puppeteer-core';

let shown = '';
let site: Awaited<ReturnType<typeof servePages>>;
let harness: ToolHarness;

beforeAll(async () => {
  site = await servePages({
    '/': () => [shown],
    '/data.json?x=1': () => ['{"answer":42}'],
  });
  harness = await startToolHarness([...evidenceTools, ...lookTools, ...navigationTools, ...webMcpTools], async () =>
    connectionTo(
      await puppeteer.launch({
        executablePath: chromium,
        pipe: true,
        args: [...chromiumFlags, '--enable-features=WebMCP'],
      }),
    ),
  );
});

afterAll(async () => {
  await harness.close();
  site.close();
});

async function show(body: string): Promise<void> {
  shown = `<!doctype html>${body}`;
  await harness.run('navigate_page', { url: site.url });
}

async function saved(name: string, args = {}): Promise<Buffer> {
  const { structured } = await harness.run(name, args);
  return harness.resources.read(String(structured['uri']));
}

test('a page is printed to a PDF, of the wanted pages', async () => {
  await show(`<h1>Report</h1><div style="break-before:page">Second</div><div style="break-before:page">Third</div>`);
  const pagesOf = (pdf: Buffer) => pdf.toString('latin1').match(/\/Type \/Page\b/g)?.length;
  const whole = await saved('save_pdf');
  expect(whole.toString('latin1', 0, 5)).toBe('%PDF-');
  expect(pagesOf(whole)).toBe(3);
  expect(pagesOf(await saved('save_pdf', { pages: '2', paper: 'Letter', landscape: true }))).toBe(1);
  expect(harness.browser.page().prompts.takeNews()).toEqual([]);
  expect(await harness.refusal('save_pdf', { pages: '9' }).catch(String)).toMatch(/page range/i);
});

interface Har {
  readonly log: {
    readonly version: string;
    readonly entries: readonly {
      readonly request: {
        readonly url: string;
        readonly method: string;
        readonly headers: readonly { name: string; value: string }[];
        readonly postData?: { readonly text: string };
      };
      readonly response: {
        readonly status: number;
        readonly content: { readonly text?: string; readonly size: number };
      };
      readonly time: number;
      readonly timings: Readonly<Record<string, number>>;
    }[];
  };
}

describe('export_har', () => {
  const harOf = async (args = {}) => JSON.parse((await saved('export_har', args)).toString()) as Har;

  test('has requests, bodies and times, without cookies unless they are asked for', async () => {
    await show(`<script>document.cookie = 'sid=secret7';
      fetch('/data.json?x=1', { method: 'POST', body: 'sent' }).then((r) => r.text()).then(() => document.title = 'done')</script>`);
    await harness.run('wait_for', { function: `() => document.title === 'done'` });
    const { log } = await harOf({ url: 'data.json' });
    expect(log).toMatchObject({
      version: '1.2',
      entries: [
        {
          request: { method: 'POST', queryString: [{ name: 'x', value: '1' }], postData: { text: 'sent' } },
          response: { status: 200, content: { mimeType: 'application/json', text: '{"answer":42}' } },
        },
      ],
    });
    const [entry] = log.entries;
    const sum = Object.entries(entry?.timings ?? {}).reduce(
      (all, [name, ms]) => all + (name === 'ssl' ? 0 : Math.max(0, ms)),
      0,
    );
    expect(entry?.time).toBeCloseTo(sum);
    expect(JSON.stringify(log)).not.toContain('secret7');
    expect(JSON.stringify(await harOf({ includeSensitive: true }))).toContain('secret7');
  });

  test('leaves out bodies where they are not wanted', async () => {
    await show('<p>Words</p>');
    const { log } = await harOf({ url: site.url, bodies: false });
    expect(log.entries.at(-1)?.response.content).toHaveProperty('size');
    expect(JSON.stringify(log)).not.toContain('Words');
  });
});

describe('recording', () => {
  test('is a video of what the page showed', async () => {
    await show(`<h1 id="count">0</h1><script>let n = 0; setInterval(() => (count.textContent = ++n), 30)</script>`);
    await harness.run('start_recording', { maxWidth: 640, frameRate: 10 });
    expect(await harness.refusal('start_recording')).toContain('recorded already. Call stop_recording');
    await harness.run('wait_for', { function: '() => n > 5' });
    const answer = await harness.run('stop_recording');
    expect(answer.text).toMatch(/^Recorded \d+\.\d s to .*\.mp4/);
    const video = await harness.resources.read(String(answer.structured['uri']));
    expect(video.toString('latin1', 4, 8)).toBe('ftyp');
    expect(await harness.refusal('stop_recording')).toContain('Call start_recording first');
  });
});

describe('tools of a page', () => {
  const offering = `<script>
    document.modelContext.registerTool({ name: 'add', description: 'Adds numbers', inputSchema: { type: 'object',
      properties: { a: { type: 'number' }, b: { type: 'number' } } }, execute: ({ a, b }) => { document.title = 'added'; return a + b } });
    document.modelContext.registerTool({ name: 'fail', description: 'Fails', execute: () => { throw new Error('no luck') } });
    document.modelContext.registerTool({ name: 'hang', description: 'Never ends', execute: () => new Promise(() => {}) });
    </script>`;

  test('are listed with their arguments, and called', async () => {
    await show(offering);
    const listed = await harness.text('list_page_tools');
    expect(listed).toContain('add: "Adds numbers"\n  arguments: {"type":"object","properties":{"a":{"type":"number"}');
    expect(await harness.text('call_page_tool', { name: 'add', arguments: { a: 2, b: 3 } })).toBe('5');
    expect(await harness.text('evaluate_script', { function: '() => document.title' })).toBe('"added"');
  });

  test('errors say what the page said, or what it offers', async () => {
    await show(offering);
    expect(await harness.refusal('call_page_tool', { name: 'fail' })).toContain('no luck');
    expect(await harness.refusal('call_page_tool', { name: 'sub' })).toBe(
      'The page offers no tool sub. It offers: add, fail, hang.',
    );
    await show('<p>None</p>');
    expect(await harness.text('list_page_tools')).toBe('The page offers no tools.');
  });

  test('a call that is cancelled leaves the page usable', async () => {
    await show(offering);
    const cancel = new AbortController();
    const call = harness.run('call_page_tool', { name: 'hang' }, { signal: cancel.signal });
    cancel.abort(new Error('cancelled'));
    await expect(call).rejects.toThrow('cancelled');
    expect(await harness.text('call_page_tool', { name: 'add', arguments: { a: 1, b: 1 } })).toBe('2');
  });
});
