import { z } from 'zod';
import { EffectObserver } from '../browser/extensions/extensionEvents.js';
import {
  clickAction,
  closePopups,
  popupClosedAtOnce,
  type ClickResult,
} from '../browser/extensions/extensionAction.js';
import {
  findEnabledExtension,
  findExtension,
  type Extension,
  originOf,
} from '../browser/extensions/installedExtensions.js';
import { withCdpScope, type CdpScope } from '../browser/cdp/cdpScope.js';
import { actionOutput, answerAction, includeSnapshot, shortUrl, type ActionOutput, answerOutcome } from './answers.js';
import { defineTool, type BrowserToolContext, type ToolAnswer } from './defineTool.js';
import { effectLines, effectsOf } from './extensionEventTools.js';
import { count, extensionIdInput } from './extensionFields.js';
import { tabQueryOf } from '../browser/extensions/extensionMessage.js';
import type { SessionPage } from '../browser/page/sessionPage.js';
import { namedPages, sidePanels, type NamedPage } from '../browser/extensions/liveContexts.js';
import { navigate } from '../browser/page/pageNavigation.js';
import { ToolError } from '../errors/errors.js';

const actionInput = z.strictObject({
  extensionId: extensionIdInput,
  pageId: z.int().min(1).optional().describe('Tab; default: the selected page'),
});
const popupInput = actionInput.extend({ includeSnapshot });

type ActionArgs = z.output<typeof popupInput>;

/** `pageId` is that of the popup, or of the tab without one. */
const extensionActionOutput = actionOutput.extend({ pageId: z.int(), popup: z.boolean() });

export const triggerExtensionActionTool = defineTool({
  name: 'trigger_extension_action',
  title: 'Click toolbar button',
  group: 'extension',
  needs: 'extension',
  description: "Click an extension's toolbar button on a tab: opens its popup, or fires action.onClicked",
  input: actionInput,
  output: extensionActionOutput,
  annotations: { readOnlyHint: false },
  async handler(args, context) {
    const { browser, signal } = context;
    return withCdpScope(browser.browser, signal, async (scope) => {
      const observer = await EffectObserver.begin(scope, browser, args.extensionId);
      const { extension, clicked } = await clickExtensionAction(args, context, false);
      const { text, structured } = await answerClick(extension, clicked, args, context);
      const { popup } = clicked;
      const { pages, ...effects } = await effectsOf(observer, signal);
      const lines = effectLines({
        ...effects,
        pages: pages.filter((page) => page !== popup && !text.includes(`It opened page ${page.id}:`)),
      });
      return { text: [text, ...lines].join('\n'), structured };
    });
  },
});

export const openExtensionPopupTool = defineTool({
  name: 'open_extension_popup',
  title: 'Open popup',
  group: 'extension',
  needs: 'extension',
  description:
    "Open an extension's popup over a tab and select it for page tools. Fails without a popup: then trigger_extension_action",
  input: popupInput,
  output: extensionActionOutput,
  annotations: { readOnlyHint: false },
  async handler(args, context) {
    const { extension, clicked } = await clickExtensionAction(args, context, true);
    return answerClick(extension, clicked, args, context);
  },
});

export const closeExtensionPopupTool = defineTool({
  name: 'close_extension_popup',
  title: 'Close popup',
  group: 'extension',
  needs: 'extension',
  description: 'Close the popup of an extension; the page below it is selected again',
  input: z.strictObject({ extensionId: extensionIdInput }),
  output: z.object({ closed: z.int(), selectedPageId: z.int().optional() }),
  annotations: { readOnlyHint: false, idempotentHint: true },
  async handler({ extensionId: id }, { browser, signal }) {
    const extension = await withCdpScope(browser.browser, signal, (scope) => findExtension(scope, id));
    const closed = await closePopups(browser, extension);
    const { selected } = browser;
    const what = closed === 0 ? `No popup of "${extension.name}" is open.` : `Closed ${count(closed, 'popup')}.`;
    const now = selected === undefined ? '' : ` Page ${selected.id} is selected: ${shortUrl(selected.url())}`;
    return { text: `${what}${now}`, structured: { closed, ...(selected && { selectedPageId: selected.id }) } };
  },
});

function clickExtensionAction(
  { extensionId: id, pageId }: ActionArgs,
  { browser, signal }: BrowserToolContext,
  popupOnly: boolean,
): Promise<{ extension: Extension; clicked: ClickResult }> {
  return withCdpScope(browser.browser, signal, async (scope) => {
    const extension = await findEnabledExtension(scope, id);
    return { extension, clicked: await clickAction(scope, extension, { browser, pageId, popupOnly }) };
  });
}

/** What a click on an action without a popup does. */
const clickEffects = {
  opened:
    'It opens the side panel (openPanelOnActionClick), so chrome.action.onClicked does not fire. list_extension_contexts shows the panel; open_extension_page with page side_panel opens it as a tab.',
  unset:
    'It is for the side panel (openPanelOnActionClick), but this tab has none, so nothing opens: chrome.sidePanel.setOptions has set no path for it, or enabled: false.',
  event: 'It has no popup there: chrome.action.onClicked fires in its service worker.',
};

async function answerClick(
  extension: Extension,
  { page, popup, panel }: ClickResult,
  args: ActionArgs,
  { signal }: BrowserToolContext,
): Promise<ToolAnswer<ActionOutput & { pageId: number; popup: boolean }>> {
  const tab = `page ${page.id} (${shortUrl(page.url())})`;
  const { name } = extension;
  const done =
    popup === undefined
      ? `Clicked the action of "${name}" on ${tab}. ${clickEffects[panel ?? 'event']}`
      : `Opened the popup of "${name}" over ${tab} as page ${popup.id}, selected: ${shortUrl(popup.url())}`;
  const selected = popup ?? page;
  const action = { page: selected, signal, done, includeSnapshot: args.includeSnapshot };
  const { text, structured } = await selected
    .runExclusive(signal, () => answerAction(action, () => Promise.resolve()))
    .catch((error: unknown) => {
      throw popup?.isClosed === true ? popupClosedAtOnce(extension, error) : error;
    });
  return { text, structured: { ...structured, pageId: selected.id, popup: popup !== undefined } };
}

/** Short: the files are on this machine. */
const loadTimeoutMs = 15_000;

/** How a page differs in a tab from where Chrome shows it. */
const inTab: Readonly<Record<string, string>> = {
  devtools:
    'Chrome loads it within DevTools alone, which no tool opens: chrome.devtools is undefined here. Panels open by their paths.',
  newtab: "Chrome shows it in a user's new tabs as chrome://newtab, which tools do not open.",
  sandbox: 'It is sandboxed: it has no chrome.* APIs.',
};

export const openExtensionPageTool = defineTool({
  name: 'open_extension_page',
  title: 'Open extension page',
  group: 'extension',
  needs: 'extension',
  description: 'Open a page of an extension in a tab and select it. The real popup: open_extension_popup',
  input: z.strictObject({
    extensionId: extensionIdInput,
    page: z
      .string()
      .min(1)
      .default('options')
      .describe('options, side_panel, popup, newtab, devtools, sandbox, or a path'),
    includeSnapshot,
  }),
  output: actionOutput.extend({ pageId: z.int() }),
  annotations: { readOnlyHint: false },
  async handler({ extensionId: id, page: wanted, includeSnapshot: snapshot }, { browser, signal }) {
    const { extension, url } = await withCdpScope(browser.browser, signal, async (scope) => {
      const found = await findEnabledExtension(scope, id);
      return { extension: found, url: await pageUrlOf(scope, found, { wanted, page: browser.selected }) };
    });
    const named = (await namedPages(extension)).find((page) => page.url === url)?.name ?? '';
    const page = await browser.newPage({ signal });
    try {
      const { text, structured } = await page.runExclusive(signal, async () => {
        const outcome = await navigate(page, url, { signal, timeoutMs: loadTimeoutMs });
        return answerOutcome(
          page,
          [`Opened ${url} as page ${page.id}.`, ...(inTab[named] === undefined ? [] : [inTab[named]])],
          outcome,
          snapshot,
        );
      });
      return { text, structured: { ...structured, pageId: page.id } };
    } catch (error) {
      // A page that did not load is not kept.
      if (!page.isClosed) await browser.closePage(page.id);
      throw error;
    }
  },
});

async function pageUrlOf(
  scope: CdpScope,
  extension: Extension,
  { wanted, page }: { wanted: string; page: SessionPage | undefined },
): Promise<string> {
  const pages = await namedPages(extension);
  const origin = `${originOf(extension.id)}/`;
  // A script may have set it for the tab.
  const panel = wanted === 'side_panel' ? await panelOf(scope, extension, page) : '';
  if (panel !== '') return new URL(panel, origin).href;
  const named = pages.find(({ name }) => name === wanted);
  if (named !== undefined) return named.url;
  if (pageNames.has(wanted)) refusePage(extension, wanted, pages);
  const url = URL.canParse(wanted, origin) ? new URL(wanted, origin).href : '';
  if (url.startsWith(origin)) return url;
  throw new ToolError(`${JSON.stringify(wanted)} is not a page of ${extension.name}. Pass a path below ${origin}`);
}

async function panelOf(scope: CdpScope, extension: Extension, page: SessionPage | undefined): Promise<string> {
  const tab = page === undefined || page.isClosed ? null : await tabQueryOf(scope, page);
  return (await sidePanels(scope, extension, tab)).path;
}

const pageNames: ReadonlySet<string> = new Set(['options', 'side_panel', 'popup', ...Object.keys(inTab)]);

function refusePage(extension: Extension, name: string, pages: readonly NamedPage[]): never {
  const others =
    pages.length === 0 ? 'It declares no pages' : `It declares: ${pages.map((page) => page.name).join(', ')}`;
  throw new ToolError(
    `The manifest of ${extension.name} declares no ${name} page. ${others}; any other file opens by its path.`,
  );
}
