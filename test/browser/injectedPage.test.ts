import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { inputTools } from '../../src/tools/inputTools.js';
import { lookTools } from '../../src/tools/lookTools.js';
import { navigationTools } from '../../src/tools/navigationTools.js';
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

let site: Awaited<ReturnType<typeof servePages>>;
let harness: ToolHarness;

beforeAll(async () => {
  site = await servePages({ '/': () => [hostile], '/leaving': () => [leaving] });
  harness = await startToolHarness([...inputTools, ...lookTools, ...navigationTools]);
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
