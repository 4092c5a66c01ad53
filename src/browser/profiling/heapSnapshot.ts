import { once } from 'node:events';
import { z } from 'zod';
import type { CDPSession } from 'puppeteer-core';
import { ToolError } from '../../errors/errors.js';
import type { SessionPage } from '../page/sessionPage.js';
import { Lock, untilAborted } from '../../async.js';
import { openCdpSession } from '../cdp/cdpSessions.js';
import { runAnalysisThread } from './analysisThread.js';
import { endOfString, normalizedClassName } from './heapGraph.js';

const headerSchema = z.object({
  snapshot: z.object({
    meta: z.object({
      node_fields: z.array(z.string()),
      node_types: z.tuple([z.array(z.string())], z.unknown()),
    }),
    node_count: z.number(),
  }),
});

/** Objects of one constructor; `(string)`, `(code)` and the like are internal to V8. */
export interface HeapClass {
  readonly name: string;
  readonly count: number;
  /** Shallow size in bytes. */
  readonly bytes: number;
}

export interface HeapSummary {
  readonly objects: number;
  readonly bytes: number;
  /** Largest first. */
  readonly classes: readonly HeapClass[];
  /** Detached DOM nodes that are still referenced, most frequent first. */
  readonly detached: readonly HeapClass[];
}

interface Tally {
  count: number;
  bytes: number;
}

interface Layout {
  readonly width: number;
  readonly type: number;
  readonly name: number;
  readonly size: number;
  /** -1 where the snapshot has no such field. */
  readonly detachedness: number;
  readonly types: readonly string[];
}

const nodesStart = Buffer.from('"nodes":[');
const stringsStart = Buffer.from('"strings":[');
const maxHeaderBytes = 1024 ** 2;
const isDetached = 2;
const [zero = 0, nine = 0, comma, quote, closing] = Buffer.from('09,"]');

/**
 * Parses a V8 heap snapshot (the JSON of CDP HeapProfiler.addHeapSnapshotChunk) as a stream and counts objects. Keeps
 * nothing of the graph, so memory depends on the number of constructors, not on the heap. Write the chunks in order,
 * then call `end` once.
 */
export class HeapSnapshotParser {
  #read: (chunk: Buffer) => void = (chunk) => this.#readHeader(chunk);
  #pending: Buffer = Buffer.alloc(0);
  #layout: Layout | undefined;
  /** Fields of the current node. */
  #node: number[] = [];
  #number = 0;
  #hasDigits = false;
  #objects = 0;
  #bytes = 0;
  /** By index of the constructor's name. */
  readonly #named = new Map<number, Tally>();
  /** By index of the type, for objects without a constructor. */
  readonly #unnamed = new Map<number, Tally>();
  readonly #detached = new Map<number, Tally>();
  readonly #names = new Map<number, string>();
  #stringIndex = 0;
  #isComplete = false;

  /** Throws if it is not a heap snapshot. */
  write(chunk: Buffer): void {
    this.#read(chunk);
  }

  /** Throws when the snapshot is not complete. */
  end(): HeapSummary {
    if (!this.#isComplete) throw new Error('The heap snapshot is not complete.');
    const classes = new Map<string, Tally>();
    for (const [index, tally] of this.#named) addTo(classes, normalizedClassName(this.#names.get(index) ?? ''), tally);
    for (const [type, tally] of this.#unnamed) addTo(classes, `(${this.#layout?.types[type] ?? 'unknown'})`, tally);
    const detached = new Map<string, Tally>();
    for (const [index, tally] of this.#detached)
      addTo(detached, normalizedClassName(this.#names.get(index) ?? ''), tally);
    return {
      objects: this.#objects,
      bytes: this.#bytes,
      classes: toHeapClasses(classes).sort((a, b) => b.bytes - a.bytes),
      detached: toHeapClasses(detached).sort((a, b) => b.count - a.count),
    };
  }

  #readHeader(chunk: Buffer): void {
    const text = this.#withPending(chunk);
    const start = text.indexOf(nodesStart);
    if (start === -1) {
      if (text.length > maxHeaderBytes) throw new Error('This is not a heap snapshot.');
      this.#pending = text;
      return;
    }
    this.#layout = parseLayout(text.subarray(0, start).toString('utf8'));
    this.#switchTo((nodes) => this.#readNodes(nodes), text.subarray(start + nodesStart.length));
  }

  #readNodes(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at] ?? 0;
      if (byte >= zero && byte <= nine) {
        this.#number = this.#number * 10 + byte - zero;
        this.#hasDigits = true;
      } else if (byte === comma || byte === closing) {
        this.#endNumber();
        if (byte === comma) continue;
        this.#switchTo((rest) => this.#skipToStrings(rest), chunk.subarray(at + 1));
        return;
      }
    }
  }

  #endNumber(): void {
    if (!this.#hasDigits) return;
    this.#node.push(this.#number);
    this.#number = 0;
    this.#hasDigits = false;
    if (this.#node.length === this.#layout?.width) this.#endNode(this.#layout);
  }

  #endNode(layout: Layout): void {
    const node = this.#node;
    const [type = 0, name = 0, size = 0] = [node[layout.type], node[layout.name], node[layout.size]];
    const typeName = layout.types[type];
    const hasConstructor = typeName === 'object' || typeName === 'native';
    addTo(hasConstructor ? this.#named : this.#unnamed, hasConstructor ? name : type, { count: 1, bytes: size });
    if (node[layout.detachedness] === isDetached) addTo(this.#detached, name, { count: 1, bytes: size });
    this.#objects += 1;
    this.#bytes += size;
    node.length = 0;
  }

  /** Between the two are only numbers. */
  #skipToStrings(chunk: Buffer): void {
    const text = this.#withPending(chunk);
    const start = text.indexOf(stringsStart);
    if (start === -1) this.#pending = text.subarray(Math.max(0, text.length - stringsStart.length));
    else this.#switchTo((strings) => this.#readStrings(strings), text.subarray(start + stringsStart.length));
  }

  #readStrings(chunk: Buffer): void {
    const text = this.#withPending(chunk);
    let at = 0;
    while (at < text.length) {
      const byte = text[at];
      if (byte === closing) {
        this.#isComplete = true;
        this.#switchTo(() => undefined, Buffer.alloc(0));
        return;
      }
      if (byte !== quote) {
        at += 1;
        continue;
      }
      const end = endOfString(text, at);
      if (end === -1) break;
      this.#endString(text.subarray(at, end + 1));
      at = end + 1;
    }
    this.#pending = Buffer.from(text.subarray(at));
  }

  #endString(json: Buffer): void {
    const index = this.#stringIndex++;
    if (this.#named.has(index) || this.#detached.has(index)) {
      this.#names.set(index, String(JSON.parse(json.toString('utf8'))));
    }
  }

  #withPending(chunk: Buffer): Buffer {
    const text = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    this.#pending = Buffer.alloc(0);
    return text;
  }

  #switchTo(read: (chunk: Buffer) => void, rest: Buffer): void {
    this.#read = read;
    if (rest.length > 0) read(rest);
  }
}

function parseLayout(head: string): Layout {
  const header = headerSchema.parse(JSON.parse(head.replace(/,\s*$/, '}')));
  const { node_fields: fields, node_types: types } = header.snapshot.meta;
  const at = (name: string): number => fields.indexOf(name);
  return {
    width: fields.length,
    type: at('type'),
    name: at('name'),
    size: at('self_size'),
    detachedness: at('detachedness'),
    types: types[0],
  };
}

function addTo<Key>(tallies: Map<Key, Tally>, key: Key, { count, bytes }: Tally): void {
  const tally = tallies.get(key);
  if (tally === undefined) {
    tallies.set(key, { count, bytes });
    return;
  }
  tally.count += count;
  tally.bytes += bytes;
}

function toHeapClasses(tallies: ReadonlyMap<string, Tally>): HeapClass[] {
  return [...tallies].map(([name, { count, bytes }]) => ({ name, count, bytes }));
}

/** Limit on buffered chunks: Chrome sends as fast as it can, without flow control. */
const maxBufferedBytes = 256 * 1024 ** 2;

export interface HeapCaptureOptions {
  readonly page: SessionPage;
  readonly signal: AbortSignal;
  progress(done: number, total: number): void;
}

/**
 * The chunks of a page's heap snapshot after a garbage collection (CDP HeapProfiler.takeHeapSnapshot). Uses a CDP
 * session of its own, which is detached when the iteration ends. Throws the signal's reason, or a ToolError when the
 * reader is too slow.
 */
export async function* captureHeap({ page, signal, progress }: HeapCaptureOptions): AsyncGenerator<Buffer> {
  const cdp = await untilAborted(openCdpSession(page.page), signal, (late) => void detach(late));
  const buffered: Buffer[] = [];
  let bytes = 0;
  const arrivals = new EventTarget();
  const overrun = new AbortController();
  cdp.on('HeapProfiler.addHeapSnapshotChunk', ({ chunk }) => {
    const part = Buffer.from(chunk);
    bytes += part.length;
    if (bytes > maxBufferedBytes) overrun.abort(tooLarge());
    else buffered.push(part);
    arrivals.dispatchEvent(new Event('more'));
  });
  cdp.on('HeapProfiler.reportHeapSnapshotProgress', ({ done, total }) => progress(done, total));
  try {
    const taking = cdp.send('HeapProfiler.takeHeapSnapshot', { reportProgress: true });
    const ended = taking.then(() => 'ended' as const);
    for (let next: unknown; next !== 'ended' || buffered.length > 0;) {
      if (buffered.length === 0) next = await untilAborted(Promise.race([once(arrivals, 'more'), ended]), signal);
      overrun.signal.throwIfAborted();
      for (const part of buffered.splice(0)) {
        yield part;
        bytes -= part.length;
      }
    }
  } finally {
    await detach(cdp);
  }
}

function tooLarge(): ToolError {
  return new ToolError('The heap is too large: it arrived faster than it could be processed. Try a smaller page.');
}

/** Never rejects: the session of a closed page is detached already. */
async function detach(cdp: CDPSession): Promise<void> {
  if (!cdp.detached) await cdp.detach().catch(() => undefined);
}

export type HeapQuery =
  | { readonly kind: 'detached' | 'strings' }
  | { readonly kind: 'class'; readonly name: string }
  | { readonly kind: 'closures'; readonly name?: string | undefined }
  | { readonly kind: 'node'; readonly id: number };

const rowSchema = z.object({ name: z.string(), count: z.int(), bytes: z.number(), node: z.number(), text: z.string() });

export type HeapRow = z.output<typeof rowSchema>;

const answerSchema = z.object({
  /** Rows before they were cut to 200. */
  total: z.int(),
  rows: z.array(rowSchema),
  /** Objects that were not looked at. */
  unread: z.int().optional(),
  holders: z.array(z.string()).optional(),
  fields: z.array(z.string()).optional(),
  error: z.string().optional(),
});

export type HeapAnswer = z.output<typeof answerSchema>;

/** What the thread is given. */
export interface HeapTask {
  /** Gzipped. */
  readonly snapshot: Uint8Array;
  readonly query: HeapQuery;
  /** Numbers of nodes and edges: about 1 GB. */
  readonly maxNumbers: number;
}

const maxNumbers = 200e6;
/** Of strings and what is counted; the graph itself is in `maxNumbers` numbers beside it. */
const maxMegabytes = 1_024;
const tooLargeToSearch = 'The heap snapshot is too large to be searched. Try a smaller page, or take it earlier.';

/** One query at a time in this process, since each may need that much memory. */
const queryLock = new Lock();

/** Answers a question about a gzipped heap snapshot in a worker thread. Aborting ends it. */
export async function queryHeap(snapshot: Uint8Array, query: HeapQuery, signal: AbortSignal): Promise<HeapAnswer> {
  const task: HeapTask = { snapshot, query, maxNumbers };
  const thread = {
    program: new URL('./heapThread.js', import.meta.url),
    workerData: task,
    maxMegabytes,
    tooLarge: tooLargeToSearch,
  };
  const answer = await queryLock.run(signal, () => runAnalysisThread(thread, answerSchema, signal));
  if (answer.error === 'too large') throw new ToolError(tooLargeToSearch);
  if (answer.error !== undefined)
    throw new ToolError(`The heap snapshot has ${answer.error}. Ids are in the answers of its other questions.`);
  return answer;
}
