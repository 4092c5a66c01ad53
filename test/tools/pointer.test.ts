import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { inputTools } from '../../src/tools/inputTools.js';
import { lookTools } from '../../src/tools/lookTools.js';
import { navigationTools } from '../../src/tools/navigationTools.js';
import { waitUntilFound } from '../browser/support/collectedPage.js';
import { servePages } from '../support/servePages.js';
import { startToolHarness, type ToolHarness } from './support/toolHarness.js';

let shown = '';
let site: Awaited<ReturnType<typeof servePages>>;
let harness: ToolHarness;
let workspace: string;

beforeAll(async () => {
  workspace = await mkdtemp(join(tmpdir(), 'drop-'));
  await writeFile(join(workspace, 'one.txt'), 'one');
  site = await servePages({ '/': () => [shown] });
  harness = await startToolHarness([...inputTools, ...lookTools, ...navigationTools]);
});

afterAll(async () => {
  await harness.close();
  site.close();
  await rm(workspace, { recursive: true });
});

const happened = async () =>
  JSON.parse(await harness.text('evaluate_script', { function: '() => happened.splice(0)' })) as unknown[];
const evaluated = async (source: string) =>
  JSON.parse(await harness.text('evaluate_script', { function: source })) as unknown;

async function show(body: string): Promise<void> {
  shown = `<!doctype html><style>body { margin: 0 }</style>
    <script>const happened = []; const log = (what) => void happened.push(what);</script>${body}`;
  await harness.run('navigate_page', { url: site.url });
}

async function uidOf(name: string): Promise<string> {
  const text = await harness.text('take_snapshot');
  const line = text.split('\n').find((candidate) => candidate.includes(`"${name}"`));
  if (line === undefined) throw new Error(`No ${name} in\n${text}`);
  return /uid=(e\d+)/.exec(line)?.[1] ?? '';
}

const rows = (count: number) => Array.from({ length: count }, (_, index) => `<p>Row ${index}</p>`).join('');

test('a tab behind another one, which gets a frame a second once it changes, comes to the front when it is acted on', async () => {
  await show(`<canvas id=c width=50 height=50></canvas><script>
    const draw = () => { c.getContext('2d').fillRect(Math.random() * 50, 0, 9, 9); requestAnimationFrame(draw); };
    draw();</script>`);
  const { page } = harness.browser.page();
  const frameMs = () =>
    page.evaluate(`new Promise((done) => {
      const begin = performance.now();
      requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - begin)));
    })`) as Promise<number>;
  const other = await page.browserContext().newPage();
  try {
    await other.bringToFront();
    await waitUntilFound(async () => ((await frameMs()) > 600 ? true : undefined));
    await harness.run('pointer', { action: 'move', x: 10, y: 10 });
    await waitUntilFound(async () => ((await frameMs()) < 400 ? true : undefined));
  } finally {
    await other.close();
  }
});

describe('scroll', () => {
  test('moves the page by most of what is visible, to its end, and says where it is', async () => {
    await show(`<div style="height:5000px; width:4000px">Tall</div>`);
    expect(await harness.text('scroll')).toMatch(
      /Scrolled the page down by \d+\. It shows pixels \d+ to \d+ of 5000\./,
    );
    expect(await evaluated('() => scrollY')).toBeGreaterThan(300);
    expect(await harness.text('scroll', { toEnd: true })).toContain('of 5000, its end.');
    expect(await harness.text('scroll', { direction: 'down' })).toContain('Nothing moved: the page is at its end.');
    await harness.run('scroll', { direction: 'right', pixels: 120 });
    expect(await evaluated('() => scrollX')).toBe(120);
    expect(await harness.text('scroll', { direction: 'up', toEnd: true })).toContain('It shows pixels 0 to');
  });

  test.each([
    [
      'a list around the element',
      `<div id="list" aria-label="Rows" style="height:100px;overflow:auto">${rows(50)}</div>`,
    ],
    [
      'a list in a shadow root around a slot',
      `<div id="host">${rows(50)}</div><script>
        host.attachShadow({ mode: 'open' }).innerHTML =
          '<section aria-label="Rows" style="height:100px;overflow:auto"><slot></slot></section>';
        window.list = host.shadowRoot.querySelector('section');</script>`,
    ],
  ])('moves %s', async (_, body) => {
    await show(body);
    const answer = await harness.text('scroll', { uid: await uidOf('Row 0'), direction: 'down', pixels: 300 });
    expect(answer).toMatch(/> Rows down by 300/);
    expect(await evaluated('() => list.scrollTop')).toBe(300);
  });

  test('of a page whose document does not scroll moves its largest box', async () => {
    await show(`<nav style="height:60px;overflow:auto">${rows(9)}</nav>
      <main id="list" style="height:400px;overflow:auto;scroll-behavior:smooth">${rows(90)}</main>`);
    await harness.run('scroll', { pixels: 250 });
    expect(await evaluated('() => list.scrollTop')).toBe(250);
  });

  test('waits for what the page adds at its end', async () => {
    await show(`<div id="list">${rows(60)}</div><script>addEventListener('scroll', () => setTimeout(() => {
      if (!list.querySelector('b')) list.insertAdjacentHTML('beforeend', '<b>More rows</b>') }, 50))</script>`);
    expect(await harness.text('scroll', { toEnd: true, includeSnapshot: true })).toContain('More rows');
  });

  test('brings an element into view', async () => {
    await show(`<div style="height:3000px"></div><button>Far</button>`);
    await harness.run('scroll', { uid: await uidOf('Far') });
    expect(await evaluated(`() => document.querySelector('button').getBoundingClientRect().top < innerHeight`)).toBe(
      true,
    );
  });

  test('says so where nothing scrolls, and which arguments exclude each other', async () => {
    await show('<p>Short</p>');
    expect(await harness.refusal('scroll')).toContain('The page does not scroll down');
    expect(await harness.refusal('scroll', { pixels: 5, toEnd: true })).toBe('Pass either pixels or toEnd.');
  });
});

describe('pointer', () => {
  const canvas = (
    height = 400,
  ) => `<canvas id="board" width="600" height="${height}" style="display:block"></canvas><script>
    for (const type of ['click', 'dblclick', 'contextmenu', 'mousemove', 'mousedown', 'mouseup', 'wheel'])
      board.addEventListener(type, (event) => log([type, Math.round(event.pageX), Math.round(event.pageY), event.deltaY].filter((x) => x !== undefined).join(' ')));
    </script>`;

  test.each([
    [{ action: 'click' }, ['mousemove 40 30', 'mousedown 40 30', 'mouseup 40 30', 'click 40 30']],
    [
      { action: 'click', button: 'right' },
      ['mousemove 40 30', 'mousedown 40 30', 'contextmenu 40 30', 'mouseup 40 30'],
    ],
    [{ action: 'move' }, ['mousemove 40 30']],
    [{ action: 'wheel', deltaY: -120 }, ['mousemove 40 30', 'wheel 40 30 -120']],
  ])('%j at coordinates', async (args, expected) => {
    await show(canvas());
    await harness.run('pointer', { ...args, x: 40, y: 30 });
    expect(await happened()).toEqual(expected);
  });

  test('drags through points and lets go at the last', async () => {
    await show(canvas());
    await harness.run('pointer', {
      action: 'drag',
      x: 10,
      y: 10,
      to: '90,10 90,50',
    });
    const events = (await happened()) as string[];
    expect(events.slice(0, 2)).toEqual(['mousemove 10 10', 'mousedown 10 10']);
    expect(events).toContain('mousemove 90 10');
    expect(events.filter((event) => event.startsWith('mousemove')).length).toBeGreaterThan(10);
    expect(events.slice(-2)).toEqual(['mouseup 90 50', 'click 90 50']);
  });

  test('takes pixels of a screenshot that is scaled down and shows more than the window', async () => {
    await show(canvas(2000));
    const pictures = { bytes: 3_900_000, pixels: 1_000 };
    const { structured } = await harness.run('take_screenshot', { fullPage: true }, { pictures });
    expect(structured).toMatchObject({ scaled: true, height: 1000 });
    await harness.run('pointer', { action: 'click', x: 100, y: 900, inScreenshot: true });
    expect((await happened()).at(-1)).toBe('click 200 1800');
  });

  test('takes the y that a screenshot in parts tells', async () => {
    await show(canvas(3000));
    const pictures = { bytes: 3_900_000, pixels: 1_400 };
    const { content, text } = await harness.run('take_screenshot', { fullPage: true }, { pictures });
    expect([content?.length, text]).toEqual([
      3,
      expect.stringContaining('For pointer with inScreenshot, use the y values'),
    ]);
    await harness.run('pointer', { action: 'click', x: 300, y: 2700, inScreenshot: true });
    expect((await happened()).at(-1)).toBe('click 300 2700');
  });

  test('takes no pixels of a screenshot in parts that are scaled down, and says so', async () => {
    await show(canvas(3000));
    const pictures = { bytes: 3_900_000, pixels: 1_000 };
    const { content, text } = await harness.run('take_screenshot', { fullPage: true }, { pictures });
    const advice = 'Scaled down. For pointer with inScreenshot, take one without fullPage.';
    expect([content?.length, text]).toEqual([4, expect.stringContaining(advice)]);
    const click = { action: 'click', x: 300, y: 700, inScreenshot: true };
    expect(await harness.refusal('pointer', click)).toContain('take_screenshot first, without fullPage');
  });

  test('says what is wrong with points', async () => {
    await show(canvas());
    expect(await harness.refusal('pointer', { action: 'click', x: 5000, y: 5 })).toContain(
      'is outside: the page shows',
    );
    const inScreenshot = { action: 'click', x: 5, y: 5, inScreenshot: true };
    expect(await harness.refusal('pointer', inScreenshot)).toContain('Call take_screenshot first');
    expect(await harness.refusal('pointer', { action: 'drag', x: 5, y: 5 })).toContain('Pass `to`');
    expect(await harness.refusal('pointer', { action: 'wheel', x: 5, y: 5 })).toContain('deltaX or deltaY');
  });
});

describe('drop_on', () => {
  const zone = `<div role="group" aria-label="Zone" style="height:80px" ondragover="event.preventDefault()" ondrop="event.preventDefault();
      log([...event.dataTransfer.types].sort().join(' '), log(event.dataTransfer.getData('text/plain') || event.dataTransfer.files[0]?.name))">Zone</div>
    <p>Elsewhere</p>`;

  test('drops data by type, and files', async () => {
    await show(zone);
    const uid = await uidOf('Zone');
    const data = { 'text/plain': 'a gift', 'text/uri-list': 'https://example.com/' };
    expect(await harness.text('drop_on', { uid, data })).toContain(`Dropped text/plain, text/uri-list on ${uid}.`);
    expect(await happened()).toEqual(['a gift', 'text/plain text/uri-list']);
    const options = { workspace: [workspace] };
    expect(await harness.text('drop_on', { uid, filePaths: ['one.txt'] }, options)).toContain(
      `Dropped 1 file on ${uid}.`,
    );
    expect(await happened()).toEqual(['one.txt', 'Files']);
  });

  test('is refused where nothing takes it, and without anything to drop', async () => {
    await show(zone);
    const uid = await uidOf('Elsewhere');
    expect(await harness.refusal('drop_on', { uid, data: { 'text/plain': 'x' } })).toContain('takes no drop of this');
    expect(await harness.refusal('drop_on', { uid })).toBe('Pass filePaths or data.');
  });
});

describe('add_init_script', () => {
  test.each([
    ['statements', 'window.flag = 7'],
    ['a function', '() => { window.flag = 7 }'],
  ])('runs %s before the page, from the next load until it is removed', async (_, script) => {
    await show(`<script>document.title = String(window.flag)</script>`);
    const id = (await harness.run('add_init_script', { script })).structured['scripts'];
    expect(await evaluated('() => document.title')).toBe('undefined');
    await harness.run('navigate_page', { reload: true });
    expect(await evaluated('() => document.title')).toBe('7');
    expect(await harness.text('add_init_script', { remove: 'all' })).toContain(`Removed ${String(id)}.`);
    await harness.run('navigate_page', { reload: true });
    expect(await evaluated('() => document.title')).toBe('undefined');
  });

  test('refuses what is no script, and an id that is not there', async () => {
    expect(await harness.refusal('add_init_script', { script: 'let 5 = 3' })).toMatch(
      /no JavaScript: SyntaxError.*line 1/,
    );
    expect(await harness.refusal('add_init_script', { remove: 'init99' })).toContain('There are: none');
    expect(await harness.refusal('add_init_script')).toBe('Pass either script or remove.');
  });
});

describe('wait_for', () => {
  test('a text that goes, a request that ends, a function that becomes true', async () => {
    await show(`<p id="busy">Loading</p><script>
      setTimeout(async () => { await fetch('/?late'); window.ready = { at: 1 }; busy.remove(); }, 120);</script>`);
    expect(await harness.text('wait_for', { textGone: 'Loading' })).toBe('The page does not show "Loading".');
    expect(await harness.text('wait_for', { request: '?late' })).toMatch(/^Ended: #\d+ GET 200 fetch/);
    expect(await harness.text('wait_for', { function: '() => ready.at' })).toBe('It returned 1.');
  });

  test.each([
    [{ textGone: 'Stays' }, 'did not stop showing "Stays"'],
    [{ request: '/nothing' }, 'No request matched "/nothing"'],
    [{ function: '() => 0' }, 'it returned 0'],
    [{ function: '() => missing.part' }, 'missing is not defined'],
  ])('%j says what was missing at the deadline', async (args, expected) => {
    await show('<p>Stays</p>');
    expect(await harness.refusal('wait_for', { ...args, timeout: 500 })).toContain(expected);
  });

  test('takes exactly one condition', async () => {
    expect(await harness.refusal('wait_for', {})).toBe('Pass one of text, textGone, request, function.');
    expect(await harness.refusal('wait_for', { text: ['a'], textGone: 'b' })).toContain('Pass one of');
  });
});
