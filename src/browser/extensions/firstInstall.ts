import type { Protocol } from 'puppeteer-core';
import type { ProtocolScope } from '../protocol/protocolScope.js';
import { unlessGone } from '../protocol/sessions.js';

/** Of the placeholder that stands for an extension before it is loaded. No real extension has it. */
export const placeholderVersion = '0.0.0.65535';

/**
 * Runs in a worker before its first statement, as the condition of a breakpoint that never stops: the placeholder makes
 * Chrome take the first install of an extension for an update. Its listeners are told of an install, as it is one.
 */
const correction = /* javascript */ `(() => {
  const event = globalThis.chrome?.runtime?.onInstalled;
  const mark = Symbol.for('greenroom.firstInstall');
  if (event === undefined || event[mark]) return false;
  Object.defineProperty(event, mark, { value: true });
  const standIns = new WeakMap();
  const standIn = (listener) => standIns.get(listener) ?? listener;
  const make = (listener) => (details, ...rest) =>
    listener(details?.previousVersion === '${placeholderVersion}' ? { reason: 'install' } : details, ...rest);
  const { addListener, removeListener, hasListener } = event;
  event.addListener = (listener, ...rest) => {
    if (typeof listener === 'function' && !standIns.has(listener)) standIns.set(listener, make(listener));
    return addListener.call(event, standIn(listener), ...rest);
  };
  event.removeListener = (listener) => removeListener.call(event, standIn(listener));
  event.hasListener = (listener) => hasListener.call(event, standIn(listener));
  return false;
})()`;

/**
 * Corrects what the extension at this origin is told at its first start. The sessions on its worker end with the scope.
 * Answers what ends the watching for new ones.
 */
export async function reportFirstInstall(scope: ProtocolScope, origin: string): Promise<() => void> {
  const { browser } = scope;
  const correct = ({ sessionId, targetInfo }: Protocol.Target.AttachedToTargetEvent): void => {
    const session = browser.connection()?.session(sessionId);
    if (session === undefined || session === null) return;
    if (targetInfo.url.startsWith(`${origin}/`)) {
      void unlessGone(session.send('Debugger.enable'));
      void unlessGone(session.send('Debugger.setSkipAllPauses', { skip: true }));
      const place = { urlRegex: `^${origin}/`, lineNumber: 0, columnNumber: 0 };
      void unlessGone(session.send('Debugger.setBreakpointByUrl', { ...place, condition: correction }));
    }
    void unlessGone(session.send('Runtime.runIfWaitingForDebugger'));
  };
  browser.on('Target.attachedToTarget', correct);
  const filter = [{ type: 'service_worker' }];
  await scope.until(
    browser.send('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: true, flatten: true, filter }),
  );
  return () => void browser.off('Target.attachedToTarget', correct);
}
