import { z } from 'zod';
import { ToolError } from '../../errors.js';
import type { SendResult, TabPosition } from '../injected/contract.js';
import type { SessionPage } from '../page/page.js';
import { callExpression, sendFromExtension } from '../protocol/injectedFunctions.js';
import type { ProtocolScope } from '../protocol/protocolScope.js';
import { tabOf } from './action.js';
import type { ContextKind } from './contexts.js';
import { evaluateInContentScript, evaluateInDocument, evaluateInWorker } from './evaluation.js';
import { ExtensionDocument } from './extensionDocument.js';
import type { Extension } from './extensions.js';

export interface Sending {
  readonly extension: Extension;
  readonly message: unknown;
  /** Undefined: a hidden document of the extension, which is always there to be had. */
  readonly from: ContextKind | undefined;
  /** Where a content script sends from. */
  readonly page: () => SessionPage;
  /** A page whose content scripts hear it; undefined: the extension itself does. */
  readonly toPage: SessionPage | undefined;
  readonly timeoutMs: number;
}

const outcome = z.union([
  /** JSON; absent for a reply of undefined. */
  z.object({ reply: z.string().optional(), ms: z.number() }),
  z.object({ error: z.string() }),
]) satisfies z.ZodType<SendResult>;

export type Delivery = z.infer<typeof outcome>;

/** Sends a message as the extension's own code would, and waits for the reply. */
export async function sendMessage(scope: ProtocolScope, sending: Sending): Promise<Delivery> {
  const { extension, from, message, toPage, timeoutMs } = sending;
  if (from === 'content_script' && toPage !== undefined) {
    throw new ToolError('A content script cannot send to a tab: chrome.tabs is not there. Leave out toPageId or from.');
  }
  const tab = toPage === undefined ? null : await placeOf(scope, toPage);
  if (from === undefined) {
    const document = await ExtensionDocument.open(scope, extension);
    return document.call(sendFromExtension, [message, tab, timeoutMs], outcome);
  }
  const code = callExpression(sendFromExtension, message, tab, timeoutMs);
  const { json } = await evaluate(scope, sending, from, code);
  return outcome.parse(JSON.parse(json ?? 'null'));
}

function evaluate(scope: ProtocolScope, { extension, page }: Sending, from: ContextKind, code: string) {
  if (from === 'service_worker') return evaluateInWorker(scope, extension, code);
  if (from === 'content_script') return evaluateInContentScript(scope, extension, page(), code);
  return evaluateInDocument(scope, extension, from, code);
}

/** What `chrome.tabs.query` finds the page's tab by, with no permission: its window and its place there. */
async function placeOf(scope: ProtocolScope, page: SessionPage): Promise<TabPosition> {
  const tabId = await tabOf(scope, page);
  const { targetInfos } = await scope.until(scope.browser.send('Target.getTargets', { filter: [{ type: 'tab' }] }));
  const tab = targetInfos.find(({ targetId }) => targetId === tabId);
  // The protocol's types do not know `embedderData` yet.
  const { embedderData } = z.object({ embedderData: z.object({ tabStripIndex: z.number() }) }).parse(tab);
  const { windowId } = await scope.until(
    scope.browser.send('Browser.getWindowForTarget', { targetId: page.frames.mainId }),
  );
  return { windowId, index: embedderData.tabStripIndex };
}
