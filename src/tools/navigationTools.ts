import { z } from 'zod';
import { performAction, type ActionOutcome } from '../browser/page/performAction.js';
import { navigate, reload, traverse } from '../browser/page/pageNavigation.js';
import type { SessionBrowser } from '../browser/pool/sessionBrowser.js';
import { ToolError } from '../errors/errors.js';
import { actionOutput, answerOutcome, loadTimeout, navigationTimeoutMs } from './answers.js';
import { definePageTool, defineTool, type Tool } from './defineTool.js';
import { waitForTool } from './waitForTool.js';

/** The full address to load. Credentials in it are stored for its server. */
export async function addressOf({ addresses, credentials }: SessionBrowser, text: string): Promise<string> {
  return credentials.takeFrom(await addresses.resolve(text));
}

/** The first line of an answer: not while a dialog asks whether the page may be left. */
const unlessAsked = (done: string, { dialog }: ActionOutcome): string[] =>
  dialog?.type === 'beforeunload' ? [] : [done];

const navigatePageTool = definePageTool({
  name: 'navigate_page',
  title: 'Navigate page',
  group: 'pages',
  description:
    'Load a URL in a page, or reload it; waits until it is loaded and quiet. Back and forward: navigate_page_history',
  input: z.strictObject({
    url: z.string().optional().describe('Address to load'),
    reload: z.boolean().optional().describe('Instead of url'),
    ignoreCache: z.boolean().optional().describe('With reload: fetch everything again'),
    timeout: loadTimeout,
  }),
  output: actionOutput,
  annotations: { readOnlyHint: false },
  navigates: true,
  timeoutMs: navigationTimeoutMs,
  async handler(args, { browser, page, signal }) {
    const limits = { signal, timeoutMs: args.timeout };
    if (args.reload === true && args.url === undefined) {
      const outcome = await reload(page, args.ignoreCache ?? false, limits);
      return answerOutcome(page, unlessAsked('Reloaded.', outcome), outcome);
    }
    if (args.url === undefined || args.reload === true) throw new ToolError('Pass either url or reload: true.');
    const url = await addressOf(browser, args.url);
    return answerOutcome(page, [], await navigate(page, url, limits));
  },
});

const navigatePageHistoryTool = definePageTool({
  name: 'navigate_page_history',
  title: 'Back or forward',
  group: 'pages',
  description: 'Go one step back or forward in the history of a page',
  input: z.strictObject({ navigate: z.enum(['back', 'forward']).describe('Direction'), timeout: loadTimeout }),
  output: actionOutput,
  annotations: { readOnlyHint: false },
  navigates: true,
  timeoutMs: navigationTimeoutMs,
  async handler(args, { page, signal }) {
    const step = args.navigate === 'back' ? -1 : 1;
    const outcome = await traverse(page, step, { signal, timeoutMs: args.timeout });
    return answerOutcome(page, unlessAsked(`Went ${args.navigate}.`, outcome), outcome);
  },
});

const addInitScriptTool = definePageTool({
  name: 'add_init_script',
  title: 'Add init script',
  group: 'pages',
  description:
    "Run JavaScript before a page's own scripts in every document it loads from now on, as for flags or stubs. Now: evaluate_script",
  input: z.strictObject({
    script: z.string().min(1).optional().describe('Statements or a function'),
    remove: z.string().optional().describe('Instead: id of one to remove, or all'),
  }),
  output: z.object({ scripts: z.array(z.string()) }),
  annotations: { readOnlyHint: false },
  async handler({ script, remove }, { page }) {
    const { initScripts } = page;
    if ((script === undefined) === (remove === undefined)) throw new ToolError('Pass either script or remove.');
    const added = script === undefined ? undefined : await initScripts.add(script);
    const removed = remove === undefined ? [] : await initScripts.remove(remove);
    const text =
      added === undefined
        ? `Removed ${removed.join(', ') || 'nothing'}. What it did to the present document stays until the next load.`
        : `Added ${added}: it runs from the next load on. navigate_page {"reload":true} loads the present page again.`;
    return { text, structured: { scripts: initScripts.ids() } };
  },
});

const handleDialogTool = definePageTool({
  name: 'handle_dialog',
  title: 'Handle dialog',
  group: 'pages',
  description:
    'Answer the open alert, confirm, prompt or beforeunload dialog of a page, which blocks the page until then',
  input: z.strictObject({
    action: z.enum(['accept', 'dismiss']).describe('Its OK or its Cancel'),
    promptText: z.string().optional().describe('Text for a prompt'),
  }),
  output: actionOutput,
  annotations: { readOnlyHint: false },
  lock: false,
  async handler({ action, promptText }, { page, signal }) {
    const { value, outcome } = await performAction(page, signal, () =>
      page.dialogs.answer(action === 'accept', promptText),
    );
    const done = action === 'accept' ? 'Accepted' : 'Dismissed';
    return answerOutcome(page, [`${done} the ${value?.type ?? ''} dialog.`.replace('  ', ' ')], outcome);
  },
});

const setCredentialsTool = defineTool({
  name: 'set_credentials',
  title: 'Set credentials',
  group: 'pages',
  needs: 'browser',
  description:
    'Set user name and password for a server that asks for them (401, Basic). Sent to that origin only, never shown again',
  input: z.strictObject({
    origin: z.string().describe('Such as https://host:8080'),
    username: z.string().describe('Name; "" with an empty password: forget'),
    password: z.string().describe('Password'),
  }),
  output: z.object({ origins: z.array(z.string()) }),
  annotations: { readOnlyHint: false, idempotentHint: true },
  async handler({ origin: text, username, password }, { browser }) {
    const { origin, protocol } = new URL(await browser.addresses.resolve(text));
    if (!protocol.startsWith('http')) throw new ToolError('Credentials are for http and https addresses.');
    const isEmpty = username === '' && password === '';
    await browser.credentials.set(origin, isEmpty ? undefined : { username, password });
    const done = isEmpty
      ? `Forgot the credentials for ${origin}.`
      : `Credentials for ${origin} are set. Load it again.`;
    return { text: done, structured: { origins: [...browser.credentials.origins] } };
  },
});

export const navigationTools: readonly Tool[] = [
  setCredentialsTool,
  navigatePageTool,
  navigatePageHistoryTool,
  waitForTool,
  addInitScriptTool,
  handleDialogTool,
];
