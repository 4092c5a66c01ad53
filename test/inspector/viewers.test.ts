import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { Journal } from '../../src/inspector/journal.js';
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
  const viewers = new Viewers({ journal, clock, overview: () => Promise.resolve(statistics.read({})) });
  const happen = (actor: string, value = 'created'): void => {
    const at = clock.now();
    const event = { type: 'x' };
    const base = { machine: 'session', actor, cause: 'x', at, durationMs: 0, event, value, context: {} } as const;
    journal.fold({ kind: 'transition', from: '', to: value, ...base });
  };
  return { clock, viewers, happen };
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
