import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { systemClock, timeLimit } from '../src/clock.js';

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
