import type { ActorRow, Chart, SessionDetail, JournalEntry, Frame, Overview, Payload, SessionRow } from '../wire.js';

/** As many as the server keeps: older ones could not be opened. */
const maxClosed = 200;
const maxEntries = 512;
const maxPayloads = 200;

export type Route =
  { readonly view: 'sessions' } | { readonly view: 'overview' } | { readonly view: 'session'; readonly id: string };

/** The session that is open, with the entries that came while it was. */
export interface OpenedSession extends SessionDetail {
  /** Entries that nobody can show any more. */
  readonly dropped: number;
}

/** Everything the page shows. Views are made from it and change nothing but through {@link Update}. */
export interface Model {
  readonly link: 'connecting' | 'live' | 'lost';
  readonly startedAt: number | null;
  readonly version: string;
  /** What to add to this machine's clock to get the server's. */
  readonly skew: number;
  readonly restarted: boolean;
  readonly lost: number;
  readonly charts: readonly Chart[];
  readonly rows: ReadonlyMap<string, SessionRow>;
  readonly actors: readonly ActorRow[];
  readonly overview: Overview | null;
  /** Null: the server has not said yet. `gone`: it knows no session with this id. */
  readonly session: OpenedSession | 'gone' | null;
  /** Whether what is said in the open session is asked for, and what has been said since. */
  readonly contents: boolean;
  readonly payloads: readonly Payload[];
  readonly route: Route;
  readonly text: string;
  readonly state: string;
  readonly user: string;
  /** The row that the keyboard is at. */
  readonly selected: string | null;
  readonly scrollTop: number;
  readonly tab: 'timeline' | 'sequence';
  /** Which recorded transition the chart shows; null for what is now. */
  readonly step: number | null;
}

/** What a view may ask for: a change of what is shown. */
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
  step: null,
};

export const serverNow = ({ skew }: Model): number => Date.now() + skew;

/** What a frame changes. A full one replaces everything: the page had no connection, or had one to another process. */
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
  // A session that was there stays on the page, also when the server has forgotten it.
  if (detail === null) return before ?? 'gone';
  const known = before === null || before === 'gone' ? [] : before.entries;
  const entries = [...known, ...detail.entries].slice(-maxEntries);
  return { ...detail, entries, dropped: (entries[0]?.seq ?? 1) - 1 };
}

/** The rows that the filters let through, newest first. */
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

/** The recorded transitions of the open session, oldest first: what one can step through. */
export function stateEntries(session: SessionDetail): StateEntry[] {
  return session.entries.filter((entry): entry is StateEntry => entry.kind === 'state');
}
