import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { CheckContext, type ToolArguments } from '../../src/selftest/checkContext.js';
import { sampleExtensionId as extensionId } from '../../src/selftest/pageServer.js';
import { runParallelSelftests } from '../../src/selftest/runSelftest.js';
import { openSelftestSession, type SelftestSession } from '../../src/selftest/selftestSession.js';
import { startServerProcess, type ServerProcess } from './support/serverProcess.js';

const sessions = 10;
const each = <T>(run: (index: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: sessions }, (_, index) => run(index)));

let server: ServerProcess;
beforeAll(async () => {
  server = await startServerProcess(['--tools', 'all', '--workspace', tmpdir()]);
});
afterAll(() => server.dispose());

test('[S6] ten sessions run the checks of pages, input, console, network and storage at once', async () => {
  const lines: string[] = [];
  const counts = await runParallelSelftests({
    url: server.url,
    sessions,
    tools: 'session,pages,input,look,console,network,storage',
    write: (line) => void lines.push(line),
  });
  expect(lines.filter((line) => line.startsWith('FAIL'))).toEqual([]);
  expect(counts).toEqual({ passed: expect.any(Number), failed: 0 });
  expect(counts.passed / sessions).toBeGreaterThan(30);
  expect(counts.passed % sessions).toBe(0);
  expect(lines.at(-2)).toMatch(/^\d{4,} answers, \d{3,} words of 10 sessions: no crosstalk$/);
}, 600_000);

describe('ten sessions with the same extension, each in a browser of its own', () => {
  let workbenches: readonly SelftestSession[];
  beforeAll(async () => {
    workbenches = await each(() => openSelftestSession({ url: server.url }));
  });
  afterAll(() => Promise.all(workbenches.map((workbench) => workbench.close())));

  test('[S6] each sees what its own copy says, sends, stores, calls and shows, and nothing of another', async () => {
    const seen = await Promise.all(workbenches.map(runChecks));
    for (const [index, answers] of seen.entries()) {
      for (const [tool, text] of Object.entries(answers)) expect([tool, sessionsIn(text)]).toEqual([tool, [index]]);
    }
  }, 600_000);
});

/** Leaves the session's mark wherever an extension leaves traces, and answers what every list then shows. */
async function runChecks({ client, fixtures }: SelftestSession, index: number): Promise<Record<string, string>> {
  const bench = new CheckContext(client, fixtures);
  const mark = `session-${index}.`;
  const manifest = join(fixtures.extension, 'manifest.json');
  const named = (await readFile(manifest, 'utf8')).replace('"Page Notes"', `"Notes of ${mark}"`);
  await writeFile(manifest, named);
  const call = async (tool: string, args: ToolArguments = {}): Promise<string> => {
    const { text, data } = await bench.call(tool, args);
    return `${text}\n${JSON.stringify(data)}`;
  };
  await call('install_extension', { path: fixtures.extension });
  await call('navigate_page', { url: `${fixtures.pages}/extension-notes.html?${mark}` });
  await call('evaluate_in_extension', { extensionId, expression: `chrome.storage.local.set({ mark: '${mark}' })` });
  await call('trace_extension_api_calls', { extensionId, action: 'start' });
  await call('evaluate_in_extension', { extensionId, expression: `chrome.storage.local.get('${mark}')` });
  const message = { type: 'notes.add', url: `http://${mark}`, text: mark };
  await call('send_extension_message', { extensionId, message, from: 'content_script' });
  await call('evaluate_in_extension', { extensionId, expression: `void console.log('${mark}')` });
  await call('evaluate_script', {
    function: `() => { console.log('${mark}'); return fetch('/echo?${mark}').then(() => 1); }`,
  });
  const marked = (tool: string, args: ToolArguments): Promise<string> => whenMarked(bench, tool, args, mark);
  return {
    extensions: await call('list_extensions'),
    contexts: await call('list_extension_contexts', { extensionId }),
    storage: await call('inspect_extension_storage', { extensionId, area: 'local' }),
    messages: await marked('monitor_extension_messages', { extensionId }),
    calls: await marked('trace_extension_api_calls', { extensionId }),
    logs: await marked('get_extension_logs', { extensionId }),
    console: await call('list_console_messages'),
    network: await call('list_network_requests'),
    pages: await call('list_pages'),
  };
}

async function whenMarked(bench: CheckContext, tool: string, args: ToolArguments, mark: string): Promise<string> {
  const { text, data } = await bench.eventually(
    () => bench.call(tool, args),
    (answer) => expect(answer.text).toContain(mark),
  );
  return `${text}\n${JSON.stringify(data)}`;
}

function sessionsIn(text: string): number[] {
  return [...new Set([...text.matchAll(/session-(\d+)\./g)].map(([, index]) => Number(index)))].sort();
}
