import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { assertIncludes, rowsOf, rowWith, type Check, type CheckContext } from '../checkContext.js';

/** Runs a script that was made from the file `src/WORD.ts`, with its source map in it; answers the word. */
async function runMappedScript(context: CheckContext, { stays = false } = {}): Promise<string> {
  if (!stays) await context.openControls();
  const word = `w${randomUUID().replaceAll('-', '')}`;
  const sourcesContent = [`// in front\nconsole.info('${word}');\n`];
  const map = { version: 3, sources: [`webpack:///./src/${word}.ts`], sourcesContent, mappings: 'AACA' };
  const url = `data:application/json;base64,${Buffer.from(JSON.stringify(map)).toString('base64')}`;
  const code = `console.info('${word}');\n//# sourceMappingURL=${url}`;
  await context.evaluate(
    `{ const script = document.createElement('script'); script.text = ${JSON.stringify(code)}; document.body.append(script); }`,
  );
  return word;
}

export const coverageChecks: readonly Check[] = [
  {
    tool: 'start_coverage',
    async run(context) {
      const word = await runMappedScript(context);
      await context.call('start_coverage');
      const [row] = rowsOf(await context.call('stop_coverage', { text: word }), 'files');
      assert.equal(row?.['usedLines'], 0);
      return 'what ran before is not told';
    },
  },
  {
    tool: 'stop_coverage',
    async run(context) {
      await context.openControls();
      assertIncludes(await context.expectError('stop_coverage', {}), 'start_coverage');
      await context.call('start_coverage');
      const word = await runMappedScript(context, { stays: true });
      const answer = await context.call('stop_coverage', { text: word });
      const row = rowWith(answer, 'files', { file: `src/${word}.ts` });
      assert.deepEqual(row['used'], ['2']);
      return 'the line of an original file that ran';
    },
  },
];

export const sourceChecks: readonly Check[] = [
  {
    tool: 'list_sources',
    async run(context) {
      const word = await runMappedScript(context);
      const listed = await context.call('list_sources', { text: word });
      rowWith(listed, 'sources', { file: `src/${word}.ts`, kind: 'original' });
      assertIncludes(listed.text, `src/${word}.ts`);
      return 'the original file of an inline source map';
    },
  },
  {
    tool: 'get_source',
    async run(context) {
      const word = await runMappedScript(context);
      const messages = await context.call('list_console_messages', { text: word });
      assertIncludes(messages.text, `src/${word}.ts:2:1`);
      const { text, data } = await context.call('get_source', { file: `${word}.ts`, from: 2, to: 2 });
      assert.equal(data['kind'], 'original');
      assertIncludes(text, `2: console.info('${word}');`);
      return 'the line that a console message names';
    },
  },
  {
    tool: 'search_sources',
    async run(context) {
      const word = await runMappedScript(context);
      const { text, data } = await context.call('search_sources', { text: word.toUpperCase() });
      assert.equal(data['total'], 1);
      assertIncludes(text, `src/${word}.ts:2:15: console.info('${word}');`);
      return 'one line of an original file';
    },
  },
];
