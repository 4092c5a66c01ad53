import type { SeenStep } from '../prove/traces.js';
import type { FaultKind } from './faultPlan.js';

export type Transport = 'sse' | 'streamable-http';

/** What the tool `note` answers: whose it believes to be what it was told, and all that it was told before. */
export interface Echo {
  readonly node: string;
  /** One life of the session: another one at each takeover. */
  readonly term: string;
  readonly session: string;
  readonly user: string;
  /** All texts of this term, this one last. */
  readonly notes: readonly string[];
  /** Calls of the session, this one included, over all terms. */
  readonly calls: number;
}

/** The steps that came before an answer; `told`: that some were lost was told. */
export type Progress = readonly number[] | 'told';

/** One message: what a client sent under a text that nobody else sends, and never again. */
interface MessageFields {
  readonly text: string;
}

/**
 * What happened, as the clients, the nodes and Redis saw it. Times are milliseconds of the machine's monotonic clock, so
 * that those of different processes can be compared.
 */
export type HistoryEvent = { readonly at: number } & (
  | { readonly type: 'fault'; readonly kind: FaultKind; readonly node: number; readonly ms: number }
  /** A client was told its session's id. */
  | { readonly type: 'announced'; readonly session: string; readonly user: string; readonly transport: Transport }
  /** What the directory has of a session that was announced; null: nothing. */
  | { readonly type: 'claimed'; readonly session: string; readonly user: string | null }
  | ({ readonly type: 'sent'; readonly session: string; readonly user: string; readonly to: number } & MessageFields)
  /** The client was told that the message has been taken: 202, or the head of the stream of its answer. */
  | ({ readonly type: 'acknowledged' } & MessageFields)
  | ({ readonly type: 'answered'; readonly echo: Echo; readonly progress: Progress } & MessageFields)
  /** The client was told that there will be no answer, and why. */
  | ({ readonly type: 'refused'; readonly reason: string } & MessageFields)
  /** The connection broke before anything was acknowledged: the client knows that it knows nothing. */
  | ({ readonly type: 'broken' } & MessageFields)
  /** Nothing came, however long it was waited for. */
  | ({ readonly type: 'silent' } & MessageFields)
  /** A client was told that the session is over, or ended it. */
  | { readonly type: 'ended'; readonly session: string; readonly because: string }
  /** A client got what it had not asked for, or twice. */
  | { readonly type: 'stray'; readonly session: string; readonly what: string }
  /** What somebody got who asked for a session of another user. */
  | { readonly type: 'foreign'; readonly session: string; readonly status: number; readonly reason: string }
  /** A node called the tool. */
  | ({ readonly type: 'carriedOut' } & Omit<Echo, 'notes'> & MessageFields)
  /** A node took a session over from one that was gone. */
  | { readonly type: 'takenOver'; readonly node: string; readonly session: string; readonly isRestored: boolean }
  /** A node told of an error that nothing explains. */
  | { readonly type: 'defect'; readonly node: string; readonly what: string }
  /** A chart of a node took a step that none of that process had taken. */
  | ({ readonly type: 'step' } & SeenStep)
  /** At the end there was something that should not be. */
  | { readonly type: 'left'; readonly what: string }
);

/** The same clock in every process of one machine. */
export const now = (): number => Number(process.hrtime.bigint()) / 1e6;

/** What happened, before it is known when. */
export type NewHistoryEvent = HistoryEvent extends infer Each
  ? Each extends unknown
    ? Omit<Each, 'at'>
    : never
  : never;

/** Everything that happened, in the order in which this process came to know of it. */
export class History {
  readonly events: HistoryEvent[] = [];

  record(told: NewHistoryEvent): void {
    this.events.push({ at: now(), ...told });
  }
}
