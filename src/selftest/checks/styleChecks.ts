import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { assertIncludes, rowWith, rowsOf, type Check } from '../checkContext.js';

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
