import { ProcessSlots, type ProcessSlot } from '../../src/browser/pool/waitQueue.js';
import { QueuedWork } from '../../src/browser/pool/waitQueue.js';
import { nextTurn } from '../support/gate.js';

const never = new AbortController().signal;

/** One who asks for a place: its positions, and the place once it has one. */
function requestSlot(slots: ProcessSlots, signal = never) {
  const positions: number[] = [];
  const request: { positions: number[]; place?: ProcessSlot; taken: Promise<ProcessSlot> } = {
    positions,
    taken: slots.acquire({ signal, onQueued: (position) => positions.push(position) }),
  };
  request.taken.then(
    (place) => (request.place = place),
    () => undefined,
  );
  return request;
}

describe('[C-BROWSERS] the places for browser processes', () => {
  test('are given in the order of asking, and each who waits is told how it moves up', async () => {
    const places = new ProcessSlots({ maxBrowsers: 3, reserved: 1, browserQueue: 3 });
    const [one, two, three, four, five] = [
      requestSlot(places),
      requestSlot(places),
      requestSlot(places),
      requestSlot(places),
      requestSlot(places),
    ];
    await Promise.all([one.taken, two.taken]);
    expect([three.positions, four.positions, five.positions]).toEqual([[1], [2], [3]]);
    one.place?.release();
    one.place?.release();
    await three.taken;
    expect([four.place, five.place, places.waiting]).toEqual([undefined, undefined, 2]);
    two.place?.release();
    await four.taken;
    expect([four.positions, five.positions]).toEqual([
      [2, 1],
      [3, 2, 1],
    ]);
    three.place?.release();
    await five.taken;
    expect(places.waiting).toBe(0);
  });

  test('[S10] a full queue answers at once, and so does a limit that leaves no place', async () => {
    const places = new ProcessSlots({ maxBrowsers: 1, reserved: 0, browserQueue: 1 });
    const [first, second] = [requestSlot(places), requestSlot(places)];
    await first.taken;
    await expect(requestSlot(places).taken).rejects.toMatchObject({
      reason: 'browsers_busy',
      data: { limit: '--max-browsers 1, --browser-queue 1', retryAfterMs: 5_000 },
    });
    first.place?.release();
    await second.taken;
    const none = new ProcessSlots({ maxBrowsers: 1, reserved: 1, browserQueue: 5 });
    await expect(requestSlot(none).taken).rejects.toThrow('--max-browsers allows only the shared one');
  });

  test('[S5] who gives up leaves the queue, and a place that comes too late goes to the next', async () => {
    const places = new ProcessSlots({ maxBrowsers: 1, reserved: 0, browserQueue: 3 });
    const [giveUp, tooLate] = [new AbortController(), new AbortController()];
    const [first, second, third, last] = [
      requestSlot(places),
      requestSlot(places, giveUp.signal),
      requestSlot(places, tooLate.signal),
      requestSlot(places),
    ];
    await first.taken;
    giveUp.abort(new Error('cancelled'));
    await expect(second.taken).rejects.toThrow('cancelled');
    expect([third.positions, last.positions]).toEqual([
      [2, 1],
      [3, 2],
    ]);
    first.place?.release();
    tooLate.abort(new Error('closed'));
    await expect(third.taken).rejects.toThrow('closed');
    await last.taken;
    expect(places.waiting).toBe(0);
    await expect(requestSlot(places, giveUp.signal).taken).rejects.toThrow('cancelled');
  });
});

describe('work that several calls wait for', () => {
  function queued() {
    const positions: [number[], number[]] = [[], []];
    let finish = (_value: string): void => undefined;
    let move = (_position: number): void => undefined;
    let left = false;
    const work = new QueuedWork<string>(({ signal, onQueued }) => {
      move = onQueued;
      signal.addEventListener('abort', () => (left = true));
      return new Promise((resolve) => (finish = resolve));
    });
    return {
      work,
      positions,
      finish: (value: string) => finish(value),
      move: (to: number) => move(to),
      left: () => left,
    };
  }

  test('tells each of them the position, also one that comes later', async () => {
    const { work, positions, move, finish } = queued();
    const one = work.wait(undefined, (position) => positions[0].push(position));
    move(3);
    const two = work.wait(undefined, (position) => positions[1].push(position));
    move(2);
    finish('done');
    expect(await Promise.all([one, two])).toEqual(['done', 'done']);
    expect(positions).toEqual([
      [3, 2],
      [3, 2],
    ]);
  });

  test('goes on while one of them waits, and leaves the queue with the last', async () => {
    const { work, left } = queued();
    const [first, second] = [new AbortController(), new AbortController()];
    const waits = [work.wait(first.signal), work.wait(second.signal)];
    first.abort(new Error('first gave up'));
    await expect(waits[0]).rejects.toThrow('first gave up');
    await nextTurn();
    expect([left(), work.isAbandoned]).toEqual([false, false]);
    second.abort(new Error('second gave up'));
    await expect(waits[1]).rejects.toThrow('second gave up');
    expect([left(), work.isAbandoned]).toEqual([true, true]);
  });
});
