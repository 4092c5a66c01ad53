import type { Journal } from './journal.js';
import type { ActorRow, SessionRow, RowChange } from './wire.js';

/** What changed in one revision, for viewers that have the one before it. */
export interface TableDelta {
  /** Rows that are new in this revision. */
  readonly rows: readonly SessionRow[];
  readonly changes: readonly RowChange[];
  /** All actors, if one changed. */
  readonly actors?: readonly ActorRow[];
}

interface SentRow {
  row: SessionRow;
  /** The revision of its last change. */
  revision: number;
  /** The version of its track when it was read. */
  trackVersion: number;
}

/**
 * The rows sent to viewers. Each revision compares them with the journal once, for all viewers. A late or slow viewer gets
 * the rows of the current revision, so that the next delta fits all.
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

  /** The number of the last revision; 0 before the first. */
  get revision(): number {
    return this.#revision;
  }

  /**
   * Makes the next revision. With `isFull` it has every change, also those in the `remoteRows` of other nodes; otherwise new
   * sessions and changes of state alone.
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

  /** Complete rows, oldest first, of all that changed after `revision`; 0 for all. */
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

  /** A session that no node reports was at a dead node: it is shown as closed. Closed ones that no node keeps are dropped. */
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

/** The other nodes of a cluster. */
export interface RemoteNodes {
  /** The name of this node. */
  readonly node: string;
  /** The rows of the other nodes, as last published. Never rejects. */
  rows(): Promise<readonly SessionRow[]>;
}

/**
 * Rows of other nodes that are newer than this node's, by id. A moved session is reported by several nodes: the open row
 * wins, otherwise the latest.
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
  const [isClosed, wasClosed] = [one.state === 'closed', other.state === 'closed'];
  return isClosed === wasClosed ? one.since > other.since : wasClosed;
}
