import { z } from 'zod';
import type { BrowserLease } from '../../src/browser/pool/browserLease.js';
import type { OnQueued } from '../../src/browser/pool/waitQueue.js';
import type { SessionBrowser } from '../../src/browser/pool/sessionBrowser.js';
import { Refusal } from '../../src/errors/errors.js';
import { callTool } from '../../src/mcp/callTool.js';
import { defineTool } from '../../src/tools/defineTool.js';
import { noPages } from '../support/fakeBrowserPool.js';
import { plainClient } from '../tools/support/plainSession.js';
import { asProgram, fakeMcpSession } from './fakeMcpSession.js';

/** Calls a tool that needs a process, which its session gets as `ensureProcess` says. */
async function call(ensureProcess: (signal: AbortSignal, onQueued?: OnQueued) => Promise<void>) {
  const browser = { ...noPages, isAlive: true, isolation: 'context', ensureProcess } as unknown as SessionBrowser;
  const lease: BrowserLease = {
    current: undefined,
    browserId: undefined,
    browser: () => Promise.resolve(browser),
    check: () => Promise.resolve(),
    release: () => Promise.resolve(),
  };
  const tool = defineTool({
    name: 'install',
    group: 'extension',
    needs: 'process',
    description: 'Installs.',
    input: z.strictObject({}),
    output: z.object({ done: z.boolean() }),
    annotations: { readOnlyHint: false },
    handler(_args, { progress }) {
      progress(1, 1, 'installed');
      return Promise.resolve({ text: 'done', structured: { done: true } });
    },
  });
  const reported: [number, string | undefined][] = [];
  const progress = (step: number, _total?: number, message?: string): void => void reported.push([step, message]);
  const cancelled = new AbortController().signal;
  const asked = { tool, args: {}, cancelled, progress, client: () => plainClient, ...asProgram };
  return { reported, result: await callTool(asked, fakeMcpSession(lease)) };
}

test('[C-BROWSERS] a call that waits for a process says how long the queue before it is, and its progress grows', async () => {
  const { reported, result } = await call((_signal, onQueued) => {
    for (const position of [23, 12, 3, 2, 1]) onQueued?.(position);
    return Promise.resolve();
  });
  expect(result.structuredContent).toEqual({ done: true });
  expect(reported.map(([, message]) => message)).toEqual([
    '23rd in the queue for a browser process',
    '12th in the queue for a browser process',
    '3rd in the queue for a browser process',
    '2nd in the queue for a browser process',
    '1st in the queue for a browser process',
    'installed',
  ]);
  const steps = reported.map(([step]) => step);
  expect(steps).toEqual(steps.toSorted((first, second) => first - second));
  expect(new Set(steps).size).toBe(steps.length);
});

test('[C-BROWSERS] a call that finds the queue full is a result that says what to do', async () => {
  const { result } = await call(() => Promise.reject(new Refusal('browsers_busy')));
  expect(result).toMatchObject({
    isError: true,
    content: [{ text: expect.stringContaining('Every browser process is in use. Retry in a moment') }],
  });
});
