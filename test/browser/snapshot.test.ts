import { afterAll, afterEach, beforeAll, expect, jest, test } from '@jest/globals';
import { startPageServer, type PageServer } from '../../src/selftest/pageServer.js';
import { inputTools } from '../../src/tools/inputTools.js';
import { lookTools } from '../../src/tools/lookTools.js';
import { navigationTools } from '../../src/tools/navigationTools.js';
import { startToolHarness, type ToolHarness } from '../tools/support/toolHarness.js';

let pages: PageServer;
let harness: ToolHarness;

beforeAll(async () => {
  [pages, harness] = await Promise.all([
    startPageServer(),
    startToolHarness([...inputTools, ...lookTools, ...navigationTools]),
  ]);
});

afterEach(() => void jest.restoreAllMocks());

afterAll(async () => {
  await harness.close();
  await pages.close();
});

const open = (path: string) => harness.run('navigate_page', { url: path.startsWith('/') ? pages.url + path : path });
const snapshot = (args = {}) => harness.text('take_snapshot', args);
const withoutUids = (text: string) => text.replace(/uid=e\d+ /g, '');
const uidOf = (text: string, line: string) => new RegExp(`uid=(e\\d+) ${line}`).exec(text)?.[1];

test('a line a node: structure that says nothing of its own is folded, text is not repeated, hidden parts are left out', async () => {
  await open('/look.html');
  expect(withoutUids(await snapshot())).toBe(
    `RootWebArea "Look" focused
 heading "Fruit" level=1
 paragraph "Fresh today only"
 list
  listitem "Apple"
  listitem
   text "Pear"
   link "more"
 button "Menu" expanded=false
 button "Close"
 textbox "Search" value="plum" required
 Iframe "Inner"
  RootWebArea "Settled"
   heading "Arrived" level=1
   paragraph "rendered on load"`,
  );
});

test('entries of tables and lists that take clicks are targets also around others; what only collects clicks is none', async () => {
  const body = `<table><tr class=on><th class=on>Name <input aria-label=Filter><th>Age<tr class=on><td>Ada<td><button>Edit</button></table>
    <ul><li class=on>One <button>More</button><li>Two <a href=x>x</a></ul><div class=on><p>Text</p><button>Go</button></div>
    <script>for (const each of document.querySelectorAll('.on')) each.addEventListener('click', () => 0)</script>`;
  await open(`data:text/html,${encodeURIComponent(body)}`);
  const lines = withoutUids(await snapshot()).split('\n');
  expect(lines.filter((line) => line.includes('clickable')).map((line) => line.trim())).toEqual([
    'row clickable',
    'columnheader clickable',
    'row clickable: "Ada", button "Edit"',
    'listitem clickable',
  ]);
});

test('what names a group, a table or a figure is told with it alone', async () => {
  const parts = [
    '<fieldset><legend>Size</legend><input type=radio aria-label=S></fieldset>',
    '<table><caption>Prices</caption><tr><th>Tea<td>2</table>',
    '<fieldset><legend><button>Pick</button></legend></fieldset>',
  ];
  await open(`data:text/html,${encodeURIComponent(parts.join(''))}`);
  expect(withoutUids(await snapshot())).toMatch(
    /^RootWebArea[^\n]*\n group "Size"\n {2}radio "S"[^\n]*\n table "Prices"\n {2}row: "Tea", "2"\n group "Pick"\n[^]*button "Pick"/,
  );
});

test('what can be acted on in a row, and which row it is in, is told: a focusable header, selects without headers, levels', async () => {
  const fields = ['Ada', 'Grace'].map(
    (name) => `<tr><td>${name}<td><select aria-label=Role><option>Admin<option>User</select><td><button>Save</button>`,
  );
  const grid = '<div role=row><span role=columnheader tabindex=0>Name</span><span role=columnheader>Age</span></div>';
  const tree = [1, 2].map((level) => `<tr aria-level=${level}><td role=gridcell tabindex=-1>Box<td role=gridcell>2`);
  const html = `<table>${fields.join('')}</table><div role=table>${grid}</div><table role=treegrid>${tree.join('')}</table>`;
  await open(`data:text/html,${encodeURIComponent(html)}`);
  expect(withoutUids(await snapshot()).replace(/ expanded=false hasPopup=menu| focused/g, '')).toBe(
    `RootWebArea
 row
  cell "Ada"
  combobox "Role" value="Admin"
   option "Admin" selected
   option "User"
  button "Save"
 row
  cell "Grace"
  combobox "Role" value="Admin"
   option "Admin" selected
   option "User"
  button "Save"
 table
  row: columnheader "Name", "Age"
 treegrid
  row level=1: gridcell "Box", gridcell "2"
  row level=2: gridcell "Box", gridcell "2"`,
  );
});

test('a row is a line, and what only wraps one element is left out; verbose has each', async () => {
  const rows = ['Ada', 'Grace'].map(
    (name) =>
      `<tr><td><a href="#">${name}</a><td>sent, "late"<td><td>by <a href="#">Al</a> <input type=checkbox aria-label=Pick><td><button>Send</button>`,
  );
  const inner = '<tr><td><ul><li>one<li>two</ul><td>two';
  const html = `<ul><li><a href="#">First</a><li><p><button>Second</button></ul><table><tr><th>Name<th>State<th><th>Who<th>${rows.join('')}${inner}</table><table><tr><td>Tea<td><a href="#">Buy</a><tr><td><h2>Offers</h2><p>none</table>`;
  await open(`data:text/html,${encodeURIComponent(html)}`);
  const short = await snapshot();
  expect(withoutUids(short)).toBe(
    `RootWebArea focused
 list
  link "First"
  button "Second"
 table
  row: "Name", "State", "", "Who", ""
  row: link "Ada", "sent, \\"late\\"", "", "by" link "Al" checkbox "Pick" checked=false, button "Send"
  row: link "Grace", "sent, \\"late\\"", "", "by" link "Al" checkbox "Pick" checked=false, button "Send"
  row
   list
    listitem "one"
    listitem "two"
   cell "two"
 row: "Tea", link "Buy"
 heading "Offers" level=2
 paragraph "none"`,
  );
  const from = await snapshot({ from: uidOf(short, 'link "Grace"') });
  expect(withoutUids(from)).toMatch(/^ {2}row: link "Grace"/);
  expect(withoutUids(await snapshot({ verbose: true }))).toMatch(/\n +cell "Ada"\n +link "Ada"/);
  await harness.run('evaluate_script', {
    function: `() => { document.querySelector('td:nth-child(2)').textContent = 'gone'; document.querySelector('td ul').remove() }`,
  });
  expect(withoutUids(await snapshot({ changes: true }))).toBe(
    `Since the last snapshot 0 new (+), 2 changed (~), 4 gone (-):
   table
~   row: link "Ada", "gone", "", "by" link "Al" checkbox "Pick" checked=false, button "Send"
~   row: "", "two"
-    list … and 2 in it
-    cell "two"`,
  );
});

test('verbose keeps structure and tells urls', async () => {
  await open('/look.html');
  const verbose = await snapshot({ verbose: true });
  expect(verbose).toContain(`link "more" url="${pages.url}/settled.html"`);
  expect(verbose).toContain('generic');
});

test('a node keeps its uid while its document lives, and new nodes get new ones', async () => {
  await open('/look.html');
  const before = await snapshot();
  await harness.run('evaluate_script', {
    function: `() => document.querySelector('ul').prepend(Object.assign(document.createElement('li'), { textContent: 'Fig' }))`,
  });
  const after = await snapshot();
  const added = uidOf(after, 'listitem "Fig"');
  expect(before).not.toContain(`uid=${added} `);
  expect(
    after
      .split('\n')
      .filter((line) => !line.includes(`uid=${added} `))
      .join('\n'),
  ).toBe(before);
});

test('changes are told against the last snapshot that was shown, and all of it where elements changed places', async () => {
  const changes = () => snapshot({ changes: true });
  const run = (code: string) => harness.run('evaluate_script', { function: `() => { ${code} }` });
  await open('/look.html');
  expect(withoutUids(await changes())).toMatch(/^RootWebArea "Look"/);
  expect(await changes()).toBe('Nothing changed since the last snapshot, which has 15 lines.');
  await run(
    `const [list, button] = document.querySelectorAll('ul, button');
     list.append(Object.assign(document.createElement('li'), { textContent: 'Fig' }));
     list.firstElementChild.remove();
     button.setAttribute('aria-expanded', 'true');`,
  );
  await harness.run('find_in_snapshot', { text: 'Fig' });
  expect(withoutUids(await changes())).toBe(
    `Since the last snapshot 1 new (+), 1 changed (~), 1 gone (-):
   list
+   listitem "Fig"
  RootWebArea "Look" focused
~  button "Menu" expanded
-   listitem "Apple"`,
  );
  expect(await changes()).toMatch(/^Nothing changed/);
  await run(`document.querySelector('ul').append(document.querySelector('li'))`);
  expect(withoutUids(await changes())).toMatch(/^RootWebArea "Look"/);
  await harness.run('navigate_page', { reload: true });
  expect(withoutUids(await changes())).toMatch(/^RootWebArea "Look"/);
});

test('no uid comes again after a reload, and an old one says that its page was left', async () => {
  await open('/look.html');
  const before = await snapshot();
  await harness.run('navigate_page', { reload: true });
  const after = await snapshot();
  const uids = (text: string) => [...text.matchAll(/uid=(e\d+)/g)].map(([, uid]) => uid);
  expect(uids(after).filter((uid) => uids(before).includes(uid))).toEqual([]);
  const uid = uidOf(before, 'button "Menu"');
  expect(await harness.refusal('click', { uid })).toBe(
    `uid ${uid} belongs to a page that was left. take_snapshot again for the present uids.`,
  );
});

test('a uid that never was, and one whose element was removed, are told apart', async () => {
  await open('/look.html');
  const uid = uidOf(await snapshot(), 'button "Menu"');
  await harness.run('evaluate_script', { function: `() => document.querySelector('button').remove()` });
  expect(await harness.refusal('click', { uid })).toContain('no longer in the page');
  expect(await harness.refusal('click', { uid: 'e999999' })).toContain('No element has the uid "e999999"');
});

test('a frame of another process is part of the page: seen, clicked and filled', async () => {
  const other = pages.url.replace('127.0.0.1', 'localhost');
  const html = `<p style="height: 2000px">tall</p><iframe width="700" height="500" src="${other}/input.html"></iframe>`;
  await open(`${pages.url}/look.html`);
  await harness.run('evaluate_script', { function: `(html) => { document.body.innerHTML = html }`, args: [html] });
  await harness.run('wait_for', { text: ['Volume'] });
  const before = await snapshot();
  await harness.run('fill', { uid: uidOf(before, 'textbox "Name"'), value: 'across' });
  await harness.run('click', { uid: uidOf(before, 'button "Send"') });
  const after = await snapshot();
  expect(after).toContain('textbox "Name" value="across"');
  expect(after).toContain('submitted {\\"name\\":\\"across\\"');
});

test('find_in_snapshot finds by text and by pattern, with the lines around', async () => {
  await open('/look.html');
  expect(withoutUids(await harness.text('find_in_snapshot', { text: 'APPLE' }))).toBe(
    '1 match:\n list\n  listitem "Apple"\n  listitem',
  );
  expect(withoutUids(await harness.text('find_in_snapshot', { regex: '^.*(heading|link) ', context: 0 }))).toBe(
    '3 matches:\n heading "Fruit" level=1\n…\n   link "more"\n…\n   heading "Arrived" level=1',
  );
  expect(await harness.text('find_in_snapshot', { text: 'melon' })).toContain('take_snapshot shows them');
});

test('a pattern that a backtracking engine would never finish is answered', async () => {
  await open('data:text/html,<h1>' + 'a'.repeat(60) + '!</h1>');
  expect(await harness.text('find_in_snapshot', { regex: '(a+)+$' })).toContain('take_snapshot shows them');
  expect(await harness.text('find_in_snapshot', { regex: '(a+)+!' })).toContain('heading "aaa');
});

test('of a line of any length the part that matches is answered, and all of it is searched', async () => {
  const cells = Array.from({ length: 1_000 }, (_, n) => `<td>cell ${n} ${'z'.repeat(50)}</td>`).join('');
  await open(`data:text/html,<table><tr>${cells}</table><p>after</p>`);
  for (const args of [{ text: 'cell 903 ' }, { regex: 'cell 9[0]3 ' }, { regex: 'CELL 3 ' }]) {
    const text = await harness.text('find_in_snapshot', args);
    expect(text).toMatch(/cell (903|3) z/);
    expect(text).toMatch(/uid=e\d+ row: "cell 0 z/);
    expect(text).toContain('1 match:');
    expect(text.length).toBeLessThan(5_000);
  }
  const whole = await harness.text('take_snapshot');
  expect(whole).toContain('more characters; find_in_snapshot searches them)');
  expect(whole).toContain('paragraph "after"');
  expect(whole.length).toBeLessThan(11_000);
});

test('a long snapshot is cut at a line and says how to search the rest', async () => {
  await open('/look.html');
  await harness.run('evaluate_script', {
    function: `() => { document.body.innerHTML = Array.from({ length: 400 }, (_, i) => '<p>' + i + ' ' + 'word '.repeat(200) + '</p>').join('') }`,
  });
  const text = await snapshot();
  expect(Buffer.byteLength(text)).toBeLessThan(257 * 1024);
  expect(text).toMatch(/\n… cut: \d+ of \d+ bytes left out; find_in_snapshot searches all of it\.$/);
  expect(await harness.text('find_in_snapshot', { text: '"399 word', context: 0 })).toContain('1 match:');
});

/** Has a state of each kind that a script can change without a word in the document. */
const stateful = `<!doctype html><title>States</title><style id=style></style><p id=text>one</p><input aria-label=Name>
  <input type=checkbox aria-label=Pick><select aria-label=Size><option>S<option>M</select><details><summary>More</summary>inside</details>
  <div popover id=pop>over</div><dialog id=dialog>modal</dialog><div id=host></div><iframe srcdoc="<p>inner"></iframe>
  <script>host.attachShadow({ mode: 'open' }).innerHTML = '<p>shadow</p>'</script>`;
const quietChanges: readonly (readonly [what: string, script: string])[] = [
  ['a text', 'text.firstChild.data = "two"'],
  ['a text in a shadow tree', 'host.shadowRoot.firstChild.textContent = "two"'],
  ['a text in a frame', 'frames[0].document.body.textContent = "two"'],
  ['the title', 'document.title = "Other"'],
  ['a value', 'document.querySelector("input").value = "Ada"'],
  ['a box', 'document.querySelector("[type=checkbox]").checked = true'],
  ['an undecided box', 'document.querySelector("[type=checkbox]").indeterminate = true'],
  ['an option', 'document.querySelector("select").selectedIndex = 1'],
  ['the focus', 'document.querySelector("select").focus()'],
  ['details', 'document.querySelector("details").open = true'],
  ['a popover', 'pop.showPopover()'],
  ['a listener', 'text.addEventListener("click", () => 1)'],
  ['a rule of a style sheet', 'style.sheet.insertRule("#text { display: none }")'],
  ['what a custom element keeps to itself', 'customElements.get("x-box").last.ariaChecked = "true"'],
  ['a modal dialog', 'dialog.showModal()'],
];

test('a page that did not change is not read again; every change is seen', async () => {
  await open(`data:text/html,${encodeURIComponent(stateful)}`);
  const page = harness.browser.page();
  const run = (script: string) => harness.run('evaluate_script', { function: `() => { ${script} }` });
  const sent = jest.spyOn(page.cdp, 'send');
  const trees = () => sent.mock.calls.filter(([method]) => method === 'Accessibility.getFullAXTree').length;
  const first = await snapshot();
  const reads = trees();
  const uid = uidOf(first, 'textbox "Name"');
  expect(await snapshot()).toBe(first);
  expect(await harness.text('find_in_snapshot', { text: 'shadow' })).toContain('1 match');
  expect((await snapshot({ from: uid })).split('\n')[0]).toContain('textbox "Name"');
  expect(trees()).toBe(reads);
  expect(await snapshot({ verbose: true })).not.toBe(first);

  for (const [what, script] of quietChanges) {
    if (what.includes('custom')) {
      const box = `class extends HTMLElement { static last; constructor() { super(); const i = this.attachInternals(); i.role = 'checkbox'; i.ariaChecked = 'false'; this.constructor.last = i; } }`;
      await run(`customElements.define('x-box', ${box}); document.body.append(document.createElement('x-box'))`);
    }
    const before = await snapshot();
    await run(script);
    const after = await snapshot();
    page.lastSnapshot = undefined;
    expect([what, after]).toEqual([what, await snapshot()]);
    expect([what, after]).not.toEqual([what, before]);
  }
});

test('a page that changed while it was read, and changed back, is read again', async () => {
  await open('data:text/html,<p id=text>one');
  const page = harness.browser.page();
  const { send } = page.cdp;
  const ask = (...asked: unknown[]): Promise<never> => Reflect.apply(send, page.cdp, asked) as Promise<never>;
  const show = (text: string) => ask('Runtime.evaluate', { expression: `void (text.firstChild.data = '${text}')` });
  const sent = jest.spyOn(page.cdp, 'send').mockImplementation(async (...asked) => {
    if (asked[0] !== 'Accessibility.getFullAXTree') return ask(...asked);
    await show('two');
    const tree = await ask(...asked);
    await show('one');
    return tree;
  });
  expect(await snapshot()).toContain('"two"');
  sent.mockRestore();
  expect(await snapshot()).toContain('"one"');
});
