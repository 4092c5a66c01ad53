import assert from 'node:assert/strict';
import { randomInt, randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { assertIncludes, type CheckContext, type Check } from '../checkContext.js';

const valueOf = (context: CheckContext, id: string): Promise<unknown> =>
  context.evaluate(`document.querySelector("#${id}").value`);

const focus = (context: CheckContext, id: string): Promise<unknown> =>
  context.evaluate(`void document.querySelector("#${id}").focus()`);

/** Acts, and checks that the answer has the address and the snapshot of this page alone. */
async function act(context: CheckContext, tool: string, args: object, shown?: string): Promise<void> {
  const { text, data } = await context.call(tool, { ...args, includeSnapshot: true });
  assert.equal(data['url'], await context.evaluate('location.href'));
  const wanted = shown ?? String(await context.status());
  assertIncludes(text, wanted);
  assertIncludes(data['snapshot'], wanted);
}

export const inputChecks: readonly Check[] = [
  {
    tool: 'click',
    async run(context) {
      const nonce = await context.openControls();
      const uid = await context.uidOf('button', 'Save');
      await act(context, 'click', { uid });
      const status = await context.status();
      assert.equal(status, `saved /red/false ${nonce}`);
      return `pressed "Save": status became ${status}`;
    },
  },
  {
    tool: 'hover',
    async run(context) {
      const nonce = await context.openControls();
      await act(context, 'hover', { uid: await context.uidOf('button', 'Hover') });
      assert.equal(await context.status(), `hovered ${nonce}`);
      return 'the page saw the mouse enter';
    },
  },
  {
    tool: 'drag',
    async run(context) {
      const nonce = await context.openControls();
      const [from_uid, to_uid] = [await context.uidOf('button', 'Source'), await context.uidOf('button', 'Goal')];
      await act(context, 'drag', { from_uid, to_uid });
      // On a busy machine Chrome answers before the page has handled the drop.
      await context.eventually(
        () => context.call('evaluate_script', { function: '() => document.querySelector("#status").textContent' }),
        ({ data }) => assert.equal(JSON.parse(String(data['result'])), `dropped cargo ${nonce}`),
      );
      return 'the goal got what was dragged';
    },
  },
  {
    tool: 'fill',
    async run(context) {
      await context.openControls();
      const word = randomUUID();
      await act(context, 'fill', { uid: await context.uidOf('textbox', 'Name'), value: word }, word);
      assert.equal(await valueOf(context, 'name'), word);
      await context.call('fill', { uid: await context.uidOf('combobox', 'Colour'), value: 'green' });
      assert.equal(await valueOf(context, 'colour'), 'green');
      return 'a text and a choice';
    },
  },
  {
    tool: 'fill_form',
    async run(context) {
      const nonce = await context.openControls();
      const word = randomUUID();
      const elements = [
        { uid: await context.uidOf('textbox', 'Name'), value: word },
        { uid: await context.uidOf('checkbox', 'Agree'), value: 'true' },
      ];
      await act(context, 'fill_form', { elements }, word);
      await context.call('click', { uid: await context.uidOf('button', 'Save') });
      assert.equal(await context.status(), `saved ${word}/red/true ${nonce}`);
      return 'two fields, saved by the page';
    },
  },
  {
    tool: 'upload_file',
    async run(context) {
      const nonce = await context.openControls();
      const word = randomUUID();
      const file = join(context.folder, `${word}.txt`);
      await writeFile(file, `content ${word}`);
      const uid = await context.uidOf('button', 'File');
      const { text, data } = await context.call('upload_file', { uid, filePaths: [file] });
      assertIncludes(text, uid);
      assertIncludes(data['url'], nonce);
      const wanted = `uploaded ${basename(file)}: content ${word} ${nonce}`;
      await context.call('wait_for', { text: [wanted] });
      assert.equal(await context.status(), wanted);
      assertIncludes(
        await context.expectError('upload_file', {
          uid: await context.uidOf('button', 'File'),
          filePaths: ['/etc/hostname'],
        }),
        'outside',
      );
      return 'the page read the file; one outside the workspace was refused';
    },
  },
  {
    tool: 'press_key',
    async run(context) {
      const nonce = await context.openControls();
      await focus(context, 'name');
      const { text } = await context.call('press_key', { key: 'k' });
      assertIncludes(text, 'k');
      assert.equal(await valueOf(context, 'name'), 'k');
      await act(context, 'press_key', { key: 'Enter' });
      assert.equal(await context.status(), `saved k/red/false ${nonce}`);
      return 'a letter, and Enter sent the form';
    },
  },
  {
    tool: 'type_text',
    async run(context) {
      const nonce = await context.openControls();
      await focus(context, 'name');
      const word = randomUUID().slice(randomInt(30));
      const { text, data } = await context.call('type_text', { text: word, submitKey: 'Enter' });
      assertIncludes(text, `${word.length} character(s) and Enter`);
      assertIncludes(data['url'], nonce);
      assert.equal(await context.status(), `saved ${word}/red/false ${nonce}`);
      return 'a word and Enter';
    },
  },
  {
    tool: 'scroll',
    async run(context) {
      await context.openControls();
      await context.evaluate('void (document.body.style.height = "4000px")');
      const { text } = await context.call('scroll', { pixels: 321 });
      assertIncludes(text, 'by 321');
      assert.equal(await context.evaluate('scrollY'), 321);
      assertIncludes((await context.call('scroll', { direction: 'up', toEnd: true })).text, 'by 321');
      return '321 pixels down, and back';
    },
  },
  {
    tool: 'pointer',
    async run(context) {
      const nonce = await context.openControls();
      const [x, y] = (await context.evaluate(
        `(({ x, y }) => [x + 5, y + 5])(document.querySelector('#hover').getBoundingClientRect())`,
      )) as [number, number];
      const { text } = await context.call('pointer', { action: 'move', x, y });
      assertIncludes(text, `${x}, ${y}`);
      assert.equal(await context.status(), `hovered ${nonce}`);
      return `the mouse at ${x}, ${y}`;
    },
  },
  {
    tool: 'drop_on',
    async run(context) {
      const nonce = await context.openControls();
      const word = randomUUID();
      const uid = await context.uidOf('button', 'Goal');
      await context.call('drop_on', { uid, data: { 'text/plain': word } });
      await context.eventually(
        () => context.call('evaluate_script', { function: '() => document.querySelector("#status").textContent' }),
        ({ data }) => assert.equal(JSON.parse(String(data['result'])), `dropped ${word} ${nonce}`),
      );
      return 'the goal got the text';
    },
  },
];
