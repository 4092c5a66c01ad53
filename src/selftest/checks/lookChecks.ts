import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { assertIncludes, rowsOf, rowWith, type Check, type ToolReply } from '../checkContext.js';

/** The first bytes of a PNG file. */
const pngSignature = '89504e470d0a1a0a';

/** The size in the picture itself; text and data have to say the same. */
function checkedSize({ text, data, images }: ToolReply): [number, number] {
  const bytes = Buffer.from(images[0]?.data ?? '', 'base64');
  assert.equal(bytes.subarray(0, 8).toString('hex'), pngSignature);
  const [width, height] = [bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
  assert.ok(Math.abs(Number(data['width']) - width) <= 1 && Math.abs(Number(data['height']) - height) <= 1);
  assert.equal(data['bytes'], bytes.length);
  assertIncludes(text, String(bytes.length));
  return [width, height];
}

export const lookChecks: readonly Check[] = [
  {
    tool: 'take_snapshot',
    async run(context) {
      const word = randomUUID();
      const nonce = await context.openControls();
      await context.evaluate(`void (document.querySelector("#hover").textContent = "${word}")`);
      const { text, data } = await context.call('take_snapshot');
      const line = text.split('\n').find((one) => one.includes(`button "${word}"`));
      assert.match(line ?? '', /uid=\S+ button/);
      assertIncludes(data['snapshot'], word);
      assertIncludes(text, nonce);
      assert.equal(await context.uidOf('button', word), await context.uidOf('button', word));
      await context.evaluate(`void (document.querySelector("#hover").textContent = "${nonce}")`);
      const changes = await context.call('take_snapshot', { changes: true });
      const changed = changes.text.split('\n').filter((one) => one.startsWith('~'));
      assert.equal(changed.length, 1, changes.text);
      assertIncludes(changed[0], `button "${nonce}"`);
      assert.ok(!changes.text.includes(word));
      return `${text.split('\n').length} lines, uids stay; what changed since`;
    },
  },
  {
    tool: 'find_in_snapshot',
    async run(context) {
      await context.openControls();
      const word = randomUUID();
      await context.evaluate(`void (document.querySelector("#hover").textContent = "${word}")`);
      const { text, data } = await context.call('find_in_snapshot', { text: word, context: 0 });
      assert.ok(Number(data['matches']) >= 1);
      assertIncludes(data['lines'], word);
      assertIncludes(text, await context.uidOf('button', word));
      const none = await context.call('find_in_snapshot', { text: randomUUID() });
      assert.equal(none.data['matches'], 0);
      return 'one button found, a missing one not';
    },
  },
  {
    tool: 'take_screenshot',
    async run(context) {
      await context.openControls();
      await context.call('resize_page', { width: 640, height: 480 });
      const whole = await context.call('take_screenshot');
      assert.deepEqual(checkedSize(whole), [640, 480]);
      const [width, height] = checkedSize(
        await context.call('take_screenshot', { uid: await context.uidOf('button', 'Save') }),
      );
      assert.ok(width < 200 && height < 100, `${width} × ${height} is more than a button`);
      await context.call('resize_page', { width: 1280, height: 800 });
      return `640 × 480 of the page, ${width} × ${height} of a button`;
    },
  },
  {
    tool: 'evaluate_script',
    async run(context) {
      const nonce = await context.openControls();
      const word = randomUUID();
      const { text, data } = await context.call('evaluate_script', {
        function: 'async (word, element) => ({ word, tag: element.tagName, nonce: document.title })',
        args: [word, { uid: await context.uidOf('button', 'Save') }],
      });
      assert.deepEqual(JSON.parse(String(data['result'])), { word, tag: 'BUTTON', nonce: `Selftest ${nonce}` });
      assertIncludes(text, word);
      assertIncludes(
        await context.expectError('evaluate_script', { function: `() => { throw new Error("${word}") }` }),
        word,
      );
      return 'an async function with an element, and one that throws';
    },
  },
];

export const styleChecks: readonly Check[] = [
  {
    tool: 'get_element_styles',
    async run(context) {
      await context.openControls();
      const word = `w${randomUUID().slice(0, 8)}`;
      await context.evaluate(
        `{ const style = document.createElement('style'); style.textContent = '.${word} { color: rgb(1, 2, 3) } #save.${word} { color: rgb(4, 5, 6) }'; document.head.append(style); const button = [...document.querySelectorAll('button')].find((one) => one.textContent === 'Save'); button.id = 'save'; button.classList.add('${word}'); }`,
      );
      const uid = await context.uidOf('button', 'Save');
      const rules = await context.call('get_element_styles', { uid });
      const row = rowWith(rules, 'rules', { rule: `.${word}` });
      assertIncludes(JSON.stringify(row['declarations']), '"state":"overridden"');
      assertIncludes(rules.text, `overridden by #save.${word}`);
      const one = await context.call('get_element_styles', { selector: `.${word}`, properties: ['color'] });
      assertIncludes(one.text, 'color: rgb(4, 5, 6)');
      assert.ok(one.text.length < 600, `${one.text.length} characters for one property`);
      assertIncludes(await context.expectError('get_element_styles', { selector: `.${word}x` }), 'No element matches');
      return 'one rule overrides the other';
    },
  },
  {
    tool: 'list_event_listeners',
    async run(context) {
      await context.openControls();
      const word = `w${randomUUID().slice(0, 8)}`;
      await context.evaluate(`document.body.addEventListener('${word}', () => '${word}', { once: true })`);
      const uid = await context.uidOf('button', 'Save');
      const answer = await context.call('list_event_listeners', { uid, types: [word] });
      rowWith(answer, 'listeners', { type: word, target: '<body>', once: true, count: 1 });
      assertIncludes(answer.text, `${word} (once)`);
      return 'a listener of the body';
    },
  },
  {
    tool: 'audit_accessibility',
    async run(context) {
      await context.openControls();
      const word = `w${randomUUID().slice(0, 8)}`;
      await context.evaluate(
        `{ const pale = document.createElement('p'); pale.id = '${word}'; pale.textContent = 'pale'; pale.style.cssText = 'color: #ccc; background: #fff'; document.body.append(pale); }`,
      );
      const answer = await context.call('audit_accessibility', { rule: 'color-contrast' });
      rowWith(answer, 'findings', { rule: 'color-contrast', impact: 'serious' });
      assertIncludes(answer.text, `<p id="${word}">`);
      assertIncludes(answer.text, 'contrast of 1.6');
      assert.equal(await context.evaluate('typeof axe'), 'undefined');
      return `contrast among ${rowsOf(answer, 'findings').length} finding`;
    },
  },
];
