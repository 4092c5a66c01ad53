import type { Browser, Page, Target } from 'puppeteer-core';
import { z } from 'zod';
import { timeLimit } from '../../clock.js';
import { ToolError } from '../../errors/errors.js';
import type { ActionState } from '../injected/extensionContract.js';
import type { SessionBrowser } from '../pool/sessionBrowser.js';
import type { SessionPage } from '../page/sessionPage.js';
import { untilAborted } from '../../async.js';
import { readActionState } from '../cdp/injectedFunctions.js';
import { sidePanels } from './liveContexts.js';
import type { CdpScope } from '../cdp/cdpScope.js';
import { ExtensionDocument } from './evaluateInTarget.js';
import { chromeErrorText, originOf, ownDocumentPath, type Extension } from './installedExtensions.js';

/** The state of the action for the active tab. */
const actionStateSchema = z
  .object({ popup: z.string(), enabled: z.boolean(), opensPanel: z.boolean() })
  /** False without `action` in the manifest. */
  .nullable() satisfies z.ZodType<ActionState>;

/** Chrome opens a popup within a fraction of this, or not at all. */
const popupTimeoutMs = 8_000;

export interface ActionClick {
  readonly browser: SessionBrowser;
  /** The tab to click on. Default: the selected page, or the one below a selected popup. */
  readonly pageId: number | undefined;
  /** Throws a ToolError instead of clicking where there is no popup. */
  readonly popupOnly: boolean;
}

export interface ClickResult {
  readonly page: SessionPage;
  /** Selected. Undefined where the click went to `chrome.action.onClicked`. */
  readonly popup: SessionPage | undefined;
  /** The click is for the side panel, which is not a page of the session; `unset`: the tab has none. */
  readonly panel: 'opened' | 'unset' | undefined;
}

/**
 * Brings a tab to the front, clicks the extension's action on it (CDP Extensions.triggerAction) and adopts the popup
 * that opens. A popup that was open closes, as it does for a user.
 */
export async function clickAction(
  scope: CdpScope,
  extension: Extension,
  { browser, pageId, popupOnly }: ActionClick,
): Promise<ClickResult> {
  await browser.ensureFirstPage(scope.signal);
  const page = pageId === undefined ? await tabBehindPopup(browser) : browser.page(pageId);
  const clicked = await triggerAction(scope, extension, page, { browser: browser.browser, popupOnly });
  const { popup, panel } = clicked;
  if (popup === undefined) return { page, popup, panel };
  const adopted = browser.adoptPopup(popup).catch((error: unknown) => {
    throw popupClosedAtOnce(extension, error);
  });
  return { page, popup: await scope.untilAborted(adopted), panel };
}

/** The error of a popup that closes before a tool is done with its opening. */
export const popupClosedAtOnce = ({ name }: Pick<Extension, 'name'>, cause: unknown): ToolError =>
  new ToolError(`The popup of ${name} opened and closed again at once, before it could be looked at.`, { cause });

/** Closes the popups that `openPopups` finds, and returns their number. */
export async function closePopups(browser: SessionBrowser, extension: Extension): Promise<number> {
  const popups = await openPopups(browser.browser, originOf(extension.id));
  for (const popup of popups) {
    const page = browser.pages().find((own) => own.page === popup);
    if (page === undefined) await popup.close();
    else await browser.closePage(page.id);
  }
  return popups.length;
}

/** The selected page; a popup that is selected closes first, which selects the page below it. */
async function tabBehindPopup(browser: SessionBrowser): Promise<SessionPage> {
  const selected = browser.page();
  const popups = await openPopups(browser.browser, 'chrome-extension://');
  if (popups.includes(selected.page)) await browser.closePage(selected.id);
  return browser.page();
}

async function triggerAction(
  scope: CdpScope,
  extension: Extension,
  page: SessionPage,
  { browser, popupOnly }: { browser: Browser; popupOnly: boolean },
): Promise<{ popup: Target | undefined; panel: ClickResult['panel'] }> {
  // Chrome crashes on a click for a target that no tab strip shows, such as another popup.
  const tab = await tabTargetIdOf(scope, page);
  // The click is for the tab in front. This closes a popup that is open.
  await scope.untilAborted(page.cdp.send('Page.bringToFront'));
  const document = await ExtensionDocument.open(scope, extension);
  const state = await document.call(readActionState, [], actionStateSchema);
  if (state === null) throw new ToolError(`${extension.name} has no action: its manifest has no "action".`);
  if (!state.enabled) {
    throw new ToolError(`The action of ${extension.name} is disabled on page ${page.id} (chrome.action.disable).`);
  }
  if (state.popup !== '') {
    const popup = await openPopup(scope, extension, browser, () => dispatchClick(scope, extension, tab));
    return { popup, panel: undefined };
  }
  if (popupOnly) {
    throw new ToolError(
      `The action of ${extension.name} has no popup. trigger_extension_action clicks it, which the worker hears as chrome.action.onClicked.`,
    );
  }
  const panels = state.opensPanel ? await sidePanels(scope, extension) : undefined;
  await dispatchClick(scope, extension, tab);
  return { popup: undefined, panel: panels && (panels.path === '' ? 'unset' : 'opened') };
}

/** The popups that are open, of the extensions whose addresses begin so: documents of theirs that are in no tab. */
async function openPopups(browser: Browser, start: string): Promise<Page[]> {
  const candidates = browser.targets().filter((target) => isDocument(target) && target.url().startsWith(start));
  // Puppeteer treats only targets that were pages from the start as pages, which a popup was not.
  const checked = await Promise.all(candidates.map(async (target) => ((await target.page()) === null ? [target] : [])));
  return Promise.all(checked.flat().map((popup) => popup.asPage()));
}

async function openPopup(
  scope: CdpScope,
  extension: Extension,
  browser: Browser,
  open: () => Promise<void>,
): Promise<Target> {
  const before = new Set(browser.targets());
  const limit = AbortSignal.any([scope.signal, timeLimit(popupTimeoutMs)]);
  const isPopup = (target: Target): boolean =>
    isDocument(target) && target.url().startsWith(originOf(extension.id)) && !before.has(target);
  const opened = browser.waitForTarget(isPopup, { timeout: popupTimeoutMs, signal: limit });
  try {
    const [popup] = await Promise.all([untilAborted(opened, limit), open()]);
    return popup;
  } catch (error) {
    scope.signal.throwIfAborted();
    if (error instanceof ToolError) throw error;
    throw new ToolError(`The popup of ${extension.name} did not open within ${popupTimeoutMs / 1000} s.`, {
      cause: error,
    });
  }
}

function isDocument(target: Target): boolean {
  const type: string = target.type();
  return type === 'page' && !target.url().endsWith(ownDocumentPath);
}

async function dispatchClick(scope: CdpScope, { id, name }: Extension, targetId: string): Promise<void> {
  try {
    await scope.untilAborted(scope.browser.send('Extensions.triggerAction', { id, targetId }));
  } catch (error) {
    scope.signal.throwIfAborted();
    throw new ToolError(`Chrome did not trigger the action of ${name}: ${chromeErrorText(error)}`, { cause: error });
  }
}

/** The tab target above a page's target. Throws a ToolError when no tab strip shows it. */
export async function tabTargetIdOf(scope: CdpScope, page: SessionPage): Promise<string> {
  const { targetInfo } = await scope.untilAborted(page.cdp.send('Target.getTargetInfo'));
  const { targetInfos } = await scope.untilAborted(
    scope.browser.send('Target.getTargets', { filter: [{ type: 'tab' }] }),
  );
  for (const tab of targetInfos.filter(isInTabStrip)) {
    if (await tabContains(scope, tab.targetId, targetInfo.targetId)) return tab.targetId;
  }
  throw new ToolError(`Page ${page.id} is no tab, so an action cannot be triggered on it. select_page one that is.`);
}

/** The protocol's types do not know `embedderData` yet. */
function isInTabStrip(target: object): boolean {
  const strip = z.object({ embedderData: z.object({ tabStripIndex: z.number().min(0) }) });
  return strip.safeParse(target).success;
}

async function tabContains(scope: CdpScope, tabId: string, pageId: string): Promise<boolean> {
  const tab = await scope.attach(tabId);
  let found = false;
  tab.on('Target.attachedToTarget', ({ targetInfo }) => {
    if (targetInfo.targetId === pageId) found = true;
  });
  // Reports every page in the tab before its response. On a session of the tab, not of its page.
  await scope.untilAborted(
    tab.send('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: false, flatten: true }),
  );
  return found;
}
