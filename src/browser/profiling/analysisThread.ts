import { Worker } from 'node:worker_threads';
import type { z } from 'zod';
import { untilAborted } from '../../async.js';
import { ToolError } from '../../errors/errors.js';

export interface AnalysisThread {
  /** The file that the thread runs. It posts one message. */
  readonly program: URL;
  readonly workerData: unknown;
  /** Exceeding it ends the thread, not the server. */
  readonly maxMegabytes: number;
  readonly stackMegabytes?: number;
  /** The message of the ToolError for what does not fit. */
  readonly tooLarge: string;
}

/**
 * Runs a program in a worker thread, so that other sessions do not wait for it, and resolves with its message. The thread
 * has ended then. Aborting ends it. Throws a ToolError when memory does not suffice.
 */
export async function runAnalysisThread<Message extends z.ZodType>(
  { program, workerData, maxMegabytes, stackMegabytes, tooLarge }: AnalysisThread,
  messageSchema: Message,
  signal: AbortSignal,
): Promise<z.output<Message>> {
  signal.throwIfAborted();
  const worker = new Worker(program, {
    workerData,
    resourceLimits: {
      maxOldGenerationSizeMb: maxMegabytes,
      ...(stackMegabytes !== undefined && { stackSizeMb: stackMegabytes }),
    },
    execArgv: [],
    env: {},
    // Output of the program must not reach the server's stdout, which may be a transport.
    stdout: true,
    stderr: true,
  });
  try {
    return await messageSchema.parseAsync(await untilAborted(messageFrom(worker), signal));
  } catch (error) {
    throw isOutOfMemory(error) ? new ToolError(tooLarge, { cause: error }) : error;
  } finally {
    await worker.terminate();
  }
}

function messageFrom(worker: Worker): Promise<unknown> {
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
    // The last event; relevant only if there was no message or error before.
    worker.once('exit', (code) => reject(new Error(`The analysis thread exited with code ${code} and no result.`)));
  });
}

function isOutOfMemory(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false;
  return error.code === 'ERR_WORKER_OUT_OF_MEMORY' || error.code === 'ERR_STRING_TOO_LONG';
}
