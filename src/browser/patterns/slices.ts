import { ToolError } from '../../errors/errors.js';

/** Milliseconds per turn of the event loop for all computations together. */
const sliceMs = 10;
/** Milliseconds for one computation in total, if its caller names no other limit. */
const defaultLimitMs = 5_000;

interface Computation {
  /** Runs to the next pause. False when it has ended. */
  step(): boolean;
  /** Milliseconds spent so far. */
  spentMs: number;
  readonly limitMs: number;
  fail(reason: unknown): void;
}

export type Slices = <T>(steps: Iterator<unknown, T>, signal?: AbortSignal, limitMs?: number) => Promise<T>;

/**
 * Runs long computations (generators, which pause where they yield) without blocking the server: together they get 10
 * ms of each turn of the event loop, round robin. A promise rejects with a ToolError when its computation has taken its
 * limit of processing time, and with the signal's reason on abort.
 */
export function createSlices(now: () => number): Slices {
  const waiting: Computation[] = [];

  const runTurn = (): void => {
    const begun = now();
    let at = begun;
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const goesOn = next.step();
      const before = at;
      at = now();
      next.spentMs += at - before;
      if (next.spentMs > next.limitMs) next.fail(tooLong(next.limitMs));
      else if (goesOn) waiting.push(next);
      if (at - begun >= sliceMs) break;
    }
    if (waiting.length > 0) setImmediate(runTurn);
  };

  return (steps, signal, limitMs = defaultLimitMs) =>
    new Promise((resolve, reject) => {
      const step = (): boolean => {
        try {
          signal?.throwIfAborted();
          const { done, value } = steps.next();
          if (done === true) resolve(value);
          return done !== true;
        } catch (error) {
          reject(error);
          return false;
        }
      };
      if (waiting.push({ step, spentMs: 0, limitMs, fail: reject }) === 1) setImmediate(runTurn);
    });
}

/** Runs the long computations of this server. */
export const inSlices: Slices = createSlices(() => performance.now());

const tooLong = (limitMs: number): ToolError =>
  new ToolError(`This took more than ${limitMs / 1000} s of processing time. Request less at a time.`);
