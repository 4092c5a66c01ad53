import { appendFile, rename, stat } from 'node:fs/promises';
import type { SettledRequest } from '../../machines/events.js';
import type { Clock } from '../clock.js';
import { messageOf } from '../errors/errors.js';
import { shortId, type Log } from '../log.js';
import { cleanText } from '../text.js';
import { settledRequest, type Observation, type ObservationHandler } from './observer.js';

/** Bytes of one file, and the number of older files that are kept: `FILE.1` is the newest. */
const maxFileBytes = 64 * 1024 ** 2;
const maxOldFiles = 5;
/** Bytes of lines that may wait for the disk (S10). */
const maxWaitingBytes = 8 * 1024 ** 2;
/** Longest value that a client chooses. */
const maxText = 256;

/** Protocol traffic in which the user did nothing. */
const quietMethods: ReadonlySet<string> = new Set(['ping', 'initialize', 'logging/setLevel', 'server/discover']);

/** What the audit log tells of a session. */
export interface AuditedSession {
  readonly principal: { readonly issuer: string; readonly user: string };
  facts(): {
    readonly transport: string;
    readonly client: { readonly name: string; readonly version: string } | null;
  };
}

export interface AuditLogOptions {
  readonly file: string;
  readonly clock: Pick<Clock, 'now'>;
  readonly log: Log;
  /** A session whose client is known. */
  find(id: string): AuditedSession | undefined;
  readonly maxBytes?: number;
}

/**
 * The audit log: one JSON line for each thing that a user did. A session that was opened, refused or ended, a call of a
 * tool, another request. Contains no contents: neither arguments nor answers, and addresses without credentials, query and
 * fragment. Lines are appended in order; each batch opens the file anew, so that another program may move it away. A
 * failure to write is logged once, with the count of lost lines when writing works again, and stops nothing. Owned by the
 * observers, which close it.
 */
export class AuditLog {
  readonly #options: Required<AuditLogOptions>;
  #waiting: string[] = [];
  #waitingBytes = 0;
  #writing: Promise<void> | undefined;
  #lostLines = 0;

  constructor(options: AuditLogOptions) {
    this.#options = { maxBytes: maxFileBytes, ...options };
  }

  readonly onObservation: ObservationHandler = (observation) => {
    if (observation.kind === 'request') this.#addRequest(observation);
    const entry = entryOf(observation);
    if (entry === undefined) return;
    const session = this.#options.find(entry.actor);
    const { transport, client = null } = session?.facts() ?? {};
    const { actor, at, ...fields } = entry;
    this.#add({
      time: new Date(at).toISOString(),
      user: session?.principal.user ?? null,
      issuer: session?.principal.issuer ?? null,
      session: shortId(actor),
      client: client && `${client.name} ${client.version}`.slice(0, maxText),
      transport,
      ...fields,
    });
  };

  /** A request without a session names its user itself. */
  #addRequest({ at, request, user: { issuer, user }, client, transport }: Observation & { kind: 'request' }): void {
    if (quietMethods.has(request.method)) return;
    this.#add({
      ...{ time: new Date(at).toISOString(), user, issuer, session: null },
      ...{ client: client && `${client.name} ${client.version}`.slice(0, maxText), transport, ...actionOf(request) },
    });
  }

  /** Resolves when every line is written or lost. */
  async close(): Promise<void> {
    await this.#writing;
  }

  #add(entry: object): void {
    const line = `${cleanText(JSON.stringify(entry))}\n`;
    if (this.#waitingBytes + line.length > maxWaitingBytes) {
      this.#lostLines += 1;
      return;
    }
    this.#waiting.push(line);
    this.#waitingBytes += line.length;
    this.#writing ??= this.#writeAll();
  }

  /** Never rejects. */
  async #writeAll(): Promise<void> {
    // The lines of one turn are written together.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const lines = this.#waiting;
      this.#waiting = [];
      this.#waitingBytes = 0;
      await this.#write(lines);
    }
    this.#writing = undefined;
  }

  async #write(lines: readonly string[]): Promise<void> {
    const { file, log } = this.#options;
    try {
      await this.#rotate();
      await appendFile(file, lines.join(''), { mode: 0o600 });
      if (this.#lostLines > 0) log.warn('audit log is written again', { file, lostLines: this.#lostLines });
      this.#lostLines = 0;
    } catch (error) {
      if (this.#lostLines === 0) log.error('audit log cannot be written', { file, error: messageOf(error) });
      this.#lostLines += lines.length;
    }
  }

  async #rotate(): Promise<void> {
    const { file, maxBytes } = this.#options;
    const size = await stat(file).then(
      (found) => found.size,
      () => 0,
    );
    if (size < maxBytes) return;
    for (let number = maxOldFiles - 1; number >= 1; number -= 1) {
      await rename(`${file}.${number}`, `${file}.${number + 1}`).catch(() => undefined);
    }
    await rename(file, `${file}.1`);
  }
}

interface Entry {
  readonly actor: string;
  readonly at: number;
  readonly action: string;
  readonly tool?: string;
  readonly target?: string | undefined;
  readonly outcome: string;
  readonly ms: number;
}

/** The entry of an observation; undefined if no user did anything. */
function entryOf(observation: Observation): Entry | undefined {
  if (observation.kind === 'creation') {
    const { actor, at, outcome, durationMs } = observation;
    return {
      actor,
      at,
      action: 'session.open',
      outcome: outcome === 'announced' ? 'ok' : outcome,
      ms: round(durationMs),
    };
  }
  if (observation.kind === 'transition') return endOf(observation);
  const request = settledRequest(observation);
  if (request === undefined || observation.kind !== 'event' || quietMethods.has(request.method)) return undefined;
  const { actor, at } = observation;
  return { actor, at, ...actionOf(request) };
}

function actionOf({ method, tool, target, outcome, durationMs }: SettledRequest): Omit<Entry, 'actor' | 'at'> {
  const called = tool === null ? {} : { tool: tool.slice(0, maxText) };
  return { action: method.slice(0, maxText), ...called, target, outcome, ms: round(durationMs) };
}

function endOf({
  machine,
  actor,
  to,
  at,
  durationMs,
  context,
}: Observation & { kind: 'transition' }): Entry | undefined {
  // A warm session that ends has no user.
  const { closedBecause, user } = context as { readonly closedBecause?: string; readonly user?: string | null };
  if (machine !== 'session' || to !== 'closed' || typeof user !== 'string') return undefined;
  return { actor, at, action: 'session.end', outcome: closedBecause ?? 'unknown', ms: round(durationMs) };
}

const round = (ms: number): number => Math.round(ms);
