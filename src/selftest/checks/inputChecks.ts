import assert from 'node:assert/strict';
import { randomInt, randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { assertIncludes, type CheckContext, type Check } from '../checkContext.js';

const valueOf = (bench: CheckContext, id: string): Promise<unknown> =>
  bench.evaluate(`document.querySelector("#${id}").value`);

const focus = (bench: CheckContext, id: string): Promise<unknown> =>
  bench.evaluate(`void document.querySelector("#${id}").focus()`);

/** Acts, and asks the answer for what only this page can have: its address, and in the snapshot what it shows. */
async function act(bench: CheckContext, tool: string, args: object, shown?: string): Promise<void> {
  const { text, data } = await bench.call(tool, { ...args, includeSnapshot: true });
  assert.equal(data['url'], await bench.evaluate('location.href'));
  const wanted = shown ?? String(await bench.status());
  assertIncludes(text, wanted);
  assertIncludes(data['snapshot'], wanted);
}

export const inputChecks: readonly Check[] = [
  {
    tool: 'click',
    async run(bench) {
      const nonce = await bench.openControls();
      const uid = await bench.uidOf('button', 'Save');
      await act(bench, 'click', { uid });
      const status = await bench.status();
      assert.equal(status, `saved /red/false ${nonce}`);
      return `pressed "Save": status became ${status}`;
    },
  },
  {
    tool: 'hover',
    async run(bench) {
      const nonce = await bench.openControls();
      await act(bench, 'hover', { uid: await bench.uidOf('button', 'Hover') });
      assert.equal(await bench.status(), `hovered ${nonce}`);
      return 'the page saw the mouse enter';
    },
  },
  {
    tool: 'drag',
    async run(bench) {
      const nonce = await bench.openControls();
      const [from_uid, to_uid] = [await bench.uidOf('button', 'Source'), await bench.uidOf('button', 'Goal')];
      await act(bench, 'drag', { from_uid, to_uid });
      // On a busy machine Chrome answers before the page has heard of the drop.
      await bench.eventually(
        () => bench.call('evaluate_script', { function: '() => document.querySelector("#status").textContent' }),
        ({ data }) => assert.equal(JSON.parse(String(data['result'])), `dropped cargo ${nonce}`),
      );
      return 'the goal got what was dragged';
    },
  },
  {
    tool: 'fill',
    async run(bench) {
      await bench.openControls();
      const word = randomUUID();
      await act(bench, 'fill', { uid: await bench.uidOf('textbox', 'Name'), value: word }, word);
      assert.equal(await valueOf(bench, 'name'), word);
      await bench.call('fill', { uid: await bench.uidOf('combobox', 'Colour'), value: 'green' });
      assert.equal(await valueOf(bench, 'colour'), 'green');
      return 'a text and a choice';
    },
  },
  {
    tool: 'fill_form',
    async run(bench) {
      const nonce = await bench.openControls();
      const word = randomUUID();
      const elements = [
        { uid: await bench.uidOf('textbox', 'Name'), value: word },
        { uid: await bench.uidOf('checkbox', 'Agree'), value: 'true' },
      ];
      await act(bench, 'fill_form', { elements }, word);
      await bench.call('click', { uid: await bench.uidOf('button', 'Save') });
      assert.equal(await bench.status(), `saved ${word}/red/true ${nonce}`);
      return 'two fields, saved by the page';
    },
  },
  {
    tool: 'upload_file',
    async run(bench) {
      const nonce = await bench.openControls();
      const word = randomUUID();
      const file = join(bench.folder, `${word}.txt`);
      await writeFile(file, `content ${word}`);
      const uid = await bench.uidOf('button', 'File');
      const { text, data } = await bench.call('upload_file', { uid, filePaths: [file] });
      assertIncludes(text, uid);
      assertIncludes(data['url'], nonce);
      const wanted = `uploaded ${basename(file)}: content ${word} ${nonce}`;
      await bench.call('wait_for', { text: [wanted] });
      assert.equal(await bench.status(), wanted);
      assertIncludes(
        await bench.expectError('upload_file', {
          uid: await bench.uidOf('button', 'File'),
          filePaths: ['/etc/hostname'],
        }),
        'outside',
      );
      return 'the page read the file; one outside the workspace was refused';
    },
  },
  {
    tool: 'press_key',
    async run(bench) {
      const nonce = await bench.openControls();
      await focus(bench, 'name');
      const { text } = await bench.call('press_key', { key: 'k' });
      assertIncludes(text, 'k');
      assert.equal(await valueOf(bench, 'name'), 'k');
      await act(bench, 'press_key', { key: 'Enter' });
      assert.equal(await bench.status(), `saved k/red/false ${nonce}`);
      return 'a letter, and Enter sent the form';
    },
  },
  {
    tool: 'type_text',
    async run(bench) {
      const nonce = await bench.openControls();
      await focus(bench, 'name');
      const word = randomUUID().slice(randomInt(30));
      const { text, data } = await bench.call('type_text', { text: word, submitKey: 'Enter' });
      assertIncludes(text, `${word.length} character(s) and Enter`);
      assertIncludes(data['url'], nonce);
      assert.equal(await bench.status(), `saved ${word}/red/false ${nonce}`);
      return 'a word and Enter';
    },
  },
];
