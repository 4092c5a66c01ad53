import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { assertIncludes, rowWith, rowsOf, type Check } from '../checkContext.js';

export const auditChecks: readonly Check[] = [
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
