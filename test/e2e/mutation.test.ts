import { tmpdir } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { CallToolResultSchema, type CallToolResult } from '@modelcontextprotocol/sdk/types.js';
import { z } from 'zod';
import { CheckContext } from '../../src/selftest/checkContext.js';
import { checks } from '../../src/selftest/checks/allChecks.js';
import { openSelftestSession, type SelftestSession } from '../../src/selftest/selftestSession.js';
import { mutate, recordAnswers } from './support/mutatedClient.js';
import { startServerProcess, type ServerProcess } from './support/serverProcess.js';

let server: ServerProcess;
let workbench: SelftestSession;

beforeAll(async () => {
  server = await startServerProcess(['--tools', 'all', '--workspace', tmpdir()]);
  workbench = await openSelftestSession({ url: server.url });
});
afterAll(async () => {
  await workbench.close();
  await server.dispose();
});

/** What a tool says elsewhere whose true answer is the same throughout a session: there it is no lie. */
async function answerOfAnotherSession(tool: string): Promise<CallToolResult> {
  const other = await openSelftestSession({ url: server.url });
  try {
    await other.client.callTool({ name: 'install_extension', arguments: { path: other.fixtures.extension } });
    return CallToolResultSchema.parse(await other.client.callTool({ name: tool, arguments: {} }));
  } finally {
    await other.close();
  }
}

/** A true answer that a tool gave a moment ago: right in form, and wrong only where the check looks closely. */
async function constantOf(tool: string, answers: readonly CallToolResult[]): Promise<CallToolResult> {
  if (tool === 'list_browser_capabilities') return answerOfAnotherSession(tool);
  const last = answers.at(-1);
  if (last === undefined) throw new Error('Its check heard no answer of it.');
  return last;
}

const pageList = z.object({ structuredContent: z.object({ pages: z.array(z.object({ id: z.number() })) }) });

/** What ends what the check of a tool leaves behind when it gives up. */
const cleanUps: readonly (readonly [tools: RegExp, name: string, args: object])[] = [
  [/./, 'handle_dialog', { action: 'dismiss' }],
  [/^performance_/, 'performance_stop_trace', {}],
  [/breakpoint|pause|frame|step_debugger/, 'step_debugger', { action: 'resume' }],
  [/breakpoint|pause|frame|step_debugger/, 'remove_breakpoint', {}],
  [/recording/, 'stop_recording', {}],
  [/coverage/, 'stop_coverage', {}],
  [/init_script/, 'add_init_script', { remove: 'all' }],
];

/** What is not there to be ended is refused, and that is fine. */
async function resetSession(tool: string): Promise<void> {
  const call = (name: string, args = {}) => workbench.client.callTool({ name, arguments: args });
  for (const [tools, name, args] of cleanUps) if (tools.test(tool)) await call(name, args);
  const { pages } = pageList.parse(await call('list_pages')).structuredContent;
  for (const { id } of pages.slice(1)) await call('close_page', { pageId: id });
}

test('the selftest has a check for every tool that the server lists', async () => {
  const { tools } = await workbench.client.listTools();
  expect(tools.length).toBeGreaterThan(30);
  expect(tools.map(({ name }) => name).toSorted()).toEqual(checks.map(({ tool }) => tool).toSorted());
});

describe('the selftest tells a tool that works from one that answers a constant', () => {
  test.each(checks.map((check) => [check.tool, check] as const))('%s', async (tool, check) => {
    const answers: CallToolResult[] = [];
    // Also shows that what was left of the mutants before this one has no part in what follows.
    await check.run(new CheckContext(recordAnswers(workbench.client, tool, answers), workbench.fixtures));
    const mutant = mutate(workbench.client, tool, await constantOf(tool, answers));
    await expect(check.run(new CheckContext(mutant.client, workbench.fixtures, mutant.now))).rejects.toThrow();
    expect(mutant.calls()).toBeGreaterThan(0);
    await resetSession(tool);
  });
});
