import { z } from 'zod';
import { ToolError } from '../../errors/errors.js';
import type { SendResult, TabPosition } from '../injected/extensionContract.js';
import type { SessionPage } from '../page/sessionPage.js';
import { callExpression, sendFromExtension } from '../cdp/injectedFunctions.js';
import type { CdpScope } from '../cdp/cdpScope.js';
import { tabTargetIdOf } from './extensionAction.js';
import type { ContextKind } from './liveContexts.js';
import { evaluateInContentScript, evaluateInDocument, evaluateInWorker } from './contextEvaluation.js';
import { ExtensionDocument, parseResult } from './evaluateInTarget.js';
import type { Extension } from './installedExtensions.js';

export interface ExtensionMessageRequest {
  readonly extension: Extension;
  readonly message: unknown;
  /** Undefined: a hidden document of the extension, which can always be opened. */
  readonly from: ContextKind | undefined;
  /** The page of the content script that sends. */
  readonly page: () => SessionPage;
  /** A page whose content scripts receive it; undefined: the extension itself. */
  readonly toPage: SessionPage | undefined;
  readonly timeoutMs: number;
}

const outcomeSchema = z.union([
  /** JSON; absent for a reply of undefined. */
  z.object({ reply: z.string().optional(), length: z.number().optional(), ms: z.number() }),
  z.object({ error: z.string() }),
]) satisfies z.ZodType<SendResult>;

export type MessageOutcome = z.infer<typeof outcomeSchema>;

/** Sends a message as the extension's own code does, and waits for the reply. */
export async function sendMessage(scope: CdpScope, request: ExtensionMessageRequest): Promise<MessageOutcome> {
  const { extension, from, message, toPage, timeoutMs } = request;
  if (from === 'content_script' && toPage !== undefined) {
    throw new ToolError('A content script cannot send to a tab: it has no chrome.tabs. Omit toPageId or from.');
  }
  const tab = toPage === undefined ? null : await tabQueryOf(scope, toPage);
  if (from === undefined) {
    const document = await ExtensionDocument.open(scope, extension);
    return document.call(sendFromExtension, [message, tab, timeoutMs], outcomeSchema);
  }
  const code = callExpression(sendFromExtension, message, tab, timeoutMs);
  const { json } = await evaluateInSender(scope, request, from, code);
  return outcomeSchema.parse(parseResult(json));
}

function evaluateInSender(
  scope: CdpScope,
  { extension, page }: ExtensionMessageRequest,
  from: ContextKind,
  code: string,
) {
  if (from === 'service_worker') return evaluateInWorker(scope, extension, code);
  if (from === 'content_script') return evaluateInContentScript(scope, extension, page(), code);
  return evaluateInDocument(scope, extension, from, code);
}

/** The query by which `chrome.tabs.query` finds the page's tab without a permission: its window and index. */
export async function tabQueryOf(scope: CdpScope, page: SessionPage): Promise<TabPosition> {
  const tabId = await tabTargetIdOf(scope, page);
  const { targetInfos } = await scope.untilAborted(
    scope.browser.send('Target.getTargets', { filter: [{ type: 'tab' }] }),
  );
  const tab = targetInfos.find(({ targetId }) => targetId === tabId);
  // Puppeteer's CDP types lack `embedderData`.
  const { embedderData } = z.object({ embedderData: z.object({ tabStripIndex: z.number() }) }).parse(tab);
  const { windowId } = await scope.untilAborted(
    scope.browser.send('Browser.getWindowForTarget', { targetId: page.frames.mainId }),
  );
  return { windowId, index: embedderData.tabStripIndex };
}
