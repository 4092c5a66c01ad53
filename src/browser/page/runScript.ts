import type { CDPSession, Protocol } from 'puppeteer-core';
import { z } from 'zod';
import { ToolError } from '../../errors/errors.js';
import type { FrameDocument } from './frames.js';
import type { PrintedValue } from '../injected/contract.js';
import { terminateExecution } from '../cdp/cdpSessions.js';
import { runAndPrint } from '../cdp/injectedFunctions.js';
import type { SessionPage } from './sessionPage.js';

/** The documents of the elements among the arguments; the script runs in the first one. Throws for an unknown uid. */
export function documentsOf(page: SessionPage, values: readonly unknown[]): FrameDocument[] {
  const uids = values.flatMap((value) => uidArgumentSchema.safeParse(value).data?.uid ?? []);
  return uids.map((uid) => page.elements.addressOf(uid).document);
}

/** The printed result of a script. */
export interface ScriptResult {
  /** JSON, or the type of a value that JSON cannot express (`undefined`). */
  readonly text: string;
  readonly type: string;
}

const printedSchema = z.object({ json: z.string().optional(), kind: z.string() }) satisfies z.ZodType<PrintedValue>;
const uidArgumentSchema = z.strictObject({ uid: z.string() });
const objectGroup = 'greenroom-arguments';

/**
 * Runs the source of a function (or an expression) in the page's main world and awaits its promise. An argument
 * `{ uid }` becomes the element; with one, the script runs in the element's frame. Throws a ToolError with the page's
 * exception. Aborting terminates the script (CDP Runtime.terminateExecution).
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
    const response =
      document === undefined
        ? evaluateInMainFrame(cdp, source, values)
        : evaluateWithElements(page, cdp, source, values);
    return parseScriptResult(await response);
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
  if (objectId === undefined)
    throw new ToolError('None of the uids is in the page any more. Call take_snapshot again.');
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
    // A page with an open dialog does not answer; the group is then released with its document.
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
    const description = exceptionDetails.exception?.description ?? exceptionDetails.text;
    const hint = description.startsWith('SyntaxError') ? '\nPass one function, like () => document.title.' : '';
    throw new ToolError(`The script threw: ${description}${hint}`);
  }
  const { json, kind } = printedSchema.parse(result.value);
  return { text: json ?? kind, type: kind };
}
