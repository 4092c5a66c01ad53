import { createServer, type Server } from 'node:http';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { extensionTools } from '../../src/tools/allTools.js';
import { navigationTools } from '../../src/tools/navigationTools.js';
import { styleTools } from '../../src/tools/styleTools.js';
import { startToolHarness, type ToolHarness } from '../tools/support/toolHarness.js';
import { compiledSheet, compiledStyles, listenerPage, oddStyles, plainStyles, sheet } from './stylePages.js';

let harness: ToolHarness;
let server: Server;
let url: string;

const files: Record<string, [type: string, text: string]> = {
  '/plain.html': ['text/html', plainStyles],
  '/odd.html': ['text/html', oddStyles],
  '/compiled.html': ['text/html', compiledStyles],
  '/compiled.css': ['text/css', compiledSheet],
  '/app.css': ['text/css', sheet],
  '/listeners.html': ['text/html', listenerPage],
};

beforeAll(async () => {
  server = createServer((request, response) => {
    const [type, text] = files[request.url ?? ''] ?? ['text/plain', ''];
    response.writeHead(200, { 'content-type': `${type}; charset=utf-8` }).end(text);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  harness = await startToolHarness([...styleTools, ...navigationTools, ...extensionTools]);
});

afterAll(async () => {
  await harness.close();
  server.close();
  server.closeAllConnections();
});

const ask = (args: Record<string, unknown>): Promise<string> => harness.text('get_element_styles', args);

/** The lines about one property, without the element. */
async function origin(selector: string, property: string, more: Record<string, unknown> = {}): Promise<string[]> {
  const text = await ask({ selector, properties: [property], ...more });
  return text
    .split('\n')
    .slice(1)
    .map((line) => line.trim());
}

describe('on a page with layers, nesting, shadow trees and style sheets of every kind', () => {
  beforeAll(() => harness.run('navigate_page', { url: `${url}/plain.html` }));

  test.each<[selector: string, property: string, lines: string[]]>([
    [
      '#save',
      'color',
      [
        'color: rgb(128, 0, 128)',
        'set by style attribute color: purple',
        'over .btn { color: red } · /app.css:3 · 0,1,0 · @layer theme: the style attribute wins over rules',
        'over .btn { color: green } · /app.css:6 · 0,1,0 · @layer base: the style attribute wins over rules',
      ],
    ],
    [
      '#save',
      'border-top-width',
      [
        'border-top-width: 2px',
        'set by .btn { border: 2px solid black !important } · /app.css:6 · 0,1,0 · @layer base',
        'over #save { border: 1px dotted blue } · /app.css:9 · 1,0,0: it is not !important',
      ],
    ],
    [
      '#save',
      'padding-top',
      [
        'padding-top: 6px',
        'set by .btn { padding: var(--gap) 4px } · /app.css:8 · 0,1,0',
        '--gap: 6px',
        'inherited from <html>: :root { --gap: 6px } · /app.css:10 · 0,1,0',
      ],
    ],
    [
      '#save',
      'margin-inline-start',
      [
        'margin-inline-start: 2px',
        'set by .card .btn:has(b) { margin-left: 2px } · /app.css:14 · 0,2,1',
        'over & .btn { margin-inline-start: 7px } · /app.css:13 · 0,2,0 · @media (min-width: 100px) · ' +
          '@supports (display: grid) · within .card: its specificity 0,2,0 is less than 0,2,1',
      ],
    ],
    [
      '#save',
      'outline-width',
      ['outline-width: 3px', 'set by :is(#nope, .btn) { outline: 3px solid red } · /app.css:16 · 1,0,0'],
    ],
    [
      '#inner',
      'color',
      [
        'color: rgb(0, 0, 255)',
        'set by x-tag::part(para) { color: blue } · <style> made by a script, line 1 · 0,0,2',
        'over p { color: orange } · /plain.html:18, in the shadow tree of <x-tag> · 0,0,1: styles of the outer tree win ' +
          'over those of a shadow tree',
      ],
    ],
    [
      '#inner',
      'border-top-width',
      [
        'border-top-width: 1px',
        'set by p { border: 1px solid red } · constructed style sheet (adoptedStyleSheets), line 1, in the shadow tree of <x-tag> · 0,0,1',
      ],
    ],
    [
      'x-tag',
      'color',
      [
        'color: rgb(255, 0, 0)',
        'set by :host { color: red !important } · /plain.html:18, in the shadow tree of <x-tag> · 0,1,0',
        'over x-tag { color: black !important } · <style> made by a script, line 1 · 0,0,1: for !important the inner tree wins',
      ],
    ],
    [
      '#slotted',
      'font-size',
      [
        'font-size: 10px',
        'inherited from <x-tag>: x-tag { font-size: 10px } · <style> made by a script, line 1 · 0,0,1',
      ],
    ],
  ])('%s has its %s from the rule that wins, with file and line', async (selector, property, lines) => {
    expect(await origin(selector, property)).toEqual(lines);
  });

  test('hovered, the rules of :hover count, also those of an ancestor; afterwards no longer', async () => {
    const hovered = await origin('#save', 'background-color', { states: ['hover'] });
    expect(hovered.slice(0, 2)).toEqual([
      'background-color: rgb(255, 215, 0)',
      'set by .card:hover .btn { background: gold } · /app.css:11 · 0,3,0',
    ]);
    expect((await origin('#save', 'background-color'))[0]).toBe('background-color: rgb(0, 0, 128)');
  });

  test('the whole of an element: rules in order, what is not used and why, box, fonts', async () => {
    const { text, structured } = await harness.run('get_element_styles', { selector: '#save', limit: 4 });
    expect(text).toContain('margin 0 0 0 2; border 2; padding 6 4 6 4; display inline-block');
    expect(text).toMatch(/Fonts: .+ \(\d+ glyphs\)/);
    expect(text).toContain('Rules, strongest first (page 1 of 2, 8 in all):\nstyle attribute\n  color: purple\n');
    expect(text).toContain('  colr: red — not used: no such property\n  width: 12foo — not used: invalid value');
    expect(text).toContain('Pseudo-elements with rules (pass pseudo): ::before');
    expect(structured).toMatchObject({ total: 8, element: '<button id="save" class="btn primary">' });
    const next = await ask({ selector: '#save', limit: 4, page: 2 });
    expect(next).toContain('color: red — overridden by style attribute: the style attribute wins over rules');
    const before = await ask({ selector: '#save', pseudo: '::before' });
    expect(before).toContain(".btn::before · /app.css:15 · 0,1,1\n  content: '>'");
  });

  test('what covers an element, and that its z-index does nothing', async () => {
    const text = await ask({ selector: '#link' });
    expect(text).toContain(
      'A click does not land: it is covered by <div class="over"> (position: absolute, z-index: 4)',
    );
    expect(text).toContain(
      'z-index: 5 has no effect, since position is static; within that of <div class="wrap"> (transform: ',
    );
  });

  test.each<[Record<string, unknown>, string]>([
    [{}, 'Pass either uid or selector.'],
    [{ selector: '##' }, '"##" is no CSS selector.'],
    [{ selector: '#none' }, 'No element matches "#none"'],
    [{ selector: '#save', properties: ['colr'] }, '"colr" is no CSS property that this browser knows.'],
    [{ selector: '#save', pseudo: 'after' }, 'No rule styles ::after of this element. Those with rules: ::before.'],
  ])('%j is refused with what is wrong', async (args, message) => {
    expect(await harness.refusal('get_element_styles', args)).toContain(message);
  });
});

describe('on a page with what is rare', () => {
  beforeAll(() => harness.run('navigate_page', { url: `${url}/odd.html` }));

  test.each<[selector: string, property: string, lines: string[]]>([
    [
      '#anim',
      'opacity',
      [
        'opacity: 0.2',
        'set by animation pulse opacity: 0.2',
        'over #anim { opacity: 1 } · /odd.html:4 · 1,0,0: the animation wins over the page',
      ],
    ],
    [
      '#scoped',
      'color',
      [
        'color: rgb(255, 0, 0)',
        'set by p { color: red } · /odd.html:5 · 0,0,1 · @scope (.near)',
        'over p { color: blue } · /odd.html:6 · 0,0,1 · @scope (.far): equal specificity, and it comes earlier',
      ],
    ],
    [
      '#back',
      'color',
      [
        'color: rgb(255, 0, 0)',
        'set by #back { color: red } · /odd.html:7 · 1,0,0 · @layer one',
        'rolled back by #back { color: revert-layer } · /odd.html:8 · 1,0,0 · @layer two',
      ],
    ],
    [
      '#urgent',
      'color',
      [
        'color: rgb(0, 0, 0)',
        'nothing declares it: the initial value',
        'rolled back by #urgent { color: revert-layer !important } · /odd.html:8 · 1,0,0 · @layer two',
      ],
    ],
    [
      '#anonymous',
      'color',
      [
        'color: rgb(255, 0, 0)',
        'set by #anonymous { color: red !important } · /odd.html:9 · 1,0,0 · @layer (anonymous)',
        'over #anonymous { color: blue !important } · /odd.html:9 · 1,0,0 · @layer (anonymous): for !important the earlier layer wins',
      ],
    ],
    [
      '#upright',
      'margin-top',
      [
        'margin-top: 5px',
        'set by #upright { margin-top: 5px } · /odd.html:11 · 1,0,0',
        'over #upright { margin-inline-start: 4px } · /odd.html:11 · 1,0,0: declared again in the same rule',
      ],
    ],
    [
      '#upright',
      'width',
      [
        'width: 30px',
        'set by #upright { width: 30px } · /odd.html:11 · 1,0,0',
        'over #upright { block-size: 20px } · /odd.html:11 · 1,0,0: declared again in the same rule',
      ],
    ],
    [
      '#asks',
      'color',
      [
        'color: rgb(0, 128, 128)',
        'inherited from <div>: style attribute color: teal',
        'as asked by #asks { color: inherit } · /odd.html:12 · 1,0,0',
      ],
    ],
    [
      '#unset',
      'top',
      [
        'top: auto',
        'nothing declares it: the initial value',
        'rolled back by #unset { all: revert } · /odd.html:13 · 1,0,0',
      ],
    ],
    ['#child', '--size', ['--size: 3px', 'nothing declares it: the initial value']],
    [
      '#child',
      'top',
      [
        'top: auto',
        'set by #child { top: var(--missing) } · /odd.html:16 · 1,0,0',
        '--missing: (no value)',
        'nothing declares it: it is not set',
      ],
    ],
    ['#bounded', 'width', ['width: 70px', 'set by style attribute width: 90px', 'max-width: 70px bounds it']],
    ['#hint', 'width', ['width: 50px', 'set by attributes of the element width: 50px']],
    ['#framed', 'color', ['color: rgb(255, 0, 0)', 'set by b { color: red } · about:srcdoc:1 · 0,0,1']],
  ])('%s has its %s from what the cascade chooses', async (selector, property, lines) => {
    expect(await origin(selector, property)).toEqual(lines);
  });

  test.each([
    ['#hidden', 'Not seen: display: none of <div id="none">'],
    ['#clipped', 'Not seen: it is outside of <div class="small">, which has overflow: hidden'],
    ['#folded', 'Not seen: it is in the closed <details>: open that by its summary'],
    ['#inert', 'A click does not land: it is inert, through <div id="bg">'],
    ['#cut', 'A click does not land: it is cut away by clip-path: inset(100%)'],
    ['#grouped', 'A click does not land: it is disabled, through <fieldset>'],
    ['#fixed', 'Fixed within <div id="turned"> (transform: matrix(1, 0, 0, 1, 0, 0)), not the viewport'],
    ['#shrunk', 'width: 400px — flex shrank it in <div id="row"> (flex: 0 1 auto)'],
    ['#based', 'flex-basis: 0px counts in its place, and flex sized it in <div id="share"> (flex: 1 1 0px)'],
  ])('why %s cannot be seen, clicked, or is not where or as big as declared', async (selector, line) => {
    expect(await ask({ selector })).toContain(line);
  });

  test.each([
    ['.in', '::placeholder', 'color', ['.in::placeholder { color: lime !important }', 'over input::placeholder']],
    ['.in', '::-webkit-input-placeholder', 'color', ['.in::placeholder { color: lime !important }']],
    ['[type=range]', '::-webkit-slider-thumb', 'top', ['input::-webkit-slider-thumb { top: 3px }']],
    ['[type=file]', '::file-selector-button', 'top', ['input::file-selector-button { top: 4px }']],
  ])('of a control, %s%s is told with its rules', async (selector, pseudo, property, texts) => {
    const lines = (await origin(selector, property, { pseudo })).join('\n');
    for (const text of texts) expect(lines).toContain(text);
  });

  test('the parts of a control that the page styles are listed, and named where one is not styled', async () => {
    expect(await ask({ selector: '[type=range]' })).toContain('(pass pseudo): ::-webkit-slider-thumb');
    expect(await harness.refusal('get_element_styles', { selector: '.in', pseudo: 'marker' })).toContain(
      'Those with rules: ::placeholder.',
    );
  });

  test('a custom property that nothing sets, and attributes that give way to rules', async () => {
    const cell = await ask({ selector: '#cell' });
    expect(cell).toContain('color: var(--nowhere) — --nowhere is not set, so the inherited or initial value counts');
    expect(cell).toContain('width: var(--size)\n');
    expect(cell).toMatch(/background-color: rgb\(255, 0, 0\) — overridden by .+: rules win over attributes/);
  });

  test('rules by the thousand that all match are refused before the page is busy with them', async () => {
    const rules = Array.from({ length: 5_000 }, (_, at) => `div:not(.x${at}) { top: 1px }`).join('');
    await harness.browser.page().page.addStyleTag({ content: rules });
    expect(await harness.refusal('get_element_styles', { selector: '#hidden' })).toContain('So many rules match');
  });
});

test('rules of style sheets with a source map are told in the files that they were made from', async () => {
  await harness.run('navigate_page', { url: `${url}/compiled.html` });
  expect(await origin('.btn', 'color')).toEqual([
    'color: rgb(128, 128, 128)',
    'set by .panel .btn { color: gray } · src/_panel.scss:2 (/compiled.css:2) · 0,2,0',
    'over .btn { color: red } · src/_button.scss:3 (/compiled.css:1) · 0,1,0: its specificity 0,1,0 is less than 0,2,0',
  ]);
  expect((await origin('.btn', 'top'))[1]).toContain('· src/Save.vue:2 (<style> made by a script, line 1)');
});

describe('listeners', () => {
  beforeAll(() => harness.run('navigate_page', { url: `${url}/listeners.html` }));
  const list = async (args: Record<string, unknown>) =>
    (await harness.text('list_event_listeners', args)).replaceAll(`${url}/listeners.html`, '').split('\n');

  test('of an element and all that its events pass, with options and places', async () => {
    expect(await list({ selector: '#save' })).toEqual([
      'An event at <button id="save"> reaches:',
      '<button id="save">',
      '  click (capture, once) · :4:62 · function onSave(event) { return 1; }',
      '  click · :2:45 · function onclick(event) { hi() }',
      '  click · :4:62 · function onSave(event) { return 1; }',
      '<div id="root">',
      '  touchstart (passive) × 5 · :8:68 · () => at',
      'document',
      '  keydown · :9:52 · function onKey() {}',
      'window',
      '  resize · :10:19 · () => 3',
    ]);
  });

  test('within a shadow tree, its root counts too; asked for types, only those', async () => {
    expect(await list({ selector: '#inner', types: ['mouseup', 'click'] })).toEqual([
      'An event at <a id="inner"> reaches:',
      '<a id="inner">',
      '  mouseup · :14:55 · () => 0',
      'shadow root of <x-tag>',
      expect.stringMatching(/^ {2}click · :13:/),
    ]);
    expect((await list({ selector: '#inner', types: ['focus'] })).at(-1)).toBe(
      'None of these. There are: mouseup, click, keydown, resize',
    );
  });
});

test('a rule that an extension injects is told with its name and file', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'painter-'));
  const manifest = {
    ...{ manifest_version: 3, name: 'Painter', version: '1' },
    content_scripts: [{ matches: ['http://*/*'], css: ['paint.css'] }],
  };
  await writeFile(join(folder, 'manifest.json'), JSON.stringify(manifest));
  await writeFile(join(folder, 'paint.css'), 'i { top: 0 }\n\n#link { color: gold !important }');
  await harness.run('install_extension', { path: folder }, { workspace: [folder] });
  await harness.run('navigate_page', { url: `${url}/plain.html` });
  expect(await origin('#link', 'color')).toEqual([
    'color: rgb(255, 215, 0)',
    expect.stringMatching(
      /^set by #link \{ color: gold !important \} · extension [a-p]{32} \(Painter\), paint\.css:3 · 1,0,0$/,
    ),
  ]);
  await rm(folder, { recursive: true });
});
