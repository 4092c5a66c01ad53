import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { startPageServer, type PageServer } from '../../src/selftest/pageServer.js';
import { extensionTools } from '../../src/tools/allTools.js';
import type { Tool } from '../../src/tools/defineTool.js';
import { ToolError } from '../../src/errors/errors.js';
import { startToolHarness, type ToolHarness } from '../tools/support/toolHarness.js';
import { extensionFixtures, type ExtensionFixture } from './support/extensionFixtures.js';

const defaultTimeoutMs = 30_000;

let tools: ToolHarness;
let pages: PageServer;
let workspace: string;

beforeAll(async () => {
  pages = await startPageServer();
  workspace = await mkdtemp(join(tmpdir(), 'greenroom-test-'));
  tools = await startToolHarness(extensionTools);
});

afterAll(async () => {
  await tools.close();
  await pages.close();
  await rm(workspace, { recursive: true, force: true });
});

async function writeFixture({ files }: ExtensionFixture): Promise<string> {
  const folder = await mkdtemp(join(workspace, 'shape-'));
  for (const [file, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await writeFile(join(folder, file), text);
  }
  return folder;
}

/** What each tool is called with beside the extension; those that are not here need no more. */
const calls: Readonly<Record<string, readonly object[]>> = {
  evaluate_in_extension: [
    { expression: 'chrome.runtime.id' },
    { expression: 'chrome.runtime.id', target: 'content_script' },
    { expression: 'chrome.runtime.id', target: 'popup' },
  ],
  send_extension_message: [
    { message: 'hi', timeoutMs: 500 },
    { message: 'hi', timeoutMs: 500, from: 'content_script' },
  ],
  set_extension_storage: [{ area: 'local', set: { shape: 1 } }],
  open_extension_page: [{ page: 'options' }, { path: 'manifest.json' }],
  trace_extension_api_calls: [{ action: 'start' }, { action: 'read' }, { action: 'stop' }],
  get_extension_logs: [{ keepAlive: true }, { keepAlive: false }],
  set_extension_enabled: [{ enabled: false }, { enabled: true }],
};

/** Runs first or last: it makes and ends what the others work on. */
const excludedTools = ['install_extension', 'uninstall_extension'];

interface Outcome {
  readonly call: string;
  readonly text: string;
  readonly failed: boolean;
}

/** An answer or a ToolError, within the deadline; anything else is a defect and is thrown. */
async function call(tool: Tool, args: Record<string, unknown>): Promise<Outcome> {
  const signal = AbortSignal.timeout(tool.timeoutMs ?? defaultTimeoutMs);
  const name = `${tool.name} ${JSON.stringify(args)}`;
  try {
    return { call: name, text: await tools.text(tool.name, args, { signal }), failed: false };
  } catch (error) {
    if (error instanceof ToolError) return { call: name, text: error.message, failed: true };
    throw new Error(`${name} broke: ${String(error)}`, { cause: error });
  }
}

async function callEveryTool(extensionId: string): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const tool of extensionTools.filter(({ name }) => !excludedTools.includes(name))) {
    const takes = 'extensionId' in tool.input.shape ? { extensionId } : {};
    for (const more of calls[tool.name] ?? [{}]) {
      const args = { ...takes, ...more };
      if (tool.input.safeParse(args).success) outcomes.push(await call(tool, args));
    }
  }
  return outcomes;
}

/** A failure has to say more than that it failed: a sentence that names something, not an accident of ours. */
const isHelpful = ({ text }: Outcome): boolean => text.length > 20 && !/: undefined|\[object|Protocol error/.test(text);

const loadable = Object.entries(extensionFixtures).filter(([, { refusal }]) => refusal === undefined);
const refused = Object.entries(extensionFixtures).filter(([, { refusal }]) => refusal !== undefined);

test.each(loadable)('every tool on an extension with %s', async (_name, shape) => {
  const path = await writeFixture(shape);
  const { structured } = await tools.run('install_extension', { path }, { workspace: [workspace] });
  if (shape.warning !== undefined) expect(JSON.stringify(structured['warnings'])).toContain(shape.warning);
  const extensionId = String(structured['id']);
  const page = await tools.browser.newPage();
  await page.page.goto(`${pages.url}/settled.html`);
  const outcomes = await callEveryTool(extensionId);
  expect(outcomes.filter((outcome) => outcome.failed && !isHelpful(outcome))).toEqual([]);
  const failed = outcomes.filter((outcome) => outcome.failed).map((outcome) => outcome.call.split(' ')[0]);
  // Whatever the shape, it can be listed, described, watched, audited, and seen.
  for (const always of [
    'list_extensions',
    'get_extension_details',
    'list_extension_contexts',
    'monitor_extension_messages',
    'trace_extension_api_calls',
    'get_extension_logs',
    'get_extension_runtime_errors',
    'clear_extension_errors',
    'inspect_extension_manifest',
    'check_content_script_injection',
  ]) {
    expect(failed).not.toContain(always);
  }
  await tools.run('uninstall_extension', { extensionId });
  expect(await page.page.evaluate('document.readyState')).toBe('complete');
  await Promise.all(
    tools.browser
      .pages()
      .slice(1)
      .map(({ id }) => tools.browser.closePage(id)),
  );
});

test.each(refused)('Chrome refuses an extension with a %s, and says why', async (_name, shape) => {
  const path = await writeFixture(shape);
  const refusal = await tools.refusal('install_extension', { path }, { workspace: [workspace] });
  expect(refusal).toContain('Chrome refused the extension');
  expect(refusal).toContain(shape.refusal);
});
