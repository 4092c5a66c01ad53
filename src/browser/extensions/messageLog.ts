import { Ring, type RingReading } from '../collectors/ring.js';
import type { Report } from '../injected/contract.js';

/** One message, or the opening or end of a port, as its sender or its receivers saw it. */
export interface ExtensionMessage {
  readonly extensionId: string;
  /** `runtime.sendMessage`, `tabs.connect`, `port "name"`, … */
  readonly api: string;
  /** The context that sent it. */
  readonly from: string;
  /** Contexts that are known to have received it; none when only the sending was seen. */
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

/** Where a report came from. `key` tells contexts apart, `name` is for people. */
export interface Reporter {
  readonly extensionId: string;
  readonly key: string;
  readonly name: string;
}

const limits = { maxEntries: 1_000, maxBytes: 2 * 1024 ** 2 };
/** The two ends of one message report within this time, in milliseconds. */
const sameMessageMs = 5_000;
/** Messages under way whose reply is waited for. */
const maxOpen = 500;

/**
 * The messages of a session's extensions, each once, whether one end is seen or both: the newest 1,000 within 2 MiB.
 */
export class MessageLog {
  readonly #ring = new Ring<ExtensionMessage>({ ...limits, sizeOf });
  /** Ring ids by what awaits the outcome. */
  readonly #open = new Map<string, number>();

  read(since?: string): RingReading<ExtensionMessage> {
    return this.#ring.read(since);
  }

  note(report: Report, reporter: Reporter): void {
    if (report.phase === 'end') this.#end(report, reporter);
    else this.#begin(report, reporter);
  }

  #begin(report: Report, reporter: Reporter): void {
    const id =
      (report.kind === 'receive' ? this.#received(report, reporter) : undefined) ?? this.#push(report, reporter);
    this.#open.set(keyOf(report, reporter), id);
    const [oldest] = this.#open.keys();
    if (this.#open.size > maxOpen && oldest !== undefined) this.#open.delete(oldest);
  }

  #push(report: Report, { extensionId, name }: Reporter): number {
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
  #received(report: Report, { extensionId, name }: Reporter): number | undefined {
    const sent = this.#ring
      .read()
      .entries.findLast(
        ({ value }) =>
          value.extensionId === extensionId &&
          channelOf(value.api) === channelOf(report.api) &&
          value.payload === report.value &&
          value.from !== name &&
          !value.to.includes(name) &&
          Math.abs(report.at - value.at) < sameMessageMs,
      );
    if (sent !== undefined) this.#ring.update(sent.id, (value) => ({ ...value, to: [...value.to, name] }));
    return sent?.id;
  }

  #end(report: Report, reporter: Reporter): void {
    const key = keyOf(report, reporter);
    const id = this.#open.get(key);
    this.#open.delete(key);
    if (id === undefined || (report.value === undefined && report.error === undefined)) return;
    this.#ring.update(id, (message) =>
      message.reply !== undefined
        ? message
        : { ...message, reply: report.value, error: report.error, replyMs: Math.max(0, report.at - message.at) },
    );
  }
}

const keyOf = ({ id }: Report, { key }: Reporter): string => `${key} ${id}`;

/** Sending and receiving have names of their own for the same channel. */
function channelOf(api: string): string {
  if (/sendMessage|onMessage/.test(api)) return 'message';
  return /onConnect|\.connect$/.test(api) ? 'connect' : api;
}

/** The sender that Chrome told a receiver of: a page's content script, a document, or the worker, which has no tab. */
function senderOf(json: string | undefined, extensionId: string): string {
  const { url, tab, documentId } = parse(json);
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

function parse(json: string | undefined): Sender {
  try {
    return Object(JSON.parse(json ?? 'null')) as Sender;
  } catch {
    // Cut because it was too long: a tab with an endless title or icon.
    return {};
  }
}

function sizeOf({ payload, reply = '', error = '', from, to }: ExtensionMessage): number {
  const chars = payload.length + reply.length + error.length + from.length + to.join().length;
  return 200 + 2 * chars;
}
