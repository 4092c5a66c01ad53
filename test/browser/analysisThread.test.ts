import { z } from 'zod';
import { ToolError } from '../../src/errors/errors.js';
import { runAnalysisThread } from '../../src/browser/profiling/analysisThread.js';

const run = (program: string, signal = new AbortController().signal) =>
  runAnalysisThread(
    {
      program: new URL(`data:text/javascript,import { parentPort, workerData } from 'node:worker_threads'; ${program}`),
      workerData: 21,
      maxMegabytes: 16,
      tooLarge: 'It is too large.',
    },
    z.number(),
    signal,
  );

test('an analysis answers with the message of its thread, which has no environment', async () => {
  await expect(run('parentPort.postMessage(workerData * 2 + Object.keys(process.env).length)')).resolves.toBe(42);
});

test.each([
  [
    'const all = []; for (;;) all.push(new Array(1000).fill(0.5));',
    { name: ToolError.name, message: 'It is too large.' },
  ],
  ['throw new TypeError("It broke.");', { name: 'TypeError', message: 'It broke.' }],
  ['process.exit(3);', { message: 'The analysis thread exited with code 3 and no result.' }],
])('an analysis that does %j is refused with what went wrong', async (program, error) => {
  await expect(run(program)).rejects.toMatchObject(error);
});

test('aborting ends an analysis that would not end', async () => {
  const stopping = new AbortController();
  const endless = run('for (;;);', stopping.signal);
  stopping.abort(new Error('cancelled by the test'));
  await expect(endless).rejects.toThrow('cancelled by the test');
});
