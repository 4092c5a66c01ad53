import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'puppeteer-core';
import { LeasedBrowser } from '../../../src/browser/pool/leasedBrowser.js';
import { launchBrowser, type LaunchOptions } from '../../../src/browser/process/launchBrowser.js';
import { type BrowserConnection, createResourceLedger } from '../../../src/browser/process/browserConnection.js';
import { createSessionPageState } from '../../../src/browser/pool/recovery.js';
import { openPlacement } from '../../../src/browser/pool/browserPlacement.js';
import type { SessionBrowser } from '../../../src/browser/pool/sessionBrowser.js';
import { ResourceStore } from '../../../src/mcp/resourceStore.js';
import { ToolError } from '../../../src/errors/errors.js';
import { chromium } from '../../support/chromium.js';
import type { Answer, Tool, ToolAnswer, ToolContext } from '../../../src/tools/defineTool.js';
import type { Workspace } from '../../../src/tools/workspace.js';
import { recordAction } from '../../../src/tools/actionScript.js';
import { withAllowedDocuments } from '../../../src/tools/documentAccess.js';
import { noBrowsers, noWorkspace, plainClient, sessionFacts } from './plainSession.js';

export interface RunOptions {
  readonly signal?: AbortSignal;
  /** Stays for the calls after this one, too. Before: no folder. */
  readonly workspace?: readonly string[];
  /** How files with logins are written. Default: not at all. */
  readonly saving?: Pick<Workspace, 'owner' | 'encryption'>;
  readonly progress?: ToolContext['progress'];
  readonly pictures?: ToolContext['pictures'];
}

export interface ToolHarness {
  readonly browser: SessionBrowser;
  /** Runs a tool as the server does: checked arguments, the page's lock, an answer that fits the output schema. */
  run(name: string, args?: Record<string, unknown>, options?: RunOptions): Promise<ToolAnswer<Record<string, unknown>>>;
  /** The text of the answer, for reading. */
  text(name: string, args?: Record<string, unknown>, options?: RunOptions): Promise<string>;
  /** The message of the ToolError that the call has to end with. */
  refusal(name: string, args?: Record<string, unknown>, options?: RunOptions): Promise<string>;
  /** What the tools made, as in a session of its own. */
  readonly resources: ResourceStore;
  close(): Promise<void>;
}

/**
 * One real browser with one blank page, and the given tools on it. Closed by the caller. The browser is started by `open`,
 * by default as the server starts one.
 */
export async function startToolHarness(tools: readonly Tool[], open = launchAsServer): Promise<ToolHarness> {
  const connection = await open();
  const pageState = createSessionPageState();
  const seat = await openPlacement({
    connection,
    isolation: 'process',
    pageState,
    ledger: createResourceLedger(),
  });
  const browser = new LeasedBrowser(seat, pageState, () => Promise.resolve());
  if (browser.pages().length === 0) await browser.newPage();
  const resources = new ResourceStore();
  let workspace: readonly string[] = [];
  const harness: ToolHarness = {
    browser,
    resources,
    run: (name, args = {}, options = {}) => {
      workspace = options.workspace ?? workspace;
      return runTool(findTool(tools, name), args, { ...options, workspace }, { browser, resources });
    },
    text: async (name, args, options) => (await harness.run(name, args, options)).text,
    async refusal(name, args, options) {
      try {
        const answer = await harness.run(name, args, options);
        throw new Error(`${name} answered instead of refusing: ${answer.text}`);
      } catch (error) {
        if (error instanceof ToolError) return error.message;
        throw error;
      }
    },
    close: async () => {
      await seat.close();
      await connection.close();
      await resources.close();
    },
  };
  return harness;
}

/** As the server starts one. */
export async function launchAsServer(options: Partial<LaunchOptions> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-test-'));
  const signal = new AbortController().signal;
  const own = { executablePath: chromium, folder: join(folder, 'browser'), headless: true, ...options };
  const connection = await launchBrowser({ ...own, signal, ledger: createResourceLedger() });
  const close = () => connection.close().then(() => rm(folder, { recursive: true, force: true }));
  return { ...connection, close };
}

export async function connectionTo(browser: Browser): Promise<BrowserConnection> {
  const disconnected = new Promise<void>((resolve) => browser.once('disconnected', () => resolve()));
  const product = await browser.version();
  const ping = (): Promise<void> => Promise.resolve();
  return {
    browser,
    mode: 'launch',
    product,
    temporaryFolder: tmpdir(),
    disconnected,
    ping,
    close: () => browser.close(),
  };
}

function findTool(tools: readonly Tool[], name: string): Tool {
  const tool = tools.find((candidate) => candidate.name === name);
  if (!tool) throw new Error(`No tool ${name}`);
  return tool;
}

async function runTool(
  tool: Tool,
  args: Record<string, unknown>,
  {
    signal = new AbortController().signal,
    workspace = [],
    saving,
    progress = () => undefined,
    pictures = { bytes: 3_900_000, pixels: 8_000 },
  }: RunOptions,
  { browser, resources }: Pick<ToolHarness, 'browser' | 'resources'>,
): Promise<ToolAnswer<Record<string, unknown>>> {
  const { pageId, ...checked } = tool.input.parse(args);
  const folders = { ...noWorkspace, folders: workspace, own: browser.ownFolder, ...saving };
  const context: ToolContext = {
    ...{ session: sessionFacts, signal, resources, progress },
    workspace: folders,
    client: plainClient,
    browsers: noBrowsers,
    pictures,
  };
  const call = async (): Promise<Answer> => {
    if (tool.needs === 'nothing') return tool.handler(checked, context);
    if (tool.needs === 'process' || tool.needs === 'extension') await browser.ensureProcess(signal);
    const sight = { browser, workspace: folders };
    if (tool.needs !== 'page')
      return recordAction(tool, args, { browser, page: undefined }, () =>
        withAllowedDocuments(sight, undefined, () => tool.handler(tool.input.parse(args), { ...context, browser })),
      );
    const page = browser.page(typeof pageId === 'number' ? pageId : undefined);
    const run = () =>
      recordAction(tool, checked, { browser, page }, () =>
        withAllowedDocuments(sight, page, () => tool.handler(checked, { ...context, browser, page })),
      );
    return tool.lock === false ? run() : page.runExclusive(signal, run, tool);
  };
  const answer = await call();
  return { ...answer, structured: tool.output?.parse(answer.structured) ?? {} };
}
