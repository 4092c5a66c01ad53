import type { SettledRequest } from '../../machines/events.js';
import type { ActorObservation } from '../telemetry/observer.js';
import { cutText } from '../text.js';
import { configurationOf, type StateConfiguration } from './stateConfiguration.js';
import type { ActorRow, SessionDetail, EndedSession, JournalEntry, SessionRow } from './wire.js';

/** What the inspector reads of a session. */
export interface InspectedSession {
  readonly user: string;
  readonly transport: string;
  readonly client: SessionRow['client'];
  readonly createdAt: Date;
  readonly toolCalls: number;
  readonly browserState: string;
  /** The actor of its browser; null while it has none. */
  readonly browserActor: string | null;
  /** The name of this node, with many nodes. */
  readonly node?: string;
}

/** Undefined after the session was released. */
export type ReadSession = (id: string) => InspectedSession | undefined;

type RowFields = Pick<SessionRow, 'user' | 'transport' | 'client' | 'createdAt' | 'calls' | 'browser' | 'node'>;

const noConfiguration: StateConfiguration = { leaves: [], states: [] };

/** The history of one session: its last entries, and the time spent in each state. */
export class SessionTrack {
  readonly id: string;
  /** The complete id, for the registry alone. */
  readonly sessionId: string;
  readonly #readSession: ReadSession;
  /** Set by the journal to its count of observations: at the last one, and at the last change of the top-level state. */
  version = 0;
  stateVersion = 0;
  state = '';
  #since = 0;
  #configuration = noConfiguration;
  #configurationSince = 0;
  readonly #dwell = new Map<StateConfiguration, number>();
  readonly #entries: JournalEntry[] = [];
  /** The charts beside the session's, by name; undefined without any. */
  #beside: Map<string, ActorRow> | undefined;
  #seq = 0;
  #errors = 0;
  #finalFields: RowFields | undefined;
  #closedBecause: string | null = null;
  #failure: string | null = null;

  constructor(id: string, sessionId: string, readSession: ReadSession) {
    this.id = id;
    this.sessionId = sessionId;
    this.#readSession = readSession;
  }

  /** `limit` entries are kept, the newest ones. */
  record(observation: ActorObservation, now: number, limit: number): void {
    switch (observation.kind) {
      case 'event':
        // XState's own events end invoked actors and timers: the change of state has them as its cause.
        if (observation.event.type.startsWith('xstate.')) break;
        this.#addEvent(observation.event, observation.state, now, limit);
        break;
      case 'unexpected':
        this.#add(
          { kind: 'unexpected', seq: this.#next(), at: now, type: observation.cause, state: observation.state },
          limit,
        );
        break;
      case 'transition':
        this.state = observation.to;
        this.#since = now;
        this.#enter(configurationOf(observation.value), observation.cause, now, limit);
        if (observation.to === 'closed') this.#close(observation.context);
        break;
      case 'step':
        this.#enter(configurationOf(observation.value), observation.cause, now, limit);
    }
  }

  /** The state of a chart beside the session's; false if it is known. */
  recordBeside(row: ActorRow): boolean {
    this.#beside ??= new Map();
    if (this.#beside.get(row.machine)?.leaves === row.leaves) return false;
    this.#beside.set(row.machine, row);
    return true;
  }

  /** Undefined if the session was released without reaching `closed`. */
  row(): SessionRow | undefined {
    const facts = this.#finalFields ?? this.#readFields();
    if (facts === undefined) return undefined;
    const { id, state } = this;
    return { id, state, since: this.#since, errors: this.#errors, closedBecause: this.#closedBecause, ...facts };
  }

  /** With the entries after `seq`. */
  detail(seq: number, now: number): SessionDetail {
    const dwell: Record<string, number> = {};
    const stays = this.state === 'closed' ? [] : [[this.#configuration, now - this.#configurationSince] as const];
    for (const [{ states }, ms] of [...this.#dwell, ...stays])
      for (const state of states) dwell[state] = (dwell[state] ?? 0) + ms;
    return {
      id: this.id,
      leaves: this.#configuration.leaves,
      dwell,
      asOf: now,
      browser: this.#readSession(this.sessionId)?.browserActor ?? null,
      beside: [...(this.#beside?.values() ?? [])],
      failure: this.#failure,
      entries: this.#entries.filter((entry) => entry.seq > seq),
    };
  }

  /** How the session ended; undefined while it is open. */
  ending(): EndedSession | undefined {
    if (this.#closedBecause === null) return undefined;
    const user = this.#finalFields?.user ?? '';
    return { id: this.id, user, at: this.#since, because: this.#closedBecause, failure: this.#failure };
  }

  #enter(configuration: StateConfiguration, cause: string, now: number, limit: number): void {
    const before = this.#configuration;
    if (configuration === before) return;
    if (before !== noConfiguration)
      this.#dwell.set(before, (this.#dwell.get(before) ?? 0) + now - this.#configurationSince);
    this.#add(
      { kind: 'state', seq: this.#next(), at: now, from: before.leaves, to: configuration.leaves, cause },
      limit,
    );
    this.#configuration = configuration;
    this.#configurationSince = now;
  }

  /** The session is still in the registry at this point; later its facts are gone. */
  #close(context: unknown): void {
    this.#finalFields = this.#readFields();
    const { closedBecause, failure } = closeFieldsOf(context);
    this.#closedBecause = closedBecause;
    this.#failure = failure;
  }

  #readFields(): RowFields | undefined {
    const facts = this.#readSession(this.sessionId);
    if (facts === undefined) return undefined;
    const { user, transport, client, createdAt, toolCalls: calls, browserState: browser, node } = facts;
    const known = { user, transport, client, createdAt: createdAt.getTime(), calls, browser };
    return node === undefined ? known : { ...known, node };
  }

  /** Names, outcomes and durations only: contents of messages are never kept. */
  #addEvent(event: { readonly type: string }, state: string, at: number, limit: number): void {
    const seq = this.#next();
    const request = settledRequestOf(event);
    if (request !== undefined) {
      const { method, tool, outcome, error, durationMs } = request;
      if (outcome === 'failed') this.#errors += 1;
      const failure = error !== undefined && { error: withoutData(error) };
      this.#add({ kind: 'call', seq, at, method, tool, outcome, ...failure, durationMs }, limit);
    } else if (event.type === 'message.received' && 'kind' in event) {
      this.#add({ kind: 'message', seq, at, what: String(event.kind) }, limit);
    } else this.#add({ kind: 'event', seq, at, type: event.type, state }, limit);
  }

  #next(): number {
    return (this.#seq += 1);
  }

  #add(entry: JournalEntry, limit: number): void {
    this.#entries.push(entry);
    while (this.#entries.length > limit) this.#entries.shift();
  }
}

function settledRequestOf(event: { readonly type: string }): SettledRequest | undefined {
  // The chart's events are a closed union; the stream types them by their `type` alone.
  return event.type === 'request.settled' && 'request' in event ? (event.request as SettledRequest) : undefined;
}

function closeFieldsOf(context: unknown): { closedBecause: string; failure: string | null } {
  const { closedBecause, failure }: Record<string, unknown> = { ...(context as object) };
  const message = typeof failure === 'object' && failure !== null && 'message' in failure ? failure.message : null;
  return { closedBecause: String(closedBecause), failure: typeof message === 'string' ? message : null };
}

/** The beginning of a reason, without quoted names, addresses and texts, which come from the client or a page. */
function withoutData(reason: string): string {
  const masked = reason.replaceAll(/"[^"]*"?/g, '"…"').replaceAll(/\b[a-z][\w+.-]*:\/\/\S+/gi, '…');
  return cutText(/^[^:\n]*/.exec(masked)?.[0] ?? '', maxReasonLength);
}

const maxReasonLength = 120;
