import { z } from 'zod';
import { describeBrowser, listDomains } from '../browser/process/capabilities.js';
import { defineTool, type Tool } from './defineTool.js';
import { foldersOf } from './workspace.js';

const readOnly = { readOnlyHint: true, idempotentHint: true };

const getConnectedBrowserTool = defineTool({
  name: 'get_connected_browser',
  title: 'Connected browser',
  group: 'session',
  needs: 'browser',
  description:
    'Which browser and version this session uses, its isolation and pages. What it can do: list_browser_capabilities',
  input: z.strictObject({}),
  output: z.object({
    product: z.string(),
    userAgent: z.string(),
    headless: z.boolean(),
    mode: z.enum(['launch', 'attach']),
    isolation: z.enum(['context', 'process', 'profile']),
    pages: z.number().int(),
    selectedPageId: z.number().int().optional(),
  }),
  annotations: readOnly,
  async handler(_args, { browser, signal }) {
    await browser.ensureFirstPage(signal);
    const { userAgent, headless } = await describeBrowser(browser.browser);
    const { product, mode, isolation, selected } = browser;
    const pages = browser.pages().length;
    return {
      text:
        `${product}, ${headless ? 'headless' : 'with windows'}, ${mode === 'launch' ? 'launched' : 'attached'}, ` +
        `isolation ${isolation}, ${pages} page(s)${selected ? `, page ${selected.id} selected` : ''}\n${userAgent}`,
      structured: {
        product,
        userAgent,
        headless,
        mode,
        isolation,
        pages,
        ...(selected && { selectedPageId: selected.id }),
      },
    };
  },
});

const isolationTexts = {
  context: 'a browser context of its own; cookies and storage are apart, the process is shared',
  process: 'a browser process and profile of its own',
  profile: "the attached browser's own profile and tabs",
} as const;

const listBrowserCapabilitiesTool = defineTool({
  name: 'list_browser_capabilities',
  title: 'Browser capabilities',
  group: 'session',
  needs: 'browser',
  description:
    'What this session can do with its browser: install extensions, show windows, isolation, CDP domains of a page',
  input: z.strictObject({}),
  output: z.object({
    extensions: z.boolean(),
    headless: z.boolean(),
    isolation: z.string(),
    domains: z.array(z.string()),
  }),
  annotations: readOnly,
  async handler(_args, { browser, signal }) {
    await browser.ensureFirstPage(signal);
    const [{ headless, extensions }, domains] = await Promise.all([
      describeBrowser(browser.browser),
      listDomains(browser.page().page),
    ]);
    const { isolation } = browser;
    return {
      text: [
        `Extensions: ${extensions ? 'can be installed and debugged' : 'not available in this browser'}`,
        `Windows: ${headless ? 'none (headless)' : 'shown'}`,
        `Isolation: ${isolation} (${isolationTexts[isolation]})`,
        `CDP domains: ${domains.join(' ')}`,
      ].join('\n'),
      structured: { extensions, headless, isolation, domains },
    };
  },
});

const getSessionInfoTool = defineTool({
  name: 'get_session_info',
  title: 'Session info',
  group: 'session',
  needs: 'nothing',
  ofSession: true,
  description:
    'This session: id, user, transport, state, age, number of calls, folders that tools may use. Needs no browser',
  input: z.strictObject({}),
  output: z.object({
    id: z.string(),
    user: z.string(),
    transport: z.string(),
    state: z.string(),
    createdAt: z.string(),
    client: z.string().nullable(),
    protocolVersion: z.string().nullable(),
    toolCalls: z.number().int(),
    lease: z.enum(['eager', 'lazy']),
    browserState: z.string(),
    workspace: z.array(z.string()),
  }),
  annotations: readOnly,
  handler(_args, { session, workspace }) {
    // Copied field by field: `session` is a live object with more fields.
    const { id, user, transport, state, client, protocolVersion, toolCalls, lease, browserState } = session;
    const structured = {
      ...{ id, user, transport, state, protocolVersion, toolCalls, lease, browserState },
      createdAt: session.createdAt.toISOString(),
      client: client && `${client.name} ${client.version}`,
      workspace: [...foldersOf(workspace)],
    };
    const text = Object.entries(structured).map(([name, value]) => `${name}: ${String(value ?? 'unknown')}`);
    return Promise.resolve({ text: text.join('\n'), structured });
  },
});

export const sessionTools: readonly Tool[] = [getConnectedBrowserTool, listBrowserCapabilitiesTool, getSessionInfoTool];
