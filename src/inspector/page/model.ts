import type { ActorRow, Chart, SessionDetail, JournalEntry, Frame, Overview, Payload, SessionRow } from '../wire.js';

/** As many as the server keeps. */
const maxClosed = 200;
const maxEntries = 512;
const maxPayloads = 200;

export type Route =
  { readonly view: 'sessions' } | { readonly view: 'overview' } | { readonly view: 'session'; readonly id: string };

/** What the sessions of one user use at one node. */
export interface UserUse {
  readonly user: string;
  readonly node?: string;
  readonly sessions: number;
  readonly processes: number;
  readonly browserMs: number;
  readonly memoryBytes: number;
  readonly downloadBytes: number;
  readonly diskBytes: number;
  readonly quotas: Readonly<Record<string, number>>;
}

/** The open session, with the entries received since it was opened. */
export interface OpenedSession extends SessionDetail {
  /** Earlier entries that are not kept. */
  readonly dropped: number;
}

/** The state of the page. Views are functions of it and change it only through {@link Update}. */
export interface Model {
  readonly link: 'connecting' | 'live' | 'lost';
  readonly startedAt: number | null;
  readonly version: string;
  /** Server time minus the time of this machine, in milliseconds. */
  readonly skew: number;
  readonly restarted: boolean;
  readonly lost: number;
  readonly charts: readonly Chart[];
  readonly rows: ReadonlyMap<string, SessionRow>;
  readonly actors: readonly ActorRow[];
  readonly overview: Overview | null;
  /** The use of each user, as in `GET /api/usage`. */
  readonly users: readonly UserUse[];
  /** Null: not received yet. `gone`: the server has no session with this id. */
  readonly session: OpenedSession | 'gone' | null;
  /** Whether the messages of the open session are requested, and those received since. */
  readonly contents: boolean;
  readonly payloads: readonly Payload[];
  readonly route: Route;
  readonly text: string;
  readonly state: string;
  readonly user: string;
  /** The row selected with the keyboard. */
  readonly selected: string | null;
  readonly scrollTop: number;
  readonly tab: 'timeline' | 'sequence';
  /** What the timeline shows. */
  readonly shown: 'all' | 'calls' | 'failures';
  /** The recorded transition that the chart shows; null for the current state. */
  readonly step: number | null;
}

/** Merges a change into the model and draws it. */
export type Update = (change: Partial<Model>) => void;

export const initialModel: Model = {
  link: 'connecting',
  startedAt: null,
  version: '',
  skew: 0,
  restarted: false,
  lost: 0,
  charts: [],
  rows: new Map(),
  actors: [],
  overview: null,
  users: [],
  session: null,
  contents: false,
  payloads: [],
  route: { view: 'sessions' },
  text: '',
  state: '',
  user: '',
  selected: null,
  scrollTop: 0,
  tab: 'timeline',
  shown: 'all',
  step: null,
};

export const serverNow = ({ skew }: Model): number => Date.now() + skew;

/** The change that a frame makes. A full frame, the first of a connection, replaces everything. */
export function applyFrame(model: Model, frame: Frame): Partial<Model> {
  const restarted = model.startedAt !== null && model.startedAt !== frame.startedAt;
  return {
    link: 'live',
    startedAt: frame.startedAt,
    version: frame.version,
    skew: frame.now - Date.now(),
    restarted: model.restarted || restarted,
    lost: model.lost + frame.lost,
    rows: mergeRows(frame.full ? new Map() : model.rows, frame),
    actors: frame.actors ?? (frame.full ? [] : model.actors),
    overview: frame.overview ?? model.overview,
    payloads: [...(frame.full ? [] : model.payloads), ...(frame.payloads ?? [])].slice(-maxPayloads),
    session: frame.detail === undefined ? model.session : mergeDetail(frame.full ? null : model.session, frame.detail),
  };
}

function mergeRows(before: ReadonlyMap<string, SessionRow>, { rows, changes }: Frame): ReadonlyMap<string, SessionRow> {
  if (rows.length + changes.length === 0) return before;
  const merged = new Map(before);
  for (const row of rows) merged.set(row.id, row);
  for (const change of changes) {
    const row = merged.get(change.id);
    if (row !== undefined) merged.set(change.id, { ...row, ...change });
  }
  const closed = [...merged.values()].filter(({ state }) => state === 'closed');
  for (const { id } of closed.slice(0, -maxClosed)) merged.delete(id);
  return merged;
}

function mergeDetail(before: Model['session'], detail: SessionDetail | null): Model['session'] {
  // A session that was received stays on the page after the server has dropped it.
  if (detail === null) return before ?? 'gone';
  const known = before === null || before === 'gone' ? [] : before.entries;
  const entries = [...known, ...detail.entries].slice(-maxEntries);
  return { ...detail, entries, dropped: (entries[0]?.seq ?? 1) - 1 };
}

/** The rows that pass the filters, newest first. */
export function filteredRows({ rows, text, state, user }: Model): SessionRow[] {
  const needle = text.trim().toLowerCase();
  const matches = (row: SessionRow): boolean =>
    (state === '' || (state === 'open' ? row.state !== 'closed' : row.state === state)) &&
    (user === '' || row.user === user) &&
    (needle === '' || textOf(row).includes(needle));
  return [...rows.values()].filter(matches).toSorted((one, other) => other.createdAt - one.createdAt);
}

function textOf(row: SessionRow): string {
  const { id, user, transport, client, state, browser, closedBecause, node } = row;
  return [id, user, transport, client?.name, client?.version, state, browser, closedBecause, node]
    .join(' ')
    .toLowerCase();
}

type StateEntry = JournalEntry & { readonly kind: 'state' };

/** The recorded transitions of the open session, oldest first. */
export function stateEntries(session: SessionDetail): StateEntry[] {
  return session.entries.filter((entry): entry is StateEntry => entry.kind === 'state');
}
