import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { Journal } from '../../src/inspector/journal.js';
import { Payloads, type TappableSession } from '../../src/inspector/payloads.js';
import { Statistics } from '../../src/inspector/statistics.js';
import { Viewers } from '../../src/inspector/viewers.js';
import type { Frame } from '../../src/inspector/wire.js';
import { ManualClock } from '../support/manualClock.js';

/** The server's end of a viewer, whose reading the test decides. */
class Reader extends ServerResponse {
  readonly frames: Frame[] = [];
  /** As they were written. */
  readonly chunks: unknown[] = [];
  unread = 0;

  constructor() {
    super(new IncomingMessage(new Socket()));
    // Node declares a property where it has an accessor.
    Object.defineProperty(this, 'writableLength', { get: () => this.unread });
  }

  override write(chunk: unknown): boolean {
    this.chunks.push(chunk);
    this.frames.push(JSON.parse(String(chunk).slice('data: '.length)) as Frame);
    return true;
  }
}

function setUp() {
  const clock = new ManualClock();
  const createdAt = new Date(0);
  const facts = {
    user: 'anna',
    transport: 'sse',
    client: null,
    createdAt,
    toolCalls: 0,
    browserState: 'ready',
    browserActor: null,
  };
  const journal = new Journal(clock, () => facts);
  const statistics = new Statistics(clock);
  const tapped: TappableSession = { tap: null };
  const payloads = new Payloads(clock, () => tapped);
  const viewers = new Viewers({ journal, payloads, clock, overview: () => Promise.resolve(statistics.overview({})) });
  const happen = (actor: string, value = 'created'): void => {
    const at = clock.now();
    const event = { type: 'x' };
    const base = { machine: 'session', actor, cause: 'x', at, durationMs: 0, event, value, context: {} } as const;
    journal.record({ kind: 'transition', from: '', to: value, ...base });
  };
  const message = (actor: string): void => {
    const event = { type: 'message.received', kind: 'request' };
    journal.record({ kind: 'event', machine: 'session', actor, state: 'active', at: clock.now(), event });
  };
  return { clock, viewers, happen, message, facts, tapped };
}

test('[C-INSPECTOR] a viewer gets everything once, then what changes, at most four times a second', () => {
  const { clock, viewers, happen } = setUp();
  happen('session1');
  const reader = new Reader();
  viewers.open(reader, null);
  expect(reader.frames).toMatchObject([{ full: true, rows: [{ id: 'session1' }], lost: 0 }]);
  happen('session2');
  happen('session2', 'connected');
  clock.advance(250);
  expect(reader.frames.slice(1)).toMatchObject([{ full: false, rows: [{ id: 'session2', state: 'connected' }] }]);
  clock.advance(500);
  expect(reader.frames).toHaveLength(2);
});

test('[C-INSPECTOR] the open session comes with its entries, each once; an unknown one is null', () => {
  const { clock, viewers, happen } = setUp();
  happen('session1');
  const [reader, lost] = [new Reader(), new Reader()];
  viewers.open(reader, 'session1');
  viewers.open(lost, 'nobody00');
  happen('session1', 'connected');
  clock.advance(250);
  expect(reader.frames.flatMap(({ detail }) => detail?.entries.map(({ seq }) => seq))).toEqual([1, 2]);
  expect(lost.frames.map(({ detail }) => detail)).toEqual([null, null]);
});

test('[C-INSPECTOR] of a row that a viewer has it is sent what changed: states at once, counters once a second', () => {
  const { clock, viewers, happen, message, facts } = setUp();
  happen('session1');
  const reader = new Reader();
  viewers.open(reader, null);
  const changes = () => reader.frames.slice(1).flatMap((frame) => frame.changes);
  clock.advance(250);
  happen('session1', 'connected');
  clock.advance(250);
  expect(changes()).toEqual([{ id: 'session1', state: 'connected', since: clock.now() - 250 }]);
  facts.toolCalls = 3;
  message('session1');
  clock.advance(250);
  expect(changes()).toHaveLength(1);
  clock.advance(250);
  expect(changes()[1]).toEqual({ id: 'session1', calls: 3 });
  message('session1');
  clock.advance(1_000);
  expect(changes()).toHaveLength(2);
  expect(reader.frames.slice(1).flatMap(({ rows }) => rows)).toEqual([]);
});

test('[C-INSPECTOR] a viewer that comes later is told what the others know, and then the same as they', () => {
  const { clock, viewers, happen } = setUp();
  const [early, late] = [new Reader(), new Reader()];
  viewers.open(early, null);
  happen('session1');
  clock.advance(250);
  happen('session1', 'connected');
  viewers.open(late, null);
  expect(late.frames).toMatchObject([{ full: true, rows: [{ id: 'session1', state: 'created' }] }]);
  happen('session1', 'active');
  clock.advance(250);
  expect(late.frames[1]).toMatchObject({ changes: [{ id: 'session1', state: 'active' }] });
  expect(late.chunks[1]).toBe(early.chunks[2]);
});

test('[C-INSPECTOR] no transition waits longer than a quarter of a second for its frame, whenever it happens', () => {
  const { clock, viewers, happen } = setUp();
  happen('session1');
  const reader = new Reader();
  viewers.open(reader, 'session1');
  for (let count = 0; count < 40; count += 1) {
    happen('session1', `state${count}`);
    clock.advance(7 * count);
  }
  clock.advance(250);
  const waits = reader.frames.flatMap(({ now, detail }) => detail?.entries.map(({ at }) => now - at) ?? []);
  expect(waits).toHaveLength(41);
  expect(Math.max(...waits)).toBeLessThanOrEqual(250);
});

test.each([1, 50])(
  '[C-INSPECTOR] with %i viewers a busy second costs four frames, which are written down once',
  (count) => {
    const { clock, viewers, happen, message } = setUp();
    const sessions = Array.from({ length: 1_000 }, (_, index) => `s${String(index).padStart(7, '0')}`);
    for (const session of sessions) happen(session, 'active');
    const readers = Array.from({ length: count }, () => new Reader());
    for (const reader of readers) viewers.open(reader, null);
    for (let turn = 0; turn < 4; turn += 1) {
      for (const session of sessions) for (let event = 0; event < 5; event += 1) message(session);
      happen(String(sessions[turn]), 'closed');
      clock.advance(250);
    }
    const chunks = readers.map((reader) => reader.chunks.slice(1));
    const bytes = chunks[0]?.reduce<number>((sum, chunk) => sum + Buffer.byteLength(String(chunk)), 0);
    expect(chunks.map(({ length }) => length)).toEqual(readers.map(() => 4));
    expect(new Set(chunks.flat()).size).toBe(4);
    // 20,000 messages and four transitions: some two hundred bytes for each of the four.
    expect(bytes).toBeLessThan(2_000);
  },
);

test('[S10] a viewer that does not read loses frames and is told how many; what it is sent then is current', () => {
  const { clock, viewers, happen } = setUp();
  const reader = new Reader();
  viewers.open(reader, null);
  reader.unread = 1;
  for (const state of ['created', 'connected', 'active']) {
    happen('session1', state);
    clock.advance(250);
  }
  expect(reader.frames).toHaveLength(1);
  reader.unread = 0;
  clock.advance(250);
  expect(reader.frames.slice(1)).toMatchObject([{ lost: 3, rows: [{ id: 'session1', state: 'active' }] }]);
});

test('[S5][S10] one that never reads is let go, and without viewers no timer runs', () => {
  const { clock, viewers, happen } = setUp();
  const reader = new Reader();
  viewers.open(reader, null);
  reader.unread = 1;
  for (let count = 0; count < 400; count += 1) {
    happen('session1', `state${count}`);
    clock.advance(250);
  }
  expect(reader.destroyed).toBe(true);
  reader.emit('close');
  expect([viewers.size, clock.pending]).toEqual([0, 0]);
});

test('[S10] fifty pages may watch; the next is told so, and may come when one has left', () => {
  const { viewers } = setUp();
  const readers = Array.from({ length: 50 }, () => new Reader());
  for (const reader of readers) viewers.open(reader, null);
  const late = new Reader();
  expect(() => viewers.open(late, null)).toThrow('Too many inspector pages are open.');
  expect(late.frames).toEqual([]);
  readers[0]?.emit('close');
  viewers.open(late, null);
  expect([late.frames.length, viewers.size]).toEqual([1, 50]);
});

test('[S5][S10] one that comes and goes in a loop costs the table once for each turn, and leaves nothing behind', () => {
  const { clock, viewers, happen } = setUp();
  happen('session1');
  const chunks = new Set<unknown>();
  for (let count = 0; count < 1_000; count += 1) {
    const reader = new Reader();
    viewers.open(reader, null);
    reader.emit('close');
    chunks.add(reader.chunks[0]);
  }
  expect([chunks.size, viewers.size, clock.pending]).toEqual([1, 0, 0]);
  happen('session1', 'connected');
  clock.advance(250);
  const late = new Reader();
  viewers.open(late, null);
  expect(late.frames).toMatchObject([{ rows: [{ id: 'session1', state: 'connected' }] }]);
});

const ping = (id: number, text: string) => ({ jsonrpc: '2.0', id, method: 'ping', params: { text } }) as const;

test('[C-INSPECTOR] contents are recorded for those who ask, each once, and forgotten with the last of them', () => {
  const { clock, viewers, happen, tapped } = setUp();
  happen('session1');
  const [table, first, second] = [new Reader(), new Reader(), new Reader()];
  viewers.open(table, 'session1');
  expect(tapped.tap).toBeNull();
  viewers.open(first, 'session1', true);
  viewers.open(second, 'session1', true);
  tapped.tap?.('client', ping(1, 'planted'));
  clock.advance(250);
  tapped.tap?.('session', ping(2, 'planted'));
  clock.advance(250);
  const payloads = (reader: Reader) => reader.frames.flatMap((frame) => frame.payloads ?? []);
  expect(payloads(first)).toMatchObject([
    { seq: 1, from: 'client' },
    { seq: 2, from: 'session' },
  ]);
  expect(JSON.stringify(first.frames)).not.toContain('planted');
  expect(payloads(table)).toEqual([]);
  first.emit('close');
  expect(tapped.tap).not.toBeNull();
  second.emit('close');
  expect(tapped.tap).toBeNull();
  const late = new Reader();
  viewers.open(late, 'session1', true);
  expect(payloads(late)).toEqual([]);
});

test('[S10] of the contents the newest are kept, up to a number and a size', () => {
  const { viewers, happen, tapped } = setUp();
  happen('session1');
  viewers.open(new Reader(), 'session1', true);
  const large = Object.fromEntries(
    Array.from({ length: 40 }, (_, index) => [`field${index}`, [1, 2, 3, 4, 5, 6, 7, 8]]),
  );
  for (let id = 1; id <= 300; id += 1) tapped.tap?.('client', { jsonrpc: '2.0', id, method: 'ping', params: large });
  const reader = new Reader();
  viewers.open(reader, 'session1', true);
  const [{ payloads = [] } = {}] = reader.frames;
  const characters = payloads.reduce((sum, { text }) => sum + text.length, 0);
  expect(payloads.at(-1)?.seq).toBe(300);
  expect(payloads.length).toBeLessThanOrEqual(200);
  expect(characters).toBeLessThanOrEqual(256 * 1024);
});

test('the time to the announcement is that of the client, and a warm session is counted apart', () => {
  const statistics = new Statistics(new ManualClock());
  const base = { kind: 'transition', machine: 'session', cause: 'x', durationMs: 0, event: { type: 'x' } } as const;
  const move = (actor: string, [from, to]: readonly [string, string], at: number, user: string | null): void =>
    statistics.record({ ...base, actor, from, to, at, value: to, context: { user } }, undefined);
  const counts = (): unknown => statistics.overview({}).samples.at(-1)?.states;
  move('warm', ['', 'created'], 0, null);
  move('warm', ['created', 'tools-registered'], 40, null);
  expect(counts()).toEqual({});
  move('warm', ['tools-registered', 'connected'], 59_800, 'anna');
  statistics.recordCreation({
    kind: 'creation',
    actor: 'warm',
    outcome: 'announced',
    cause: null,
    at: 59_800,
    durationMs: 41,
  });
  expect(counts()).toEqual({ connected: 1 });
  expect(statistics.overview({}).announceMs).toEqual([41]);
  move('warm', ['connected', 'closed'], 60_000, 'anna');
  move('never asked for', ['tools-registered', 'closed'], 60_000, null);
  expect(counts()).toEqual({ connected: 0 });
});
