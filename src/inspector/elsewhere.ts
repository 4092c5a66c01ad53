import type { Journal } from './journal.js';
import type { Row } from './wire.js';

/** The other nodes, if there are any. */
export interface Elsewhere {
  /** What operators call this one. */
  readonly node: string;
  /** The rows of the others' tables, as they told them last. Never rejects. */
  rows(): Promise<readonly Row[]>;
}

/**
 * The rows of other nodes that this one does not know better, by their ids. A session that has moved is told of by several
 * nodes: where it is open it is now, and else where it was last.
 */
export function rowsElsewhere(others: readonly Row[], journal: Pick<Journal, 'track'>): Map<string, Row> {
  const rows = new Map<string, Row>();
  for (const row of others) {
    const own = journal.track(row.id);
    const isOurs = own !== undefined && (own.state !== 'closed' || row.state === 'closed');
    const known = rows.get(row.id);
    if (!isOurs && (known === undefined || isLater(row, known))) rows.set(row.id, row);
  }
  return rows;
}

function isLater(one: Row, other: Row): boolean {
  const [isOver, wasOver] = [one.state === 'closed', other.state === 'closed'];
  return isOver === wasOver ? one.since > other.since : wasOver;
}
