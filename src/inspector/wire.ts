/**
 * The protocol between the server and the inspector's page. Plain data without imports, so that the page is compiled with
 * the browser's types alone. Times are milliseconds since the epoch, durations milliseconds.
 *
 * Nothing in it gives access or shows the data of a client: ids are shortened; of messages and calls it has names, outcomes,
 * durations, and how the reason of a failed call begins. Contents are sent only to a viewer that requests them, redacted.
 */

/** One session, as a line of the table. */
export interface SessionRow {
  /** The first 8 characters: a complete id gives access to the session. */
  readonly id: string;
  readonly user: string;
  readonly transport: string;
  readonly client: { readonly name: string; readonly version: string } | null;
  readonly state: string;
  /** When it entered `state`. */
  readonly since: number;
  readonly createdAt: number;
  readonly calls: number;
  /** Requests that failed. */
  readonly errors: number;
  readonly browser: string;
  readonly closedBecause: string | null;
  /** The name of its node, with many nodes. */
  readonly node?: string;
}

/** The changed fields of a row that the viewer has. */
export type RowChange = Pick<SessionRow, 'id'> & Partial<SessionRow>;

/** The entered leaf states of a chart, such as `active.serving.idle`; several in a parallel state. */
export type Leaves = readonly string[];

/** One event in the history of a session. `seq` grows by one, so a gap shows what was dropped. */
export type JournalEntry = { readonly seq: number; readonly at: number } & (
  | { readonly kind: 'state'; readonly from: Leaves; readonly to: Leaves; readonly cause: string }
  | { readonly kind: 'message'; readonly what: string }
  | {
      readonly kind: 'call';
      readonly method: string;
      readonly tool: string | null;
      readonly outcome: string;
      /** For a failed one: the beginning of the error text that its client got, without quoted contents. */
      readonly error?: string;
      readonly durationMs: number;
    }
  | { readonly kind: 'event'; readonly type: string; readonly state: string }
  /** Neither handled nor named as a no-op: a defect. */
  | { readonly kind: 'unexpected'; readonly type: string; readonly state: string }
);

/** The session that a viewer has open. */
export interface SessionDetail {
  readonly id: string;
  readonly leaves: Leaves;
  /** Time spent in each state, including the current stay up to `asOf`. */
  readonly dwell: Readonly<Record<string, number>>;
  readonly asOf: number;
  /** The id of its browser among the actors; null while it has none. */
  readonly browser: string | null;
  /** The charts that run beside its own. */
  readonly beside: readonly ActorRow[];
  readonly failure: string | null;
  /** The entries that the viewer does not have. */
  readonly entries: readonly JournalEntry[];
}

/** One message of a session whose contents the viewer requested. `seq` grows by one, so a gap shows what was dropped. */
export interface Payload {
  readonly seq: number;
  readonly at: number;
  readonly from: 'client' | 'session';
  /** The method, or `answer` or `error`; with the id if it is a number. */
  readonly what: string;
  /** As JSON: structure, numbers and known words; every other value is replaced by its type and length. */
  readonly text: string;
}

/** An actor other than a session: a browser, the server, the alert. */
export interface ActorRow {
  readonly machine: string;
  readonly id: string;
  readonly leaves: Leaves;
  readonly since: number;
}

/** The number of sessions in each state, from `at` until the next sample. */
export interface Sample {
  readonly at: number;
  readonly states: Readonly<Record<string, number>>;
}

export interface EndedSession {
  readonly id: string;
  readonly user: string;
  readonly at: number;
  readonly because: string;
  readonly failure: string | null;
}

/** The server as a whole. */
export interface Overview {
  readonly samples: readonly Sample[];
  /** Time from creation to announcement of the last announced sessions, oldest first. */
  readonly announceMs: readonly number[];
  /** Tool calls of the last minutes: how many ended, and how long the last ones took, oldest first. */
  readonly calls: { readonly perMinute: number; readonly durationsMs: readonly number[] };
  /** The number of ended sessions, by reason. */
  readonly endings: Readonly<Record<string, number>>;
  /** The last sessions that ended for an unexpected reason, newest first. */
  readonly failures: readonly EndedSession[];
  /** The document of `GET /health`. */
  readonly health: unknown;
}

/** What `GET /inspector/stream` sends, one JSON document per event. The first one after connecting is `full`. */
export interface Frame {
  /** Identifies the server process. */
  readonly startedAt: number;
  readonly version: string;
  readonly now: number;
  /** The frame has everything, not only changes. */
  readonly full: boolean;
  /** Complete rows of sessions that the viewer does not have, or has in an older revision. */
  readonly rows: readonly SessionRow[];
  /** States within 250 ms; counters, clients and browsers once a second. */
  readonly changes: readonly RowChange[];
  readonly actors?: readonly ActorRow[];
  readonly overview?: Overview;
  /** Of the session in the query; null for an unknown id. */
  readonly detail?: SessionDetail | null;
  /** The payloads of that session that the viewer does not have, if it requested contents. */
  readonly payloads?: readonly Payload[];
  /** Frames skipped because the viewer did not read in time. */
  readonly lost: number;
}

/** A state chart with its layout, in pixels: drawn from `machines/` by `npm run visualize`. */
export interface Chart {
  readonly name: string;
  readonly description: string;
  readonly width: number;
  readonly height: number;
  /** Outer before inner. The first is the chart itself, with an empty id. */
  readonly boxes: readonly ChartBox[];
  readonly dots: readonly ChartArea[];
  /** The marker from which the transitions of every state start. */
  readonly any: ChartArea | null;
  readonly lines: readonly ChartLine[];
}

export interface ChartArea {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface ChartBox extends ChartArea {
  /** As in {@link Leaves}: `active.serving`. */
  readonly id: string;
  readonly title: string;
  readonly about: string;
  readonly depth: number;
  readonly kind: 'plain' | 'region' | 'final';
  readonly tags: readonly string[];
}

interface ChartLine {
  /** The source state; null for an initial transition. `*`: any state. */
  readonly source: string | null;
  readonly target: string;
  /** The data of an SVG path. */
  readonly path: string;
}
