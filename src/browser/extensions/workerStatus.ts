import { z } from 'zod';
import { timeLimit } from '../../clock.js';
import { untilAborted } from '../../async.js';
import { unlessGone } from '../cdp/cdpSessions.js';
import type { CdpScope } from '../cdp/cdpScope.js';
import { evaluateInWorker } from './contextEvaluation.js';
import { ExtensionsPage, type Extension, type ExtensionProblem } from './installedExtensions.js';
import { WorkerMonitor, type WorkerState } from './serviceWorkers.js';

export interface WorkerStatus {
  readonly state: WorkerState;
  /** Undefined while none is registered. */
  readonly script: string | undefined;
  /** From `new` to `activated`, and `redundant`. */
  readonly phase: string | undefined;
  /** When the running one started. */
  readonly startedAt: Date | undefined;
  /** Errors of the worker that Chrome recorded since the extension was loaded. */
  readonly errors: readonly ExtensionProblem[];
}

/**
 * The state of an extension's worker. Does not start a stopped one. Reads the start time of a running one, which does
 * not extend its idle timeout.
 */
export async function workerStatus(scope: CdpScope, extension: Extension): Promise<WorkerStatus> {
  const [watch, page] = await Promise.all([WorkerMonitor.open(scope), ExtensionsPage.open(scope)]);
  const { id } = extension;
  const { runtimeErrors } = await page.info(id);
  const state = watch.state(id);
  return {
    state,
    script: watch.script(id),
    phase: watch.phase(id),
    startedAt: state === 'running' ? await startTimeOf(scope, extension) : undefined,
    errors: runtimeErrors.filter(({ isServiceWorker }) => isServiceWorker === true),
  };
}

async function startTimeOf(scope: CdpScope, extension: Extension): Promise<Date | undefined> {
  // It may stop meanwhile.
  const answer = await evaluateInWorker(scope, extension, 'performance.timeOrigin').catch(() => undefined);
  scope.signal.throwIfAborted();
  return answer?.json === undefined ? undefined : new Date(Number(answer.json));
}

const maxVariables = 20;
const variablesTimeoutMs = 1_000;

const printedSchema = z.array(z.string()).catch([]);

/**
 * The variables at the top of a running classic worker that can change, with their values, as `count = 3`. Those of a
 * module cannot be seen. Empty for a worker that does not answer.
 */
export async function workerVariables(scope: CdpScope, targetId: string | undefined): Promise<string[]> {
  if (targetId === undefined) return [];
  const session = await scope.attach(targetId);
  const reading = session.send('Runtime.globalLexicalScopeNames').then(async ({ names }) => {
    // A constant cannot be assigned; its content may still change.
    const entries = names.map((name) => `[${JSON.stringify(name)}, () => ${name}]`).join(', ');
    const expression = `[${entries}].flatMap(([name, read]) => {
      try {
        const value = read();
        if (typeof value === 'function' || value === undefined) return [];
        const isCollection = value instanceof Map || value instanceof Set;
        const text = isCollection ? value.constructor.name + '(' + value.size + ')' : JSON.stringify(value);
        return [name + ' = ' + String(text).slice(0, 80)];
      } catch { return []; }
    }).slice(0, ${maxVariables})`;
    return session.send('Runtime.evaluate', { expression, returnByValue: true, silent: true });
  });
  const answer = await unlessGone(
    untilAborted(reading, AbortSignal.any([scope.signal, timeLimit(variablesTimeoutMs)])),
  );
  return printedSchema.parse(answer?.result.value);
}
