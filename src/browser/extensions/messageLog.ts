import { z } from 'zod';
import { RingBuffer, type RingBufferReading } from '../collectors/ringBuffer.js';
import type { ActivityReport } from '../injected/contract.js';

/** One message, or the opening or end of a port, as its sender or its receivers saw it. */
export interface ExtensionMessage {
  readonly extensionId: string;
  /** `runtime.sendMessage`, `tabs.connect`, `port "name"`, … */
  readonly api: string;
  /** The context that sent it. */
  readonly from: string;
  /** Contexts that are known to have received it; empty if only the sending was observed. */
  readonly to: readonly string[];
  /** JSON, capped. */
  readonly payload: string;
  readonly reply: string | undefined;
  readonly error: string | undefined;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** From sending, or receiving, to the reply. */
  readonly replyMs: number | undefined;
}

/** The source of a report. `key` identifies the context, `name` describes it. */
export interface ReportingContext {
  readonly extensionId: string;
  readonly key: string;
  readonly name: string;
}

const limits = { maxEntries: 1_000, maxBytes: 2 * 1024 ** 2 };
/** The two ends of one message report within this time, in milliseconds. */
const matchWindowMs = 5_000;
/** Limit on messages whose reply is pending. */
const maxPendingMessages = 500;

/**
 * Records the messages of a session's extensions, each once, whether one end is observed or both: the newest 1,000
 * within 2 MiB.
 */
export class MessageLog {
  readonly #ring = new RingBuffer<ExtensionMessage>({ ...limits, sizeOf });
  /** Ring buffer ids of messages whose reply is pending. */
  readonly #pending = new Map<string, number>();

  read(since?: string): RingBufferReading<ExtensionMessage> {
    return this.#ring.read(since);
  }

  record(report: ActivityReport, reporter: ReportingContext): void {
    if (report.phase === 'end') this.#end(report, reporter);
    else this.#begin(report, reporter);
  }

  #begin(report: ActivityReport, reporter: ReportingContext): void {
    const id =
      (report.kind === 'receive' ? this.#matchSent(report, reporter) : undefined) ?? this.#push(report, reporter);
    this.#pending.set(keyOf(report, reporter), id);
    const [oldest] = this.#pending.keys();
    if (this.#pending.size > maxPendingMessages && oldest !== undefined) this.#pending.delete(oldest);
  }

  #push(report: ActivityReport, { extensionId, name }: ReportingContext): number {
    const received = report.kind === 'receive';
    return this.#ring.push({
      extensionId,
      api: report.api,
      from: received ? senderOf(report.sender, extensionId) : name,
      to: received ? [name] : [],
      payload: report.value ?? '',
      reply: undefined,
      error: undefined,
      at: report.at,
      replyMs: undefined,
    });
  }

  /** The message that another context reported as sent, now with this receiver. */
  #matchSent(report: ActivityReport, { extensionId, name }: ReportingContext): number | undefined {
    const sent = this.#ring
      .read()
      .entries.findLast(
        ({ value }) =>
          value.extensionId === extensionId &&
          channelOf(value.api) === channelOf(report.api) &&
          value.payload === report.value &&
          value.from !== name &&
          !value.to.includes(name) &&
          Math.abs(report.at - value.at) < matchWindowMs,
      );
    if (sent !== undefined) this.#ring.update(sent.id, (value) => ({ ...value, to: [...value.to, name] }));
    return sent?.id;
  }

  #end(report: ActivityReport, reporter: ReportingContext): void {
    const key = keyOf(report, reporter);
    const id = this.#pending.get(key);
    this.#pending.delete(key);
    if (id === undefined || (report.value === undefined && report.error === undefined)) return;
    this.#ring.update(id, (message) =>
      message.reply !== undefined
        ? message
        : { ...message, reply: report.value, error: report.error, replyMs: Math.max(0, report.at - message.at) },
    );
  }
}

const keyOf = ({ id }: ActivityReport, { key }: ReportingContext): string => `${key} ${id}`;

/** Sender and receiver use different names for the same channel. */
function channelOf(api: string): string {
  if (/sendMessage|onMessage/.test(api)) return 'message';
  return /onConnect|\.connect$/.test(api) ? 'connect' : api;
}

/** The `sender` that Chrome passed to the receiver: a content script, a document, or the worker, which has no tab. */
function senderOf(json: string | undefined, extensionId: string): string {
  const { url, tab, documentId } = parseSender(json);
  if (url === undefined || (tab === undefined && documentId === undefined)) return 'service_worker';
  const { protocol, host, pathname } = new URL(url);
  if (protocol !== 'chrome-extension:') return tab === undefined ? url : `content_script ${url}`;
  return host === extensionId ? pathname : `extension ${host}`;
}

interface Sender {
  readonly url?: string;
  readonly tab?: unknown;
  readonly documentId?: unknown;
}

function parseSender(json: string | undefined): Sender {
  try {
    return Object(JSON.parse(json ?? 'null')) as Sender;
  } catch {
    // Truncated JSON: the tab has a very long title or icon URL.
    return {};
  }
}

function sizeOf({ payload, reply = '', error = '', from, to }: ExtensionMessage): number {
  const chars = payload.length + reply.length + error.length + from.length + to.join().length;
  return 200 + 2 * chars;
}

const reportSchema = z.object({
  id: z.number(),
  phase: z.enum(['begin', 'end']),
  kind: z.enum(['send', 'receive', 'call']),
  api: z.string(),
  value: z.string().optional(),
  error: z.string().optional(),
  sender: z.string().optional(),
  at: z.number(),
}) satisfies z.ZodType<ActivityReport>;

/** Undefined for anything that is not a report: any code of the context can call the binding. */
export function parseReport(payload: string): ActivityReport | undefined {
  try {
    return reportSchema.safeParse(JSON.parse(payload)).data;
  } catch {
    return undefined;
  }
}
