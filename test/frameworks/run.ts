import { isDeepStrictEqual } from 'node:util';
import { emulationTools } from '../../src/tools/emulationTools.js';
import { inputTools } from '../../src/tools/inputTools.js';
import { lookTools } from '../../src/tools/lookTools.js';
import { navigationTools } from '../../src/tools/navigationTools.js';
import { startToolHarness } from '../tools/support/toolHarness.js';
import { bundlePages, installLibraries, serveTasks } from './libraries.js';
import { editorTasks } from './editorTasks.js';
import { formTasks } from './formTasks.js';
import { pointerTasks } from './pointerTasks.js';
import { Agent, type Task } from './task.js';

/**
 * `npm run frameworks [name …]`: what people do on pages of common libraries, done through the tools. Last line:
 * `N passed, N failed`.
 */
const wanted = process.argv.slice(2);
const all: readonly Task[] = [...formTasks, ...editorTasks, ...pointerTasks];
const tasks = all.filter(({ name }) => wanted.length === 0 || wanted.some((part) => name.includes(part)));
const counts = { passed: 0, failed: 0 };

await installLibraries();
const site = await serveTasks(all, await bundlePages(all));
const tools = await startToolHarness([...inputTools, ...lookTools, ...navigationTools, ...emulationTools]);
try {
  for (const task of tasks) await run(task);
} finally {
  await tools.close();
  site.close();
}
process.stdout.write(`${counts.passed} passed, ${counts.failed} failed\n`);
process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0;

async function run({ name, act, read = 'globalThis.state', expected }: Task): Promise<void> {
  const started = Date.now();
  const agent = new Agent(tools);
  let problem: string | undefined;
  try {
    await tools.run('navigate_page', { url: `${site.url}/${name}` });
    await act(agent);
    const state = await agent.evaluate(read);
    if (!isDeepStrictEqual(state, expected)) {
      problem = `expected ${JSON.stringify(expected)}, found ${JSON.stringify(state)}`;
    }
  } catch (error) {
    problem = error instanceof Error ? error.message : String(error);
  }
  counts[problem === undefined ? 'passed' : 'failed'] += 1;
  const seconds = ((Date.now() - started) / 1_000).toFixed(1);
  process.stdout.write(`${name}: ${problem === undefined ? 'passed' : 'FAILED'} (${seconds} s)\n`);
  if (problem !== undefined) process.stdout.write(`  ${problem.replaceAll('\n', '\n  ')}\n`);
}
