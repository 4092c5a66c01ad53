import { setTimeout as delay } from 'node:timers/promises';
import type { CDPSession, Protocol } from 'puppeteer-core';
import { z } from 'zod';
import { ToolError } from '../../errors/errors.js';
import type { FrameDocument } from './frames.js';
import type { PrintedValue } from '../injected/contract.js';
import { isLostContext, syntaxError, terminateExecution, unlessGone } from '../cdp/cdpSessions.js';
import { runAndPrint } from '../cdp/injectedFunctions.js';
import { describeObject } from '../collectors/remoteObject.js';
import { errorText } from '../collectors/valueReader.js';
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

/** The script as the page's stacks name it. */
export const scriptName = 'evaluate_script';
const nameScript = `\n//# sourceURL=${scriptName}\n`;

/**
 * Runs the source of a function, an expression or statements in the page's main world and awaits its promise. An argument
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
    const script = await readScript(cdp, source);
    return await evaluate(page, { cdp, script, values, hasElements: document !== undefined });
  } catch (error) {
    if (error instanceof ToolError || signal.aborted || !isLostContext(error)) throw error;
    return { text: '(no result: the page went to another document while the script ran)', type: 'undefined' };
  } finally {
    signal.removeEventListener('abort', terminate);
  }
}

interface Script {
  /** A value: a function is called. Undefined for statements, which run as in a console. */
  readonly expression: string | undefined;
  readonly statements: string;
  /** Characters before the caller's own first line. */
  readonly offset: number;
  readonly lines: number;
}

/**
 * Accepts what a model writes for a function: also an expression, statements with or without `return`, or either in a
 * code fence. Throws a ToolError with the position of a syntax error.
 */
async function readScript(cdp: CDPSession, text: string): Promise<Script> {
  const source = /^\s*```\w*\n([^]*?)\n?```\s*$/.exec(text)?.[1] ?? text;
  const statements = withoutSemicolons(source);
  const lines = source.split('\n').length;
  const failure = await syntaxError(cdp, `(${statements}\n)`, scriptName);
  if (failure === undefined) return { expression: statements, statements, offset: 0, lines };
  const head = 'async () => {';
  const isBody = (await syntaxError(cdp, `(${head}${statements}\n})`, scriptName)) === undefined;
  if (!isBody) {
    throw new ToolError(`The script is no JavaScript: ${failure}\nPass one function, like () => document.title.`);
  }
  // Only within a function `return` is allowed.
  const isFunctionBody =
    (await syntaxError(cdp, `async () => {};${withoutAwait(statements)}`, scriptName)) !== undefined;
  const expression = isFunctionBody ? `${head}${statements}\n}` : undefined;
  return { expression, statements, offset: isFunctionBody ? head.length : 0, lines };
}

function withoutSemicolons(source: string): string {
  let text = source.trimEnd();
  while (text.endsWith(';')) text = text.slice(0, -1).trimEnd();
  return text;
}

/** Top-level await is for consoles only, and no reason against them. */
const withoutAwait = (statements: string): string => statements.replace(/\bawait\b/g, '     ');

interface Evaluation {
  readonly cdp: CDPSession;
  readonly script: Script;
  readonly values: readonly unknown[];
  readonly hasElements: boolean;
}

/** The caller's code comes first, so that its lines are counted from 1. */
export const runFirst = '((code, run, ...values) => run(code, ...values))((';

async function evaluate(page: SessionPage, evaluation: Evaluation): Promise<ScriptResult> {
  const { cdp, script, values, hasElements } = evaluation;
  const { expression } = script;
  if (expression === undefined) return printStatements(cdp, script);
  const head = hasElements ? `(...values) => ${runFirst}` : runFirst;
  const place = { offset: head.length + script.offset, lines: script.lines };
  const response = hasElements
    ? evaluateWithElements(page, cdp, `${head}${expression}\n), ${runAndPrint}, ...values)${nameScript}`, values)
    : cdp.send('Runtime.evaluate', {
        expression: `${head}${expression}\n), ${runAndPrint}, ...${JSON.stringify(values)})${nameScript}`,
        awaitPromise: true,
        returnByValue: true,
        userGesture: true,
      });
  return parseScriptResult(cdp, await response, place);
}

/** As in a console: the value of the last statement; `await` is allowed. */
async function printStatements(cdp: CDPSession, { statements, lines }: Script): Promise<ScriptResult> {
  const place = { offset: 0, lines };
  const evaluated = await cdp.send('Runtime.evaluate', {
    expression: `${statements}${nameScript}`,
    replMode: true,
    awaitPromise: true,
    userGesture: true,
    objectGroup,
  });
  await throwException(cdp, evaluated, place);
  const { objectId, unserializableValue, type } = evaluated.result;
  const value: unknown = unserializableValue ?? evaluated.result.value;
  if (objectId === undefined) return { text: value === undefined ? type : JSON.stringify(value), type };
  const printed = await cdp.send('Runtime.callFunctionOn', {
    objectId,
    functionDeclaration: `function () { return (${runAndPrint})(this); }`,
    awaitPromise: true,
    returnByValue: true,
  });
  return parseScriptResult(cdp, printed, place);
}

async function evaluateWithElements(
  page: SessionPage,
  cdp: CDPSession,
  functionDeclaration: string,
  values: readonly unknown[],
): Promise<Protocol.Runtime.CallFunctionOnResponse> {
  const resolved = await Promise.all(values.map((value) => argumentOf(page, value)));
  const objectId = resolved.find((argument) => argument.objectId !== undefined)?.objectId;
  if (objectId === undefined)
    throw new ToolError('None of the uids is in the page any more. Call take_snapshot again.');
  try {
    return await cdp.send('Runtime.callFunctionOn', {
      objectId,
      functionDeclaration,
      arguments: resolved,
      awaitPromise: true,
      returnByValue: true,
      userGesture: true,
    });
  } finally {
    // An interrupted page does not answer; the group is then released with its document.
    if (!page.interruptions.current)
      await cdp.send('Runtime.releaseObjectGroup', { objectGroup }).catch(() => undefined);
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

/** The position of the caller's code in the executed script. */
interface Place {
  readonly offset: number;
  readonly lines: number;
}

async function parseScriptResult(
  cdp: CDPSession,
  response: Protocol.Runtime.EvaluateResponse,
  place: Place,
): Promise<ScriptResult> {
  await throwException(cdp, response, place);
  const { json, kind } = printedSchema.parse(response.result.value);
  return { text: json === undefined ? kind : withOwnFrames(json, place), type: kind };
}

async function throwException(
  cdp: CDPSession,
  { exceptionDetails }: Protocol.Runtime.EvaluateResponse,
  place: Place,
): Promise<void> {
  if (exceptionDetails === undefined) return;
  const { exception, text } = exceptionDetails;
  // Chrome reports the end of a document as an exception without a value.
  if (exception === undefined && isLostContext(text)) throw new Error(text);
  const isError = exception?.subtype === 'error';
  const thrown = isError ? await errorText(cdp, exception) : exception === undefined ? text : describeObject(exception);
  throw new ToolError(`The script threw: ${withOwnFrames(thrown, place)}`);
}

/** Also in a string of JSON, where a line break is written as two characters. */
const ownFrame = /(?:\\n|\n) {4}at (?:[^\n\\(]{0,200}\()?evaluate_script:(\d{1,9}):(\d{1,9})\)?/g;

/** Stacks with the lines and columns of the caller's code, without what runs it. */
function withOwnFrames(text: string, { offset, lines }: Place): string {
  return text.replace(ownFrame, (frame: string, line: string, at: string) => {
    const column = line === '1' ? Number(at) - offset : Number(at);
    if (Number(line) > lines || column < 1) return '';
    return frame.replace(`:${line}:${at}`, `:${line}:${column}`);
  });
}

/** A page that takes longer is held. */
const heldMs = 2_000;
/** What holds a page again and again, as a timer does, has begun again by then. */
const againMs = 500;

/**
 * Ends the code that holds pages. Resolves with these pages. The process of one that is held again at once is ended: the
 * page is loaded again as after a crash.
 */
export async function endHeldCode(pages: readonly SessionPage[], signal: AbortSignal): Promise<SessionPage[]> {
  const answers = await Promise.all(pages.map((page) => page.isAnswering(signal, heldMs)));
  const held = pages.filter((_, index) => answers[index] === false);
  await Promise.all(
    held.map(async (page) => {
      void terminateExecution(page.cdp);
      await delay(againMs, undefined, { signal });
      if (!(await page.isAnswering(signal))) void unlessGone(page.cdp.send('Page.crash'));
    }),
  );
  return held;
}
