import type { IncomingMessage } from 'node:http';
import { createActor, waitFor, type AnyTransitionDefinition } from 'xstate';
import { catalogue } from '../../src/errors/errors.js';
import type { Session } from '../../src/session/session.js';
import type { Tool } from '../../src/tools/defineTool.js';
import { nextTurn } from '../support/gate.js';
import { send } from '../support/http.js';
import { ManualClock } from '../support/manualClock.js';
import { RawMcp } from '../support/rawMcp.js';
import { readAnswer, StatelessClient, textOfCall, type Answer } from '../support/statelessClient.js';
import { startTestServer, type TestServer } from '../support/testServer.js';
import { TestGates } from './gates.js';
import { browserFailure, chart, comparable, delayOf, delays, inputOf, take, type Move, type Scenario } from './plan.js';

/** A call of `hold` by the handle, and its text once it is answered. */
interface HeldCall {
  readonly answer: Promise<string>;
  isAnswered: boolean;
}

interface Opening {
  /** Undefined: the client left before it was answered. */
  text: string | undefined;
  readonly answer: Promise<string | undefined>;
  leave(): void;
}

/**
 * One server with one browser that a client of 2026-07-28 opens and reaches by its handle, beside the bare chart, which is
 * told the same. With `earlier`, every second call, the first one too, comes from a client of an earlier revision and the
 * same user, which has a session of its own.
 */
export class HandleWorld {
  readonly edges = new Set<AnyTransitionDefinition>();
  readonly #gates: TestGates;
  readonly #served: TestServer;
  readonly #session: Session;
  readonly #opening: Opening;
  readonly #earlier: RawMcp | undefined;
  readonly #anna: StatelessClient;
  readonly #bert: StatelessClient;
  readonly #chartActor;
  readonly #calls: HeldCall[] = [];
  #count = 0;
  #wasAnnounced = false;
  #checkedState = '';

  private constructor(
    { lease, setup }: Omit<Scenario, 'name' | 'moves'>,
    parts: { gates: TestGates; served: TestServer; session: Session; opening: Opening; earlier: RawMcp | undefined },
  ) {
    this.#gates = parts.gates;
    this.#served = parts.served;
    this.#session = parts.session;
    this.#opening = parts.opening;
    this.#earlier = parts.earlier;
    this.#anna = clientOf(parts.served, 'anna');
    this.#bert = clientOf(parts.served, 'bert');
    this.#chartActor = createActor(chart, {
      input: inputOf(lease, 0, setup, 'by its handle'),
      clock: new ManualClock(),
      inspect: (event) => {
        // Also of its first steps, before there is a name for it.
        if (event.type !== '@xstate.microstep' || event.actorRef.sessionId !== event.rootId) return;
        for (const edge of event._transitions) this.edges.add(edge);
      },
    });
    this.#chartActor.start();
    this.#chartActor.send({ type: 'transport.attached' });
  }

  /** A browser in `created` whose process, tools and claim are held, and whose client waits for the answer. */
  static async start(scenario: Omit<Scenario, 'name' | 'moves'>, hasEarlier: boolean): Promise<HandleWorld> {
    const { lease, setup } = scenario;
    const gates = new TestGates();
    const { clock, tools, registering, claiming } = gates;
    let isHeld = false;
    const served = await startTestServer({
      clock,
      tools: tools.all.flatMap((tool) => (tool.name === 'hold' ? [{ ...tool, ofSession: true } as Tool] : [])),
      options: { lease, structured: false, ...delays },
      ...(setup !== 'none' && {
        onSession: () => (isHeld ? registering.pass() : undefined),
        directory: { claim: () => (isHeld ? claiming.pass() : Promise.resolve()) },
      }),
      observe: gates.observe,
    });
    const earlier = hasEarlier ? await new RawMcp(served.url, { path: '/mcp?userId=anna' }).initialize() : undefined;
    isHeld = true;
    served.pool.holdLeases();
    const opening = openBrowser(clientOf(served, 'anna'));
    if (setup !== 'none') await registering.whenReached();
    else if (lease === 'lazy') await opening.answer;
    else await served.pool.whenWaiting();
    const session = served.orchestrator.registry.list().find(({ id }) => id !== earlier?.sessionId);
    if (!session) throw new Error('No browser was opened.');
    const world = new HandleWorld(scenario, { gates, served, session, opening, earlier });
    await world.check();
    return world;
  }

  /** Makes it happen to the server and tells the chart. Resolves when the server is where the chart is. */
  async perform(move: Move): Promise<void> {
    const isTaken = await this.#applyToServer(move);
    // The type of `send` lacks XState's own events.
    if (isTaken)
      for (const event of take(this.#chartActor.getSnapshot(), move).moves) this.#chartActor.send(event as never);
    const expected = comparable(this.#chartActor.getSnapshot());
    const agrees = () => JSON.stringify(comparable(this.#session.actor.getSnapshot())) === JSON.stringify(expected);
    // Where they never agree, the comparison below says how they differ.
    await waitFor(this.#session.actor, agrees, { timeout: 60_000 }).catch(() => undefined);
    expect(comparable(this.#session.actor.getSnapshot())).toEqual(expected);
    await this.check();
  }

  /** What must hold in every state, whatever happened before. */
  async check(): Promise<void> {
    const { id, state } = this.#session;
    const isEarly = state === 'created' || state === 'tools-registered';
    const isOpen = state === 'connected' || state === 'active';
    if (isOpen && !this.#wasAnnounced) {
      expect(await this.#opening.answer).toMatch(`browser_id: ${id}\n`);
      if (this.#session.lease === 'eager') expect(this.#session.facts().browserState).toBe('ready');
      this.#wasAnnounced = true;
    }
    if (state === 'closed') await this.#checkClosed();
    if (isEarly) expect(await this.#probe(id)).toMatch(`ERROR This browser is not ready yet (${state}).`);
    if (state !== this.#checkedState) await this.#checkListings(id, isOpen);
    this.#checkedState = state;
    await nextTurn();
    if (isEarly) expect(this.#opening.text).toBeUndefined();
    expect(this.#calls.filter(({ isAnswered }) => isAnswered)).toEqual([]);
    expect(this.#gates.unexpected).toEqual([]);
  }

  /** Its user sees it while it is open, and nobody else ever does. */
  async #checkListings(id: string, isOpen: boolean): Promise<void> {
    const foreign = await this.#bert.call('hold', { browser_id: id });
    const invented = await this.#bert.call('hold', { browser_id: 'A'.repeat(22) });
    expect(foreign.text).toBe(invented.text);
    expect(textOfCall(invented)).toMatch(/^ERROR Unknown browser_id\./);
    expect((await this.#anna.text('list_browsers')).includes(id)).toBe(isOpen);
  }

  /** The browser still does what its state says; then everything ends, and nothing is left. */
  async finish(): Promise<void> {
    const { state, actor, id } = this.#session;
    this.#gates.open();
    if ((state === 'connected' || state === 'active') && !actor.getSnapshot().hasTag('draining'))
      expect(await this.#probe(id)).toBe('held');
    await Promise.all(this.#calls.map(({ answer }) => answer));
    await this.#earlier?.disconnect();
    await this.#served.close();
    await this.#session.ended;
    await this.#opening.answer;
    expect(this.#gates.clock.pending).toBe(0);
    expect(this.#gates.unexpected).toEqual([]);
    this.#chartActor.stop();
  }

  /** False: it was refused, and the chart did not hear of it. */
  async #applyToServer(move: Move): Promise<boolean> {
    const { url, orchestrator } = this.#served;
    const { id } = this.#session;
    const { type } = move;
    if (type === 'message.received') return this.#call();
    if (type.startsWith('xstate.after.')) this.#gates.clock.advance(delayOf(type));
    else if (type === 'request.settled') await this.#settle();
    else if (type === 'session.close' && move['because'] === 'client-closed') await this.#leave();
    else if (type === 'session.close') await send(`${url}/api/sessions/${id}`, { method: 'DELETE' });
    else if (type === 'session.drain') void orchestrator.registry.drain();
    else if (type.startsWith('browser.')) this.#applyToBrowser(type);
    else this.#gates.settle(type);
    return true;
  }

  #applyToBrowser(type: string): void {
    const { pool } = this.#served;
    const { id } = this.#session;
    const isLost = this.#session.facts().browserState === 'lost';
    if (type === 'browser.leased' && isLost && pool.waiting.length === 0) pool.recoverBrowser(id);
    else if (type === 'browser.leased') pool.releaseLeases();
    else if (type === 'browser.lost') {
      // Its replacement waits at the held door.
      pool.holdLeases();
      pool.loseBrowser(id);
    } else if (pool.waiting.length === 0) pool.failBrowser(id, browserFailure);
    else pool.failLeases('browser_unreachable', browserFailure.message);
  }

  /** Before the answer the client closes the request of `open_browser`; afterwards it asks for the end. */
  async #leave(): Promise<void> {
    if (this.#wasAnnounced)
      expect(await this.#anna.text('close_browser', { browser_id: this.#session.id })).toBe('Closed.');
    else this.#opening.leave();
  }

  async #call(): Promise<boolean> {
    const { id, state, actor } = this.#session;
    const isDraining = actor.getSnapshot().hasTag('draining');
    if (isDraining) expect(await this.#probe(id)).toBe(`ERROR ${catalogue.draining.message}`);
    if (isDraining || state === 'created' || state === 'tools-registered') return false;
    this.#count += 1;
    const answer =
      this.#earlier !== undefined && this.#count % 2 === 1 ? this.#callEarlier(this.#earlier) : this.#probe(id);
    const call: HeldCall = { answer, isAnswered: false };
    void answer.finally(() => (call.isAnswered = true)).catch(() => undefined);
    this.#calls.push(call);
    await this.#gates.tools.whenHeld(this.#count);
    return true;
  }

  async #callEarlier(earlier: RawMcp): Promise<string> {
    const id = `earlier ${this.#count}`;
    const params = { name: 'hold', arguments: { browser_id: this.#session.id } };
    await earlier.sendRequest({ jsonrpc: '2.0', id, method: 'tools/call', params });
    return textOfCall({ response: (await earlier.answer(id)) as Answer['response'] });
  }

  /** The oldest call ends, and its client hears what the tool says. */
  async #settle(): Promise<void> {
    this.#gates.tools.held.find(({ gate }) => !gate.isOpen)?.gate.open();
    expect(await this.#calls.shift()?.answer).toBe('held');
  }

  #probe(id: string): Promise<string> {
    return this.#anna.text('hold', { browser_id: id });
  }

  /** Who waits hears the cause; whatever was opened is closed. */
  async #checkClosed(): Promise<void> {
    const { closedBecause, failure } = this.#chartActor.getSnapshot().context;
    const closedText = `ERROR This browser is closed (${closedBecause}).`;
    if (!this.#wasAnnounced && closedBecause !== 'client-closed') {
      const drained = closedBecause === 'server-draining' ? catalogue.draining.message : undefined;
      const timedOut = closedBecause === 'setup-timeout' ? catalogue.setup_timeout.message : undefined;
      const cause = failure?.message ?? drained ?? timedOut;
      expect(await this.#opening.answer).toMatch(cause === undefined ? closedText : `ERROR ${cause}`);
    }
    for (const { answer } of this.#calls.splice(0)) expect(await answer).toMatch(/^ERROR /);
    await this.#session.ended;
    for (const { context } of this.#gates.tools.held.filter(({ gate }) => !gate.isOpen))
      expect(context.signal.aborted).toBe(true);
    expect(await this.#probe(this.#session.id)).toMatch(closedText);
    const { pool, orchestrator } = this.#served;
    pool.releaseLeases();
    await nextTurn();
    const isOther = (id: string): boolean => id !== this.#earlier?.sessionId;
    expect(orchestrator.registry.list().filter(({ id }) => isOther(id))).toEqual([]);
    expect(pool.closed.filter(isOther)).toEqual(pool.opened.filter(isOther));
    if (this.#earlier === undefined) expect(this.#gates.clock.pending).toBe(0);
  }
}

const clientOf = ({ url }: TestServer, user: string): StatelessClient =>
  new StatelessClient(url, `/mcp?userId=${user}`);

function openBrowser(client: StatelessClient): Opening {
  const { head, close } = client.stream('tools/call', { params: { name: 'open_browser', arguments: {} } });
  const read = async (response: IncomingMessage): Promise<string> => textOfCall(await readAnswer(response));
  const answer = head.then(read).catch(() => undefined);
  const opening: Opening = { text: undefined, answer, leave: close };
  void answer.then((text) => (opening.text = text));
  return opening;
}
