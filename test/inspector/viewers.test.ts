import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { Journal } from '../../src/inspector/journal.js';
import { Payloads, type Tapped } from '../../src/inspector/payloads.js';
import { Statistics } from '../../src/inspector/statistics.js';
import { Viewers } from '../../src/inspector/viewers.js';
import type { Frame } from '../../src/inspector/wire.js';
import { ManualClock } from '../support/manualClock.js';

/** The server's end of a viewer, whose reading the test decides. */
class Reader extends ServerResponse {
  readonly frames: Frame[] = [];
  unread = 0;

  constructor() {
    super(new IncomingMessage(new Socket()));
    // Node declares a property where it has an accessor.
    Object.defineProperty(this, 'writableLength', { get: () => this.unread });
  }

  override write(chunk: unknown): boolean {
    this.frames.push(JSON.parse(String(chunk).slice('data: '.length)) as Frame);
    return true;
  }
}

function setUp() {
  const clock = new ManualClock();
  const createdAt = new Date(0);
  const facts = { user: 'anna', transport: 'sse', client: null, createdAt, toolCalls: 0, browserState: 'ready' };
  const journal = new Journal(clock, () => facts);
  const statistics = new Statistics(clock);
  const tapped: Tapped = { tap: null };
  const payloads = new Payloads(clock, () => tapped);
  const viewers = new Viewers({ journal, payloads, clock, overview: () => Promise.resolve(statistics.read({})) });
  const happen = (actor: string, value = 'created'): void => {
    const at = clock.now();
    const event = { type: 'x' };
    const base = { machine: 'session', actor, cause: 'x', at, durationMs: 0, event, value, context: {} } as const;
    journal.fold({ kind: 'transition', from: '', to: value, ...base });
  };
  return { clock, viewers, happen, tapped };
}

test('[C-INSPECTOR] a viewer gets everything once, then what changes, at most ten times a second', () => {
  const { clock, viewers, happen } = setUp();
  happen('session1');
  const reader = new Reader();
  viewers.open(reader, null);
  expect(reader.frames).toMatchObject([{ full: true, rows: [{ id: 'session1' }], lost: 0 }]);
  happen('session2');
  happen('session2', 'connected');
  clock.advance(100);
  expect(reader.frames.slice(1)).toMatchObject([{ full: false, rows: [{ id: 'session2', state: 'connected' }] }]);
  clock.advance(300);
  expect(reader.frames).toHaveLength(2);
});

test('[C-INSPECTOR] the open session comes with its entries, each once; an unknown one is null', () => {
  const { clock, viewers, happen } = setUp();
  happen('session1');
  const [reader, lost] = [new Reader(), new Reader()];
  viewers.open(reader, 'session1');
  viewers.open(lost, 'nobody00');
  happen('session1', 'connected');
  clock.advance(100);
  expect(reader.frames.flatMap(({ detail }) => detail?.entries.map(({ seq }) => seq))).toEqual([1, 2]);
  expect(lost.frames.map(({ detail }) => detail)).toEqual([null, null]);
});

test('[S10] a viewer that does not read loses frames and is told how many; what it is sent then is current', () => {
  const { clock, viewers, happen } = setUp();
  const reader = new Reader();
  viewers.open(reader, null);
  reader.unread = 1;
  for (const state of ['created', 'connected', 'active']) {
    happen('session1', state);
    clock.advance(100);
  }
  expect(reader.frames).toHaveLength(1);
  reader.unread = 0;
  clock.advance(100);
  expect(reader.frames.slice(1)).toMatchObject([{ lost: 3, rows: [{ id: 'session1', state: 'active' }] }]);
});

test('[S5][S10] one that never reads is let go, and without viewers no timer runs', () => {
  const { clock, viewers, happen } = setUp();
  const reader = new Reader();
  viewers.open(reader, null);
  reader.unread = 1;
  for (let count = 0; count < 400; count += 1) {
    happen('session1', `state${count}`);
    clock.advance(100);
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
  expect(() => viewers.open(late, null)).toThrow('Too many pages watch the inspector.');
  expect(late.frames).toEqual([]);
  readers[0]?.emit('close');
  viewers.open(late, null);
  expect([late.frames.length, viewers.size]).toEqual([1, 50]);
});

const said = (id: number, text: string) => ({ jsonrpc: '2.0', id, method: 'ping', params: { text } }) as const;

test('[C-INSPECTOR] contents are recorded for those who ask, each once, and forgotten with the last of them', () => {
  const { clock, viewers, happen, tapped } = setUp();
  happen('session1');
  const [table, first, second] = [new Reader(), new Reader(), new Reader()];
  viewers.open(table, 'session1');
  expect(tapped.tap).toBeNull();
  viewers.open(first, 'session1', true);
  viewers.open(second, 'session1', true);
  tapped.tap?.('client', said(1, 'planted'));
  clock.advance(100);
  tapped.tap?.('session', said(2, 'planted'));
  clock.advance(100);
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
