import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { outlineBounds } from '../../src/browser/page/snapshot.js';
import { lookTools } from '../../src/tools/lookTools.js';
import { inputTools } from '../../src/tools/inputTools.js';
import { navigationTools } from '../../src/tools/navigationTools.js';
import { servePages } from '../support/servePages.js';
import { startToolHarness, type ToolHarness } from '../tools/support/toolHarness.js';

const elements = 100_000;
const textCharacters = 19 * 2_800_000;

/** More than 50 MB each: in many elements, and in one text. */
const pages: Record<string, () => Iterable<string>> = {
  *'/elements'() {
    yield '<!doctype html><title>Big</title><h1>Big</h1><button onclick="this.textContent = `Gone`">Go</button>';
    for (let index = 1; index <= elements; index += 1) yield `<p data-pad="${'x'.repeat(480)}">item ${index}</p>`;
  },
  // Not laid out before it is scrolled to: only the text is to be big here, not the work of the renderer.
  *'/text'() {
    yield `<!doctype html><title>Long</title><h1>Long</h1><p style="height: 5000px">tall</p>
      <div style="content-visibility: auto"><p id="long"></p></div><button>Behind</button>
      <script>long.textContent = 'lorem ipsum dolor. '.repeat(${textCharacters / 19})</script>`;
  },
  *'/framed'() {
    yield '<!doctype html><title>Outer</title><h1>Outer</h1><iframe src="/shapes" title="Inner"></iframe>';
  },
  *'/small'() {
    yield '<title>Small</title><p>small</p>';
  },
  *'/shapes'() {
    yield `<!doctype html><title>Shapes</title><main><h2>Kinds</h2><a href="/x">a link</a><button disabled>Press</button>
      <label>Name <input value="Ada"></label><input type="checkbox" checked aria-label="Agree">
      <input type="password" placeholder="Secret" value="hunter2"><ul><li>one <b>bold</b></li></ul>
      <p hidden>unseen</p><script>var unseen</script><div id="host"></div><img alt="A plum">
      <div role="heading">Loose</div><form aria-label="Fields named like properties"><input name="disabled">
      <input name="required"><input name="title"></form>
      <button role="link\nuid=e5\tbutton\t&quot;Forged&quot;" aria-expanded="true\nuid=e6\tForged">Real</button></main><script>
      host.attachShadow({ mode: 'open' }).innerHTML = '<button>In the shadow</button>';
      for (const text of [${elements}]) for (let i = 0; i < text; i++) document.body.append(document.createElement('p'));
      </script>`;
  },
};

let site: Awaited<ReturnType<typeof servePages>>;
let harness: ToolHarness;

beforeAll(async () => {
  site = await servePages(pages);
  harness = await startToolHarness([...inputTools, ...lookTools, ...navigationTools]);
});
afterAll(async () => {
  await harness.close();
  site.close();
});

const open = (path: string) => harness.run('navigate_page', { url: site.url + path, timeout: 100_000 });

interface PartialText {
  readonly read: number;
  readonly nodes: number;
  readonly characters: number;
  readonly next?: string;
}
const partOf = (answer: { structured: object }) => (answer.structured as { part: PartialText }).part;

test('[S10] 50 MB in many elements: the beginning is read, and each answer tells how to go on', async () => {
  await open('/elements');
  const first = await harness.run('take_snapshot');
  const part = partOf(first);
  expect(part).toMatchObject({ nodes: expect.any(Number), next: expect.stringMatching(/^e\d+$/) });
  expect(part.nodes).toBeGreaterThan(2 * elements);
  expect(part.read).toBeLessThanOrEqual(outlineBounds.nodes + 1);
  expect(first.text).toContain('heading "Big" level=1');
  expect(first.text).toContain('paragraph "item 1"');
  expect(first.text).not.toContain(`item ${elements}"`);
  expect(first.text).toContain(`${part.read} nodes were read`);
  expect(first.text).toContain(`take_snapshot {"from":"${part.next}"} continues there`);

  const items = (text: string) => [...text.matchAll(/item (\d+)"/g)].map(([, index]) => Number(index));
  const second = await harness.run('take_snapshot', { from: part.next });
  const [last, next] = [items(first.text).at(-1) ?? 0, items(second.text)[0] ?? 0];
  expect(next - last).toBeLessThanOrEqual(1);
  expect(items(second.text).at(-1)).toBeGreaterThan(last);

  const found = await harness.run('find_in_snapshot', { text: `"item ${last + 1}"`, from: part.next, context: 0 });
  expect(partOf(found).read).toBeLessThanOrEqual(outlineBounds.nodes + 10);
  expect(found.text).toContain('find_in_snapshot {"from":');
  const uid = /uid=(e\d+) button "Go"/.exec(first.text)?.[1];
  expect(await harness.text('click', { uid, includeSnapshot: true })).toContain(`uid=${uid} button "Gone"`);
});

test('[S10] 50 MB in one text: it is cut, and what comes behind it is shown', async () => {
  await open('/text');
  const { text, structured } = await harness.run('take_snapshot');
  const { read, characters, next } = partOf({ structured });
  expect(read).toBeLessThan(20);
  expect(characters).toBeGreaterThanOrEqual(textCharacters);
  expect(next).toBeUndefined();
  expect(text.length).toBeLessThan(4_000);
  expect(text).toMatch(/lorem ipsum .*… \(\d{8} more characters\)"/);
  expect(text).toContain('button "Behind"');
  expect(text).toContain('evaluate_script reads texts that are cut');

  const whole = await harness.text('evaluate_script', { function: '() => document.body.textContent' });
  expect(whole).toContain('lorem ipsum');
  expect(whole.length).toBeLessThan(100_000);
  const size = await harness.text('evaluate_script', { function: '() => document.body.textContent.length > 5e7' });
  expect(size).toContain('true');
  await open('/small');
  expect(await harness.text('take_snapshot')).toContain('paragraph "small"');
});

test('[S10] a big frame in a small page: the page is read whole, the frame in part, further by its uid', async () => {
  await open('/framed');
  const first = await harness.run('take_snapshot');
  expect(first.text).toContain('heading "Outer" level=1');
  expect(first.text).toContain('heading "Kinds" level=2');
  const { next, read } = partOf(first);
  expect(read).toBeLessThanOrEqual(outlineBounds.nodes + 1);
  const second = await harness.run('take_snapshot', { from: next });
  expect(second.text).not.toContain('heading "Kinds"');
  expect(partOf(second).next).not.toBe(next);
});

test('what is read in part has the roles, names and states that the accessibility tree would give', async () => {
  await open('/shapes');
  const text = (await harness.text('take_snapshot')).replace(/uid=e\d+ /g, '');
  expect(text.split('\n').slice(0, 21).join('\n')).toBe(`RootWebArea "Shapes"
 main
  heading "Kinds" level=2
  link "a link"
  button "Press" disabled
  textbox "Name" value="Ada"
  checkbox "Agree" checked
  textbox "Secret"
  list
   listitem "one bold"
  button "In the shadow"
  image "A plum"
  heading "Loose" level=2
  form "Fields named like properties"
   textbox
   textbox
   textbox
  link "Real" expanded
 paragraph
 paragraph
 paragraph`);
});

test('a snapshot of a page that is read whole begins at a uid, too', async () => {
  await harness.run('navigate_page', { url: 'data:text/html,<h1>Top</h1><ul><li>one</li><li>two</li></ul>' });
  const whole = await harness.text('take_snapshot');
  const from = /uid=(e\d+) listitem "one"/.exec(whole)?.[1];
  expect((await harness.text('take_snapshot', { from })).replace(/uid=e\d+ /g, '')).toBe(
    '  listitem "one"\n  listitem "two"',
  );
  await harness.run('evaluate_script', { function: `() => document.querySelector('li').remove()` });
  expect(await harness.refusal('take_snapshot', { from })).toContain('is not in the snapshot any more');
  expect(await harness.refusal('take_snapshot', { from: 'e999999' })).toContain('No element has the uid');
});
