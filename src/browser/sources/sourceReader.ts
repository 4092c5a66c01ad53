import { Worker } from 'node:worker_threads';
import { untilAborted } from '../../async.js';
import { systemClock, timeLimit, type Clock } from '../../clock.js';
import { SourceMapProblem } from './sourceNames.js';
import type { SourceOperation, SourceOperations, SourceResponse } from './sourceThread.js';

/** Memory of one thread, and time of one request. */
const maxMegabytes = 768;
const limitMs = 10_000;
/** A thread without a request for this long ends; its maps are loaded again when they are wanted. */
const idleMs = 60_000;
/** Threads in this process, of all sessions. The one that has been idle for the longest ends for a new one. */
const maxThreads = 6;

interface Pending {
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/** The readers with a thread, the least recently used first. */
const running = new Set<SourceReader>();

/**
 * A thread of one session that reads source maps and searches texts, so that no other session waits for a map that is
 * huge or hostile. Starts with the first request. Owned by `SourceMaps`, which closes it.
 */
export class SourceReader {
  readonly #clock: Clock;
  readonly #pending = new Map<number, Pending>();
  readonly #onEnd: () => void;
  #thread: Worker | undefined;
  #idleTimer: unknown;
  #lastId = 0;

  /** `onEnd` is called when a thread has ended and its maps are gone. */
  constructor(onEnd: () => void, clock: Clock = systemClock) {
    this.#onEnd = onEnd;
    this.#clock = clock;
  }

  /** Rejects with a SourceMapProblem for a map that cannot be read, or not within the bounds. */
  async call<Name extends SourceOperation>(
    operation: Name,
    argument: Parameters<SourceOperations[Name]>[0],
    signal?: AbortSignal,
  ): Promise<Awaited<ReturnType<SourceOperations[Name]>>> {
    const thread = (this.#thread ??= this.#start());
    const id = (this.#lastId += 1);
    const answer = new Promise<unknown>((resolve, reject) => this.#pending.set(id, { resolve, reject }));
    const limit = timeLimit(limitMs);
    this.#markUsed();
    thread.postMessage({ id, operation, argument });
    try {
      return (await untilAborted(answer, AbortSignal.any([limit, ...(signal ? [signal] : [])]))) as Awaited<
        ReturnType<SourceOperations[Name]>
      >;
    } catch (error) {
      if (!limit.aborted) throw error;
      this.close();
      throw new SourceMapProblem(`takes more than ${limitMs / 1_000} s to read`, { cause: error });
    } finally {
      this.#pending.delete(id);
      this.#markUsed();
    }
  }

  get isRunning(): boolean {
    return this.#thread !== undefined;
  }

  get isBusy(): boolean {
    return this.#pending.size > 0;
  }

  /** Ends the thread. A later request starts another one. Idempotent. */
  close(reason = new SourceMapProblem('could not be read: its reading was ended')): void {
    const thread = this.#thread;
    if (thread === undefined) return;
    this.#thread = undefined;
    running.delete(this);
    this.#clock.clearTimeout(this.#idleTimer);
    for (const { reject } of this.#pending.values()) reject(reason);
    this.#pending.clear();
    void thread.terminate();
    this.#onEnd();
  }

  #start(): Worker {
    const thread = new Worker(new URL('./sourceThread.js', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: maxMegabytes },
      execArgv: [],
      env: {},
      stdout: true,
      stderr: true,
    });
    // The server may end while a thread is idle.
    thread.unref();
    const onEnd = (reason: SourceMapProblem): void => {
      if (this.#thread === thread) this.close(reason);
    };
    thread.on('message', (response: SourceResponse) => this.#onResponse(response));
    thread.on('error', () => onEnd(new SourceMapProblem('is too big to be read')));
    thread.on('exit', () => onEnd(new SourceMapProblem('could not be read')));
    return thread;
  }

  #onResponse(response: SourceResponse): void {
    const pending = this.#pending.get(response.id);
    if (pending === undefined) return;
    if ('value' in response) pending.resolve(response.value);
    else pending.reject(response.isProblem ? new SourceMapProblem(response.error) : new Error(response.error));
  }

  #markUsed(): void {
    this.#clock.clearTimeout(this.#idleTimer);
    if (this.#thread === undefined) return;
    running.delete(this);
    running.add(this);
    const idle = [...running].filter(({ isBusy }) => !isBusy);
    for (const reader of idle.slice(0, Math.max(0, running.size - maxThreads))) if (reader !== this) reader.close();
    if (!this.isBusy) this.#idleTimer = this.#clock.setTimeout(() => this.close(), idleMs);
  }
}
