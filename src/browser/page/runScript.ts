import type { CDPSession, Protocol } from 'puppeteer-core';
import { z } from 'zod';
import { ToolError } from '../../errors/errors.js';
import type { FrameDocument } from './frames.js';
import type { PrintedValue } from '../injected/contract.js';
import { runAndPrint } from '../cdp/injectedFunctions.js';
import type { SessionPage } from './sessionPage.js';

/** The documents of the elements among the arguments; the script runs in the first one. Throws for an unknown uid. */
export function documentsOf(page: SessionPage, values: readonly unknown[]): FrameDocument[] {
  const uids = values.flatMap((value) => uidArgumentSchema.safeParse(value).data?.uid ?? []);
  return uids.map((uid) => page.elements.addressOf(uid).document);
}

/** What a script gave, printed. */
export interface ScriptResult {
  /** JSON, or the name of what JSON has no word for (`undefined`). */
  readonly text: string;
  readonly type: string;
}

const printedSchema = z.object({ json: z.string().optional(), kind: z.string() }) satisfies z.ZodType<PrintedValue>;
const uidArgumentSchema = z.strictObject({ uid: z.string() });
const objectGroup = 'greenroom-arguments';

/**
 * Runs the source of a function (or an expression) in the page's own world and waits for what it promises. An argument
 * `{ uid }` becomes the element; with one, the script runs in the element's frame. Throws a ToolError with the page's
 * exception. Aborting ends the script (`Runtime.terminateExecution`).
 */
export async function runScript(
  page: SessionPage,
  source: string,
  values: readonly unknown[],
  signal: AbortSignal,
): Promise<ScriptResult> {
  const [document] = documentsOf(page, values);
  const cdp = document?.cdp ?? page.cdp;
  signal.throwIfAborted();
  const terminate = (): void => void terminateExecution(cdp);
  signal.addEventListener('abort', terminate, { once: true });
  try {
    const answer =
      document === undefined
        ? evaluateInMainFrame(cdp, source, values)
        : evaluateWithElements(page, cdp, source, values);
    return parseScriptResult(await answer);
  } finally {
    signal.removeEventListener('abort', terminate);
  }
}

function evaluateInMainFrame(
  cdp: CDPSession,
  source: string,
  values: readonly unknown[],
): Promise<Protocol.Runtime.EvaluateResponse> {
  return cdp.send('Runtime.evaluate', {
    expression: `(${runAndPrint})((${source}\n), ...${JSON.stringify(values)})`,
    awaitPromise: true,
    returnByValue: true,
    userGesture: true,
  });
}

async function evaluateWithElements(
  page: SessionPage,
  cdp: CDPSession,
  source: string,
  values: readonly unknown[],
): Promise<Protocol.Runtime.CallFunctionOnResponse> {
  const resolved = await Promise.all(values.map((value) => argumentOf(page, value)));
  const objectId = resolved.find((argument) => argument.objectId !== undefined)?.objectId;
  if (objectId === undefined) throw new ToolError('None of the uids is in the page any more. take_snapshot again.');
  try {
    return await cdp.send('Runtime.callFunctionOn', {
      objectId,
      functionDeclaration: `(...values) => (${runAndPrint})((${source}\n), ...values)`,
      arguments: resolved,
      awaitPromise: true,
      returnByValue: true,
      userGesture: true,
    });
  } finally {
    // While a dialog is open nothing answers; the group then goes with its document.
    if (!page.dialogs.open) await cdp.send('Runtime.releaseObjectGroup', { objectGroup }).catch(() => undefined);
  }
}

async function argumentOf(page: SessionPage, value: unknown): Promise<Protocol.Runtime.CallArgument> {
  const uid = uidArgumentSchema.safeParse(value).data?.uid;
  if (uid === undefined) return { value };
  const { document, backendNodeId } = page.elements.addressOf(uid);
  try {
    const { object } = await document.cdp.send('DOM.resolveNode', { backendNodeId, objectGroup });
    return object.objectId === undefined ? { value: null } : { objectId: object.objectId };
  } catch (error) {
    throw new ToolError(`uid ${uid} is no longer in the page. take_snapshot again for the present uids.`, {
      cause: error,
    });
  }
}

function parseScriptResult({ result, exceptionDetails }: Protocol.Runtime.EvaluateResponse): ScriptResult {
  if (exceptionDetails) {
    const what = exceptionDetails.exception?.description ?? exceptionDetails.text;
    const hint = what.startsWith('SyntaxError') ? '\nPass one function, like () => document.title.' : '';
    throw new ToolError(`The script threw: ${what}${hint}`);
  }
  const { json, kind } = printedSchema.parse(result.value);
  return { text: json ?? kind, type: kind };
}

/**
 * Ends what runs. Where nothing runs (the script only waits) the browser ends what runs next, so something of ours runs
 * next. A session that is gone has nothing left to end.
 */
async function terminateExecution(cdp: CDPSession): Promise<void> {
  const ended = cdp.send('Runtime.terminateExecution');
  const nextScript = cdp.send('Runtime.evaluate', { expression: '0' });
  await Promise.allSettled([ended, nextScript]);
}
