import type { AnyActorRef } from 'xstate';
import type { Session } from '../../src/session/session.js';
import { nextTurn } from '../support/gate.js';
import { FakeBrowserPool } from '../support/fakeBrowserPool.js';
import { ManualClock } from '../support/manualClock.js';
import { RawMcp } from '../support/rawMcp.js';
import { startTestServer, type TestServer, type TestServerOptions } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';
import { traces } from './gates.js';
import { edgeName } from './plan.js';

/** What a session of the real server took of the chart, by name. */
export class ChartCoverage {
  readonly edges = new Set<string>();
  readonly states = new Set<string>();

  follow({ actor }: Session): void {
    const root: AnyActorRef = actor;
    actor.system.inspect((event) => {
      if (event.type !== '@xstate.microstep' || event.actorRef !== root) return;
      for (const edge of event._transitions) this.edges.add(edgeName(edge));
    });
    actor.subscribe(({ _nodes: nodes }) => {
      for (const { id } of nodes) this.states.add(id);
    });
  }
}

interface LostSession {
  readonly client: RawMcp;
  readonly session: Session;
  readonly served: TestServer;
  readonly tools: TestTools;
  readonly clock: ManualClock;
}

const hold = { jsonrpc: '2.0', id: 'held', method: 'tools/call', params: { name: 'hold', arguments: {} } };

/** A session over Streamable HTTP whose streams were lost while a call runs. */
async function withLostStreams(taken: ChartCoverage, run: (given: LostSession) => Promise<unknown>): Promise<void> {
  const [tools, clock] = [new TestTools(), new ManualClock()];
  const served = await startTestServer({ tools: tools.all, clock, observe: traces.observe });
  const client = await new RawMcp(served.url).initialize();
  const session = served.orchestrator.registry.find(client.sessionId, 'anyone');
  taken.follow(session);
  const streams = [await client.listen(), await client.sendRequest(hold)];
  await tools.whenHeld();
  const detached = untilState(session, () => session.actor.getSnapshot().matches({ active: 'detached' }));
  await Promise.all([...streams.map((stream) => stream.disconnect()), detached]);
  await run({ client, session, served, tools, clock });
  await client.disconnect();
  tools.releaseCalls();
  await served.close();
}

function untilState({ actor }: Session, holds: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    actor.subscribe({ next: () => holds() && resolve(), complete: () => resolve() });
  });
}

/** What a client of Streamable HTTP can do that one over SSE cannot: lose its stream and come back, or not. */
export async function resumeOverHttp(taken: ChartCoverage): Promise<void> {
  await withLostStreams(taken, async ({ client, session, tools }) => {
    const settled = untilState(session, () => session.actor.getSnapshot().context.inFlight === 0);
    tools.releaseCalls();
    await settled;
    await client.listen();
    expect(session.actor.getSnapshot().matches({ active: 'serving' })).toBe(true);
  });
  await withLostStreams(taken, async ({ session, clock }) => {
    clock.advance(24 * 3_600_000);
    await session.closed;
    expect(session.actor.getSnapshot().context.closedBecause).toBe('client-closed');
  });
  await withLostStreams(taken, async ({ session, served }) => {
    void served.orchestrator.registry.drain();
    await session.closed;
    expect(session.actor.getSnapshot().context.closedBecause).toBe('server-draining');
  });
}

/** A warm session is taken, found to be without its browser when it is, or loses it while it waits. */
export async function useWarmSession(taken: ChartCoverage): Promise<void> {
  await withWarmSession(taken, ({ url }) => new RawMcp(url).initialize());
  const directory = { claim: () => Promise.resolve() };
  await withWarmSession(taken, ({ url }) => new RawMcp(url).initialize(), { directory });
  await withWarmSession(taken, async ({ url, pool }) => {
    pool.onCheck = () => Promise.reject(new Error('It hangs.'));
    await new RawMcp(url).initialize();
  });
  await withWarmSession(taken, async ({ pool }, session) => {
    pool.loseBrowser(session.id);
    await session.closed;
  });
}

async function withWarmSession(
  taken: ChartCoverage,
  run: (served: TestServer, session: Session) => Promise<unknown>,
  given: TestServerOptions = {},
): Promise<void> {
  const pool = new FakeBrowserPool();
  const served = await startTestServer({ pool, options: { prewarm: 1 }, observe: traces.observe, ...given });
  while (pool.listeners.size === 0) await nextTurn();
  const [id = ''] = pool.listeners.keys();
  const session = served.orchestrator.registry.peek(id);
  if (session === undefined) throw new Error('No session is warm.');
  taken.follow(session);
  const waits = () => session.actor.getSnapshot().matches({ 'tools-registered': 'waiting' });
  if (!waits()) await untilState(session, waits);
  await run(served, session);
  await served.close();
}
