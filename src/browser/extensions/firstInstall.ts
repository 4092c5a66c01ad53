import type { CDPSession, Protocol } from 'puppeteer-core';
import { callExpression, correctInstallDetails } from '../cdp/injectedFunctions.js';
import type { CdpScope } from '../cdp/cdpScope.js';
import { unlessGone } from '../cdp/cdpSessions.js';

/** The version of the placeholder of an extension. No real extension has it. */
export const placeholderVersion = '0.0.0.65535';

/** The placeholder makes Chrome take the first install for an update. The worker's listeners are told of an install. */
const correction = callExpression(correctInstallDetails, placeholderVersion);

export interface FirstStart {
  /** Resolves when the worker runs its first script, with the correction. One without a worker never does. */
  readonly started: Promise<void>;
  /** Stops watching for new workers. Their sessions end with the scope. */
  stop(): void;
}

/** Corrects the install reason that the extension at this origin gets at its first start. */
export async function correctFirstInstall(scope: CdpScope, origin: string): Promise<FirstStart> {
  const { browser } = scope;
  const connection = browser.connection();
  const armed: (() => Promise<void>)[] = [];
  const { promise: started, resolve: onStart } = withResolvers();
  const arm = (session: CDPSession): void => {
    session.on('Debugger.scriptParsed', ({ url }) => {
      if (url.startsWith(`${origin}/`)) onStart();
    });
    void unlessGone(session.send('Debugger.enable'));
    void unlessGone(session.send('Debugger.setSkipAllPauses', { skip: true }));
    const place = { urlRegex: `^${origin}/`, lineNumber: 0, columnNumber: 0 };
    const set = unlessGone(session.send('Debugger.setBreakpointByUrl', { ...place, condition: correction }));
    armed.push(async () => {
      const breakpoint = await set;
      if (breakpoint !== undefined)
        await unlessGone(session.send('Debugger.removeBreakpoint', { breakpointId: breakpoint.breakpointId }));
    });
  };
  const resume = ({ sessionId }: Protocol.Target.AttachedToTargetEvent): void => {
    const session = connection?.session(sessionId);
    if (session) void unlessGone(session.send('Runtime.runIfWaitingForDebugger'));
  };
  // The first session that resumes a new worker starts it, this one or puppeteer's, so both get the breakpoint before.
  // Puppeteer detaches from a worker immediately; the breakpoint of the other session stays.
  connection?.on('sessionattached', arm);
  browser.on('Target.attachedToTarget', resume);
  const filter = [{ type: 'service_worker' }];
  await scope.untilAborted(
    browser.send('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: true, flatten: true, filter }),
  );
  const stop = (): void => {
    connection?.off('sessionattached', arm);
    browser.off('Target.attachedToTarget', resume);
    for (const disarm of armed) void disarm();
  };
  return { started, stop };
}

function withResolvers(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((done) => (resolve = done));
  return { promise, resolve };
}
