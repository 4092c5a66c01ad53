import { z } from 'zod';
import { ownDocumentUrl } from './installedExtensions.js';
import { RingBuffer, type KeptPart, type RingBufferEntry, type RingBufferReading } from '../collectors/ringBuffer.js';
import type { ActivityReport, DeliveryOutcome } from '../injected/extensionContract.js';
import { parsedJson } from '../../text.js';

/** One message, or the opening or end of a port, as its sender or its receivers saw it. */
export interface ExtensionMessage {
  readonly extensionId: string;
  /** `runtime.sendMessage`, `tabs.connect`, `port "name"`, … */
  readonly api: string;
  /** The context that sent it. */
  readonly from: string;
  /** Where it sent it, as `content.js:2`. */
  readonly place: string | undefined;
  /** Contexts that are known to have received it; empty if only the sending was observed. */
  readonly to: readonly string[];
  /** How the listeners of each of them took it. */
  readonly outcomes: Readonly<Record<string, DeliveryOutcome>>;
  /** False if only its receivers reported it. */
  readonly isSent: boolean;
  /** The sender learned that no reply comes; or the opened port closed before anything came through it. */
  readonly isOver: boolean;
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

/** The sender of the messages that the server sent. */
const ownSender = 'send_extension_message';

const limits = { maxEntries: 1_000, maxBytes: 2 * 1024 ** 2 };
/** The two ends of one message report within this time, in milliseconds. */
const matchWindowMs = 5_000;
/** Among how many of the newest messages the other end is looked for. */
const maxCompared = 200;
/** Limit on messages whose reply is pending. */
const maxPendingMessages = 500;

/**
 * Records the messages of a session's extensions, each once, whether one end is observed or both: the newest 1,000
 * within 2 MiB.
 */
export class MessageLog {
  readonly #ring: RingBuffer<ExtensionMessage>;
  /** Ring buffer ids of messages whose reply is pending. */
  readonly #pending = new Map<string, number>();
  readonly #clearedIds = new Map<string, number>();

  constructor(kept?: KeptPart) {
    this.#ring = new RingBuffer<ExtensionMessage>({ ...limits, sizeOf, kept });
  }

  read(since?: string): RingBufferReading<ExtensionMessage> {
    return this.#ring.read(since);
  }

  /** The messages of one extension's own code that got no proper answer, since they were last cleared. */
  unanswered(extensionId: string): UnansweredMessage[] {
    const clearedId = this.#clearedIds.get(extensionId) ?? 0;
    const found = new Map<string, UnansweredMessage>();
    for (const { id, value } of this.#ring.read().entries) {
      const { from, payload, place } = value;
      if (id <= clearedId || value.extensionId !== extensionId || from === ownSender) continue;
      const problem = answerProblem(value);
      if (problem === undefined) continue;
      const key = JSON.stringify([from, place, payload, problem]);
      found.set(key, { from, place, payload, problem, count: (found.get(key)?.count ?? 0) + 1 });
    }
    return [...found.values()];
  }

  /** Leaves the messages so far out of `unanswered`. */
  clearUnanswered(extensionId: string): void {
    this.#clearedIds.set(extensionId, this.#ring.last()?.id ?? 0);
  }

  record(report: ActivityReport, reporter: ReportingContext): void {
    if (report.phase === 'end') this.#end(report, reporter);
    else this.#begin(report, reporter);
  }

  #begin(report: ActivityReport, reporter: ReportingContext): void {
    const id = this.#match(report, reporter) ?? this.#push(report, reporter);
    this.#pending.set(keyOf(report, reporter), id);
    const [oldest] = this.#pending.keys();
    if (this.#pending.size > maxPendingMessages && oldest !== undefined) this.#pending.delete(oldest);
  }

  #push(report: ActivityReport, { extensionId, name }: ReportingContext): number {
    const isSent = report.kind === 'send';
    return this.#ring.push({
      extensionId,
      api: report.api,
      from: isSent ? name : senderOf(report, extensionId),
      place: report.place,
      to: report.target === undefined ? (isSent ? [] : [name]) : [`extension ${report.target}`],
      outcomes: {},
      isSent,
      isOver: false,
      payload: report.value ?? '',
      reply: undefined,
      error: undefined,
      at: report.at,
      replyMs: undefined,
    });
  }

  /** The same message as another context reported it, the nearest in time, now with this end. Any end may come first. */
  #match(report: ActivityReport, { extensionId, name }: ReportingContext): number | undefined {
    const isSender = report.kind === 'send';
    const sender = isSender ? name : senderOf(report, extensionId);
    const isSame = ({ value }: RingBufferEntry<ExtensionMessage>): boolean =>
      value.extensionId === extensionId &&
      channelOf(value.api) === channelOf(report.api) &&
      value.payload === report.value &&
      Math.abs(report.at - value.at) < matchWindowMs &&
      kindOf(value.from) === kindOf(sender) &&
      !value.to.includes(name) &&
      (isSender ? !value.isSent : value.from !== name);
    const distance = ({ value }: RingBufferEntry<ExtensionMessage>): number => Math.abs(report.at - value.at);
    const [found] = this.#ring
      .read()
      .entries.slice(-maxCompared)
      .filter(isSame)
      .sort((a, b) => distance(a) - distance(b));
    if (found === undefined) return undefined;
    this.#ring.update(found.id, (value) =>
      isSender
        ? {
            ...value,
            api: report.api,
            from: name,
            place: report.place,
            isSent: true,
            at: Math.min(value.at, report.at),
          }
        : { ...value, to: [...value.to, name] },
    );
    return found.id;
  }

  #end(report: ActivityReport, { key, name }: ReportingContext): void {
    const { value, error, outcome, at } = report;
    const id = this.#pending.get(`${key} ${report.id}`);
    const isLast = outcome === undefined || outcome === 'answered' || outcome === 'closed';
    if (isLast) this.#pending.delete(`${key} ${report.id}`);
    if (id === undefined || (value ?? error ?? outcome) === undefined) return;
    const isAnswer = error !== undefined || (value !== undefined && outcome !== 'late' && !isNoReply(report));
    this.#ring.update(id, (message) => ({
      ...message,
      ...(outcome !== undefined && outcome !== 'closed' && { outcomes: { ...message.outcomes, [name]: outcome } }),
      isOver: message.isOver || outcome === 'closed' || isNoReply(report),
      ...(isAnswer && message.reply === undefined && { reply: value, error, replyMs: Math.max(0, at - message.at) }),
    }));
  }
}

/** How the sender's call ends when no reply came: its promise has no value, its callback no argument. */
const isNoReply = ({ kind, value }: ActivityReport): boolean =>
  kind === 'send' && ['undefined', ''].includes(value ?? '-');

/** How a message was taken and answered, as far as its ends reported it. */
type MessageOutcome = Pick<ExtensionMessage, 'api' | 'to' | 'outcomes' | 'isOver' | 'reply' | 'error'>;

/** A message without a proper answer, equal ones counted. */
export interface UnansweredMessage {
  readonly from: string;
  readonly place: string | undefined;
  readonly payload: string;
  readonly problem: string;
  readonly count: number;
}

/** Why nobody got a message, or the opening of a port. */
function absenceOf({ api, to: [other] }: MessageOutcome): string {
  const event = channelOf(api) === 'connect' ? 'runtime.onConnect' : 'runtime.onMessage';
  if (other !== undefined)
    return `The ${other} is not there, has no ${event}External listener, or its externally_connectable leaves this extension out.`;
  const where = api.startsWith('tabs.') ? 'no content script of that tab' : 'no other context';
  return `Nothing listens: ${where} has a ${event} listener.`;
}

/** Why a message has no answer, or one that its sender hardly meant; undefined if nothing is wrong with it. */
export function answerProblem(message: MessageOutcome): string | undefined {
  const { api, to, isOver, reply, error } = message;
  const fault = listenerFault(message);
  if (fault !== undefined) return fault;
  const isConnect = channelOf(api) === 'connect';
  if (error?.includes('Receiving end does not exist') === true) return absenceOf(message);
  if (error !== undefined || reply !== undefined) return undefined;
  if (isConnect && isOver && to.length === 0)
    return 'The port closed before anything came through it: no context has a runtime.onConnect listener, or it disconnected at once.';
  return isMessage(api) && (isOver || hasOnlySilent(message)) ? silenceOf(message) : undefined;
}

/** Of a message without an answer. Listeners that take no function to answer with are not meant to. */
function silenceOf({ to, outcomes }: MessageOutcome): string | undefined {
  if (to.length === 0)
    return 'No listener answered: none handles this message, or one answered after it had returned without true.';
  const silent = to.filter((context) => outcomes[context] !== 'heard');
  if (silent.length === 0) return undefined;
  return `No listener answered: ${silent.join(', ')} heard it and returned without an answer. Nothing handles this message there, or return true is missing.`;
}

/** What a listener did wrong, by its own report. */
function listenerFault({ to, outcomes, isOver, reply }: MessageOutcome): string | undefined {
  const withOutcome = (wanted: DeliveryOutcome): string =>
    to.filter((context) => outcomes[context] === wanted).join(', ');
  const late = withOutcome('late');
  if (late !== '')
    return `Answered too late: the listener in ${late} answered after it had returned. It must return true.`;
  const threw = withOutcome('threw');
  if (threw !== '') return `The listener in ${threw} threw.`;
  const empty = withOutcome('empty');
  if (reply === 'null' && empty !== '')
    return `An async listener in ${empty} returned nothing, which answers null before any other listener can.`;
  const pending = withOutcome('pending');
  return isOver && reply === undefined && pending !== ''
    ? `The listener in ${pending} returned true or a promise, and has not answered.`
    : undefined;
}

const hasOnlySilent = ({ to, outcomes }: MessageOutcome): boolean =>
  to.length > 0 && to.every((context) => outcomes[context] === 'silent' || outcomes[context] === 'heard');

const keyOf = ({ id }: ActivityReport, { key }: ReportingContext): string => `${key} ${id}`;

/** Sender and receiver use different names for the same channel. */
function channelOf(api: string): string {
  if (isMessage(api)) return 'message';
  return /onConnect|\.connect$/.test(api) ? 'connect' : api;
}

const isMessage = (api: string): boolean => /sendMessage|onMessage/.test(api);

/** `content_script`, `service_worker`, …: the address of a context changes while it runs. */
const kindOf = (context: string): string | undefined => (context.startsWith('/') ? '/' : context.split(' ', 1)[0]);

/** The `sender` that Chrome passed to the receiver: a content script, a document, or the worker, which has no tab. */
function senderOf({ api, sender }: ActivityReport, extensionId: string): string {
  const { id, url, tab, documentId } = parseSender(sender);
  if (api.endsWith('External')) return id === undefined ? `page ${url ?? ''}` : `extension ${id}`;
  if (url === ownDocumentUrl(extensionId)) return ownSender;
  if (url === undefined || !URL.canParse(url)) return 'service_worker';
  const { protocol, host, pathname } = new URL(url);
  // Of a popup that opens a port Chrome names no document.
  if (tab === undefined && documentId === undefined && !/\.html?$/i.test(pathname)) return 'service_worker';
  if (protocol !== 'chrome-extension:') return tab === undefined ? url : `content_script ${url}`;
  return host === extensionId ? pathname : `extension ${host}`;
}

interface Sender {
  readonly id?: string;
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

function sizeOf({ payload, reply = '', error = '', from, place = '', to }: ExtensionMessage): number {
  const chars = payload.length + reply.length + error.length + from.length + place.length + to.join().length;
  return 200 + 2 * chars;
}

const reportSchema = z.object({
  id: z.number(),
  phase: z.enum(['begin', 'end']),
  kind: z.enum(['send', 'receive', 'call', 'menu', 'prompt', 'request']),
  api: z.string(),
  value: z.string().optional(),
  error: z.string().optional(),
  outcome: z.enum(['heard', 'silent', 'late', 'pending', 'empty', 'answered', 'threw', 'closed']).optional(),
  sender: z.string().optional(),
  place: z.string().optional(),
  target: z.string().optional(),
  at: z.number(),
}) satisfies z.ZodType<ActivityReport>;

/** Undefined for anything that is not a report: any code of the context can call the binding. */
export function parseReport(payload: string): ActivityReport | undefined {
  return reportSchema.safeParse(parsedJson(payload)).data;
}
