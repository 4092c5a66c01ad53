import { browsersIn, parseNodeListing } from '../../src/server/nodeListings.js';

const session = {
  ...{ id: 'a', user: 'anna', transport: 'sse', state: 'active', client: null, protocolVersion: null },
  ...{ lease: 'eager', createdAt: '2026-01-01T00:00:00.000Z', browser: 'none', calls: 0 },
};
const listing = { node: 'one', sessions: [session], warm: 0, rows: [] };

test('a listing of another node is read', () => {
  expect(parseNodeListing(JSON.stringify(listing))?.sessions).toEqual([session]);
});

test('a user is told of the browsers that are theirs, and a listing of an older server tells of none', () => {
  const browsers = [{ id: 'a', owner: 'local anna', pages: ['https://example.com/'] }];
  const listings = [listing, { ...listing, browsers }].flatMap((each) => parseNodeListing(JSON.stringify(each)) ?? []);
  const anna = { issuer: 'local', user: 'anna' };
  const expected = [{ id: 'a', state: 'active', pages: ['https://example.com/'], toolCalls: 0, isOwn: false }];
  expect(browsersIn(listings, anna)).toMatchObject(expected);
  expect(browsersIn(listings, 'anyone')).toMatchObject(expected);
  for (const other of [
    { ...anna, user: 'bert' },
    { ...anna, issuer: 'https://issuer.example' },
  ])
    expect(browsersIn(listings, other)).toEqual([]);
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
