import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { ExpiringMap, systemClock, timeLimit, watchTime } from '../src/clock.js';
import { ManualClock } from './support/manualClock.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

test('a time limit that nothing but a joined signal knows of is kept', async () => {
  const { signal } = new AbortController();
  const reason = new Promise((resolve) => {
    const either = AbortSignal.any([signal, timeLimit(500)]);
    either.addEventListener('abort', () => resolve(either.reason), { once: true });
  });
  // What was made in this turn is held until its end.
  await nextTurn();
  collectGarbage();
  expect(await reason).toMatchObject({ name: 'TimeoutError' });
});

describe('a timer of the system clock', () => {
  /** Both ends of one connection. */
  async function connected(): Promise<{ client: Socket; server: Socket; close(): void }> {
    const listener = createServer().listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const client = connect((listener.address() as AddressInfo).port, '127.0.0.1');
    const [server] = (await once(listener, 'connection')) as [Socket];
    if (client.connecting) await once(client, 'connect');
    return { client, server, close: () => [client.destroy(), server.destroy(), listener.close()] };
  }

  const block = (ms: number): void => {
    for (const end = performance.now() + ms; performance.now() < end;);
  };

  test('fires after what had arrived when it expired was read', async () => {
    const { client, server, close } = await connected();
    const events: string[] = [];
    server.on('data', (data) => events.push(String(data)));
    await nextTurn();
    client.write('message');
    const fired = new Promise<void>((resolve) => {
      systemClock.setTimeout(() => {
        events.push('timeout');
        resolve();
      }, 10);
    });
    block(50);
    await fired;
    close();
    expect(events).toEqual(['message', 'timeout']);
  });

  test('can be cleared until it fires, also when it has expired', async () => {
    const { client, server, close } = await connected();
    let hasFired = false;
    const timer = systemClock.setTimeout(() => (hasFired = true), 10);
    server.on('data', () => systemClock.clearTimeout(timer));
    await nextTurn();
    client.write('message');
    block(50);
    await once(server, 'data');
    await nextTurn();
    close();
    expect(hasFired).toBe(false);
  });
});

test('[S10] what has expired and is never asked for again is dropped; what lives is kept', () => {
  const clock = new ManualClock();
  const map = new ExpiringMap<number>(clock);
  map.set('kept', 0, 3_600_000);
  for (let id = 1; id <= 10_000; id += 1) {
    map.set(`offer ${id}`, id, 60_000);
    clock.advance(100);
  }
  // 60 s of ten a second, and what expired since the last sweep.
  expect(map.size).toBeLessThanOrEqual(1 + 600 + 10);
  expect([map.get('kept'), map.get('offer 10000'), map.get('offer 9000')]).toEqual([0, 10_000, undefined]);
});

test('a value is there until its time is over, and a new one begins anew', () => {
  const clock = new ManualClock();
  const map = new ExpiringMap<string>(clock);
  map.set('key', 'first', 1_000);
  clock.advance(999);
  expect(map.get('key')).toBe('first');
  map.set('key', 'second', 1_000);
  clock.advance(999);
  expect(map.get('key')).toBe('second');
  clock.advance(1);
  expect([map.get('key'), map.size]).toEqual([undefined, 0]);
});

test('that the time of the machine was set is told once, by how much; what drifts is not', () => {
  const clock = new ManualClock();
  const jumps: number[] = [];
  const stop = watchTime(clock, (ms) => jumps.push(ms));
  clock.advance(60_000);
  clock.jump(2_000);
  clock.advance(60_000);
  clock.jump(3_600_000);
  clock.advance(60_000);
  clock.jump(-7_200_000);
  clock.advance(60_000);
  stop();
  expect(jumps).toEqual([3_600_000, -7_200_000]);
  expect(clock.pending).toBe(0);
});
