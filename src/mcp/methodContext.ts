import type { SettledRequest } from '../../machines/events.js';
import type { BrowserLease } from '../browser/pool/browserLease.js';
import type { Clock } from '../clock.js';
import type { Log } from '../log.js';
import type { ToolSet } from '../tools/catalogue.js';
import type { ClientCapabilities, LogLevel } from '../tools/client.js';
import type { Browsers, Resources, SessionFacts, Tool } from '../tools/defineTool.js';
import type { Workspace } from '../tools/workspace.js';
import type { ClientRequest } from './clientRequests.js';
import type { ClientProfile, ProfileChoice } from './clientProfiles.js';
import type { ServerFeatures, SessionFeatures } from './features.js';
import { invalidParams, type JSONRPCMessage, type RequestId } from './protocol.js';
import type { Secrets } from './secrets.js';
import type { SessionMemory } from './responseMemory.js';
import type { ToleranceKind } from './tolerantArguments.js';

/** The name and version that a client declares. */
export interface ClientInfo {
  readonly name: string;
  readonly version: string;
}

export interface Implementation {
  readonly name: string;
  readonly title?: string;
  readonly version: string;
}

/** The big results that a client may list and read. */
export interface SessionResources extends Resources {
  /** Counter of changes to the list, for change detection. */
  readonly changes: number;
  /** The notices since the last call, for the next answer. */
  takeNotices(): readonly string[];
}

/** The browsers of one user, by their handles: the ids of the sessions that hold them. */
export interface BrowserHandles extends Browsers {
  /**
   * Passes a request to the session of a handle, which serves it as its own. Throws a ToolError with a fix if there is
   * no such session, or it is closed or not ready.
   */
  forward(browserId: string, request: HandleRequest): Promise<Record<string, unknown>>;
  /** The big results of all of them at this node. */
  resources(): readonly SessionResources[];
}

/** A request that its client sends to a session by its handle, not over the connection of that session. */
export interface HandleRequest {
  readonly method: string;
  readonly params: Params;
  /** What the client declared, and where its messages go. */
  readonly caller: MethodContext;
  /** The request as its client sent it. */
  readonly request: RequestInfo;
}

/** What a session shows to its MCP server. Implemented by `Session`, and by `StatelessSession` for requests without one. */
export interface McpSession {
  readonly toolSet: ToolSet;
  readonly serverFeatures: ServerFeatures;
  readonly serverInfo: Implementation;
  readonly workspace: Workspace;
  readonly resources: SessionResources;
  readonly browsers: BrowserHandles;
  readonly memory: SessionMemory;
  readonly secrets: Secrets;
  /** What the operator and the connection chose instead of the known profile of the client. */
  readonly profileChoices: { readonly operator: ProfileChoice; readonly connection: ProfileChoice };
  readonly clock: Clock;
  readonly log: Log;
  /** The session as it is now. */
  facts(): SessionFacts;
  readonly prepareBrowser?: PrepareBrowser | undefined;
  /** Rejects with `quota_exceeded` if the user may not call the tool now. */
  checkQuotas?(tool: Pick<Tool, 'name' | 'needs'>): Promise<void> | undefined;
  /** Throws `not_ready` before the session has a lease. */
  requireBrowserLease(): BrowserLease;
  /** The client of a request that came by the handle of the session; undefined for a request of its own client. */
  senderOf?(request: RequestId): HandleRequest | undefined;
  /** Sends to the client. `relatedTo` is the request that the message belongs to. Never throws. */
  send(message: JSONRPCMessage, relatedTo?: RequestId): void;
  /** Called when a request was cancelled and gets no response. */
  requestCancelled(request: RequestId): void;
  /** Ends the connection on which a request waits, if the client can reconnect for the response. */
  suspend(request: RequestId, retryMs: number): void;
  /** Called once for each received request, when it is settled. */
  requestSettled(request: SettledRequest): void;
}

/** The tasks of one user. Each method throws `unknown_task`. */
export interface UserTasks {
  get(id: unknown): Promise<Record<string, unknown>>;
  update(id: unknown, answers: unknown): Promise<void>;
  cancel(id: unknown): Promise<void>;
}

/** The client's side of `initialize`. */
export interface InitializingClient {
  readonly client: ClientInfo | null;
  readonly clientCapabilities: ClientCapabilities;
  /** The unchecked `protocolVersion` of the request. */
  readonly requestedVersion: unknown;
}

/** Makes sure that there is a browser to start; `report` is called with each step of an installation. */
export type PrepareBrowser = (report: (step: string) => void) => Promise<void>;

/** The MCP server as a method sees it. */
export interface MethodContext {
  readonly session: McpSession;
  readonly features: SessionFeatures;
  /** Of the client that sent a request by the handle of the session: its tools can be called too. */
  readonly callerFeatures?: SessionFeatures;
  readonly clientCapabilities: ClientCapabilities;
  readonly profile: ClientProfile;
  /** Null until the client has initialized. */
  readonly protocolVersion: string | null;
  /** Null: the client wants no log messages. */
  logLevel: LogLevel | null;
  toolCalls: number;
  /** URIs of the resources that the client is subscribed to. */
  readonly subscriptions: Set<string>;
  /** Completes the handshake. Returns the negotiated protocol revision. */
  initialize(client: InitializingClient): string;
  notify(method: string, params: Record<string, unknown>, relatedTo?: RequestId): void;
  log(level: LogLevel, data: unknown, relatedTo?: RequestId): void;
  /** Sends a request to the client; see `ClientRequests`. */
  request(request: ClientRequest): Promise<Record<string, unknown>>;
  isInFlight(id: RequestId): boolean;
  /** Reports the progress of the request, if it can be read. */
  report?(text: string): void;
  /** Called when a session serves the request: logs and metrics then name that session. */
  passedOn?(): void;
  /** The tasks of the user; undefined for a client that takes none. */
  readonly tasks?: UserTasks | undefined;
  /** The result of a request whose handler has asked the client and waits for its answer; otherwise null. */
  inputRequired?(): Promise<Record<string, unknown> | null>;
  /** The error of a tool that needs `required` of its client (in the form of `clientCapabilities`), to do what `action` says. */
  missingCapability(action: string, required: object): Error;
}

export type Params = Readonly<Record<string, unknown>>;

export interface RequestInfo {
  readonly id: RequestId;
  /** Aborted when the client cancels or the session ends. */
  readonly signal: AbortSignal;
  /** Called when the answer of the request is written, or when it has none. */
  releaseMemory: () => void;
  /** Notes accepted deviations from the protocol or a schema. */
  tolerated(kinds: Iterable<ToleranceKind>): void;
  /** Aborted when the client has lost the connection of the request, and another one needs its resources. */
  readonly displaced: AbortSignal;
  /** Called when another request waits for what this one holds. */
  wanted(): void;
}

export type Method = (
  server: MethodContext,
  params: Params,
  request: RequestInfo,
) => Record<string, unknown> | Promise<Record<string, unknown>>;

const pageSize = 200;

/** One page of a list, and the cursor of the next one (server/utilities/pagination). */
export function paginate<T>(
  items: readonly T[],
  { cursor: given }: Params,
): { page: readonly T[]; nextCursor?: string } {
  // Some clients write null or an empty text for a cursor that they have not got.
  const cursor = given === null || given === '' ? undefined : given;
  const start = cursor === undefined ? 0 : Number(cursor);
  const isKnown = cursor === undefined || (typeof cursor === 'string' && start > 0 && start % pageSize === 0);
  if (!isKnown || (start > 0 && start >= items.length)) {
    throw invalidParams('Unknown cursor: list again without a cursor.');
  }
  const end = start + pageSize;
  return { page: items.slice(start, end), ...(end < items.length && { nextCursor: String(end) }) };
}
