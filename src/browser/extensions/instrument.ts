import type { CDPSession } from 'puppeteer-core';
import { z } from 'zod';
import { untilAborted } from '../../async.js';
import { timeLimit } from '../../clock.js';
import { unlessGone } from '../cdp/cdpSessions.js';
import { callExpression, flushReports, instrumentContext, takeReports } from '../cdp/injectedFunctions.js';

/** The name under which a context reports; its own in no page but the extension's worlds. */
export const bindingName = 'greenroomActivity';

/** The name of this code in stacks, from which its lines are left out. */
const sourceName = 'greenroom.js';

/** Whether a frame of a stack is of this code. */
export const isInstrument = (url: string): boolean => url === sourceName;

/** A stack's text without the lines of this code. */
export const withoutInstrument = (stack: string): string =>
  stack
    .split('\n')
    .filter((line) => !(line.startsWith('    at ') && line.includes(sourceName)))
    .join('\n');

/**
 * Instruments the context it runs in, or only sets whether it traces, and whether it refuses permissions. Breaks nothing
 * where no extension runs.
 */
export function instrumentExpression(tracing: boolean, refusing: readonly string[]): string {
  return `(() => { try { return ${callExpression(instrumentContext, bindingName, tracing, refusing)}; } catch { return false; } })()\n//# sourceURL=${sourceName}`;
}

/** Sends what was reported before the binding was there. */
export const flushExpression = callExpression(flushReports);

/** Limit on the attachment to a worker that starts. The breakpoint is lost with it, so a worker that starts later reports nothing. */
const workerStartMs = 30_000;
/** Limit on the first statements of its script. */
const workerBusyMs = 2_000;

/**
 * Instruments a worker that waits for its debugger, before its first statement, and lets it run. Resolves when that is
 * done, or when it takes too long; the caller then detaches, since a session keeps the worker alive. Never rejects.
 */
export async function instrumentWorker(session: CDPSession, refusing: readonly string[]): Promise<void> {
  const parsed = new Promise<void>((resolve) => session.once('Debugger.scriptParsed', () => resolve()));
  const condition = instrumentExpression(false, refusing);
  void unlessGone(session.send('Debugger.enable'));
  void unlessGone(session.send('Debugger.setSkipAllPauses', { skip: true }));
  const place = { urlRegex: '^chrome-extension://', lineNumber: 0, columnNumber: 0 };
  void unlessGone(session.send('Debugger.setBreakpointByUrl', { ...place, condition }));
  void unlessGone(session.send('Runtime.runIfWaitingForDebugger'));
  const isStarted = await unlessGone(
    untilAborted(
      parsed.then(() => true),
      timeLimit(workerStartMs),
    ),
  );
  if (isStarted !== true) return;
  const instrumented = session.send('Runtime.evaluate', { expression: condition, silent: true });
  await unlessGone(untilAborted(instrumented, timeLimit(workerBusyMs)));
}

const takenSchema = z.array(z.string()).catch([]);

/** The reports of a worker since they were last taken. None where it is not instrumented, or does not answer. */
export async function takeWorkerReports(session: CDPSession): Promise<string[]> {
  const expression = callExpression(takeReports);
  const answer = await unlessGone(session.send('Runtime.evaluate', { expression, returnByValue: true, silent: true }));
  return takenSchema.parse(answer?.result.value);
}

/** Makes a worker keep its reports again. Its binding leads nowhere once its session is detached. */
export async function removeBinding(session: CDPSession): Promise<void> {
  const expression = `delete globalThis[${JSON.stringify(bindingName)}]`;
  await unlessGone(untilAborted(session.send('Runtime.evaluate', { expression, silent: true }), timeLimit(500)));
}
