/**
 * What the server tells the inspector's page: the one list of words that both speak. Plain data, no import, so that the
 * page is compiled with the browser's types alone. Times are milliseconds since the epoch, durations milliseconds.
 *
 * Nothing here can let anyone in or show what a client works on: ids are shortened, and of messages and calls there are
 * names, outcomes and durations; contents only where a viewer asks for them, and then redacted.
 */

/** One session, as a line of the table. */
export interface SessionRow {
  /** The first 8 characters: a whole id would open the session to whoever reads it. */
  readonly id: string;
  readonly user: string;
  readonly transport: string;
  readonly client: { readonly name: string; readonly version: string } | null;
  readonly state: string;
  /** Since when it is in `state`. */
  readonly since: number;
  readonly createdAt: number;
  readonly calls: number;
  /** Requests that failed. */
  readonly errors: number;
  readonly browser: string;
  readonly closedBecause: string | null;
  /** What operators call the node that it is at, if there are many. */
  readonly node?: string;
}

/** What is new of a row that the viewer has. */
export type RowChange = Pick<SessionRow, 'id'> & Partial<SessionRow>;

/** A chart's leaves that are entered, such as `active.serving.idle`; several where a state is parallel. */
export type Leaves = readonly string[];

/** One fact of a session's life. `seq` grows by one, so a gap shows what was dropped. */
export type JournalEntry = { readonly seq: number; readonly at: number } & (
  | { readonly kind: 'state'; readonly from: Leaves; readonly to: Leaves; readonly cause: string }
  | { readonly kind: 'message'; readonly what: string }
  | {
      readonly kind: 'call';
      readonly method: string;
      readonly tool: string | null;
      readonly outcome: string;
      readonly durationMs: number;
    }
  | { readonly kind: 'event'; readonly type: string; readonly state: string }
  /** Neither handled nor named as a no-op: a defect. */
  | { readonly kind: 'unexpected'; readonly type: string; readonly state: string }
);

/** What is shown of the session that a viewer has open. */
export interface SessionDetail {
  readonly id: string;
  readonly leaves: Leaves;
  /** Time spent in each state that was left or is still entered, the current stay up to `asOf`. */
  readonly dwell: Readonly<Record<string, number>>;
  readonly asOf: number;
  /** The id of its browser among the actors; null while it has none. */
  readonly browser: string | null;
  readonly failure: string | null;
  /** Those that the viewer has not seen. */
  readonly entries: readonly JournalEntry[];
}

/** One message of a session whose contents the viewer asked for. `seq` grows by one, so a gap shows what was dropped. */
export interface Payload {
  readonly seq: number;
  readonly at: number;
  readonly from: 'client' | 'session';
  /** The method, or that it is an answer; with the id where that is a number. */
  readonly what: string;
  /** As JSON: structure, numbers and known words; what else there was is named by its type and length. */
  readonly text: string;
}

/** An actor that is no session: a browser, the server, an alarm. */
export interface ActorRow {
  readonly machine: string;
  readonly id: string;
  readonly leaves: Leaves;
  readonly since: number;
}

/** How many sessions there were in each state, from `at` until the next sample. */
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
  /** From creation to announcement, of the sessions announced last, oldest first. */
  readonly announceMs: readonly number[];
  /** How sessions ended, by cause. */
  readonly endings: Readonly<Record<string, number>>;
  /** The last ones that ended for another reason than the client's leaving, newest first. */
  readonly failures: readonly EndedSession[];
  /** The document of `GET /health`. */
  readonly health: unknown;
}

/** What `GET /inspector/stream` sends, one JSON document per event. The first one after connecting is `full`. */
export interface Frame {
  /** Tells one server process from the next. */
  readonly startedAt: number;
  readonly version: string;
  readonly now: number;
  /** Everything there is, instead of what has changed. */
  readonly full: boolean;
  /** Sessions that the viewer does not have yet, or not as they are. */
  readonly rows: readonly SessionRow[];
  /** States within a quarter of a second; counters, clients and browsers once a second. */
  readonly changes: readonly RowChange[];
  readonly actors?: readonly ActorRow[];
  readonly overview?: Overview;
  /** Of the session in the query; null if there is none with this id. */
  readonly detail?: SessionDetail | null;
  /** Of that session, those that the viewer has not seen, if it asked for contents. */
  readonly payloads?: readonly Payload[];
  /** Frames that were left out because the viewer did not read in time. */
  readonly lost: number;
}

/** A state chart with a place for everything, in pixels: drawn from `machines/` by `npm run visualize`. */
export interface Chart {
  readonly name: string;
  readonly description: string;
  readonly width: number;
  readonly height: number;
  /** Outer before inner. The first is the chart itself, with an empty id. */
  readonly boxes: readonly ChartBox[];
  readonly dots: readonly ChartArea[];
  /** The sign from which the arrows start that hold in every state. */
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

export interface ChartLine {
  /** The state that is left; null where the chart or a state is entered. `*`: any state. */
  readonly source: string | null;
  readonly target: string;
  /** The data of an SVG path. */
  readonly path: string;
}
