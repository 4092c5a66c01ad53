import { z } from 'zod';
import { Lock } from '../../async.js';
import { ToolError } from '../../errors/errors.js';
import { runAnalysisThread } from './analysisThread.js';
import { heapThreadScript } from './heapGraph.js';

export type HeapQuery =
  | { readonly kind: 'detached' | 'strings' }
  | { readonly kind: 'class'; readonly name: string }
  | { readonly kind: 'closures'; readonly name?: string | undefined }
  | { readonly kind: 'node'; readonly id: number };

const answerSchema = z.object({
  /** Rows before they were cut to 200. */
  total: z.int(),
  rows: z.array(z.object({ name: z.string(), count: z.int(), bytes: z.number(), node: z.number(), text: z.string() })),
  holders: z.array(z.string()).optional(),
  fields: z.array(z.string()).optional(),
  error: z.string().optional(),
});

export type HeapAnswer = z.output<typeof answerSchema>;

/** Of strings and what is counted; the graph itself is in `maxNumbers` numbers beside it. */
const maxMegabytes = 1_024;
/** Numbers of nodes and edges: about 1 GB. */
const maxNumbers = 200e6;
const tooLarge = 'The heap snapshot is too large to be searched. Try a smaller page, or take it earlier.';

/** One query at a time in this process, since each may need that much memory. */
const queryLock = new Lock();

/** Answers a question about a gzipped heap snapshot in a worker thread. Aborting ends it. */
export async function queryHeap(snapshot: Buffer, query: HeapQuery, signal: AbortSignal): Promise<HeapAnswer> {
  const options = { script: heapThreadScript, workerData: { snapshot, query, maxNumbers }, maxMegabytes, tooLarge };
  const answer = await queryLock.run(signal, () => runAnalysisThread(options, answerSchema, signal));
  if (answer.error === 'too large') throw new ToolError(tooLarge);
  if (answer.error !== undefined)
    throw new ToolError(`The heap snapshot has ${answer.error}. Ids are in the answers of its other questions.`);
  return answer;
}
