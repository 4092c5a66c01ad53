import type { CDPSession } from 'puppeteer-core';
import { z } from 'zod';
import { timeLimit } from '../../clock.js';
import { untilAborted } from '../../async.js';
import { unlessGone } from '../cdp/cdpSessions.js';
import type { CdpScope } from '../cdp/cdpScope.js';
import { callExpression, listVariables, readWorkerActivity, type InjectedFunction } from '../cdp/injectedFunctions.js';
import type { DeclaredVariables, WorkerActivity } from '../injected/contract.js';
import { ExtensionsPage, type Extension, type ExtensionProblem } from './installedExtensions.js';
import { WorkerMonitor, type WorkerState } from './serviceWorkers.js';

export interface WorkerStatus {
  readonly state: WorkerState;
  /** Undefined while none is registered. */
  readonly script: string | undefined;
  /** From `new` to `activated`, and `redundant`. */
  readonly phase: string | undefined;
  /** What the running one did since its start. Undefined where it does not answer. */
  readonly activity: WorkerActivity | undefined;
  /** Errors of the worker that Chrome recorded since the extension was loaded. */
  readonly errors: readonly ExtensionProblem[];
}

/**
 * The state of an extension's worker. Does not start a stopped one. Reads what a running one heard, which does not extend
 * its idle timeout.
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
    activity: state === 'running' ? await activityOf(scope, watch.targetId(id)) : undefined,
    errors: runtimeErrors.filter(({ isServiceWorker }) => isServiceWorker === true),
  };
}

const answerTimeoutMs = 1_000;

const activitySchema = z.object({
  startedAt: z.number(),
  first: z.object({ name: z.string(), at: z.number() }).optional(),
  events: z.array(z.object({ name: z.string(), count: z.number(), last: z.number() })),
  ports: z.array(z.string()),
}) satisfies z.ZodType<WorkerActivity>;

/** Undefined if it has stopped meanwhile, and while its code holds it. */
async function activityOf(scope: CdpScope, targetId: string | undefined): Promise<WorkerActivity | undefined> {
  if (targetId === undefined) return undefined;
  const expression = callExpression(readWorkerActivity);
  const signal = AbortSignal.any([scope.signal, timeLimit(answerTimeoutMs)]);
  const reading = scope
    .attach(targetId)
    .then((worker) => worker.send('Runtime.evaluate', { expression, returnByValue: true, silent: true }));
  const answer = await unlessGone(untilAborted(reading, signal));
  scope.signal.throwIfAborted();
  return activitySchema.safeParse(answer?.result.value).data;
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
