import { z } from 'zod';
import { Lock } from '../../../async.js';
import { timeLimit } from '../../../clock.js';
import { ToolError } from '../../../errors/errors.js';
import { runAnalysisThread } from '../../profiling/analysisThread.js';
import { severities, type Audit } from './findings.js';

/** Memory and time of one audit: syntax trees are large, and a hostile file may be larger. */
const maxMegabytes = 1_024;
const stackMegabytes = 32;
const defaultReadingMs = 12_000;
const limitMs = 25_000;

const answerSchema = z.union([
  z.object({ failure: z.string() }),
  z.object({
    findings: z.array(z.object({ severity: z.enum(severities), at: z.string(), problem: z.string(), fix: z.string() })),
    more: z.int(),
    needs: z.array(z.object({ api: z.string(), permission: z.string(), at: z.string() })),
    manifest: z.unknown(),
  }),
]);

interface AuditedFolder {
  readonly name: string;
  readonly path: string;
  /** For reading and parsing code; what is left then is named as not looked at. */
  readonly readingMs?: number;
}

/** One at a time in this process, since each may need that much memory. */
const auditLock = new Lock();

/**
 * Checks manifest, files and code in the folder of an extension, installed or not, against Manifest V3. Works in a thread
 * of its own, so that no other session waits for it. Throws a ToolError if the folder cannot be read, or if the audit
 * needs too much time or memory.
 */
export function auditExtension(extension: AuditedFolder, signal: AbortSignal): Promise<Audit> {
  return auditLock.run(signal, () => auditInThread(extension, signal));
}

async function auditInThread(
  { name, path, readingMs = defaultReadingMs }: AuditedFolder,
  signal: AbortSignal,
): Promise<Audit> {
  const limit = timeLimit(limitMs);
  const program = new URL('./auditThread.js', import.meta.url);
  const thread = { program, workerData: { name, path, readingMs }, maxMegabytes, stackMegabytes, tooLarge };
  try {
    const answer = await runAnalysisThread(thread, answerSchema, AbortSignal.any([signal, limit]));
    if ('failure' in answer) throw new ToolError(answer.failure);
    return answer;
  } catch (error) {
    signal.throwIfAborted();
    if (limit.aborted)
      throw new ToolError(`The audit of ${name} took more than ${limitMs / 1000} s. Audit a folder with less code.`, {
        cause: error,
      });
    throw error;
  }
}

const tooLarge = 'The code of the extension is too large to be checked. Audit a folder with less of it.';
