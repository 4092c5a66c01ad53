import { systemClock } from '../../src/clock.js';
import type { BrowserLease } from '../../src/browser/pool/browserLease.js';
import type { Observation } from '../../src/telemetry/observer.js';
import { StdioTransport } from '../../src/transport/stdio.js';
import { FakeBrowserPool } from '../support/fakeBrowserPool.js';
import { nextTurn } from '../support/gate.js';
import { send } from '../support/http.js';
import { ManualClock } from '../support/manualClock.js';
import { streamPair } from '../support/rawStdio.js';
import { connectClient, startTestServer } from '../support/testServer.js';

class BrokenTransport extends StdioTransport {
  override announce(): void {
    throw new Error('This is a defect.');
  }
}

class BrokenPool extends FakeBrowserPool {
  isBroken = true;

  override lease(...given: Parameters<FakeBrowserPool['lease']>): BrowserLease {
    if (this.isBroken) throw new Error('This is a defect.');
    return super.lease(...given);
  }
}

const endings = (seen: readonly Observation[]) =>
  seen.flatMap((one) => (one.kind === 'transition' && one.machine === 'session' && one.to === 'closed' ? [one] : []));

test('[S5] a session whose actor fails gives its browser back, and all who follow it hear that it is closed', async () => {
  const seen: Observation[] = [];
  const served = await startTestServer({ observe: (observation) => void seen.push(observation) });
  const { input, output } = streamPair();
  const session = served.orchestrator.connect(
    new BrokenTransport(input, output, { clock: systemClock, bodyLimit: 100 }),
  );
  await session.ended;
  expect([served.pool.opened, served.pool.closed]).toEqual([[session.id], [session.id]]);
  expect(endings(seen)).toMatchObject([{ actor: session.id, context: { closedBecause: 'setup-failed' } }]);
  expect(served.orchestrator.registry.list()).toEqual([]);
  await served.close();
});

test('[S8] a session whose actor fails during its set-up is a defect with a name, and the next client is served', async () => {
  const seen: Observation[] = [];
  const pool = new BrokenPool();
  const served = await startTestServer({ pool, observe: (observation) => void seen.push(observation) });
  expect(await send(`${served.url}/sse`)).toMatchObject({
    status: 500,
    json: { error: { data: { reason: 'internal' } } },
  });
  expect(endings(seen)).toHaveLength(1);
  pool.isBroken = false;
  const client = await connectClient(served.url);
  expect(await client.ping()).toEqual({});
  await client.close();
  await served.close();
});

test('[S8][C-WARM] a warm session whose actor fails is replaced after a pause', async () => {
  const [clock, pool] = [new ManualClock(), new BrokenPool()];
  const served = await startTestServer({ clock, pool, options: { prewarm: 1 } });
  const { registry } = served.orchestrator;
  await nextTurn();
  expect([registry.warm(), pool.opened]).toEqual([[], []]);
  pool.isBroken = false;
  clock.advance(1_000);
  while (registry.warm().length === 0) await nextTurn();
  expect(pool.opened).toHaveLength(1);
  await served.close();
  expect(clock.pending).toBe(0);
});
