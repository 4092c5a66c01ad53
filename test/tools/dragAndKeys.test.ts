import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { inputTools } from '../../src/tools/inputTools.js';
import { lookTools } from '../../src/tools/lookTools.js';
import { navigationTools } from '../../src/tools/navigationTools.js';
import { servePages } from '../support/servePages.js';
import { startToolHarness, type ToolHarness } from './support/toolHarness.js';

let shown = '';
let framed = '';
let site: Awaited<ReturnType<typeof servePages>>;
let harness: ToolHarness;
const otherSite = createServer((_, response) => void response.setHeader('content-type', 'text/html').end(framed));

beforeAll(async () => {
  await new Promise<void>((resolve) => otherSite.listen(0, '127.0.0.1', resolve));
  site = await servePages({ '/': () => [shown], '/inner': () => [framed] });
  harness = await startToolHarness([...inputTools, ...lookTools, ...navigationTools]);
});

afterAll(async () => {
  await harness.close();
  site.close();
  otherSite.close();
});

const script = `<!doctype html><style>#from, #to { width: 60px; height: 40px; background: silver; margin: 8px }</style>
  <script>const happened = []; const log = (what) => void happened.push(what);</script>`;
const happened = async () =>
  JSON.parse(await harness.text('evaluate_script', { function: '() => happened' })) as unknown[];

async function show(body: string): Promise<void> {
  shown = script + body;
  await harness.run('navigate_page', { url: site.url });
}

async function uidOf(name: string): Promise<string> {
  const text = await harness.text('take_snapshot');
  const line = text.split('\n').find((candidate) => candidate.includes(`"${name}"`));
  if (line === undefined) throw new Error(`No ${name} in\n${text}`);
  return /uid=(e\d+)/.exec(line)?.[1] ?? '';
}

const dragArgs = async () => ({ from_uid: await uidOf('From'), to_uid: await uidOf('To') });

/** A sorter that listens to these events, and begins when `begins` says so. */
const sorter = (
  events: 'mouse' | 'pointer' | 'touch',
  begins: string,
) => `<div id="from">From</div><div id="to">To</div><script>
  const [down, move, up] = { mouse: ['mousedown', 'mousemove', 'mouseup'], pointer: ['pointerdown', 'pointermove', 'pointerup'],
    touch: ['touchstart', 'touchmove', 'touchend'] }['${events}'];
  let start; let moves = 0; let dragging = false;
  const at = (event) => event.touches?.[0] ?? event.changedTouches?.[0] ?? event;
  from.addEventListener(down, (event) => { start = { x: at(event).clientX, y: at(event).clientY, time: event.timeStamp }; moves = 0; });
  document.addEventListener(move, (event) => {
    if (!start) return;
    moves++;
    const far = Math.hypot(at(event).clientX - start.x, at(event).clientY - start.y);
    const rested = event.timeStamp - start.time;
    if (!dragging && !(${begins})) { if (moves === 1 && ${JSON.stringify(begins)}.includes('rested')) start = undefined; return; }
    dragging = true;
    from.style.transform = 'translateY(' + (at(event).clientY - start.y) + 'px)';
  });
  document.addEventListener(up, (event) => {
    const over = document.elementsFromPoint(at(event).clientX, at(event).clientY).includes(to);
    if (dragging && over) log('dropped');
    dragging = false; start = undefined;
  });
</script>`;

describe('drag', () => {
  test.each([
    ['at once', 'mouse', 'true'],
    ['after 15 pixels', 'pointer', 'far > 15'],
    ['after three moves', 'mouse', 'moves >= 3'],
    ['after a rest of 250 ms', 'pointer', 'rested > 250'],
    ['after a rest of a second', 'pointer', 'rested > 1000'],
    ['by touch', 'touch', 'far > 5'],
  ] as const)('a sorter that begins %s', async (_, events, begins) => {
    await show(sorter(events, begins));
    await harness.run('drag', await dragArgs());
    expect(await happened()).toEqual(['dropped']);
  });

  test('HTML drag and drop carries its data, tells its source of the end, and says what does not take it', async () => {
    await show(`<div id="from" draggable="true" title="From" ondragstart="event.dataTransfer.setData('text', 'gift')"
        ondragend="log('end ' + event.dataTransfer.dropEffect)"></div>
      <div id="to" ondragover="event.preventDefault()" ondrop="event.preventDefault(); log(event.dataTransfer.getData('text'))">To</div>
      <p>Elsewhere</p>`);
    await harness.run('drag', await dragArgs());
    expect(await happened()).toEqual(['gift', 'end copy']);
    const refusal = await harness.refusal('drag', { from_uid: await uidOf('From'), to_uid: await uidOf('Elsewhere') });
    expect(refusal).toContain('does not take it');
  });

  test('scrolls to what is farther than the window is high', async () => {
    await show(sorter('pointer', 'far > 5').replace('<div id="to">', '<div style="height:3000px"></div><div id="to">'));
    await harness.run('drag', await dragArgs());
    expect(await happened()).toEqual(['dropped']);
  });

  test.each([
    ['of the same site', () => `${site.url}/inner`],
    ['of another site', () => `http://localhost:${(otherSite.address() as AddressInfo).port}/`],
  ])('goes out of a frame %s', async (_, address) => {
    framed = `${script}<div id="from" draggable="true" title="From" ondragstart="event.dataTransfer.setData('text', 'out')"></div>`;
    await show(`<iframe src="${address()}"></iframe>
      <div id="to" ondragover="event.preventDefault()" ondrop="event.preventDefault(); log(event.dataTransfer.getData('text'))">To</div>`);
    await harness.run('drag', await dragArgs());
    expect(await happened()).toEqual(['out']);
  });

  test('is no success when nothing reacted', async () => {
    for (const style of ['', 'style="touch-action: none"']) {
      await show(`<div id="from" ${style}>From</div><div id="to">To</div>`);
      expect(await harness.refusal('drag', await dragArgs())).toContain('Nothing on the page reacted');
    }
  });
});

describe('keys', () => {
  beforeAll(async () => {
    await show(`<input autofocus><script>
      const modifiers = ['ctrl', 'alt', 'meta', 'shift'];
      document.addEventListener('keydown', (event) => {
        if (['Control', 'Alt', 'Meta', 'Shift'].includes(event.key)) return;
        log([event.key, ...modifiers.filter((name) => event[name + 'Key'])].join(' '));
      });</script>`);
  });

  test.each([
    ['Ctrl+A', 'a ctrl'],
    ['ctrl-shift-k', 'K ctrl shift'],
    ['Control+K', 'k ctrl'],
    ['Cmd+Enter', 'Enter meta'],
    ['⌘K', 'k meta'],
    ['Mod + B', 'b ctrl'],
    ['option+x', 'x alt'],
    ['enter', 'Enter'],
    ['RETURN', 'Enter'],
    ['esc', 'Escape'],
    ['space', ' '],
    ['down', 'ArrowDown'],
    ['arrowleft', 'ArrowLeft'],
    ['PgDn', 'PageDown'],
    ['del', 'Delete'],
    ['f2', 'F2'],
    ['é', 'é'],
    ['ß', 'ß'],
    ['+', '+'],
    ['Control++', '+ ctrl'],
    ['-', '-'],
  ])('press_key knows %s', async (key, pressed) => {
    await harness.run('evaluate_script', { function: '() => void happened.splice(0)' });
    await harness.run('press_key', { key });
    expect(await happened()).toEqual([pressed]);
  });

  test('a character without a key is typed', async () => {
    await show('<input autofocus>');
    for (const key of ['é', 'ß', '你']) await harness.run('press_key', { key });
    expect(await harness.text('evaluate_script', { function: '() => document.querySelector("input").value' })).toBe(
      '"éß你"',
    );
  });

  test.each([
    ['F5', 'navigate_page {"reload":true}'],
    ['Ctrl+T', 'new_page'],
    ['Alt+Left', 'navigate_page_history'],
    ['Ctrl+F', 'find_in_snapshot'],
    ['Control+Shift+Y', 'fire_extension_event'],
  ])('the answer to %s says that the browser does nothing on it', async (key, use) => {
    const text = await harness.text('press_key', { key });
    expect(text).toContain('Only the page got it');
    expect(text).toContain(use);
  });
});
