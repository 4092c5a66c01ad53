import type { CDPSession } from 'puppeteer-core';
import { z } from 'zod';
import { timeLimit } from '../../clock.js';
import { untilAborted } from '../../async.js';
import { unlessGone } from '../cdp/cdpSessions.js';
import type { CdpScope } from '../cdp/cdpScope.js';
import { listVariables, type InjectedFunction } from '../cdp/injectedFunctions.js';
import type { DeclaredVariables } from '../injected/contract.js';
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

/**
 * Calls an injected function with the variables at the top of a running classic worker. Those of a module cannot be
 * seen. Undefined when the call throws.
 */
export async function callWithVariables(
  worker: CDPSession,
  source: InjectedFunction<(declared: DeclaredVariables) => unknown>,
): Promise<unknown> {
  const { names } = await worker.send('Runtime.globalLexicalScopeNames', {});
  const readers = names.map((name) => `${JSON.stringify(name)}: () => ${name}`).join(', ');
  const expression = `(${source})({ ${readers} })`;
  const { result } = await worker.send('Runtime.evaluate', { expression, returnByValue: true, silent: true });
  return result.value;
}

const variablesTimeoutMs = 1_000;

const listedSchema = z.array(z.string()).catch([]);

/** The variables of a running worker with their values, as `count = 3`. Empty for a worker that does not answer. */
export async function workerVariables(scope: CdpScope, targetId: string | undefined): Promise<string[]> {
  if (targetId === undefined) return [];
  const reading = callWithVariables(await scope.attach(targetId), listVariables);
  const signal = AbortSignal.any([scope.signal, timeLimit(variablesTimeoutMs)]);
  return listedSchema.parse(await unlessGone(untilAborted(reading, signal)));
}
