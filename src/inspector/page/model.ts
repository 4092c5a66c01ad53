import type { Actor, Chart, Detail, Entry, Frame, Overview, Payload, Row } from '../wire.js';

/** As many as the server keeps: older ones could not be opened. */
const closedKept = 200;
const entriesKept = 512;
const payloadsKept = 200;

export type Route =
  { readonly view: 'sessions' } | { readonly view: 'overview' } | { readonly view: 'session'; readonly id: string };

/** The session that is open, with the entries that came while it was. */
export interface OpenSession extends Detail {
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
  readonly rows: ReadonlyMap<string, Row>;
  readonly actors: readonly Actor[];
  readonly overview: Overview | null;
  /** Null: the server has not said yet. `gone`: it knows no session with this id. */
  readonly session: OpenSession | 'gone' | null;
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

export const initial: Model = {
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

export const now = ({ skew }: Model): number => Date.now() + skew;

/** What a frame changes. A full one replaces everything: the page had no connection, or had one to another process. */
export function take(model: Model, frame: Frame): Partial<Model> {
  const restarted = model.startedAt !== null && model.startedAt !== frame.startedAt;
  return {
    link: 'live',
    startedAt: frame.startedAt,
    version: frame.version,
    skew: frame.now - Date.now(),
    restarted: model.restarted || restarted,
    lost: model.lost + frame.lost,
    rows: merge(frame.full ? new Map() : model.rows, frame),
    actors: frame.actors ?? (frame.full ? [] : model.actors),
    overview: frame.overview ?? model.overview,
    payloads: [...(frame.full ? [] : model.payloads), ...(frame.payloads ?? [])].slice(-payloadsKept),
    session: frame.detail === undefined ? model.session : follow(frame.full ? null : model.session, frame.detail),
  };
}

function merge(before: ReadonlyMap<string, Row>, { rows, changes }: Frame): ReadonlyMap<string, Row> {
  if (rows.length + changes.length === 0) return before;
  const merged = new Map(before);
  for (const row of rows) merged.set(row.id, row);
  for (const change of changes) {
    const row = merged.get(change.id);
    if (row !== undefined) merged.set(change.id, { ...row, ...change });
  }
  const closed = [...merged.values()].filter(({ state }) => state === 'closed');
  for (const { id } of closed.slice(0, -closedKept)) merged.delete(id);
  return merged;
}

function follow(before: Model['session'], detail: Detail | null): Model['session'] {
  // A session that was there stays on the page, also when the server has forgotten it.
  if (detail === null) return before ?? 'gone';
  const known = before === null || before === 'gone' ? [] : before.entries;
  const entries = [...known, ...detail.entries].slice(-entriesKept);
  return { ...detail, entries, dropped: (entries[0]?.seq ?? 1) - 1 };
}

/** The rows that the filters let through, newest first. */
export function shownRows({ rows, text, state, user }: Model): Row[] {
  const wanted = text.trim().toLowerCase();
  const fits = (row: Row): boolean =>
    (state === '' || (state === 'open' ? row.state !== 'closed' : row.state === state)) &&
    (user === '' || row.user === user) &&
    (wanted === '' || textOf(row).includes(wanted));
  return [...rows.values()].filter(fits).toSorted((one, other) => other.createdAt - one.createdAt);
}

function textOf(row: Row): string {
  const { id, user, transport, client, state, browser, closedBecause, node } = row;
  return [id, user, transport, client?.name, client?.version, state, browser, closedBecause, node]
    .join(' ')
    .toLowerCase();
}

type StateEntry = Entry & { readonly kind: 'state' };

/** The recorded transitions of the open session, oldest first: what one can step through. */
export function statesOf(session: Detail): StateEntry[] {
  return session.entries.filter((entry): entry is StateEntry => entry.kind === 'state');
}
