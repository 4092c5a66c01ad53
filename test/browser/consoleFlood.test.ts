import { ConsoleFlood } from '../../src/browser/process/consoleFlood.js';
import { droppedEvents, MessageQueue } from '../../src/browser/process/messageQueue.js';
import { ManualClock } from '../support/manualClock.js';

const start = 1_796_030_400_000;

/** As Chrome writes it. `at`: milliseconds after the start. */
const event = (at: number, { session = 'A1', context = 7, text = 'line' } = {}): string =>
  JSON.stringify({
    method: 'Runtime.consoleAPICalled',
    params: {
      type: 'log',
      args: [{ type: 'string', value: text }],
      executionContextId: context,
      timestamp: start + at,
    },
    sessionId: session,
  }).replace(String(start + at), (start + at).toExponential());
const response = (id: unknown, body: object = { result: {} }): string =>
  JSON.stringify({ id, ...body, sessionId: 'A1' });

interface Sent {
  readonly id: number;
  readonly method: string;
  readonly sessionId: string;
}

function open() {
  const clock = new ManualClock();
  const sent: Sent[] = [];
  const reports: unknown[] = [];
  const flood = new ConsoleFlood(
    (command) => void sent.push(JSON.parse(command) as Sent),
    (report) => void reports.push(JSON.parse(report)),
    clock,
  );
  /** Events a millisecond apart, as many as are passed on. */
  const events = (from: number, count: number, session?: string): number => {
    let passed = 0;
    for (let at = from; at < from + count; at++)
      passed += Number(flood.accepts(event(at, { session: session ?? 'A1' })));
    return passed;
  };
  const answer = (): boolean => flood.accepts(response(sent.at(-1)?.id));
  const methods = (): string[] => sent.map(({ method }) => method);
  return { clock, sent, reports, flood, events, answer, methods };
}

describe('a flood of console events', () => {
  test('500 events a second are none', () => {
    const { events, methods } = open();
    for (let second = 0; second < 5; second++) events(second * 1_000, 500);
    expect(methods()).toEqual([]);
  });

  test('ends its session for a moment; what Chrome repeats is passed on once', () => {
    const { clock, sent, reports, events, answer, methods } = open();
    expect(events(1, 600)).toBe(600);
    expect(sent).toMatchObject([{ method: 'Runtime.disable', sessionId: 'A1' }]);
    expect(answer()).toBe(false);
    clock.advance(0);
    expect(methods()).toEqual(['Runtime.disable', 'Runtime.enable']);
    // Repeated, and 100 more that came meanwhile.
    expect(events(1, 700)).toBe(100);
    expect(answer()).toBe(false);
    expect(events(2_000, 10)).toBe(10);
    expect(reports).toEqual([]);
  });

  test('that goes on pauses as long as Chrome took to get there, at least a second; what Chrome forgets meanwhile is reported', () => {
    const { clock, reports, events, answer, methods } = open();
    events(1, 501);
    answer();
    clock.advance(0);
    answer();
    events(600, 501);
    clock.advance(4_000);
    answer();
    clock.advance(3_999);
    expect(methods()).toEqual(['Runtime.disable', 'Runtime.enable', 'Runtime.disable']);
    clock.advance(1);
    expect(methods().at(-1)).toBe('Runtime.enable');
    answer();
    events(1_200, 501);
    answer();
    clock.advance(999);
    expect(methods().at(-1)).toBe('Runtime.disable');
    clock.advance(1);
    expect(methods().at(-1)).toBe('Runtime.enable');
    // The first repetition has known events, this one does not.
    expect(events(5_000, 1_000)).toBe(1_000);
    const params = { count: 0, executionContextId: 7, isIncomplete: true };
    expect(reports).toEqual([{ method: droppedEvents, params, sessionId: 'A1' }]);
  });

  test('of one session is none of another', () => {
    const { sent, events } = open();
    events(1, 501, 'A1');
    events(1, 300, 'B2');
    expect(sent).toMatchObject([{ sessionId: 'A1' }]);
  });

  test('of a worker is one once it goes on, until its session is that of another target', () => {
    const { flood, events, sent } = open();
    const targetInfo = { targetId: 'T', type: 'service_worker', title: '', url: '' };
    const message = (method: string, params: object): string => JSON.stringify({ method, params });
    expect(flood.accepts(message('Target.attachedToTarget', { sessionId: 'A1', targetInfo }))).toBe(true);
    expect(events(1, 15_000)).toBe(15_000);
    // A quiet second.
    expect(events(16_100, 1) + events(17_200, 20_000)).toBe(20_001);
    expect(sent).toEqual([]);
    events(37_200, 1);
    expect(sent).toMatchObject([{ method: 'Runtime.disable' }]);
    flood.accepts(message('Target.detachedFromTarget', { sessionId: 'A1', targetId: 'T' }));
    events(50_000, 501);
    expect(sent).toHaveLength(2);
  });

  function paused() {
    const opened = open();
    opened.events(1, 501);
    opened.answer();
    opened.clock.advance(0);
    opened.answer();
    opened.events(600, 501);
    opened.answer();
    expect(opened.methods().at(-1)).toBe('Runtime.disable');
    return opened;
  }

  test('is heard again at once when its page navigates', () => {
    const { flood, methods } = paused();
    expect(flood.accepts(JSON.stringify({ method: 'Page.frameNavigated', params: {}, sessionId: 'A1' }))).toBe(true);
    expect(methods().at(-1)).toBe('Runtime.enable');
  });

  test('is heard again before a command that needs it', () => {
    const { flood, methods } = paused();
    const command = (method: string): string => JSON.stringify({ method, params: {}, id: 5, sessionId: 'A1' });
    flood.beforeSend(command('Runtime.evaluate'));
    expect(methods().at(-1)).toBe('Runtime.disable');
    flood.beforeSend(command('Runtime.compileScript'));
    expect(methods().at(-1)).toBe('Runtime.enable');
  });

  test('of a target that is gone, or refuses, is over', () => {
    const { clock, flood, methods, sent } = paused();
    const params = { sessionId: 'A1', targetId: 'T' };
    expect(flood.accepts(JSON.stringify({ method: 'Target.detachedFromTarget', params }))).toBe(true);
    clock.advance(60_000);
    expect(methods().at(-1)).toBe('Runtime.disable');
    const other = open();
    other.events(1, 501);
    const error = { error: { code: -32001, message: 'Session with given id not found.' } };
    expect(other.flood.accepts(response(other.sent[0]?.id, error))).toBe(false);
    other.clock.advance(60_000);
    expect(other.methods()).toEqual(['Runtime.disable']);
    expect(sent.length).toBeGreaterThan(0);
  });

  test('leaves the responses to others alone', () => {
    expect(open().flood.accepts(response(1_000_000_000))).toBe(true);
    expect(open().flood.accepts(response(12))).toBe(true);
  });
});

describe('messages that wait', () => {
  function taken(queue: MessageQueue): unknown[] {
    const all = [];
    for (let next = queue.first(); next !== undefined; next = queue.first()) {
      all.push(next);
      expect(queue.remove(next)).toBe(true);
    }
    expect(queue.isEmpty).toBe(true);
    return all;
  }

  test('keep their order; of one context the newest 1,000 console events wait, after how many are gone', () => {
    const queue = new MessageQueue();
    const loud = Array.from({ length: 1_200 }, (_, index) => event(index));
    const quiet = event(5, { context: 8 });
    for (const message of ['{"id":1}', ...loud.slice(0, 600), quiet, ...loud.slice(600), '{"id":2}'])
      queue.add(message);
    const report = JSON.stringify({
      method: droppedEvents,
      params: { count: 200, executionContextId: 7 },
      sessionId: 'A1',
    });
    expect(taken(queue)).toEqual(['{"id":1}', report, ...loud.slice(200, 600), quiet, ...loud.slice(600), '{"id":2}']);
  });

  test('of one context at most 1 MiB waits, and the newest in any case', () => {
    const queue = new MessageQueue();
    const text = 'x'.repeat(600_000);
    const events = [1, 2, 3].map((at) => event(at, { text }));
    for (const message of events) queue.add(message);
    expect(taken(queue).slice(1)).toEqual(events.slice(2));
  });

  test('no text of a page is taken for the context or the session', () => {
    const queue = new MessageQueue();
    const text = '"executionContextId":8, "sessionId":"B2"}';
    for (let at = 0; at < 1_001; at++) queue.add(event(at, { text }));
    const params = { count: 1, executionContextId: 7 };
    expect(queue.first()).toBe(JSON.stringify({ method: droppedEvents, params, sessionId: 'A1' }));
  });

  test('are too many only if others than console events are', () => {
    const queue = new MessageQueue();
    for (let at = 0; at < 3_000; at++) queue.add(event(at));
    expect(queue.isFull).toBe(false);
    for (let id = 1; id <= 2_001; id++) queue.add(response(id));
    expect(queue.isFull).toBe(true);
    queue.clear();
    expect(taken(queue)).toEqual([]);
  });
});
