import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { allTools } from '../../src/tools/allTools.js';
import { servePages } from '../support/servePages.js';
import { startToolHarness, type ToolHarness } from '../tools/support/toolHarness.js';

/** The page breaks everything that a function of its own world could use, and counts what is added to that world. */
const hostile = `<!doctype html><title>Hostile</title><label>Name <input></label>
  <button onclick="later.textContent = 'Saved'">Save</button><p id="later"></p><script>
  const refuse = () => { throw new Error('overridden') };
  for (const { prototype } of [Array, String, Element, Node, Document, EventTarget, MutationObserver]) {
    for (const name of Object.getOwnPropertyNames(prototype)) {
      const { value, configurable } = Object.getOwnPropertyDescriptor(prototype, name);
      if (name !== 'constructor' && typeof value === 'function' && configurable) prototype[name] = refuse;
    }
  }
  var own = 0;
  for (const name in window) own++;
  for (const name of ['setTimeout', 'clearTimeout', 'setInterval', 'requestAnimationFrame', 'getComputedStyle']) window[name] = refuse;
  </script>`;

/** Breaks what a function in the page's own world could use, before the page goes to another program. */
const leaving = `<!doctype html><title>Leaving</title><a href="mailto:a@example.com">Mail</a><script>
  const broken = () => { throw new Error('overridden') };
  Object.prototype.toJSON = broken;
  for (const owner of [JSON, Reflect, ...[Array, String, EventTarget, Event].map(({ prototype }) => prototype)]) {
    for (const name of Reflect.ownKeys(owner)) {
      const { value, configurable } = Object.getOwnPropertyDescriptor(owner, name);
      if (name !== 'constructor' && typeof value === 'function' && configurable) Object.defineProperty(owner, name, { value: broken });
    }
  }
  </script>`;

/** Its policy allows no script but its own and no text as code, and it counts what breaks that. */
const strict = `<!doctype html><title>Strict</title>
  <meta http-equiv="content-security-policy" content="default-src 'self'; script-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'">
  <script src="/strict.js"></script><label>Name <input></label><label>Size <select><option>S<option>M</select></label>
  <label>File <input type="file"></label><button id="save" draggable="true">Save</button><p id="said">Ready</p>`;
const strictScript = `var violations = []; addEventListener("dragover", (event) => event.preventDefault()); addEventListener('securitypolicyviolation', (event) => violations.push(event.sourceFile + ' ' + event.violatedDirective));
  addEventListener('load', () => { save.onclick = () => { said.textContent = 'Saved'; }; });`;

let site: Awaited<ReturnType<typeof servePages>>;
let harness: ToolHarness;

beforeAll(async () => {
  site = await servePages({
    '/': () => [hostile],
    '/leaving': () => [leaving],
    '/strict': () => [strict],
    '/strict.js': () => [strictScript],
  });
  harness = await startToolHarness(allTools);
});

afterAll(async () => {
  await harness.close();
  site.close();
});

test('a page that overrides what functions call is read and acted on like any other, and finds nothing added', async () => {
  await harness.run('navigate_page', { url: site.url });
  const snapshot = await harness.text('take_snapshot');
  const uidOf = (line: string) => new RegExp(`uid=(e\\d+) ${line}`).exec(snapshot)?.[1];
  await harness.run('fill', { uid: uidOf('textbox "Name"'), value: 'Ada' });
  await harness.run('click', { uid: uidOf('button "Save"') });
  await harness.run('wait_for', { text: ['Saved'] });
  expect(await harness.text('take_snapshot')).toContain('textbox "Name" value="Ada"');
  const added = '() => { let now = 0; for (const name in window) now++; return now - own; }';
  expect(await harness.text('evaluate_script', { function: added })).toContain('0');
});

test('a page that overrides them before it goes to another program stays, and says so', async () => {
  await harness.run('navigate_page', { url: `${site.url}/leaving` });
  const uid = /uid=(e\d+) link "Mail"/.exec(await harness.text('take_snapshot'))?.[1];
  expect(await harness.text('click', { uid })).toContain('It hands mailto:a@example.com to another program');
});

test('a page whose policy allows no code of others is used as any other, and sees none', async () => {
  await harness.run('add_init_script', { script: 'globalThis.seen = 1;' });
  await harness.run('start_coverage');
  await harness.run('navigate_page', { url: `${site.url}/strict` });
  const uidOf = async (line: string) =>
    new RegExp(`uid=(e\\d+) ${line}`).exec(await harness.text('take_snapshot'))?.[1];
  await harness.run('fill', { uid: await uidOf('textbox "Name"'), value: 'Ada' });
  await harness.run('fill', { uid: await uidOf('combobox "Size"'), value: 'M' });
  const save = await uidOf('button "Save"');
  await harness.run('set_breakpoint', { file: 'strict.js', line: 2, log: 'violations.length' });
  for (const name of ['hover', 'click', 'get_element_styles', 'list_event_listeners'])
    await harness.run(name, { uid: save });
  await harness.run('wait_for', { text: ['Saved'] });
  await harness.run('drop_on', { uid: save, data: { 'text/plain': 'dropped' } });
  await harness.run('drag', { from_uid: save, to_uid: await uidOf('textbox "Name"') });
  await harness.run('type_text', { text: 'abc' });
  await harness.run('press_key', { key: 'Tab' });
  await harness.run('scroll', { uid: save });
  await harness.run('take_screenshot', { uids: true });
  await harness.run('take_screenshot', { fullPage: true });
  await harness.run('emulate', { colorScheme: 'dark' });
  const readings = ['audit_accessibility', 'inspect_page_storage', 'list_page_tools', 'stop_coverage', 'list_sources'];
  for (const name of readings) await harness.run(name);
  const script = '(el) => [el.id, seen, violations]';
  const { structured } = await harness.run('evaluate_script', { function: script, args: [{ uid: save }] });
  expect(JSON.parse(String(structured['result']))).toEqual(['save', 1, []]);
});
