import { z } from 'zod';
import type { BrowserLease } from '../../src/browser/pool/browserLease.js';
import type { SessionBrowser } from '../../src/browser/pool/sessionBrowser.js';
import { callTool } from '../../src/mcp/callTool.js';
import { defineTool } from '../../src/tools/defineTool.js';
import { noPages } from '../support/fakeBrowserPool.js';
import { plainClient } from '../tools/support/plainSession.js';
import { asProgram, fakeMcpSession } from './fakeMcpSession.js';

interface FakeBrowser {
  isAlive: boolean;
  readonly name: string;
}

/** Calls a tool whose browser dies in the middle, which the tool may take for a page that closed itself. */
async function callWhileDying(end: (browser: FakeBrowser) => void) {
  const browsers: FakeBrowser[] = ['dying', 'next'].map((name) => ({ ...noPages, name, isAlive: true }));
  const [dying] = browsers;
  const ran: string[] = [];
  const lease: BrowserLease = {
    current: undefined,
    browserId: undefined,
    browser: () => Promise.resolve((browsers.length > 1 ? browsers.shift() : browsers[0]) as unknown as SessionBrowser),
    check: () => Promise.resolve(),
    release: () => Promise.resolve(),
  };
  const tool = defineTool({
    name: 'look',
    group: 'look',
    needs: 'browser',
    description: 'Looks.',
    input: z.strictObject({}),
    output: z.object({ seen: z.string() }),
    annotations: { readOnlyHint: true },
    handler(_args, context) {
      const browser = context.browser as unknown as FakeBrowser;
      ran.push(browser.name);
      if (browser === dying) end(browser);
      return Promise.resolve({ text: browser.name, structured: { seen: browser.name } });
    },
  });
  const call = {
    tool,
    args: {},
    cancelled: new AbortController().signal,
    progress: () => undefined,
    client: () => plainClient,
    ...asProgram,
  };
  return { ran, result: await callTool(call, fakeMcpSession(lease)) };
}

test('a tool whose browser died under it, and which took that for an answer, runs once more in the next one', async () => {
  const { ran, result } = await callWhileDying((browser) => (browser.isAlive = false));
  expect(ran).toEqual(['dying', 'next']);
  expect(result).toMatchObject({ structuredContent: { seen: 'next' } });
});

test('a tool whose browser lives runs once', async () => {
  const { ran } = await callWhileDying(() => undefined);
  expect(ran).toEqual(['dying']);
});
