import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { completionScript } from '../../src/cli/completion.js';
import { describeTool, describeToolAsJson, listTools } from '../../src/cli/toolHelp.js';
import { allTools } from '../../src/tools/allTools.js';

test('tools lists every tool below its group', () => {
  const lines = listTools();
  for (const { name } of allTools) expect(lines.filter((line) => line.trim().split(' ')[0] === name)).toHaveLength(1);
  expect(lines).toContain('pages:');
});

test.each(allTools.map(({ name }) => name))(
  '%s: its help names every argument, and begins with an example that is accepted',
  (name) => {
    const tool = allTools.find((each) => each.name === name);
    const help = describeTool(name).join('\n');
    for (const argument of Object.keys(tool?.input.shape ?? {}))
      expect(help).toMatch(new RegExp(`^  ${argument} +`, 'm'));
    const example = /^Example: greenroom call \w+(?: '(.*)')?$/m.exec(help);
    const issues = tool?.input.safeParse(JSON.parse(example?.[1] ?? '{}')).error?.issues ?? [];
    expect(issues.filter(({ code }) => code === 'unrecognized_keys' || code === 'invalid_type')).toEqual([]);
  },
);

test('the example of a tool that needs one of several arguments has one', () => {
  const example = (name: string): string | undefined => describeTool(name).at(-1);
  expect(example('set_breakpoint')).toBe(
    `Example: greenroom call set_breakpoint '{"file":"src/cart.ts","line":12,"log":"total"}'`,
  );
  expect(example('navigate_page')).toContain('"url"');
  expect(describeTool('set_extension_storage').join('\n')).toContain('set          object. Values by key');
});

test('an unknown tool is refused with those that are like it', () => {
  expect(() => describeTool('take_shot')).toThrow(/Unknown tool "take_shot"\. Similar: .*take_screenshot/);
  expect(JSON.parse(describeToolAsJson('new_page'))).toMatchObject({
    name: 'new_page',
    inputSchema: { type: 'object' },
  });
});

describe('completion', () => {
  const commands = [{ name: 'call', description: "call a tool: it's one", flags: ['--json', '--output'] }];

  test('of bash: commands, flags and tools', async () => {
    const script = `${completionScript('bash', commands)}
complete_words() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _greenroom; echo "\${COMPREPLY[*]}"; }
complete_words greenroom ca; complete_words greenroom call --j; complete_words greenroom call take_sc`;
    const { stdout } = await promisify(execFile)('bash', ['-c', script]);
    expect(stdout).toBe('call\n--json\ntake_screenshot\n');
  });

  test.each(['zsh', 'fish'])('of %s: the same words', (shell) => {
    const script = completionScript(shell, commands);
    for (const word of ['call', 'json', 'take_screenshot']) expect(script).toContain(word);
  });

  test('of another shell is refused', () => {
    expect(() => completionScript('tcsh', commands)).toThrow('Unknown shell "tcsh". Known: bash, zsh, fish.');
  });
});
