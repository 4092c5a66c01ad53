import { findViolations, type Invariant } from './invariants.js';
import type { Echo, HistoryEvent } from './history.js';
import { faults, planOf } from './faultPlan.js';

/** A session of one client at one node that says two things: nothing is wrong with it. */
function goodHistory(): HistoryEvent[] {
  return [
    { at: 1, type: 'announced', session: 's', user: 'ann', transport: 'streamable-http' },
    { at: 1, type: 'claimed', session: 's', user: 'ann' },
    ...message('one', { at: 10, notes: ['one'], calls: 1 }),
    ...message('two', { at: 20, notes: ['one', 'two'], calls: 2 }),
    { at: 30, type: 'ended', session: 's', because: '204' },
  ];
}

interface MessageFixture extends Partial<Echo> {
  readonly at: number;
}

/** Four steps of a millisecond each: sent, carried out, acknowledged, answered. */
function message(text: string, { at, ...given }: MessageFixture): HistoryEvent[] {
  const echo = { node: 'node-0', term: 'a', session: 's', user: 'ann', notes: [text], calls: 1, ...given };
  const { notes: _notes, ...whose } = echo;
  return [
    { at, type: 'sent', text, session: 's', user: 'ann', to: 0 },
    { at: at + 1, type: 'carriedOut', text, ...whose },
    { at: at + 2, type: 'acknowledged', text },
    { at: at + 3, type: 'answered', text, echo, progress: [1, 2] },
  ];
}

const without = (history: readonly HistoryEvent[], is: HistoryEvent['type'], text?: string): HistoryEvent[] =>
  history.filter((each) => each.type !== is || (text !== undefined && !('text' in each && each.text === text)));

const found = (history: readonly HistoryEvent[]): Invariant[] =>
  [...new Set(findViolations(history).map(({ invariant }) => invariant))].toSorted();

test('[C-CHAOS] a history in which everything went as promised has no violation', () => {
  expect(findViolations(goodHistory())).toEqual([]);
});

const foreign = { at: 40, type: 'foreign', session: 's' } as const;
const third = { at: 26, notes: ['one', 'two', 'three'], calls: 3 };
const elsewhere = { node: 'node-1', term: 'b' };

const bad: readonly { readonly name: string; readonly finds: Invariant[]; readonly history: HistoryEvent[] }[] = [
  { name: 'an announcement without a claim', finds: ['claim'], history: without(goodHistory(), 'claimed') },
  {
    name: 'a claim for somebody else',
    finds: ['claim'],
    history: [...without(goodHistory(), 'claimed'), { at: 1, type: 'claimed', session: 's', user: 'bob' }],
  },
  {
    name: 'an owner that carries out and answers after it was replaced',
    finds: ['owner'],
    history: [
      ...goodHistory(),
      ...message('three', { ...elsewhere, at: 24, notes: ['three'], calls: 3 }),
      ...message('four', { at: 28, notes: ['one', 'two', 'four'], calls: 4 }),
    ],
  },
  {
    name: 'an owner that carries out after it was replaced, and was not stopped',
    finds: ['owner'],
    history: [
      ...goodHistory(),
      ...message('three', { ...elsewhere, at: 24, notes: ['three'], calls: 3 }),
      ...message('four', { at: 280, calls: 4 }).filter(({ type }) => type === 'sent' || type === 'carriedOut'),
    ],
  },
  {
    name: 'an answer to what was never carried out',
    finds: ['lost'],
    history: without(goodHistory(), 'carriedOut', 'two'),
  },
  {
    name: 'an acknowledged message of which nothing is heard',
    finds: ['lost'],
    history: without(goodHistory(), 'answered', 'two'),
  },
  {
    name: 'an acknowledged message that is explained with nothing',
    finds: ['lost'],
    history: [
      ...without(goodHistory(), 'answered', 'two'),
      { at: 25, type: 'refused', text: 'two', reason: 'unknown_event' },
    ],
  },
  {
    name: 'a session that is forgotten',
    finds: ['lost'],
    history: [
      ...goodHistory(),
      { at: 28, type: 'sent', text: 'three', session: 's', user: 'ann', to: 0 },
      { at: 29, type: 'refused', text: 'three', reason: 'unknown' },
    ],
  },
  {
    name: 'a message that is carried out twice',
    finds: ['repeated', 'state'],
    history: [
      ...goodHistory(),
      ...message('two', { at: 26, notes: ['one', 'two'], calls: 3 }).filter(({ type }) => type === 'carriedOut'),
    ],
  },
  {
    name: 'a message that is answered twice',
    finds: ['repeated'],
    history: [
      ...goodHistory(),
      ...message('two', { at: 22, notes: ['one', 'two'], calls: 2 }).filter(({ type }) => type === 'answered'),
    ],
  },
  {
    name: 'a message that is carried out though it was refused as if nothing had been done',
    finds: ['repeated'],
    history: [
      ...goodHistory(),
      ...message('three', third).filter(({ type }) => type === 'sent' || type === 'carriedOut'),
      { at: 29, type: 'refused', text: 'three', reason: 'draining' },
    ],
  },
  {
    name: 'a message that overtakes one that was acknowledged before it was sent',
    finds: ['order', 'state'],
    history: goodHistory().map((each) =>
      each.type === 'carriedOut' && each.text === 'one' ? { ...each, at: 21.5 } : each,
    ),
  },
  {
    name: 'progress that comes twice',
    finds: ['order'],
    history: goodHistory().map((each) => (each.type === 'answered' ? { ...each, progress: [1, 1, 2] } : each)),
  },
  {
    name: "another session's message among the notes",
    finds: ['crosstalk', 'state'],
    history: [
      ...goodHistory(),
      { at: 25, type: 'sent', text: 'theirs', session: 't', user: 'bob', to: 0 },
      ...message('three', { ...third, notes: ['one', 'two', 'theirs', 'three'] }),
    ],
  },
  {
    name: "a message that is carried out in another user's session",
    finds: ['crosstalk'],
    history: goodHistory().map((each) => (each.type === 'carriedOut' ? { ...each, user: 'bob' } : each)),
  },
  {
    name: 'something that nobody asked for',
    finds: ['crosstalk'],
    history: [...goodHistory(), { at: 40, type: 'stray', session: 's', what: '{}' }],
  },
  {
    name: 'a stranger who is let in',
    finds: ['crosstalk'],
    history: [...goodHistory(), { ...foreign, status: 202, reason: '' }],
  },
  {
    name: 'a stranger who is told that there is a session',
    finds: ['crosstalk'],
    history: [...goodHistory(), { ...foreign, status: 404, reason: 'closed' }],
  },
  {
    name: 'a session that has forgotten its calls',
    finds: ['state'],
    history: [...goodHistory(), ...message('three', { ...elsewhere, at: 24, notes: ['three'], calls: 2 })],
  },
  {
    name: 'notes that are gone within a term',
    finds: ['state'],
    history: [...goodHistory(), ...message('three', { at: 26, notes: ['two', 'three'], calls: 3 })],
  },
  { name: 'silence', finds: ['silence'], history: [...goodHistory(), { at: 40, type: 'silent', text: 'two' }] },
  {
    name: 'a key that stays for ever',
    finds: ['left'],
    history: [...goodHistory(), { at: 40, type: 'left', what: 'a key' }],
  },
  {
    name: 'an error that nothing explains',
    finds: ['left'],
    history: [...goodHistory(), { at: 40, type: 'defect', node: 'node-0', what: 'boom' }],
  },
];

test.each(bad)('[C-CHAOS] the checker finds $name', ({ history, finds }) => {
  expect(found(history)).toEqual(finds);
});

const good: readonly { readonly name: string; readonly history: HistoryEvent[] }[] = [
  {
    name: 'a takeover, after which the count of calls goes on and the notes begin anew',
    history: [...goodHistory(), ...message('three', { ...elsewhere, at: 24, notes: ['three'], calls: 3 })],
  },
  {
    name: 'a call that a stopped node carries out as it goes on, of which nobody hears',
    history: [
      ...goodHistory(),
      { at: 23, type: 'fault', kind: 'stall', node: 0, ms: 500 },
      ...message('three', { ...elsewhere, at: 24, notes: ['three'], calls: 3 }),
      ...message('four', { at: 600, calls: 4 }).filter(({ type }) => type === 'sent' || type === 'carriedOut'),
      { at: 601, type: 'broken', text: 'four' },
    ],
  },
  {
    name: 'an acknowledged message whose client was told that its node is gone',
    history: [
      ...without(goodHistory(), 'answered', 'two'),
      { at: 25, type: 'refused', text: 'two', reason: 'node_lost' },
    ],
  },
  {
    name: 'a message that broke before it was acknowledged, carried out or not',
    history: [
      ...goodHistory(),
      ...message('three', third).filter(({ type }) => type === 'sent' || type === 'carriedOut'),
      { at: 29, type: 'broken', text: 'three' },
    ],
  },
  {
    name: 'progress that was lost, if the client was told',
    history: goodHistory().map((each) => (each.type === 'answered' ? { ...each, progress: 'told' } : each)),
  },
  { name: 'a stranger who finds nothing', history: [...goodHistory(), { ...foreign, status: 404, reason: 'unknown' }] },
];

test.each(good)('[C-CHAOS] the checker takes no offence at $name', ({ history }) => {
  expect(findViolations(history)).toEqual([]);
});

test('[C-CHAOS] the faults follow from the seed, and twenty of them have all kinds', () => {
  const options = { seed: 7, count: 20, nodes: 3, leaseMs: 700 };
  expect(planOf(options)).toEqual(planOf(options));
  expect(planOf({ ...options, seed: 8 })).not.toEqual(planOf(options));
  expect([...new Set(planOf(options).map(({ kind }) => kind))].toSorted()).toEqual(Object.keys(faults).toSorted());
  // Longer than the lease, or nothing would be lost.
  expect(planOf(options).filter(({ kind, ms }) => kind === 'stall' && ms <= 700)).toEqual([]);
});
