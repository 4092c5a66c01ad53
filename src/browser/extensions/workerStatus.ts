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
