import type { Protocol } from 'puppeteer-core';
import { z } from 'zod';
import { ToolError } from '../../errors/errors.js';
import { unlessGone } from '../cdp/cdpSessions.js';
import { formatScope, formatValue } from '../cdp/injectedFunctions.js';
import { runFirst } from '../page/runScript.js';
import { withNames } from './breakpointConditions.js';
import { describeObject, truncateText } from '../collectors/remoteObject.js';
import type { ScopeText } from '../injected/contract.js';
import type { DebuggedTarget } from './debuggedTarget.js';
import { scopeFromProperties, type Pause, type ScopeReading } from './pause.js';

/** Bounds of what one call reads. */
const maxVariables = 25;
const maxVariableChars = 200;
const maxValueChars = 8_000;
const evaluationMs = 2_000;
const maxScopes = 6;
/** Longer scripts are not read for one line. */
const maxReadChars = 4 * 1024 ** 2;

const scopeSchema = z.object({
  variables: z.array(z.object({ name: z.string(), value: z.string() })),
  more: z.int(),
  functions: z.int(),
}) satisfies z.ZodType<ScopeText>;

/** The frame of a pause by its number. Throws a ToolError that names what exists. */
function frameAt({ frames }: Pause, index: number): Protocol.Debugger.CallFrame {
  const frame = frames[index];
  if (frame !== undefined) return frame;
  throw new ToolError(`There is no frame ${index}: the frames are 0 to ${frames.length - 1}, see get_pause.`);
}

/** The original names of the variables of a scope, by those that they have in the code. */
type NamesIn = (pause: Pause, scope: Protocol.Debugger.Scope) => Promise<ReadonlyMap<string, string>>;

function scopesOf(pause: Pause, index: number): Protocol.Debugger.Scope[] {
  const { scopeChain } = frameAt(pause, index);
  return scopeChain.filter(({ type }) => type !== 'global').slice(0, maxScopes);
}

/** The variables that a frame sees, innermost scope first; not the global ones. Values are cut. */
export async function readScopes(
  target: DebuggedTarget,
  pause: Pause,
  { index, namesIn }: { readonly index: number; readonly namesIn: NamesIn },
): Promise<ScopeReading[]> {
  const readings = await Promise.all(
    scopesOf(pause, index).map(async (scope): Promise<ScopeReading> => {
      const { type: kind, name, object } = scope;
      const [content, names] = await Promise.all([readScope(target, object), namesIn(pause, scope)]);
      return { kind, name, content, names };
    }),
  );
  return readings.filter(({ content }) => content.variables.length + content.functions > 0);
}

async function readScope(target: DebuggedTarget, { objectId }: Protocol.Runtime.RemoteObject): Promise<ScopeText> {
  const nothing = { variables: [], more: 0, functions: 0 };
  if (objectId === undefined) return nothing;
  const answer = await unlessGone(
    target.session.send('Runtime.callFunctionOn', {
      objectId,
      functionDeclaration: formatScope,
      arguments: [{ value: maxVariables }, { value: maxVariableChars }],
      returnByValue: true,
      silent: true,
      throwOnSideEffect: true,
    }),
  );
  const read = scopeSchema.safeParse(answer?.result.value);
  if (answer?.exceptionDetails === undefined && read.success) return read.data;
  const options = { objectId, ownProperties: true, generatePreview: true };
  const properties = await unlessGone(target.session.send('Runtime.getProperties', options));
  return properties === undefined ? nothing : scopeFromProperties(properties.result, maxVariables);
}

/** The value of an expression in a frame, as a console prints it. Throws a ToolError with what it throws. */
export async function evaluateInFrame(
  target: DebuggedTarget,
  pause: Pause,
  {
    index,
    expression: written,
    namesIn,
  }: { readonly index: number; readonly expression: string; readonly namesIn: NamesIn },
): Promise<{ readonly type: string; readonly text: string }> {
  const { callFrameId } = frameAt(pause, index);
  const scopes = await Promise.all(scopesOf(pause, index).map((scope) => namesIn(pause, scope)));
  const expression = inCode(written, scopes);
  // Models write functions, since other tools take them.
  const isFunction = /^\s*(?:async\s*)?(?:\(\s*\)|function\s*\(\s*\))\s*(?:=>|\{)/.test(expression);
  const code = isFunction ? `(${expression}\n)()` : expression;
  const answer = await evaluateOrExplain(target, callFrameId, code);
  const { exceptionDetails, result } = answer;
  if (exceptionDetails !== undefined) {
    const { exception, text } = exceptionDetails;
    const [message = text] = (exception === undefined ? text : describeObject(exception)).split('\n    at ');
    throw new ToolError(`The expression threw: ${truncateText(message, 1_000)}`);
  }
  return { type: result.type, text: await printed(target, result) };
}

async function evaluateOrExplain(
  target: DebuggedTarget,
  callFrameId: string,
  code: string,
): Promise<Protocol.Debugger.EvaluateOnCallFrameResponse> {
  try {
    return await target.evaluate(callFrameId, code, evaluationMs);
  } catch (error) {
    if (target.stop === undefined)
      throw new ToolError('The code went on meanwhile: the pause has ended.', { cause: error });
    const hint = 'It must end by itself: a promise is not awaited at a pause, and no timer fires.';
    throw new ToolError(`The expression was stopped after ${evaluationMs / 1_000} s. ${hint}`, { cause: error });
  }
}

async function printed(target: DebuggedTarget, value: Protocol.Runtime.RemoteObject): Promise<string> {
  if (value.type === 'string') return truncateText(JSON.stringify(value.value), maxValueChars);
  if (value.objectId === undefined || value.type === 'function' || value.subtype === 'node')
    return describeObject(value);
  const answer = await unlessGone(
    target.session.send('Runtime.callFunctionOn', {
      objectId: value.objectId,
      functionDeclaration: formatValue,
      arguments: [{ value: maxValueChars }],
      returnByValue: true,
      silent: true,
      throwOnSideEffect: true,
    }),
  );
  const text: unknown = answer?.result.value;
  const isRead = answer?.exceptionDetails === undefined && typeof text === 'string';
  return truncateText(isRead ? text : describeObject(value), maxValueChars);
}

/** An expression with the names of the code in the place of original ones, of the innermost scope that has them. */
function inCode(expression: string, scopes: readonly ReadonlyMap<string, string>[]): string {
  const codeOf = new Map<string, string>();
  for (const names of scopes) for (const [short, name] of names) if (!codeOf.has(name)) codeOf.set(name, short);
  return codeOf.size === 0 ? expression : withNames(expression, codeOf);
}

/** The texts of scripts that were read at each pause. */
const readAt = new WeakMap<Pause, Map<string, Promise<string>>>();

/** The text of the script that a place is in, read once at a pause. Rejects for one that is too long. */
export async function textAt(
  target: DebuggedTarget,
  pause: Pause,
  location: Protocol.Debugger.Location | undefined,
): Promise<string> {
  const { scriptId = '' } = location ?? {};
  const texts = readAt.get(pause) ?? new Map<string, Promise<string>>();
  readAt.set(pause, texts);
  const text = texts.get(scriptId) ?? scriptSource(target, location && target.script(location));
  texts.set(scriptId, text);
  return text;
}

/** Rejects for a script that is too long. */
export async function scriptSource(
  { session }: DebuggedTarget,
  script: Protocol.Debugger.ScriptParsedEvent | undefined,
): Promise<string> {
  if (script === undefined || (script.length ?? 0) > maxReadChars) throw new Error('It is not read.');
  return (await session.send('Debugger.getScriptSource', { scriptId: script.scriptId })).scriptSource;
}

/** From the script itself; of a long line the part around the statement. */
export async function generatedLine(target: DebuggedTarget, pause: Pause): Promise<string | undefined> {
  const location = pause.frames[0]?.location;
  if (location === undefined) return undefined;
  const { lineNumber, columnNumber = 0 } = location;
  const source = await unlessGone(textAt(target, pause, location));
  const first = lineNumber - (target.script(location)?.startLine ?? 0);
  const line = source
    ?.split('\n', first + 1)
    .at(-1)
    ?.replace(runFirst, '');
  return line === undefined || line.length < 200
    ? line
    : line.slice(Math.max(0, columnNumber - 40), columnNumber + 160);
}
