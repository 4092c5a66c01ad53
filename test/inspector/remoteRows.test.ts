import { newerRemoteRows, SessionTable } from '../../src/inspector/sessionTable.js';
import { Journal } from '../../src/inspector/journal.js';
import type { SessionRow } from '../../src/inspector/wire.js';
import { ManualClock } from '../support/manualClock.js';

const row = (id: string, changes: Partial<SessionRow> = {}): SessionRow => ({
  ...{ id, user: 'anna', transport: 'sse', client: null, state: 'active', since: 1, createdAt: 1 },
  ...{ calls: 0, errors: 0, browser: 'ready', closedBecause: null, node: 'other', ...changes },
});
const nobody = { track: () => undefined };

test('[C-INSPECTOR][C-SHARED] of a session that has moved the table shows where it is open, else where it was last', () => {
  const [open, moved, last] = [
    row('a'),
    row('a', { state: 'closed', since: 9, node: 'first' }),
    row('b', { since: 2 }),
  ];
  expect(newerRemoteRows([moved, open, last, row('b')], nobody)).toEqual(
    new Map([
      ['a', open],
      ['b', last],
    ]),
  );
});

test('[C-INSPECTOR][C-SHARED] a session that no node tells of any more was lost with its node, and is forgotten later', () => {
  const table = new SessionTable(new Journal(new ManualClock(), () => undefined));
  expect(table.advance(true, [row('a')], 5).rows).toEqual([row('a')]);
  expect(table.advance(true, [row('a', { calls: 1 })], 6)).toMatchObject({
    rows: [],
    changes: [{ id: 'a', calls: 1 }],
  });
  expect(table.advance(false, [], 7)).toEqual({ rows: [], changes: [] });
  const lost = { id: 'a', state: 'closed', since: 8, closedBecause: 'node-lost' };
  expect(table.advance(true, [], 8).changes).toEqual([lost]);
  expect(table.since(0).rows).toMatchObject([lost]);
  expect(table.advance(true, [], 9)).toEqual({ rows: [], changes: [] });
  expect(table.since(0).rows).toEqual([]);
});
