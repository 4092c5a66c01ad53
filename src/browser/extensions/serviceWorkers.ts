import type { CDPSession, Protocol, Browser } from 'puppeteer-core';
import { z } from 'zod';
import { ToolError } from '../../errors/errors.js';
import { untilAborted } from '../../async.js';
import { timeLimit } from '../../clock.js';
import { othersOfNumbers, shortenText, withoutNumbers } from '../../text.js';
import { auditExtension } from './audit/auditExtension.js';
import { ExtensionsPage, originOf, type Extension, type ExtensionProblem } from './installedExtensions.js';
import { readManifest } from './manifest.js';
import { loadWithoutFiles } from './fileAccess.js';
import { CdpScope } from '../cdp/cdpScope.js';
import { openBrowserCdpSession, unlessGone } from '../cdp/cdpSessions.js';
import { callExpression, listVariables, readWorkerActivity, type InjectedFunction } from '../cdp/injectedFunctions.js';
import type { DeclaredVariables } from '../injected/contract.js';
import type { WorkerActivity } from '../injected/extensionContract.js';

/** `none`: no worker is registered, since the manifest names none or it threw when it was installed. */
export type WorkerState = Protocol.ServiceWorker.ServiceWorkerVersionRunningStatus | 'none';

type Version = Protocol.ServiceWorker.ServiceWorkerVersion;

/** Number of starts of each extension's worker, by extension id. */
export type WorkerStarts = ReadonlyMap<string, number>;

const workerScope = (extensionId: string): string => `${originOf(extensionId)}/`;

/**
 * Monitors the service workers of a profile in the browser's registry (CDP domain ServiceWorker), from a hidden page.
 * Attaches to no worker and keeps none alive. A worker that restarts keeps its entry and gets a new target; a session
 * on the old target gets no event of its end. Ends with its scope.
 */
export class WorkerMonitor {
  readonly #scope: CdpScope;
  readonly #session: CDPSession;
  readonly #versions = new Map<string, Version>();
  readonly #starts = new Map<string, number>();
  readonly #errors: Protocol.ServiceWorker.ServiceWorkerErrorMessage[] = [];
  readonly #listeners = new Set<() => void>();

  private constructor(scope: CdpScope, session: CDPSession) {
    this.#scope = scope;
    this.#session = session;
  }

  /** Resolves when the registry has been read once. */
  static async open(scope: CdpScope): Promise<WorkerMonitor> {
    const session = await ExtensionsPage.attach(scope);
    const watch = new WorkerMonitor(scope, session);
    const first = new Promise((resolve) => session.once('ServiceWorker.workerVersionUpdated', resolve));
    session.on('ServiceWorker.workerVersionUpdated', ({ versions }) => watch.#update(versions));
    session.on('ServiceWorker.workerErrorReported', ({ errorMessage }) => watch.#errors.push(errorMessage));
    await scope.untilAborted(session.send('ServiceWorker.enable'));
    await scope.untilAborted(first);
    return watch;
  }

  state(extensionId: string): WorkerState {
    const version = this.#newest(extensionId);
    return version === undefined || version.status === 'redundant' ? 'none' : version.runningStatus;
  }

  /** The target of the worker; undefined while it does not run. */
  targetId(extensionId: string): string | undefined {
    return this.state(extensionId) === 'running' ? this.#newest(extensionId)?.targetId : undefined;
  }

  /** The address of its script; undefined while none is registered. */
  script(extensionId: string): string | undefined {
    return this.#newest(extensionId)?.scriptURL;
  }

  /** The lifecycle state of the newest version: from `new` to `activated` and `redundant`. */
  phase(extensionId: string): string | undefined {
    return this.#newest(extensionId)?.status;
  }

  /** Stops the worker as Chrome does when it is idle. Resolves when it has stopped. Does nothing if it does not run. */
  async stop(extensionId: string): Promise<void> {
    const version = this.#newest(extensionId);
    if (version === undefined || this.state(extensionId) === 'stopped') return;
    await this.#scope.untilAborted(this.#session.send('ServiceWorker.stopWorker', { versionId: version.versionId }));
    await this.waitUntil(() => ['stopped', 'none'].includes(this.state(extensionId)));
  }

  /** Asks Chrome to start the worker. Does nothing if it runs or none is registered. */
  async start(extensionId: string): Promise<void> {
    await this.#scope.untilAborted(
      this.#session.send('ServiceWorker.startWorker', { scopeURL: workerScope(extensionId) }),
    );
  }

  /** Sends a push message, which wakes the worker (CDP ServiceWorker.deliverPushMessage). False if none is registered. */
  async push(extensionId: string, data: string): Promise<boolean> {
    const { registrationId } = this.#newest(extensionId) ?? {};
    const message = registrationId && { origin: originOf(extensionId), registrationId, data };
    if (message) await this.#scope.untilAborted(this.#session.send('ServiceWorker.deliverPushMessage', message));
    return message !== undefined;
  }

  /** Errors that workers of this extension threw while monitored, oldest first, like ones as one, with their location. */
  errors(extensionId: string): string[] {
    const own = this.#errors.filter(({ sourceURL }) => sourceURL.startsWith(workerScope(extensionId)));
    return mergedErrors(
      own.map(({ errorMessage: text, sourceURL, lineNumber }) => ({
        text,
        // Of a rejection without a stack Chrome says line 0: its place is not known.
        place: lineNumber > 0 ? `${sourceURL}:${lineNumber}` : sourceURL,
      })),
    );
  }

  /** The number of starts of each worker, to distinguish later starts from earlier ones. */
  starts(): WorkerStarts {
    return new Map(this.#starts);
  }

  /**
   * Waits for the first start after `before`, or the current one. True when the worker runs, false when it ended again.
   * Rejects with the signal's reason.
   */
  async waitForStart(extensionId: string, before: WorkerStarts, signal = this.#scope.signal): Promise<boolean> {
    const outcome = (): boolean | undefined => {
      const version = this.#newest(extensionId);
      const started = (this.#starts.get(extensionId) ?? 0) > (before.get(extensionId) ?? 0);
      if (version === undefined || !started) return undefined;
      if (version.status === 'redundant' || version.runningStatus === 'stopped') return false;
      return version.runningStatus === 'running' && version.status === 'activated' ? true : undefined;
    };
    let up: boolean | undefined;
    await this.waitUntil(() => (up = outcome()) !== undefined, signal);
    return up === true;
  }

  /** Resolves when `test` holds, now or after a change of the registry. Rejects with the signal's reason. */
  async waitUntil(test: () => boolean, signal = this.#scope.signal): Promise<void> {
    if (test()) return;
    let listener = (): void => undefined;
    const holds = new Promise<void>((resolve) => {
      listener = () => {
        if (test()) resolve();
      };
      this.#listeners.add(listener);
    });
    try {
      await untilAborted(holds, signal);
    } finally {
      this.#listeners.delete(listener);
    }
  }

  #update(versions: readonly Version[]): void {
    for (const version of versions) {
      const known = this.#versions.get(version.versionId);
      this.#versions.set(version.versionId, version);
      if (!isStart(known?.runningStatus, version.runningStatus)) continue;
      const { host } = new URL(version.scriptURL);
      this.#starts.set(host, (this.#starts.get(host) ?? 0) + 1);
    }
    for (const listener of this.#listeners) listener();
  }

  #newest(extensionId: string): Version | undefined {
    return [...this.#versions.values()]
      .filter(({ scriptURL }) => scriptURL.startsWith(workerScope(extensionId)))
      .reduce<Version | undefined>(
        (newest, version) => (newest && Number(newest.versionId) > Number(version.versionId) ? newest : version),
        undefined,
      );
  }
}

const maxErrors = 10;
const maxErrorChars = 500;

/** One line for errors of one place whose texts differ only in numbers, and at most ten lines. */
export function mergedErrors(errors: readonly { readonly text: string; readonly place: string }[]): string[] {
  const merged = new Map<string, { readonly place: string; readonly texts: Set<string> }>();
  for (const { text: whole, place } of errors) {
    const text = shortenText(whole, maxErrorChars);
    const key = `${place} ${withoutNumbers(text)}`;
    const { texts } = merged.get(key) ?? { texts: new Set() };
    merged.set(key, { place, texts: texts.add(text) });
  }
  const lines = [...merged.values()].map(({ place, texts }) => {
    const [first = ''] = texts;
    const more = texts.size === 1 ? [] : [othersOfNumbers(texts.size - 1)];
    const notes = [...(place === '' ? [] : [place]), ...more];
    return notes.length === 0 ? first : `${first} (${notes.join('; ')})`;
  });
  const left = lines.length - maxErrors;
  if (left <= 0) return lines;
  return [...lines.slice(0, maxErrors), `${left} further errors: get_extension_runtime_errors lists them.`];
}

/** Of a fast start only the end is reported. */
function isStart(before: Version['runningStatus'] | undefined, now: Version['runningStatus']): boolean {
  if (now === 'starting') return before !== 'starting';
  return now === 'running' && before !== 'starting' && before !== 'running';
}

export interface WakeResult {
  /** The worker's state before; it runs now. */
  readonly before: WorkerState;
  /** What it threw while it started. Chrome lets a worker run whose script threw, unless it is the very first start. */
  readonly errors: readonly string[];
}

/**
 * Starts the extension's worker unless it runs. Throws a ToolError with what the worker threw when it does not come up.
 * If Chrome has dropped the registration (the first start failed), reloads the extension, which registers the worker
 * again.
 */
export async function wakeWorker(scope: CdpScope, extension: Extension): Promise<WakeResult> {
  const watch = await WorkerMonitor.open(scope);
  const { id, name } = extension;
  const before = watch.state(id);
  // At once: another call may start it while this one goes on.
  const starts = before === 'starting' ? new Map() : watch.starts();
  if (before === 'running') return { before, errors: [] };
  if (!extension.enabled) throw new ToolError(`${name} is disabled, so its service worker cannot run.`);
  await requireWorker(extension);
  if (before === 'none') await loadWithoutFiles(scope, extension.path);
  else await watch.start(id);
  const up = await watch.waitForStart(id, starts);
  const errors = watch.errors(id);
  if (up) return { before, errors };
  const reasons = [...errors, ...(await errorsInFolder(extension.path, scope.signal))];
  throw new ToolError(
    `The service worker of ${name} does not start. ${reasons.join('\n') || 'Chrome gave no reason.'}\n` +
      'Fix its script, then call install_extension with its folder again.',
  );
}

const maxFindings = 10;
/** The deadline of an audit within another answer, and the part of it in which code is read. */
const auditMs = 20_000;
const readingMs = 2_000;

/** What the audit of an extension's folder calls errors, a line each. None where the folder cannot be read. */
export async function errorsInFolder(path: string, signal: AbortSignal): Promise<string[]> {
  const within = AbortSignal.any([signal, timeLimit(auditMs)]);
  try {
    const { findings } = await auditExtension({ name: 'the extension', path, readingMs }, within);
    const errors = findings.filter(({ severity }) => severity !== 'advice');
    return errors.slice(0, maxFindings).map(({ at, problem, fix }) => `${at}: ${problem} Fix: ${fix}`);
  } catch {
    signal.throwIfAborted();
    return [];
  }
}

/** Throws a ToolError for an extension whose manifest names no service worker. */
export async function requireWorker(extension: Extension): Promise<void> {
  const manifest = await readManifest(extension);
  if (manifest === undefined || manifest.background?.service_worker !== undefined) return;
  throw new ToolError(`${extension.name} has no service worker: its manifest names no background.service_worker.`);
}

interface OpenMonitor {
  readonly scope: CdpScope;
  readonly watch: WorkerMonitor;
  readonly abort: AbortController;
}

/** Reports the end of workers while some are followed. Owned by ExtensionRecorder, which closes it. */
export class WorkerEndObserver {
  readonly #browser: Browser;
  #monitor: Promise<OpenMonitor> | undefined;

  constructor(browser: Browser) {
    this.#browser = browser;
  }

  /** Does nothing when it is open. */
  async open(): Promise<void> {
    this.#monitor ??= this.#open().catch((error: unknown) => {
      this.#monitor = undefined;
      throw error;
    });
    await this.#monitor;
  }

  /** Calls `ended` once when this worker ends; never after `close`. */
  onEnd({ targetId, url }: Protocol.Target.TargetInfo, onEnded: () => void): void {
    const { host } = new URL(url);
    const waiting = this.#monitor?.then(async ({ watch }) => {
      const isRunning = (): boolean => watch.targetId(host) === targetId;
      const isStarting = (): boolean => watch.state(host) === 'starting';
      // The worker's target may be reported before its registry entry.
      await watch.waitUntil(() => isRunning() || isStarting());
      await watch.waitUntil(() => !isRunning() && !isStarting());
      onEnded();
    });
    waiting?.catch(noop);
  }

  /** Idempotent; never rejects. */
  async close(): Promise<void> {
    const opened = await this.#monitor?.catch(noop);
    this.#monitor = undefined;
    opened?.abort.abort(new Error('No worker is followed any longer.'));
    await opened?.scope.close();
  }

  async #open(): Promise<OpenMonitor> {
    const abort = new AbortController();
    const scope = new CdpScope(this.#browser, await openBrowserCdpSession(this.#browser), abort.signal);
    try {
      return { scope, abort, watch: await WorkerMonitor.open(scope) };
    } catch (error) {
      await scope.close();
      throw error;
    }
  }
}

/** Unlike `noop` of async.ts, typed for a `catch` whose result is used. */
function noop(): undefined {
  return undefined;
}

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
