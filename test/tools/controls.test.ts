import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { inputTools } from '../../src/tools/inputTools.js';
import { lookTools } from '../../src/tools/lookTools.js';
import { navigationTools } from '../../src/tools/navigationTools.js';
import { servePages } from '../support/servePages.js';
import { startToolHarness, type ToolHarness } from './support/toolHarness.js';

let shown = '';
let site: Awaited<ReturnType<typeof servePages>>;
let harness: ToolHarness;

beforeAll(async () => {
  site = await servePages({ '/': () => [shown] });
  harness = await startToolHarness([...inputTools, ...lookTools, ...navigationTools]);
});

afterAll(async () => {
  await harness.close();
  site.close();
});

/** Shows a page whose scripts write what happens with `log`. */
async function show(body: string): Promise<void> {
  const define = `function define(name, html, mode = 'open') {
    customElements.define(name, class extends HTMLElement {
      constructor() { super(); this.attachShadow({ mode }).innerHTML = html; }
    });
  }`;
  shown = `<!doctype html><meta charset="utf-8"><script>const happened = []; const log = (what) => void happened.push(what); ${define}</script>${body}`;
  await harness.run('navigate_page', { url: site.url });
}

const snapshot = async () => (await harness.text('take_snapshot')).replace(/^.*RootWebArea.*\n/, '');
const lines = async () => (await snapshot()).replace(/uid=e\d+ /g, '').split('\n');

async function uidOf(line: string): Promise<string> {
  const text = await snapshot();
  const uid = text.split('\n').find((candidate) => candidate.includes(line));
  if (uid === undefined) throw new Error(`No ${line} in\n${text}`);
  return /uid=(e\d+)/.exec(uid)?.[1] ?? '';
}

const click = async (line: string) => harness.text('click', { uid: await uidOf(line) });
const fill = async (line: string, value: string) => harness.text('fill', { uid: await uidOf(line), value });
const refusal = async (line: string, value: string) => harness.refusal('fill', { uid: await uidOf(line), value });
const happened = async () =>
  JSON.parse(await harness.text('evaluate_script', { function: '() => happened' })) as unknown[];

describe('components in shadow trees', () => {
  test('a button is reached through the content of its slots, and a real cover is still named', async () => {
    await show(`<script>
      define('open-button', '<button><slot></slot></button>');
      define('closed-button', '<button><slot></slot></button>', 'closed');
      define('named-slot', '<button><span><slot name="label"></slot></span></button>');
      define('nested-button', '<div><open-button><slot></slot></open-button></div>');
      define('layered-button', '<button style="position:relative"><i style="position:absolute;inset:0"></i><slot></slot></button>', 'closed');
      define('empty-part', '<a role="button" tabindex="0"><span><slot name="start"></slot></span><slot></slot></a>', 'closed');
      define('under-cover', '<button><slot></slot></button>');
    </script>
    <open-button onclick="log('open')">Open</open-button>
    <closed-button onclick="log('closed')">Closed</closed-button>
    <closed-button onclick="log('element')"><b>Element</b></closed-button>
    <named-slot onclick="log('named')"><i slot="label">Named</i></named-slot>
    <nested-button onclick="log('nested')">Nested</nested-button>
    <layered-button onclick="log('layered')"><i>Layered</i></layered-button>
    <empty-part onclick="log('part')">Part</empty-part>
    <div style="position:relative;display:inline-block"><under-cover>Under</under-cover><div id="over" style="position:absolute;inset:0"></div></div>`);
    for (const name of ['Open', 'Closed', 'Element', 'Named', 'Nested', 'Layered', 'Part'])
      await click(`button "${name}"`);
    expect(await happened()).toEqual(['open', 'closed', 'element', 'named', 'nested', 'layered', 'part']);
    expect(await harness.refusal('click', { uid: await uidOf('button "Under"') })).toContain(
      'covered by <div id="over">',
    );
  });
});

describe('what can be clicked', () => {
  test('has a line and a uid each: listeners, handlers, the cursor of a link, without text or hidden from the tree', async () => {
    await show(`<div id="root">
      <div id="jack">Jack</div><div id="lucy">Lucy</div>
      <div onclick="log('handler')">Handler</div>
      <div style="cursor:pointer"><span>in</span> <b>parts</b></div>
      <i class="icon trash" style="cursor:pointer;display:inline-block;width:20px;height:20px"></i>
      <span aria-hidden="true" onclick="log('hidden')">Close</span>
      <label style="cursor:pointer"><input type="checkbox"> <span>Seen</span></label>
      <label><input type="checkbox" style="display:none" onchange="log('undrawn')">Undrawn</label>
      <button style="cursor:pointer">Plain <span>button</span></button>
      <div id="list"><div>One</div><div>Two <b>bold</b></div></div>
      <div id="frame"><button>Inner</button><p>Text of it</p></div>
    </div><script>
      for (const id of ['jack', 'lucy']) document.getElementById(id).addEventListener('click', () => log(id));
      document.getElementById('list').addEventListener('click', ({ target }) => log(target.textContent));
      for (const id of ['root', 'frame']) document.getElementById(id).addEventListener('click', () => undefined);
    </script>`);
    expect(await lines()).toEqual([
      ' generic "Jack" clickable',
      ' generic "Lucy" clickable',
      ' generic "Handler" clickable',
      ' generic "in parts" clickable',
      ' generic clickable class="icon trash"',
      ' checkbox "Seen" checked=false',
      ' LabelText "Undrawn" clickable',
      ' button "Plain button"',
      ' generic clickable',
      '  text "One"',
      '  text "Two bold"',
      ' button "Inner"',
      ' paragraph "Text of it"',
      ' generic "Close" clickable',
    ]);
    for (const line of ['"Lucy"', '"Close"', '"Undrawn"', '"Two bold"']) await click(line);
    expect(await happened()).toEqual(['lucy', 'hidden', 'undrawn', 'Two bold']);
  });

  test('a card is clicked beside the button in it', async () => {
    await show(`<div onclick="log(event.target.id)" id="card" style="cursor:pointer;width:200px;height:100px">
      <button id="inner" style="width:200px;height:60px;margin-top:20px">Inner</button></div><div onclick="log('other')">Other</div>`);
    await harness.run('click', { uid: await uidOf('button "Inner"') });
    expect(await happened()).toEqual(['inner']);
  });

  test('the parts of a date field and the popup of a select are no lines of their own', async () => {
    await show('<input type="date" aria-label="Day"><select aria-label="Size"><option>S<option>L</select>');
    expect(await lines()).toEqual([
      ' Date "Day"',
      ' combobox "Size" value="S" expanded=false hasPopup=menu',
      '  option "S" selected',
      '  option "L"',
    ]);
  });
});

test('a canvas has a line with its size, also where nothing can be clicked', async () => {
  await show(
    '<canvas width="400" height="200"></canvas><canvas id="map" style="width:90px;height:30px" onclick="log(1)"></canvas>',
  );
  expect((await lines()).toSorted()).toEqual([' Canvas 400×200', ' Canvas 90×30 clickable id="map"']);
  await harness.run('evaluate_script', { function: `() => { document.getElementById('map').style.width = '120px' }` });
  expect(await lines()).toContain(' Canvas 120×30 clickable id="map"');
});

test('what no click can reach says why: a style that lets it through, the page itself', async () => {
  await show('<button style="pointer-events: none">Through</button>');
  expect(await harness.refusal('click', { uid: await uidOf('"Through"') })).toContain('lets clicks through');
  const root = /uid=(e\d+) RootWebArea/.exec(await harness.text('take_snapshot'))?.[1];
  expect(await harness.refusal('click', { uid: root })).toContain('is the whole page');
});

describe('choices that are hidden behind their looks', () => {
  const hidden = 'position:absolute;width:1px;height:1px;margin:-1px;overflow:hidden;clip:rect(0 0 0 0)';

  test.each([
    ['in its label', `<label><input type="checkbox" style="${hidden}"><span>Choice</span></label>`],
    ['beside its label', `<input type="checkbox" id="of" style="${hidden}"><label for="of">Choice</label>`],
    ['far outside', '<label><input type="checkbox" style="position:absolute;left:-9999px;opacity:0"> Choice</label>'],
    [
      'below the fold',
      `<div style="height:3000px"></div><label><input type="checkbox" style="position:fixed;top:-90px"> Choice</label>`,
    ],
    [
      'under a picture',
      '<span style="position:relative"><input type="checkbox" aria-label="Choice"><i style="position:absolute;inset:0" onclick="this.previousSibling.click()"></i></span>',
    ],
    [
      'beside a track',
      `<span style="display:inline-block;width:40px;height:20px" onclick="this.firstChild.click()"><input type="checkbox" aria-label="Choice" style="${hidden}" onclick="event.stopPropagation()"></span>`,
    ],
    [
      'for the keyboard alone',
      `<p>Some text</p><span><input type="checkbox" aria-label="Choice" style="${hidden}"></span>`,
    ],
  ])('%s', async (_, html) => {
    await show(
      `${html}<script>document.querySelector('input').addEventListener('change', ({ target }) => log(target.checked))</script>`,
    );
    expect(await fill('checkbox "Choice"', 'true')).toMatch(/^Filled e\d+\.$/);
    await fill('checkbox "Choice"', 'true');
    await click('checkbox "Choice"');
    expect(await happened()).toEqual([true, false]);
  });

  test('stars each have their own label', async () => {
    const star = (n: number) =>
      `<input type="radio" name="stars" id="s${n}" style="${hidden}" onchange="log(${n})"><label for="s${n}" title="${n} stars">★</label>`;
    await show(`<fieldset>${[1, 2, 3].map(star).join('')}</fieldset>`);
    const radios = (await snapshot()).split('\n').filter((line) => line.includes(' radio '));
    await harness.run('click', { uid: /uid=(e\d+)/.exec(radios[1] ?? '')?.[1] });
    expect(await happened()).toEqual([2]);
  });

  test('one below an overlay stays out of reach', async () => {
    await show(
      `<label><input type="checkbox" style="${hidden}">Choice</label><div id="modal" style="position:fixed;inset:0"></div>`,
    );
    expect(await harness.refusal('click', { uid: await uidOf('checkbox "Choice"') })).toContain(
      'covered by <div id="modal">',
    );
  });
});

describe('lists of options', () => {
  test('a select is filled by what a reader sees, and what cannot be chosen is said', async () => {
    await show(`<select aria-label="One" onchange="log(this.value)">
      <option value="a">Red&nbsp; apple<option value="b" disabled>Gone<option value="c">Twin<option value="d">Twin</select>
    <select multiple aria-label="Many" onchange="log([...this.selectedOptions].map((option) => option.value).join('+'))">
      <option>A<option>B<option>C, D</select>`);
    await fill('combobox "One"', 'Red apple');
    await fill('combobox "One"', 'd');
    for (const value of ['A, B', '["B", "C, D"]', 'C, D', '']) await fill('listbox "Many"', value);
    expect(await happened()).toEqual(['a', 'd', 'A+B', 'B+C, D', 'C, D', '']);
    expect(await refusal('combobox "One"', 'Gone')).toContain(
      'has the option "Gone", which is disabled. Its options: "Red apple"',
    );
    expect(await refusal('combobox "One"', 'Twin')).toContain(
      'has 2 options "Twin". Fill it with the value of one: "c", "d"',
    );
  });

  test('a list of its own is opened, and its option clicked', async () => {
    await show(`<div role="combobox" tabindex="0" aria-label="Fruit" aria-expanded="false" aria-controls="fruit"
        onclick="list.hidden = false; this.setAttribute('aria-expanded', 'true')">…</div>
      <ul role="listbox" id="fruit" hidden><li role="option" onclick="log('lemon')">Lemon<li role="option">Lime</ul>
      <button aria-haspopup="listbox" aria-label="Nut" onclick="setTimeout(() => (late.hidden = false), 100)">…</button>
      <div id="late" hidden><div role="option" onclick="log('pecan')">Pecan</div></div>
      <script>const list = document.getElementById('fruit'); const late = document.getElementById('late');</script>`);
    await fill('combobox "Fruit"', 'Lemon');
    expect(await refusal('combobox "Fruit"', 'Melon')).toContain('shows no option "Melon". It shows: "Lemon", "Lime".');
    await harness.run('evaluate_script', { function: '() => { list.hidden = true }' });
    await fill('button "Nut"', 'pecan');
    expect(await happened()).toEqual(['lemon', 'pecan']);
  });

  test('a typed text that one of the shown options has chooses it, but not in a search', async () => {
    const field = (
      name: string,
      more = '',
    ) => `<input role="combobox" aria-label="${name}" aria-autocomplete="list" ${more}
      oninput="this.nextElementSibling.hidden = false"><div role="listbox" hidden><div role="option" onclick="log('${name}')">Rome</div></div>`;
    await show(`${field('City')}<div role="search">${field('Query')}</div>`);
    await fill('combobox "City"', 'Rome');
    await harness.run('evaluate_script', { function: '() => document.querySelector("[role=listbox]").remove()' });
    await fill('combobox "Query"', 'Rome');
    expect(await happened()).toEqual(['City']);
  });

  test('an option for screen readers alone is clicked where it is drawn', async () => {
    await show(`<div role="listbox" style="height:0;width:0;overflow:hidden"><div role="option">Large</div></div>
      <div class="drawn" onclick="log('large')"><div>Large</div></div>`);
    await click('option "Large"');
    expect(await happened()).toEqual(['large']);
  });
});

describe('what a pointer has to be led to is clicked', () => {
  test.each([
    [
      'under a header that stays',
      '<header style="position: fixed; inset: 0 0 auto; height: 50vh; background: silver"></header><div style="height: 3000px"></div><button onclick="log(1)">Act</button><div style="height: 3000px"></div><script>scrollTo(0, 2900)</script>',
    ],
    [
      'moved by a style without an end',
      '<style>@keyframes beat { 50% { transform: scale(1.2) } }</style><button style="animation: beat 1s infinite" onclick="log(1)">Act</button>',
    ],
    ['without a box of its own', '<button style="display: contents" onclick="log(1)">Act</button>'],
    [
      'a part of a picture',
      '<img src="data:image/svg+xml,%3Csvg xmlns=%22http://www.w3.org/2000/svg%22 width=%2290%22 height=%2290%22/%3E" usemap="#map" alt="Map"><map name="map"><area shape="rect" coords="0,0,40,40" href="#" onclick="log(1)" alt="Act"></map>',
    ],
  ])('%s', async (_where, body) => {
    await show(body);
    await click('"Act"');
    expect(await happened()).toEqual([1]);
  });
});

test('a slider that is no field is set by its keys; one that they do not move names the way', async () => {
  const slider = (label: string, more: string) =>
    `<div role="slider" tabindex="0" aria-label="${label}" aria-valuenow="2" ${more}>x</div>`;
  const move = `onkeydown="this.ariaValueNow = Number(this.ariaValueNow) + 2 * ((event.key === 'ArrowRight') - (event.key === 'ArrowLeft'))"`;
  await show(slider('Loudness', move) + slider('Fixed', ''));
  expect(await fill('"Loudness"', '8')).toMatch(/^Filled e\d+\.$/);
  expect(await fill('"Loudness"', '3')).toContain('now holds');
  expect(await refusal('"Fixed"', '5')).toContain('stays at 2: the arrow keys do not change it further');
  expect(await refusal('"Fixed"', 'loud')).toContain('takes a number');
});

test('line ends stay as they are in editors with and without paragraphs', async () => {
  const text = 'first\n\nthird';
  await show(`<div contenteditable="plaintext-only" role="textbox" aria-label="Plain"></div>
    <div contenteditable role="textbox" aria-label="Rich"><p>old</p></div>`);
  for (const time of ['once', 'again']) {
    expect([time, await fill('"Plain"', text), await fill('"Rich"', text)]).toEqual([
      time,
      expect.stringMatching(/^Filled e\d+\.$/),
      expect.stringMatching(/^Filled e\d+\.$/),
    ]);
  }
  const held = await harness.text('evaluate_script', {
    function: `() => [...document.querySelectorAll('[role=textbox]')].map((editor) => editor.innerText.trimEnd())`,
  });
  expect(JSON.parse(held)).toEqual([text, 'first\n\n\n\n\nthird']);
});

test('fill_form says what was filled before a field failed, and fills nothing for a uid that is none', async () => {
  await show(
    '<input aria-label="First"><div role="textbox" tabindex="0" aria-label="Second">fixed</div><input aria-label="Third">',
  );
  const [first, second, third] = [await uidOf('"First"'), await uidOf('"Second"'), await uidOf('"Third"')];
  const form = (...uids: readonly (string | undefined)[]) =>
    harness.refusal('fill_form', { elements: uids.map((uid) => ({ uid, value: 'x' })) });
  const values = () =>
    harness.text('evaluate_script', {
      function: '() => [...document.querySelectorAll("input")].map((field) => field.value)',
    });
  expect(await form(first, 'e9999')).toContain('No element has the uid "e9999"');
  expect(JSON.parse(await values())).toEqual(['', '']);
  const text = await form(first, second, third);
  expect(text).toContain(`uid ${second} takes no text`);
  expect(text).toContain(`Filled: ${first}; not tried: ${third}.`);
});

describe('texts as a reader sees them', () => {
  test.each([
    [
      'in a closed shadow tree',
      `<x-closed></x-closed><script>define('x-closed', '<p>All <b>saved</b></p>', 'closed')</script>`,
      'All saved',
    ],
    ['in an open one', `<x-open></x-open><script>define('x-open', '<p>All saved</p>')</script>`, 'All saved'],
    ['with soft hyphens', '<p>Donau&shy;dampf&shy;schiff</p>', 'Donaudampfschiff'],
    ['with direction marks', '<p>a\u200fb\u202c</p>', 'ab'],
    ['in another case, as it is shown', '<p style="text-transform:uppercase">Saved</p>', 'SAVED'],
    ['in another case, as it is written', '<p style="text-transform:uppercase">Saved</p>', 'Saved'],
    ['in composed characters', '<p>cafe\u0301</p>', 'café'],
  ])('wait_for finds one %s', async (_, html, text) => {
    await show(html);
    expect(await harness.text('wait_for', { text: [text], timeout: 30_000 })).toContain(JSON.stringify(text));
  });

  test('another case is no match of its own', async () => {
    await show('<p>saved</p>');
    expect(await harness.refusal('wait_for', { text: ['Saved'], timeout: 100 })).toContain('Saved');
  });

  test('the snapshot writes what would reorder a line as an escape, and is searched by script', async () => {
    await show('<p>\u202eabc</p><p>שלום soft&shy;ware</p>');
    expect(await snapshot()).toContain('paragraph "\\u202eabc"');
    expect(await harness.text('find_in_snapshot', { regex: '\\p{Script=Hebrew}+' })).toContain('שלום');
    expect(await harness.text('find_in_snapshot', { text: 'software' })).toContain('1 match');
  });
});
