import type { CDPSession, Protocol } from 'puppeteer-core';
import { z } from 'zod';
import type { PrintedValue } from '../injected/contract.js';
import { runAndPrint, callExpression, type InjectedFunction } from '../cdp/injectedFunctions.js';
import { ToolError } from '../../errors/errors.js';
import { terminateExecution } from '../cdp/cdpSessions.js';
import type { CdpScope } from '../cdp/cdpScope.js';
import { ownDocumentUrl, type Extension } from './installedExtensions.js';

/** The result of an evaluation. */
export interface EvaluationResult {
  /** `typeof` the value. */
  readonly type: string;
  /**
   * JSON, with placeholders for values that JSON cannot express; undefined for a value without JSON, such as
   * `undefined`.
   */
  readonly json: string | undefined;
}

/** The code threw, or its promise was rejected. The message contains the stack. */
export class EvaluationError extends Error {}

/** Where to evaluate. Without a context, in the target's main one. */
export interface ExecutionTarget {
  readonly session: CDPSession;
  readonly uniqueContextId?: string;
}

const printedSchema = z.object({ json: z.string().optional(), kind: z.string() }) satisfies z.ZodType<PrintedValue>;

/**
 * Evaluates an expression, or statements with top-level await; calls a function and awaits a promise. Does not enable
 * `Runtime`, which would keep a worker alive. On abort terminates a running script (CDP Runtime.terminateExecution).
 * Throws an EvaluationError for what the code throws.
 */
export async function evaluateInTarget(
  scope: CdpScope,
  target: ExecutionTarget,
  code: string,
): Promise<EvaluationResult> {
  const { session } = target;
  const terminate = (): void => void terminateExecution(session);
  scope.signal.addEventListener('abort', terminate, { once: true });
  try {
    return await evaluateAndPrint(scope, target, code);
  } finally {
    scope.signal.removeEventListener('abort', terminate);
  }
}

async function evaluateAndPrint(
  scope: CdpScope,
  { session, uniqueContextId }: ExecutionTarget,
  code: string,
): Promise<EvaluationResult> {
  const evaluated = await resultOf(
    scope,
    session.send('Runtime.evaluate', {
      expression: asExpression(code),
      replMode: true,
      awaitPromise: true,
      userGesture: true,
      ...(uniqueContextId !== undefined && { uniqueContextId }),
    }),
  );
  if (evaluated.objectId === undefined) return { type: evaluated.type, json: primitiveJson(evaluated) };
  const answer = await resultOf(
    scope,
    session.send('Runtime.callFunctionOn', {
      objectId: evaluated.objectId,
      functionDeclaration: `function () { return (${runAndPrint})(this); }`,
      awaitPromise: true,
      returnByValue: true,
      userGesture: true,
    }),
  );
  const { json, kind } = printedSchema.parse(answer.value);
  return { type: kind, json };
}

/** `function () {}` alone is a broken declaration, in brackets a value. Arrow functions are values as they are. */
function asExpression(code: string): string {
  return /^\s*(async\s+)?function\b/.test(code) ? `(${code}\n)` : code;
}

function primitiveJson({ value, unserializableValue }: Protocol.Runtime.RemoteObject): string | undefined {
  return JSON.stringify(unserializableValue ?? value);
}

async function resultOf(
  scope: CdpScope,
  answer: Promise<{ result: Protocol.Runtime.RemoteObject; exceptionDetails?: Protocol.Runtime.ExceptionDetails }>,
): Promise<Protocol.Runtime.RemoteObject> {
  const { result, exceptionDetails } = await scope.untilAborted(answer);
  if (exceptionDetails) throw new EvaluationError(exceptionText(exceptionDetails));
  return result;
}

function exceptionText({ exception, text }: Protocol.Runtime.ExceptionDetails): string {
  if (exception?.description !== undefined) return exception.description;
  return exception === undefined ? text : `${text} ${primitiveJson(exception) ?? exception.type}`;
}

/** The result of injected code. Throws a ToolError if it was too long to be sent whole. */
export function parseResult(json: string | undefined): unknown {
  try {
    return JSON.parse(json ?? 'null');
  } catch (error) {
    throw new ToolError(
      'What the extension has of it is longer than a tool reads at once (1,000,000 characters). evaluate_in_extension can return a part.',
      { cause: error },
    );
  }
}

/** A hidden document in which code has all permissions of an extension, without its worker. Closed with its scope. */
export class ExtensionDocument {
  readonly #scope: CdpScope;
  readonly #session: CDPSession;

  private constructor(scope: CdpScope, session: CDPSession) {
    this.#scope = scope;
    this.#session = session;
  }

  /** Opens a hidden page at the extension's manifest. */
  static async open(scope: CdpScope, { id }: Extension): Promise<ExtensionDocument> {
    return new ExtensionDocument(scope, await scope.hiddenPage(ownDocumentUrl(id)));
  }

  /** Calls an injected function and returns its result, which must be JSON. Throws an EvaluationError. */
  async call<Args extends readonly unknown[], Schema extends z.ZodType>(
    source: InjectedFunction<(...args: Args) => unknown>,
    args: Args,
    schema: Schema,
  ): Promise<z.output<Schema>> {
    // Through text, since the answer may be deep.
    const code = `(async () => JSON.stringify(await ${callExpression(source, ...args)}))()`;
    const { json } = await evaluateInTarget(this.#scope, { session: this.#session }, code);
    return schema.parse(parseResult(z.string().parse(parseResult(json))));
  }
}
