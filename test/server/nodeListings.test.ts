import { parseNodeListing } from '../../src/server/nodeListings.js';

const session = {
  ...{ id: 'a', user: 'anna', transport: 'sse', state: 'active', client: null, protocolVersion: null },
  ...{ lease: 'eager', createdAt: '2026-01-01T00:00:00.000Z', browser: 'none', calls: 0 },
};
const listing = { node: 'one', sessions: [session], warm: 0, rows: [] };

test('a listing of another node is read', () => {
  expect(parseNodeListing(JSON.stringify(listing))?.sessions).toEqual([session]);
});

test.each([
  ['no text', ''],
  ['half of it', JSON.stringify(listing).slice(0, 40)],
  ['null', 'null'],
  ['a field of another type', JSON.stringify({ ...listing, sessions: [{ ...session, calls: 'many' }] })],
  ['a date that is none', JSON.stringify({ ...listing, sessions: [{ ...session, createdAt: 'yesterday' }] })],
  ['a field that is missing', JSON.stringify({ node: 'one' })],
])('a damaged listing is left out and breaks nothing: %s', (_what, text) => {
  expect(parseNodeListing(text)).toBeUndefined();
});
