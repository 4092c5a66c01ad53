import type { Journal } from './journal.js';
import type { ActorRow, SessionRow, RowChange } from './wire.js';

/** What one turn has to tell to those who have heard all turns before it. */
export interface TableDelta {
  /** Those that nobody was told of yet. */
  readonly rows: readonly SessionRow[];
  readonly changes: readonly RowChange[];
  /** All of them, if one changed. */
  readonly actors?: readonly ActorRow[];
}

interface SentRow {
  row: SessionRow;
  /** The turn of its last change. */
  revision: number;
  /** The version of its track when it was read. */
  trackVersion: number;
}

/**
 * What the viewers have been told of sessions and actors. Each turn compares it with the journal once, however many
 * viewers there are. Who comes late, or has missed turns, is told what the others know, so that the next turn fits all.
 */
export class SessionTable {
  readonly #journal: Journal;
  /** Oldest session first. */
  readonly #rows = new Map<string, SentRow>();
  #actors: readonly ActorRow[] = [];
  #actorsRevision = 0;
  #revision = 0;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  /** The number of the last turn. */
  get revision(): number {
    return this.#revision;
  }

  /**
   * Takes in what changed: with `isWhole` everything, what `others` told of other nodes included, otherwise new sessions and
   * changes of state alone.
   */
  advance(isFull: boolean, remoteRows: readonly SessionRow[] = [], now = 0): TableDelta {
    this.#revision += 1;
    const rows: SessionRow[] = [];
    const changes: RowChange[] = [];
    for (const track of this.#journal.tracks()) {
      const sent = this.#rows.get(track.id);
      if (sent !== undefined && (isFull ? track.version : track.stateVersion) <= sent.trackVersion) continue;
      const row = track.row();
      if (row !== undefined) this.#recordRow(row, track.version, { rows, changes });
    }
    if (isFull) this.#mergeRemoteRows(newerRemoteRows(remoteRows, this.#journal), now, { rows, changes });
    return { rows, changes, ...this.#actorChanges() };
  }

  /** Whole rows, oldest first, of all that changed after a turn; 0 for all. */
  since(revision: number): TableDelta {
    const rows = [...this.#rows.values()].filter((sent) => sent.revision > revision).map(({ row }) => row);
    return { rows, changes: [], ...(this.#actorsRevision > revision && { actors: this.#actors }) };
  }

  #recordRow(
    row: SessionRow,
    trackVersion: number,
    delta: { readonly rows: SessionRow[]; readonly changes: RowChange[] },
  ): void {
    const sent = this.#rows.get(row.id);
    const change = sent === undefined ? row : changeOf(sent.row, row);
    const revision = change === null ? (sent?.revision ?? 0) : this.#revision;
    this.#rows.set(row.id, { row, revision, trackVersion });
    if (sent === undefined) delta.rows.push(row);
    else if (change !== null) delta.changes.push(change);
  }

  /** A session that no node tells of any more was at one that is gone. Closed ones that nobody keeps are forgotten. */
  #mergeRemoteRows(
    remoteRows: ReadonlyMap<string, SessionRow>,
    now: number,
    delta: { rows: SessionRow[]; changes: RowChange[] },
  ): void {
    for (const row of remoteRows.values()) this.#recordRow(row, this.#journal.track(row.id)?.version ?? 0, delta);
    for (const [id, { row, trackVersion }] of this.#rows) {
      if (remoteRows.has(id) || this.#journal.track(id) !== undefined) continue;
      if (row.state === 'closed') this.#rows.delete(id);
      else this.#recordRow({ ...row, state: 'closed', closedBecause: 'node-lost', since: now }, trackVersion, delta);
    }
  }

  #actorChanges(): { readonly actors?: readonly ActorRow[] } {
    const { actors } = this.#journal;
    if (actors === this.#actors) return {};
    this.#actors = actors;
    this.#actorsRevision = this.#revision;
    return { actors };
  }
}

const fields = [
  'user',
  'transport',
  'client',
  'state',
  'since',
  'createdAt',
  'calls',
  'errors',
  'browser',
  'closedBecause',
  'node',
] as const satisfies readonly Exclude<keyof SessionRow, 'id'>[];

/** The fields that differ, with the id; null if none does. */
function changeOf(before: SessionRow, after: SessionRow): RowChange | null {
  const changed = fields.filter((field) => before[field] !== after[field]);
  if (changed.length === 0) return null;
  return { id: after.id, ...Object.fromEntries(changed.map((field) => [field, after[field]])) };
}

/** The other nodes, if there are any. */
export interface RemoteNodes {
  /** What operators call this one. */
  readonly node: string;
  /** The rows of the others' tables, as they told them last. Never rejects. */
  rows(): Promise<readonly SessionRow[]>;
}

/**
 * The rows of other nodes that this one does not know better, by their ids. A session that has moved is told of by several
 * nodes: where it is open it is now, and else where it was last.
 */
export function newerRemoteRows(
  remoteRows: readonly SessionRow[],
  journal: Pick<Journal, 'track'>,
): Map<string, SessionRow> {
  const rows = new Map<string, SessionRow>();
  for (const row of remoteRows) {
    const own = journal.track(row.id);
    const isLocal = own !== undefined && (own.state !== 'closed' || row.state === 'closed');
    const known = rows.get(row.id);
    if (!isLocal && (known === undefined || isLater(row, known))) rows.set(row.id, row);
  }
  return rows;
}

function isLater(one: SessionRow, other: SessionRow): boolean {
  const [isOver, wasOver] = [one.state === 'closed', other.state === 'closed'];
  return isOver === wasOver ? one.since > other.since : wasOver;
}
