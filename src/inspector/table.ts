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

  /** Takes in what changed: with `isWhole` everything, otherwise new sessions and changes of state alone. */
  advance(isWhole: boolean): News {
    this.#turn += 1;
    const rows: Row[] = [];
    const changes: RowChange[] = [];
    for (const track of this.#journal.tracks()) {
      const told = this.#rows.get(track.id);
      if (told !== undefined && (isWhole ? track.version : track.moved) <= told.read) continue;
      const row = track.row();
      if (row === undefined) continue;
      const change = told === undefined ? row : changeOf(told.row, row);
      const turn = change === null ? (told?.turn ?? 0) : this.#turn;
      this.#rows.set(track.id, { row, turn, read: track.version });
      if (told === undefined) rows.push(row);
      else if (change !== null) changes.push(change);
    }
    if (isWhole) this.#forget();
    return { rows, changes, ...this.#newActors() };
  }

  /** Whole rows, oldest first, of all that changed after a turn; 0 for all. */
  since(turn: number): News {
    const rows = [...this.#rows.values()].filter((told) => told.turn > turn).map(({ row }) => row);
    return { rows, changes: [], ...(this.#actorsTurn > turn && { actors: this.#actors }) };
  }

  #newActors(): { readonly actors?: readonly Actor[] } {
    const { actors } = this.#journal;
    if (actors === this.#actors) return {};
    this.#actors = actors;
    this.#actorsTurn = this.#turn;
    return { actors };
  }

  /** The journal keeps the last closed sessions only. */
  #forget(): void {
    for (const id of this.#rows.keys()) if (this.#journal.track(id) === undefined) this.#rows.delete(id);
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
] as const satisfies readonly Exclude<keyof Row, 'id'>[];

/** The fields that differ, with the id; null if none does. */
function changeOf(before: Row, after: Row): RowChange | null {
  const changed = fields.filter((field) => before[field] !== after[field]);
  if (changed.length === 0) return null;
  return { id: after.id, ...Object.fromEntries(changed.map((field) => [field, after[field]])) };
}
