import { parentPort, workerData } from 'node:worker_threads';
import { messageOf } from '../../../errors/errors.js';
import { auditFolder } from './auditFolder.js';

/** The program of the thread that audits one extension. It may be ended at any time. */
interface Task {
  readonly name: string;
  readonly path: string;
  /** For reading and parsing; what is left then is not looked at. */
  readonly readingMs: number;
}

const { readingMs, ...extension } = workerData as Task;
const begun = performance.now();
const isLate = (): boolean => performance.now() - begun > readingMs;
const answer = await auditFolder(extension, isLate).catch((error: unknown) => ({ failure: messageOf(error) }));
parentPort?.postMessage(answer);
