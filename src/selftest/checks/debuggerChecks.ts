import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { assertIncludes, rowsOf, rowWith, type Check, type CheckContext } from '../checkContext.js';

const file = 'debugger.js';
/** The line of the sample script in which `sum` is complete. */
const line = 8;

/** A page of its own, which has no breakpoints yet. */
async function openPage(context: CheckContext): Promise<void> {
  await context.call('remove_breakpoint', {});
  await context.navigate(`${context.pages}/debugger.html`);
}

/** Stops in `receipt`, which was called with a new word. */
async function stopInside(context: CheckContext): Promise<string> {
  await openPage(context);
  const word = randomUUID();
  await context.call('set_breakpoint', { file, line, condition: 'sum === 7' });
  const { data } = await context.call('evaluate_script', { function: `() => receipt([3, 4], "${word}")` });
  assertIncludes(data['paused'], `${file}:${line}`);
  return word;
}

async function runOn(context: CheckContext): Promise<void> {
  await context.call('step_debugger', { action: 'resume' });
  await context.call('remove_breakpoint', {});
}

export const debuggerChecks: readonly Check[] = [
  {
    tool: 'set_breakpoint',
    async run(context) {
      await openPage(context);
      const word = randomUUID();
      const { text } = await context.call('set_breakpoint', { file, line, log: 'sum, word', condition: 'sum > 4' });
      assertIncludes(text, `${file}:${line}`);
      await context.evaluate(`receipt([3, 4], "${word}")`);
      await context.evaluate(`receipt([1, 2], "${word}")`);
      const logged = await context.eventually(
        () => context.call('list_console_messages', { types: ['logpoint'], text: word }),
        (answer) => assert.equal(rowsOf(answer, 'messages').length, 1),
      );
      assertIncludes(logged.text, `7 ${word}`);
      await context.call('remove_breakpoint', {});
      return 'a logpoint that printed where its condition held';
    },
  },
  {
    tool: 'list_breakpoints',
    async run(context) {
      await openPage(context);
      const unknown = `${randomUUID()}.ts`;
      await context.call('set_breakpoint', { file, line });
      await context.call('set_breakpoint', { file: unknown, line: 1 });
      const answer = await context.call('list_breakpoints', {});
      assertIncludes(answer.text, unknown);
      const [loaded, pending] = rowsOf(answer, 'breakpoints');
      assertIncludes(JSON.stringify(loaded?.['places']), `${context.pages}/${file}`);
      assert.deepEqual(pending?.['places'], []);
      assertIncludes(answer.text, 'pending');
      await context.call('remove_breakpoint', {});
      return 'one that is set and one that waits for its code';
    },
  },
  {
    tool: 'remove_breakpoint',
    async run(context) {
      await openPage(context);
      const { data } = await context.call('set_breakpoint', { file, line });
      const { id } = data['breakpoint'] as { id: number };
      const removed = await context.call('remove_breakpoint', { id });
      assert.deepEqual(removed.data['removed'], [id]);
      assert.equal(await context.evaluate('receipt([1], "")'), 'corner: 1');
      assertIncludes(await context.expectError('remove_breakpoint', { id }), 'list_breakpoints');
      return 'code that no longer stops';
    },
  },
  {
    tool: 'get_pause',
    async run(context) {
      const word = await stopInside(context);
      const answer = await context.call('get_pause', {});
      const top = rowWith(answer, 'frames', { frame: 0 });
      assert.equal(top['functionName'], 'receipt');
      assertIncludes(JSON.stringify(rowsOf(answer, 'scopes')), word);
      assertIncludes(answer.text, 'self: (circular)');
      assertIncludes(await context.expectError('take_snapshot', {}), 'step_debugger');
      await runOn(context);
      return 'frames and variables; another tool names the way out';
    },
  },
  {
    tool: 'evaluate_in_frame',
    async run(context) {
      const word = await stopInside(context);
      const { data } = await context.call('evaluate_in_frame', { expression: '[sum, word]' });
      assert.equal(data['value'], `[7, "${word}"]`);
      await context.call('evaluate_in_frame', { expression: 'sum = 40' });
      await runOn(context);
      assert.equal(await context.status(), `${word}corner: 40`);
      return 'variables of a frame, read and changed';
    },
  },
  {
    tool: 'step_debugger',
    async run(context) {
      await stopInside(context);
      const inner = await context.call('step_debugger', { action: 'into' });
      assertIncludes(inner.text, 'label');
      const outer = await context.call('step_debugger', { action: 'out' });
      assertIncludes(outer.text, 'receipt');
      const { data } = await context.call('step_debugger', { action: 'resume' });
      assert.equal(data['paused'], false);
      await context.call('remove_breakpoint', {});
      return 'into a call, out of it, and on';
    },
  },
];
