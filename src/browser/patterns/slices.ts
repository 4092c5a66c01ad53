import { ToolError } from '../../errors/errors.js';

/** What all computations together may take of a turn of the event loop, in milliseconds. */
const sliceMs = 10;
/** What one may take in all. */
const limitMs = 5_000;

interface Computation {
  /** Goes on to the next pause. False when it has ended. */
  step(): boolean;
  /** What it has taken so far. */
  spentMs: number;
  fail(reason: unknown): void;
}

export type Slices = <T>(steps: Iterator<unknown, T>, signal?: AbortSignal) => Promise<T>;

/**
 * Runs long computations, which pause wherever they yield, so that the server does other things between: all together
 * they get 10 ms of each turn of the event loop, and take turns in it. A promise rejects with a ToolError when its computation
 * has taken 5 seconds in all, waiting not counted, and with the signal's reason when that is aborted.
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
      if (next.spentMs > limitMs) next.fail(tooLong());
      else if (goesOn) waiting.push(next);
      if (at - begun >= sliceMs) break;
    }
    if (waiting.length > 0) setImmediate(runTurn);
  };

  return (steps, signal) =>
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
      if (waiting.push({ step, spentMs: 0, fail: reject }) === 1) setImmediate(runTurn);
    });
}

/** Those of the server. */
export const inSlices: Slices = createSlices(() => performance.now());

const tooLong = (): ToolError =>
  new ToolError(`This took more than ${limitMs / 1000} s of work. Ask for less at a time.`);
