import type { StackFrame } from '../collectors/consoleMessage.js';
import type { ExtensionLogEntry } from './extensionLog.js';
import type { ExtensionInfo, ExtensionProblem } from './installedExtensions.js';

/** One error of an extension: uncaught, or of its manifest, equal ones counted. */
export interface RuntimeError {
  readonly message: string;
  /** `manifest`, or where it happened: `service_worker`, `content_script ADDRESS`, a document's path. */
  readonly context: string;
  readonly url: string | undefined;
  readonly line: number | undefined;
  readonly column: number | undefined;
  readonly stack: readonly StackFrame[];
  readonly count: number;
}

/** What Chrome noted and what was seen here, each error once: Chrome counts better and knows
 * what was before; what was seen here has the whole stack. */
export function runtimeErrors(info: ExtensionInfo, seen: readonly ExtensionLogEntry[]): RuntimeError[] {
  const noted = [...info.manifestErrors.map(fromManifestProblem), ...info.runtimeErrors.map(fromChromeProblem)];
  const own = seen.map(fromLogEntry);
  const errors = new Map(noted.map((error) => [keyOf(error), error]));
  for (const error of own) {
    const key = keyOf(error);
    const known = errors.get(key);
    if (known === undefined) errors.set(key, error);
    else if (noted.includes(known)) errors.set(key, { ...error, count: Math.max(known.count, 1) });
    else errors.set(key, { ...known, count: known.count + 1 });
  }
  return [...errors.values()];
}

/** Both word the same error a little differently. */
const keyOf = ({ message, url, line }: RuntimeError): string => `${withoutPrefix(message)} ${url ?? ''} ${line ?? ''}`;

const withoutPrefix = (message: string): string => message.replace(/^Uncaught (\(in promise\) )?/, '');

function fromManifestProblem({ message, manifestKey }: ExtensionProblem): RuntimeError {
  const where = manifestKey === undefined || manifestKey === '' ? 'manifest.json' : `manifest.json, ${manifestKey}`;
  return { message, context: 'manifest', url: where, line: undefined, column: undefined, stack: [], count: 1 };
}

function fromChromeProblem(problem: ExtensionProblem): RuntimeError {
  const stack = (problem.stackTrace ?? []).map(({ url, lineNumber, columnNumber, functionName }) => ({
    url,
    line: lineNumber,
    column: columnNumber,
    functionName: functionName || '(anonymous)',
  }));
  const [top] = stack;
  return {
    message: problem.message,
    context: problem.isServiceWorker === true ? 'service_worker' : (problem.contextUrl ?? problem.source ?? ''),
    url: top?.url ?? problem.source,
    line: top?.line,
    column: top?.column,
    stack,
    count: problem.occurrences ?? 1,
  };
}

function fromLogEntry({ text, context, location, stack }: ExtensionLogEntry): RuntimeError {
  const { url, line, column } = location ?? { url: undefined, line: undefined, column: undefined };
  return { message: text, context, url, line, column, stack, count: 1 };
}
