import type { CDPSession, Protocol } from 'puppeteer-core';
import { z } from 'zod';
import { unlessGone } from '../cdp/cdpSessions.js';
import { lineageOf, readTargetName } from '../cdp/injectedFunctions.js';
import type { CodeLocation } from '../collectors/consoleMessage.js';
import type { PageElement } from '../page/element.js';
import type { SessionPage } from '../page/sessionPage.js';

/** One listener, or several at the same position. */
export interface ElementListener {
  readonly type: string;
  readonly capture: boolean;
  readonly passive: boolean;
  readonly once: boolean;
  /** Undefined for a script that is no longer known. */
  readonly place: CodeLocation | undefined;
  /** The beginning of its code. */
  readonly code: string;
  readonly count: number;
}

/** What an event passes on its way: an element, a shadow root, the document, the window. */
export interface ListeningTarget {
  readonly name: string;
  readonly listeners: readonly ElementListener[];
}

const maxTargets = 200;
const maxListenersOfTarget = 500;
const maxCodeChars = 80;
const objectGroup = 'greenroom-elements';

/**
 * The listeners of an element, and of all targets that an event at it passes, of the page's scripts and of content
 * scripts (CDP DOMDebugger.getEventListeners). Targets without listeners are left out. Release the result with
 * `releaseElements`.
 */
export async function readListeners(page: SessionPage, element: PageElement): Promise<ListeningTarget[]> {
  await page.scripts.refresh();
  const { cdp } = element.address.document;
  const found: ListeningTarget[] = [];
  for (const objectId of await element.objectsOf(lineageOf, maxTargets)) {
    const read = await unlessGone(cdp.send('DOMDebugger.getEventListeners', { objectId, depth: 1, pierce: true }));
    if (!read || read.listeners.length === 0) continue;
    found.push({ name: await nameOf(cdp, objectId), listeners: grouped(read.listeners, page, cdp) });
  }
  const ofWindow = (await windowListeners(element)).filter(({ scriptId }) => !page.scripts.isOfDriver(cdp, scriptId));
  if (ofWindow.length > 0) found.push({ name: 'window', listeners: grouped(ofWindow, page, cdp) });
  return found;
}

async function nameOf(cdp: CDPSession, objectId: string): Promise<string> {
  const call = { objectId, functionDeclaration: readTargetName, returnByValue: true };
  const { result } = await cdp.send('Runtime.callFunctionOn', call);
  return z.string().parse(result.value);
}

/** Of the page's own scripts: a window is another object in each world. */
async function windowListeners({ address }: PageElement): Promise<readonly Protocol.DOMDebugger.EventListener[]> {
  const { cdp } = address.document;
  const { object } = await cdp.send('DOM.resolveNode', { backendNodeId: address.backendNodeId, objectGroup });
  if (object.objectId === undefined) return [];
  const { result } = await cdp.send('Runtime.callFunctionOn', {
    objectId: object.objectId,
    functionDeclaration: 'function () { return globalThis; }',
    objectGroup,
  });
  if (result.objectId === undefined) return [];
  const read = await unlessGone(cdp.send('DOMDebugger.getEventListeners', { objectId: result.objectId }));
  return read?.listeners ?? [];
}

/** Equal listeners of one place are one with a count, as lists make many. */
function grouped(
  listeners: readonly Protocol.DOMDebugger.EventListener[],
  page: SessionPage,
  session: CDPSession,
): ElementListener[] {
  const byKey = new Map<string, ElementListener>();
  for (const one of listeners.slice(0, maxListenersOfTarget)) {
    const { type, useCapture: capture, passive, once, scriptId, lineNumber, columnNumber } = one;
    const key = [type, capture, passive, once, scriptId, lineNumber, columnNumber].join(' ');
    const script = page.scripts.find(session, scriptId);
    const known = byKey.get(key);
    byKey.set(key, {
      ...{ type, capture, passive, once },
      place: script && { url: script.url, line: lineNumber + 1, column: columnNumber + 1, script: script.key },
      code: codeOf(one.originalHandler ?? one.handler),
      count: (known?.count ?? 0) + 1,
    });
  }
  return [...byKey.values()];
}

/** The beginning of a function, enough to recognize it. */
function codeOf(handler: Protocol.Runtime.RemoteObject | undefined): string {
  const text = handler?.description ?? '';
  const line = text
    .slice(0, 4 * maxCodeChars)
    .replace(/\s+/g, ' ')
    .trim();
  return line.length > maxCodeChars ? `${line.slice(0, maxCodeChars)}…` : line;
}
