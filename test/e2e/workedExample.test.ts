import { execFile } from 'node:child_process';
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { sampleExtensionFolder, sampleExtensionId as extensionId } from '../../src/selftest/pageServer.js';
import { BrowsingClient } from './support/browsingClient.js';
import { startServerProcess, waitUntil, type ServerProcess } from './support/serverProcess.js';
import { mainProgram, root } from '../support/root.js';

const run = promisify(execFile);
/** The copy of the extension, as the pages call it: below the folder in which the server was started. */
const path = 'dist/page-notes';
const copy = join(root, path);

let server: ServerProcess;

beforeAll(async () => {
  server = await startServerProcess();
});
afterEach(() => rm(copy, { recursive: true, force: true }));
afterAll(() => server.dispose());

/** As when a person comes to a server that runs: a session waits for them, with a page open. */
const untilWarm = (): Promise<void> =>
  waitUntil(async () => {
    const health = (await (await fetch(`${server.url}/health`)).json()) as { sessions: { warm: number } };
    return health.sessions.warm === 1;
  });

/** What differs from one run to the next. */
const steady = (text: string): string => text.replaceAll(/(?<!\d)\d+ ms/g, 'N ms').trim();

/** The commands of README's example, each block with the output that is shown below it. */
async function stepsOfReadme(): Promise<{ readonly commands: string; readonly output: string }[]> {
  const readme = await readFile(join(root, 'README.md'), 'utf8');
  const section = /<!-- tested:example -->([\s\S]*?)<!-- \/tested -->/.exec(readme)?.[1] ?? '';
  const blocks = section.matchAll(/^```sh\n([\s\S]*?)^```\n+```text\n([\s\S]*?)^```$/gm);
  return [...blocks].map(([, commands = '', output = '']) => ({ commands, output }));
}

test('[C-EXAMPLE] the commands of README, pasted into a shell in the clone, find and fix the bug of the sample extension', async () => {
  const steps = await stepsOfReadme();
  expect(steps).toHaveLength(2);
  for (const { commands, output } of steps) {
    await untilWarm();
    // The command of a clone, at the server of this test.
    const call = `"${process.execPath}" "${mainProgram}" call --url ${server.url}`;
    const { stdout } = await run('sh', ['-ec', commands.replaceAll('npx greenroom call', call)], { cwd: root });
    expect(steady(stdout)).toBe(steady(output));
  }
});

test('[C-EXAMPLE] the same in one session: the six calls that the page on tools shows are answered as it shows', async () => {
  await cp(sampleExtensionFolder, copy, { recursive: true });
  const transcript: string[] = [];
  await untilWarm();
  const browsing = await BrowsingClient.open(server.url);
  const call = async (name: string, args: Record<string, unknown>): Promise<void> => {
    const text = await browsing.text(name, args);
    transcript.push(`> ${name} ${JSON.stringify(args)}\n${text.trim()}`);
  };
  const message = { type: 'notes.measure' };
  await call('install_extension', { path });
  await call('send_extension_message', { extensionId, message });
  await call('get_extension_runtime_errors', { extensionId });

  const worker = join(copy, 'worker.js');
  const code = await readFile(worker, 'utf8');
  await writeFile(worker, code.replace('note.text.length', 'note?.text.length ?? 0'));

  await call('clear_extension_errors', { extensionId });
  await call('reload_extension', { extensionId });
  await call('send_extension_message', { extensionId, message });
  await browsing.close();

  const shown = steady(await readFile(join(root, 'src/tools/README.md'), 'utf8'));
  for (const step of transcript) expect(shown).toContain(steady(step));
});
