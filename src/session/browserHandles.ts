import type { EmulationSettings } from '../browser/page/pageEmulation.js';
import { messageOf, Refusal, ToolError } from '../errors/errors.js';
import type { BrowserHandles, ClientInfo, HandleRequest, Params, SessionResources } from '../mcp/methodContext.js';
import { changeOf, type Changes } from '../mcp/changes.js';
import type { ClientCapabilities } from '../tools/client.js';
import type { JSONRPCMessage } from '../mcp/protocol.js';
import type { SessionMemory } from '../mcp/responseMemory.js';
import { principalKey, owns, type Caller, type Principal } from '../tenancy/principal.js';
import type { ToolSet } from '../tools/catalogue.js';
import type { BrowserOptions, UserBrowser } from '../tools/defineTool.js';
import { browserIdArgument } from '../tools/browserTools.js';
import type { Channel, CloseNotice } from './channel.js';
import { handleError } from './handleRequests.js';
import type { SessionRegistry } from './registry.js';
import type { Session } from './session.js';
import type { SessionDeps } from './sessionDeps.js';

/**
 * The channel of a session that clients reach by its handle alone: there is no connection to write to. It is announced by
 * the answer of `open_browser`, which waits for `announced`.
 */
export class HandleChannel implements Channel {
  readonly kind = 'handle';
  /** No connection can be lost, and another node can continue it. */
  readonly resumable = true;
  readonly memory: SessionMemory;
  /** Resolves on entry to `connected`; rejects with the Refusal if the set-up fails. */
  readonly announced: Promise<void>;
  readonly #onNotification: (method: string, params: Record<string, unknown>) => void;
  #resolvers: { readonly resolve: () => void; readonly reject: (refusal: Refusal) => void } | undefined;

  /** `onNotification` is called with what the session notifies: it belongs to no request of a client. */
  constructor(memory: SessionMemory, onNotification: (method: string, params: Record<string, unknown>) => void) {
    this.memory = memory;
    this.#onNotification = onNotification;
    this.announced = new Promise((resolve, reject) => (this.#resolvers = { resolve, reject }));
    // Nobody waits for it after a takeover.
    this.announced.catch(() => undefined);
  }

  announce(): void {
    this.#resolvers?.resolve();
  }

  deliver(message: JSONRPCMessage): void {
    if ('method' in message) this.#onNotification(message.method, message.params ?? {});
  }

  snapshot(): null {
    return null;
  }

  end({ refusal }: CloseNotice): void {
    this.#resolvers?.reject(refusal);
  }
}

export interface BrowserHandlesDeps {
  readonly registry: SessionRegistry;
  readonly parts: SessionDeps;
  readonly idleTimeoutMs: number;
  openMemory(user: string): SessionMemory;
  /** Receives what a browser's session notifies. */
  readonly changes: Changes;
  selectTools(groups: string): ToolSet;
  /** Calls a tool at the node that holds a browser; undefined if no node does. Absent with a single node. */
  readonly callElsewhere?:
    ((owner: HandleOwner, browserId: string, call: ElsewhereCall) => ElsewhereResult) | undefined;
  /** The open browsers of a caller at other nodes, as these last told of them. Absent with a single node. */
  readonly listElsewhere?: ((caller: Caller) => Promise<readonly UserBrowser[]>) | undefined;
  /** False: another node may own the sessions of this one (S11). */
  isWritable(): boolean;
}

/** A call of a tool for a browser of another node. */
export interface ElsewhereCall {
  readonly params: Params;
  readonly signal: AbortSignal;
  /** The client, for messages and questions; absent for a call of this server's own. */
  readonly sender?: HandleRequest;
}

type ElsewhereResult = Promise<Record<string, unknown> | undefined>;

/** Whose browsers they are, and what the next one is opened with. */
export interface HandleOwner {
  readonly principal: Principal;
  /** Whose sessions can be named: `principal`, or anyone's without authentication. */
  readonly caller: Caller;
  readonly toolSet: ToolSet;
  readonly groups?: string;
  readonly profile?: string;
  readonly browserUrl?: string;
  readonly client: ClientInfo | null;
  readonly clientCapabilities: ClientCapabilities;
  readonly protocolVersion: string;
  /** The id of the session that asks; null for a request without one. */
  readonly sessionId: string | null;
  /** Counts the opening, or throws `rate_limited`. */
  admitOpening(): Promise<unknown>;
}

/** The browsers of one user. Created for a session, or for one request without a session; owns nothing. */
export function browserHandlesOf(deps: BrowserHandlesDeps, owner: HandleOwner): BrowserHandles {
  const { registry, idleTimeoutMs } = deps;
  const find = (id: string): Session => {
    try {
      if (!deps.isWritable()) throw new Refusal('store_unreachable');
      return registry.find(id, owner.caller);
    } catch (error) {
      throw error instanceof Refusal ? handleError(error) : error;
    }
  };
  /** A request without a session was routed by its header already. */
  const callElsewhere = async (id: string, call: ElsewhereCall): ElsewhereResult =>
    owner.sessionId === null || registry.peek(id) !== undefined ? undefined : deps.callElsewhere?.(owner, id, call);
  const owned = (): Session[] => registry.list().filter(({ principal }) => owns(owner.caller, principal));
  return {
    idleTimeoutMs,
    forward: async (id: string, sender: HandleRequest) => {
      const { params, request } = sender;
      const args = { ...(params['arguments'] as object | undefined), [browserIdArgument]: id };
      const call = { params: { ...params, arguments: args }, signal: request.signal, sender };
      const result = await callElsewhere(id, call).catch((error: unknown) => {
        throw error instanceof Refusal ? handleError(error) : error;
      });
      return result ?? find(id).handleRequests.serve(sender);
    },
    open: async (options, signal) => describe(await open(deps, owner, options, signal), owner),
    close: async (id) => {
      if (id === owner.sessionId)
        throw new ToolError('This is the browser of your own session: it is closed when you end the session.');
      try {
        if (!deps.isWritable()) throw new Refusal('store_unreachable');
        const params = { name: 'close_browser', arguments: { [browserIdArgument]: id } };
        if ((await callElsewhere(id, { params, signal: new AbortController().signal })) !== undefined) return;
        const session = registry.find(id, owner.caller);
        session.close('client-closed');
        await session.ended;
      } catch (error) {
        // It is what was asked for; its node may have had no time to answer before it ended.
        if (error instanceof Refusal && error.reason === 'closed') return;
        throw error instanceof Refusal ? handleError(error) : error;
      }
    },
    list: async () => {
      const here = owned().map((session) => describe(session, owner));
      const elsewhere = (await deps.listElsewhere?.(owner.caller)) ?? [];
      const others = elsewhere.filter(({ id }) => registry.peek(id) === undefined);
      return [...here, ...others]
        .filter(({ state }) => state === 'connected' || state === 'active')
        .toSorted((one, other) => one.createdAt.getTime() - other.createdAt.getTime());
    },
    // Another session of the user keeps its results to itself.
    resources: (): readonly SessionResources[] =>
      owned()
        .filter(({ channel }) => channel.kind === 'handle' || owner.sessionId === null)
        .map(({ resources }) => resources),
  };
}

function describe(session: Session, { sessionId }: HandleOwner): UserBrowser {
  const { id, state, transport, createdAt, toolCalls } = session.facts();
  return { id, state, transport, createdAt, toolCalls, pages: addressesIn(session), isOwn: id === sessionId };
}

/** The addresses of the pages of a session; empty without an open browser. */
export const addressesIn = ({ browserLease }: Session): readonly string[] =>
  browserLease?.current?.pages().map((page) => page.url()) ?? [];

/** Passes on what concerns a user. */
export const publishTo =
  (changes: Changes, user: string) =>
  (method: string, params: Record<string, unknown>): void => {
    const change = changeOf(method, params, user);
    if (change !== undefined) changes.publish(change);
  };

/** Throws a ToolError for what cannot be emulated; the browser is closed then. */
async function emulateIn(session: Session, emulation: EmulationSettings, signal: AbortSignal): Promise<void> {
  try {
    const browser = await session.requireBrowserLease().browser(signal);
    await browser.emulateFromStart(emulation);
  } catch (error) {
    session.close('client-closed');
    throw error instanceof Refusal
      ? error
      : new ToolError(`The emulation failed: ${messageOf(error)}`, { cause: error });
  }
}

/** Resolves when the session is connected: the id leaves with the answer and not before (S1). */
async function open(
  { registry, parts, openMemory, selectTools, changes }: BrowserHandlesDeps,
  owner: HandleOwner,
  { isolation, groups, emulation }: BrowserOptions,
  signal: AbortSignal,
): Promise<Session> {
  const { principal, client, clientCapabilities, protocolVersion } = owner;
  const user = principalKey(principal);
  const channel = new HandleChannel(openMemory(user), publishTo(changes, user));
  const chosen = [owner.groups, groups].filter((part) => part !== undefined).join();
  try {
    const toolSet = groups === undefined ? owner.toolSet : selectTools(chosen);
    await owner.admitOpening();
    const session = await registry.openWithClusterQuota(parts, {
      principal,
      toolSet,
      channel,
      ...(chosen !== '' && { groups: chosen }),
      ...(owner.profile !== undefined && { profile: owner.profile }),
      ...(owner.browserUrl !== undefined && { browserUrl: owner.browserUrl }),
      ...(isolation !== undefined && { isolation }),
    });
    // With many nodes it is not connected yet: from then on its snapshot may be what another one continues from.
    session.server.open({ client, clientCapabilities, protocolVersion });
    const leave = (): void => session.close('client-closed');
    signal.addEventListener('abort', leave, { once: true });
    if (signal.aborted) leave();
    await channel.announced
      .then(() => emulation && emulateIn(session, emulation, signal))
      .finally(() => signal.removeEventListener('abort', leave));
    return session;
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof Refusal ? handleError(error) : error;
  }
}
