import type { Journal } from './journal.js';
import type { SessionRow } from './wire.js';

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
export function newerRemoteRows(remoteRows: readonly SessionRow[], journal: Pick<Journal, 'track'>): Map<string, SessionRow> {
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
