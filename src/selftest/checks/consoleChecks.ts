import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { assertIncludes, rowWith, type Check } from '../checkContext.js';

export const consoleChecks: readonly Check[] = [
  {
    tool: 'list_console_messages',
    async run(context) {
      await context.openControls();
      const word = randomUUID();
      await context.evaluate(`{ console.warn("${word}"); console.log("other"); }`);
      const answer = await context.call('list_console_messages', { text: word });
      const row = rowWith(answer, 'messages', { text: word });
      assert.equal(row['level'], 'warning');
      assertIncludes(answer.text, word);
      const nothing = await context.call('list_console_messages', { text: word, since: answer.data['cursor'] });
      assert.deepEqual(nothing.data['messages'], []);
      return 'one warning, then nothing new';
    },
  },
  {
    tool: 'get_console_message',
    async run(context) {
      await context.openControls();
      const word = randomUUID();
      await context.evaluate(`(function culprit() { console.error("${word}", { deep: 42 }); })()`);
      const list = await context.call('list_console_messages', { text: word });
      const { id } = rowWith(list, 'messages', { level: 'error' });
      const { text, data } = await context.call('get_console_message', { id });
      assertIncludes(JSON.stringify(data['args']), word);
      assertIncludes(JSON.stringify(data['args']), '42');
      assertIncludes(JSON.stringify(data['stack']), 'culprit');
      assertIncludes(text, word);
      return 'arguments and stack of an error';
    },
  },
];
