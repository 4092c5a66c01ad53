import type { SessionContext } from '../../machines/index.js';
import type { BrowserLease, BrowserPool, LeaseListener, LeaseRequest } from '../../src/browser/pool/browserLease.js';
import type { SessionBrowser } from '../../src/browser/pool/sessionBrowser.js';
import { noBrowsers, noWorkspace } from '../tools/support/plainSession.js';
import { Refusal } from '../../src/errors/errors.js';
import { silentLog } from '../../src/log.js';
import { noProfileChoice } from '../../src/mcp/clientProfiles.js';
import { compileFeatures } from '../../src/mcp/features.js';
import type { JSONRPCMessage } from '../../src/mcp/protocol.js';
import { Secrets } from '../../src/mcp/secrets.js';
import { createSessionLogic } from '../../src/session/actor.js';
import { parseSnapshot, persistSnapshots } from '../../src/session/persistence.js';
import { SessionRegistry } from '../../src/session/registry.js';
import type { Session } from '../../src/session/session.js';
import type { SessionDeps, SessionRequest } from '../../src/session/sessionDeps.js';
import { emptyToolSet } from '../../src/tools/catalogue.js';
import { ManualClock } from '../support/manualClock.js';
import { RecordingChannel } from '../support/recordingChannel.js';
import type { SessionBounds } from './sessionWorld.js';

const delays = {
  setupTimeout: 1_000,
  initializeTimeout: 1_000,
  idleTimeout: 1_000,
  resumeGrace: 1_000,
  drainTimeout: 1_000,
};
const failure = { reason: 'browser_unreachable', message: 'Nothing answers.' };

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** What a session has asked for and not been given. */
class Asked {
  readonly #waiting: Waiting[] = [];

  get count(): number {
    return this.#waiting.length;
  }

  ask(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const one = { resolve, reject };
      this.#waiting.push(one);
      signal?.addEventListener('abort', () => this.#waiting.splice(this.#waiting.indexOf(one), 1));
    });
  }

  answer(isGood: boolean): void {
    const one = this.#waiting.shift();
    if (isGood) one?.resolve();
    else one?.reject(new Refusal('setup_failed', { detail: 'refused' }));
  }
}

const messages: Readonly<Record<string, (id: number) => JSONRPCMessage>> = {
  initialize: (id) => ({ jsonrpc: '2.0', id, method: 'initialize', params: {} }),
  request: (id) => ({ jsonrpc: '2.0', id, method: 'ping' }),
  notification: () => ({ jsonrpc: '2.0', method: 'notifications/initialized' }),
  response: (id) => ({ jsonrpc: '2.0', id, result: {} }),
};

/** The session whose story is played, one at a time: the chart's implementations are made once. */
const stage: { playing?: RealSession } = {};

function current(): RealSession {
  if (stage.playing === undefined) throw new Error('No story is played.');
  return stage.playing;
}

const logic = createSessionLogic({
  find: (id) => current().registry.get(id),
  pool: { lease: (...given: Parameters<BrowserPool['lease']>) => current().lease(...given) } as unknown as BrowserPool,
  isolation: 'context',
  delays,
  registerTools: (_, signal) => current().asked.registering.ask(signal),
  claim: (_, signal) => current().asked.claiming.ask(signal),
  isHandedOff: () => false,
});

const shared = {
  ...{ logic, log: silentLog, inspect: () => undefined, serverInfo: { name: 'test', title: 'Test', version: '0' } },
  ...{ profileChoice: noProfileChoice, serverFeatures: compileFeatures({ isExtensible: false }) },
  ...{
    workspace: noWorkspace,
    secrets: new Secrets(),
    hasFreeBrowser: () => true,
    browsersOf: () => noBrowsers,
  },
};

const newRegistry = () => new SessionRegistry({ maxSessions: 10, maxSessionsPerUser: 10 });

/**
 * A real session with its real actor in its real registry, to which the moves of a story happen. Everything around it waits
 * for a move: the pool, the directory, the tools, and the MCP server, of which only what it is given is recorded.
 */
export class RealSession {
  readonly channel: RecordingChannel;
  /** Of each message that was handed to the MCP server: which of those that came it was. */
  readonly delivered: number[] = [];
  readonly asked = { browser: new Asked(), registering: new Asked(), checking: new Asked(), claiming: new Asked() };
  registry = newRegistry();
  session: Session;
  readonly #clock = new ManualClock();
  readonly #places = new WeakMap<JSONRPCMessage, number>();
  readonly #deps: SessionDeps;
  readonly #follow: ((session: Session) => void) | undefined;
  #listener: LeaseListener | undefined;
  #received = 0;

  /** `follow` is told of the session, and of the one that another node makes of it. */
  constructor({ lease, queueLimit, resumable, isWarm, setup }: SessionBounds, follow?: (session: Session) => void) {
    this.#follow = follow;
    Object.assign(stage, { playing: this });
    this.channel = Object.assign(new RecordingChannel(undefined, resumable), { snapshot: () => null });
    this.#deps = { ...shared, lease, queueLimit, setup, clock: this.#clock };
    this.session = isWarm ? this.registry.openWarm(this.#deps) : this.registry.open(this.#deps, this.#request());
    this.#record();
  }

  get state(): { readonly value: unknown; readonly context: SessionContext } {
    const { value, context } = this.session.actor.getSnapshot();
    return { value, context };
  }

  /** Makes one move happen, and waits for what follows from it. */
  async perform(move: string): Promise<void> {
    const [name = '', detail = ''] = move.split(' ');
    if (name === 'message.received') this.#receive(detail);
    else if (name === 'transport.attached') this.#attach();
    else if (name === 'transport.detached') this.session.detach(detail as 'client-closed');
    else if (name === 'session.drain') this.session.actor.send({ type: 'session.drain' });
    else if (name === 'session.close') this.session.close(detail as 'client-closed');
    else if (name === 'takeover') await this.#takeOver();
    else if (name === 'request.settled') this.session.requestSettled({ ...settled });
    else if (name.startsWith('after.')) this.#clock.advance(delays.setupTimeout);
    else if (name.startsWith('browser.')) this.#browse(name);
    else this.#answer(name);
    await new Promise(setImmediate);
  }

  /** Ends it, so that nothing is left. */
  async end(): Promise<void> {
    this.session.close('operator-closed');
    await new Promise(setImmediate);
  }

  #request(): SessionRequest {
    return { principal: { issuer: 'local', user: 'anna' }, toolSet: emptyToolSet, channel: this.channel };
  }

  #record(): void {
    const receive = (message: JSONRPCMessage): unknown => this.delivered.push(this.#places.get(message) ?? -1);
    Object.assign(this.session.server, { receive });
    this.#follow?.(this.session);
  }

  #attach(): void {
    if (!this.session.isWarm) this.session.actor.send({ type: 'transport.attached' });
    else this.session.assignClient(this.#request());
  }

  #receive(kind: string): void {
    this.#received += 1;
    const message = messages[kind]?.(this.#received) ?? { jsonrpc: '2.0', method: kind };
    this.#places.set(message, this.#received);
    const queued = this.session.receive(message);
    queued?.catch(() => undefined);
  }

  /** Another node, whose parts are all new, continues it from its last snapshot. */
  async #takeOver(): Promise<void> {
    const stored = await new Promise<string>((resolve) => persistSnapshots(this.session, resolve));
    this.registry = newRegistry();
    Object.assign(this.asked, { browser: new Asked() });
    this.session = this.registry.restore(this.#deps, this.session.id, this.#request(), parseSnapshot(stored));
    this.#record();
    // As `createSessionRestorer` does.
    this.session.detach('client-closed');
  }

  #answer(name: string): void {
    const step = Object.entries(this.asked).find(([key]) => name.endsWith(`.${key}`))?.[1];
    if (step === undefined) throw new Error(`Not a move of a real session: ${name}`);
    step.answer(name.startsWith('done.'));
  }

  #browse(name: string): void {
    const { browser } = this.asked;
    if (name === 'browser.lost') this.#listener?.lost();
    else if (browser.count > 0) browser.answer(name === 'browser.leased');
    else if (name === 'browser.leased') this.#listener?.ready();
    else this.#listener?.failed(failure);
  }

  lease(_: LeaseRequest, listener: LeaseListener): BrowserLease {
    this.#listener = listener;
    const opened = { ensureFirstPage: () => Promise.resolve() } as unknown as SessionBrowser;
    return {
      ...{ current: undefined, browserId: undefined, resumeState: undefined },
      browser: () => this.asked.browser.ask().then(() => opened),
      check: (signal: AbortSignal) => this.asked.checking.ask(signal),
      release: () => Promise.resolve(),
    };
  }
}

const settled = { id: 1, method: 'ping', tool: null, outcome: 'ok', durationMs: 0 } as const;
