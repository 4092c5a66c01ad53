import { rowsElsewhere } from './elsewhere.js';
import type { Journal } from './journal.js';
import type { Actor, Row, RowChange } from './wire.js';

/** What one turn has to tell to those who have heard all turns before it. */
export interface News {
  /** Those that nobody was told of yet. */
  readonly rows: readonly Row[];
  readonly changes: readonly RowChange[];
  /** All of them, if one changed. */
  readonly actors?: readonly Actor[];
}

interface Told {
  row: Row;
  /** The turn of its last change. */
  turn: number;
  /** The version of its track when it was read. */
  read: number;
}

/**
 * What the viewers have been told of sessions and actors. Each turn compares it with the journal once, however many
 * viewers there are. Who comes late, or has missed turns, is told what the others know, so that the next turn fits all.
 */
export class Table {
  readonly #journal: Journal;
  /** Oldest session first. */
  readonly #rows = new Map<string, Told>();
  #actors: readonly Actor[] = [];
  #actorsTurn = 0;
  #turn = 0;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  /** The number of the last turn. */
  get turn(): number {
    return this.#turn;
  }

  /**
   * Takes in what changed: with `isWhole` everything, what `others` told of other nodes included, otherwise new sessions and
   * changes of state alone.
   */
  advance(isWhole: boolean, others: readonly Row[] = [], now = 0): News {
    this.#turn += 1;
    const rows: Row[] = [];
    const changes: RowChange[] = [];
    for (const track of this.#journal.tracks()) {
      const told = this.#rows.get(track.id);
      if (told !== undefined && (isWhole ? track.version : track.moved) <= told.read) continue;
      const row = track.row();
      if (row !== undefined) this.#tell(row, track.version, { rows, changes });
    }
    if (isWhole) this.#advanceOthers(rowsElsewhere(others, this.#journal), now, { rows, changes });
    return { rows, changes, ...this.#newActors() };
  }

  /** Whole rows, oldest first, of all that changed after a turn; 0 for all. */
  since(turn: number): News {
    const rows = [...this.#rows.values()].filter((told) => told.turn > turn).map(({ row }) => row);
    return { rows, changes: [], ...(this.#actorsTurn > turn && { actors: this.#actors }) };
  }

  #tell(row: Row, read: number, news: { readonly rows: Row[]; readonly changes: RowChange[] }): void {
    const told = this.#rows.get(row.id);
    const change = told === undefined ? row : changeOf(told.row, row);
    const turn = change === null ? (told?.turn ?? 0) : this.#turn;
    this.#rows.set(row.id, { row, turn, read });
    if (told === undefined) news.rows.push(row);
    else if (change !== null) news.changes.push(change);
  }

  /** A session that no node tells of any more was at one that is gone. Closed ones that nobody keeps are forgotten. */
  #advanceOthers(others: ReadonlyMap<string, Row>, now: number, news: { rows: Row[]; changes: RowChange[] }): void {
    for (const row of others.values()) this.#tell(row, this.#journal.track(row.id)?.version ?? 0, news);
    for (const [id, { row, read }] of this.#rows) {
      if (others.has(id) || this.#journal.track(id) !== undefined) continue;
      if (row.state === 'closed') this.#rows.delete(id);
      else this.#tell({ ...row, state: 'closed', closedBecause: 'node-lost', since: now }, read, news);
    }
  }

  #newActors(): { readonly actors?: readonly Actor[] } {
    const { actors } = this.#journal;
    if (actors === this.#actors) return {};
    this.#actors = actors;
    this.#actorsTurn = this.#turn;
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
] as const satisfies readonly Exclude<keyof Row, 'id'>[];

/** The fields that differ, with the id; null if none does. */
function changeOf(before: Row, after: Row): RowChange | null {
  const changed = fields.filter((field) => before[field] !== after[field]);
  if (changed.length === 0) return null;
  return { id: after.id, ...Object.fromEntries(changed.map((field) => [field, after[field]])) };
}
