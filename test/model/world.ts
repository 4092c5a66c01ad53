import { createActor, waitFor, type AnyTransitionDefinition } from 'xstate';
import { catalogue, Refusal, type Reason } from '../../src/errors/errors.js';
import type { Session } from '../../src/session/session.js';
import { nextTurn } from '../support/gate.js';
import { postJson, send, type Reply } from '../support/http.js';
import { ManualClock } from '../support/manualClock.js';
import { initialize } from '../support/messages.js';
import { RawSse } from '../support/rawSse.js';
import { startTestServer, type TestServer } from '../support/testServer.js';
import { TestGates } from './gates.js';
import {
  browserFailure,
  chart,
  delayOf,
  delays,
  inputOf,
  take,
  comparable,
  type Lease,
  type Move,
  type Scenario,
} from './plan.js';

interface WorldDeps {
  readonly lease: Lease;
  readonly queueLimit: number;
  readonly setup: Scenario['setup'];
  readonly gates: TestGates;
  readonly served: TestServer;
  readonly stream: RawSse;
  readonly session: Session;
}

interface HeldReply {
  readonly reply: Promise<Reply>;
  isAnswered: boolean;
}

/**
 * One server with one session whose every step the test decides, beside the bare chart, which is told the same: what the
 * chart says is what must hold on the wire.
 */
export class World {
  readonly edges = new Set<AnyTransitionDefinition>();
  readonly states = new Set<string>();
  readonly #gates: TestGates;
  readonly #served: TestServer;
  readonly #stream: RawSse;
  readonly #session: Session;
  readonly #chartActor;
  /** Answers to messages that are held. */
  readonly #held: HeldReply[] = [];
  #messages = 0;
  #wasAnnounced = false;

  private constructor({ lease, queueLimit, setup, gates, served, stream, session }: WorldDeps) {
    this.#gates = gates;
    this.#served = served;
    this.#stream = stream;
    this.#session = session;
    this.#chartActor = createActor(chart, {
      input: inputOf(lease, queueLimit, setup),
      clock: new ManualClock(),
      inspect: (event) => {
        // Also of its first steps, before there is a name for it.
        if (event.type !== '@xstate.microstep' || event.actorRef.sessionId !== event.rootId) return;
        for (const edge of event._transitions) this.edges.add(edge);
      },
    });
    this.#chartActor.subscribe(({ _nodes: nodes }) => {
      for (const { id } of nodes) this.states.add(id);
    });
    this.#chartActor.start();
    this.#chartActor.send({ type: 'transport.attached' });
  }

  /** A session in `created` whose stream is attached and whose browser, tools and claim are held. */
  static async start({ lease, queueLimit, setup }: Omit<Scenario, 'name' | 'moves'>): Promise<World> {
    const gates = new TestGates();
    const { clock, tools, registering, claiming } = gates;
    const served = await startTestServer({
      clock,
      tools: tools.all,
      options: { lease, ...delays, ...(queueLimit > 0 && { onEarlyMessage: 'queue', queueLimit }) },
      ...(setup !== 'none' && {
        onSession: () => registering.pass(),
        directory: { claim: () => claiming.pass() },
      }),
      observe: gates.observe,
    });
    served.pool.holdLeases();
    const stream = new RawSse(served.url, { path: '/sse?userId=anna' });
    if (setup !== 'none') await registering.whenReached();
    else if (lease === 'lazy') await stream.whenAnnounced();
    else await served.pool.whenWaiting();
    const [session] = served.orchestrator.registry.list();
    if (!session) throw new Error('No session was opened.');
    const world = new World({ lease, queueLimit, setup, gates, served, stream, session });
    await world.check();
    return world;
  }

  /** Makes it happen to the server and tells the chart. Resolves when the server is where the chart is. */
  async perform(move: Move): Promise<void> {
    const reply = await this.#applyToServer(move);
    // A message that was refused at the door never came to the chart. The type of `send` lacks XState's own events.
    const told = !reply || reply.status === 202 ? take(this.#chartActor.getSnapshot(), move).moves : [];
    for (const event of told) this.#chartActor.send(event as never);
    const expected = comparable(this.#chartActor.getSnapshot());
    const agrees = () => JSON.stringify(comparable(this.#session.actor.getSnapshot())) === JSON.stringify(expected);
    // Where they never agree, the comparison below says how they differ.
    await waitFor(this.#session.actor, agrees, { timeout: 60_000 }).catch(() => undefined);
    expect(comparable(this.#session.actor.getSnapshot())).toEqual(expected);
    if (reply) this.#checkReply(move, reply);
    await this.check();
  }

  /** What must hold in every state, whatever happened before. */
  async check(): Promise<void> {
    const { id, state } = this.#session;
    const early = state === 'created' || state === 'tools-registered';
    if (state === 'connected' || state === 'active') {
      await this.#stream.whenAnnounced();
      // Announced just now: nothing else has happened since.
      if (!this.#wasAnnounced && this.#session.lease === 'eager')
        expect(this.#session.facts().browserState).toBe('ready');
      this.#wasAnnounced = true;
    }
    if (state === 'closed') await this.#checkClosed();
    await this.#checkHeld(early);
    // Another round trip through the server: what it had written before is here now.
    const { held, queueLimit } = this.#chartActor.getSnapshot().context;
    if ((early && held === queueLimit) || state === 'closed') await this.#checkTrueId(state);
    const [foreign, invented] = await Promise.all([this.#postAs('bert', id), this.#postAs('anna', 'A'.repeat(22))]);
    expect([foreign.status, foreign.text]).toEqual([404, invented.text]);
    expect(foreign.json).toMatchObject({ error: { code: -32001, data: { reason: 'unknown' } } });
    await nextTurn();
    if (early) expect([this.#stream.status, this.#stream.text]).toEqual([undefined, '']);
    const announcements = this.#stream.events.filter(({ event }) => event === 'endpoint');
    expect(announcements).toHaveLength(this.#wasAnnounced ? 1 : 0);
    expect(this.#gates.unexpected).toEqual([]);
  }

  /** The session still does what its state says; then everything ends, and nothing is left. */
  async finish(): Promise<void> {
    const { state, actor } = this.#session;
    if (state === 'connected' || state === 'active') {
      const reply = await this.#post({ id: 'last', method: 'ping' });
      if (actor.getSnapshot().hasTag('draining')) this.#expectRefusal(reply, 'draining');
      else expect(await this.#stream.answer('last')).toMatchObject({ id: 'last', result: {} });
    }
    const bytes = this.#stream.text;
    this.#gates.open();
    await this.#served.close();
    await this.#session.ended;
    await this.#stream.disconnect();
    if (state === 'closed') expect(this.#stream.text).toBe(bytes);
    expect(this.#gates.clock.pending).toBe(0);
    expect(this.#gates.unexpected).toEqual([]);
    this.#chartActor.stop();
  }

  async #applyToServer(move: Move): Promise<Reply | undefined> {
    const { pool, url, orchestrator } = this.#served;
    const { id } = this.#session;
    const { type } = move;
    const isLost = this.#session.facts().browserState === 'lost';
    if (type === 'message.received') return this.#message(String(move['kind']));
    if (type.startsWith('xstate.after.')) this.#gates.clock.advance(delayOf(type));
    else if (type === 'request.settled') this.#gates.tools.held.find(({ gate }) => !gate.isOpen)?.gate.open();
    else if (type === 'transport.detached') await this.#stream.disconnect();
    else if (type === 'session.close') await send(`${url}/api/sessions/${id}`, { method: 'DELETE' });
    else if (type === 'session.drain') void orchestrator.registry.drain();
    else if (type === 'browser.leased' && isLost && pool.waiting.length === 0) pool.recoverBrowser(id);
    else if (type === 'browser.leased') pool.releaseLeases();
    else if (type === 'browser.lost') this.#loseBrowser();
    else if (type === 'browser.failed') this.#failBrowser();
    else this.#gates.settle(type);
    return undefined;
  }

  /** Its replacement waits at the held door. */
  #loseBrowser(): void {
    this.#served.pool.holdLeases();
    this.#served.pool.loseBrowser(this.#session.id);
  }

  #failBrowser(): void {
    const { pool } = this.#served;
    if (pool.waiting.length === 0) pool.failBrowser(this.#session.id, browserFailure);
    else pool.failLeases('browser_unreachable', browserFailure.message);
  }

  #message(kind: string): Promise<Reply | undefined> {
    this.#messages += 1;
    const id = this.#messages;
    if (kind === 'initialize') return this.#send(initialize(id));
    if (kind === 'response') return this.#send({ id, result: {} });
    if (kind === 'notification') return this.#send({ method: 'notifications/initialized' });
    return this.#send({ id, method: 'tools/call', params: { name: 'hold' } });
  }

  /** A message that is held is answered later: nothing waits for that here. */
  async #send(message: object): Promise<Reply | undefined> {
    const snapshot = this.#chartActor.getSnapshot();
    const reply = this.#post(message);
    const isHeld = snapshot.hasTag('early') && snapshot.context.held < snapshot.context.queueLimit;
    if (!isHeld) return reply;
    const held: HeldReply = { reply, isAnswered: false };
    void reply.finally(() => (held.isAnswered = true));
    this.#held.push(held);
    return undefined;
  }

  /** A held message is answered when the session is connected, or with the cause for which it never will be. */
  async #checkHeld(early: boolean): Promise<void> {
    if (early) {
      expect(this.#held.filter(({ isAnswered }) => isAnswered)).toEqual([]);
      return;
    }
    const { closedBecause, failure } = this.#chartActor.getSnapshot().context;
    for (const { reply } of this.#held.splice(0)) {
      if (this.#wasAnnounced) expect((await reply).status).toBe(202);
      else this.#expectRefusal(await reply, reasonOf(closedBecause, failure?.reason));
    }
  }

  #checkReply(move: Move, reply: Reply): void {
    const { state, actor } = this.#session;
    if (state === 'created' || state === 'tools-registered') this.#expectRefusal(reply, this.#earlyRefusal);
    else if (actor.getSnapshot().hasTag('draining') && ['request', 'initialize'].includes(String(move['kind'])))
      this.#expectRefusal(reply, 'draining');
    else expect(reply.status).toBe(202);
  }

  async #checkTrueId(state: string): Promise<void> {
    const reply = await this.#postAs('anna', this.#session.id);
    if (state === 'closed') {
      const { closedBecause } = this.#chartActor.getSnapshot().context;
      this.#expectRefusal(reply, 'closed');
      expect(reply.json).toMatchObject({ error: { data: { closedBecause } } });
    } else {
      this.#expectRefusal(reply, this.#earlyRefusal);
      if (this.#earlyRefusal === 'queue_full') return;
      expect(reply.json).toMatchObject({ error: { data: { state, retryAfterMs: 500 } } });
    }
  }

  /** A set-up that failed is answered with its cause; whatever was opened is closed. */
  async #checkClosed(): Promise<void> {
    await this.#stream.whenClosed();
    const { closedBecause, failure } = this.#chartActor.getSnapshot().context;
    if (!this.#wasAnnounced && closedBecause !== 'client-closed') {
      const reason = reasonOf(closedBecause, failure?.reason);
      expect(this.#stream.status).toBe(catalogue[reason].status);
      expect(JSON.parse(this.#stream.text)).toMatchObject({
        id: null,
        error: { code: catalogue[reason].code, data: { reason }, ...(failure && { message: failure.message }) },
      });
    }
    for (const { context } of this.#gates.tools.held.filter(({ gate }) => !gate.isOpen))
      expect(context.signal.aborted).toBe(true);
    expect(this.#served.orchestrator.registry.list()).toEqual([]);
    this.#served.pool.releaseLeases();
    await this.#session.ended;
    await nextTurn();
    expect(this.#served.pool.closed).toEqual(this.#served.pool.opened);
    expect(this.#gates.clock.pending).toBe(0);
  }

  #expectRefusal(reply: Reply, reason: Reason): void {
    const { status, code, retryable } = catalogue[reason];
    expect([reply.status, reply.json]).toMatchObject([status, { error: { code, data: { reason } } }]);
    const helps = retryable && (status === 503 || status === 429);
    expect(reply.headers['retry-after']).toBe(helps ? '1' : undefined);
  }

  get #earlyRefusal(): Reason {
    return this.#chartActor.getSnapshot().context.queueLimit === 0 ? 'not_ready' : 'queue_full';
  }

  #post(message: object): Promise<Reply> {
    return this.#postAs('anna', this.#session.id, message);
  }

  #postAs(user: string, id: string, message: object = { id: 'probe', method: 'ping' }): Promise<Reply> {
    const path = `/message?sessionId=${id}&userId=${user}`;
    return postJson(`${this.#served.url}${path}`, { jsonrpc: '2.0', ...message });
  }
}

/** The entry of the catalogue that a client hears when its session ended before it was announced. */
function reasonOf(closedBecause: string | null, failed: string | undefined): Reason {
  if (failed !== undefined) return new Refusal(failed === 'browser_unreachable' ? failed : 'setup_failed').reason;
  if (closedBecause === 'setup-timeout') return 'setup_timeout';
  return closedBecause === 'server-draining' ? 'draining' : 'closed';
}
