import type { ActorRefFrom, InspectionEvent } from 'xstate';
import type { SessionClient } from '../../machines/events.js';
import type { sessionMachine } from '../../machines/index.js';
import type { Clock } from '../clock.js';
import { Refusal } from '../errors/errors.js';
import type { Log } from '../log.js';
import type { ProfileChoice } from '../mcp/clientProfiles.js';
import type { BrowserHandles, ClientInfo, McpSession, MethodContext } from '../mcp/methodContext.js';
import type { JSONRPCMessage } from '../mcp/protocol.js';
import type { Secrets } from '../mcp/secrets.js';
import { principalKey, type Principal } from '../tenancy/principal.js';
import type { ToolSet } from '../tools/catalogue.js';
import type { SharedWorkspace, Workspace } from '../tools/workspace.js';
import type { UrlLists, UrlRules } from '../browser/policy/urlRules.js';
import type { BrowserLease, LeaseRequest } from '../browser/pool/browserLease.js';
import type { Channel } from './channel.js';
import type { UserQuotas } from './userQuotas.js';

/** The session chart with its implementations provided (see actor.ts). */
export type SessionLogic = typeof sessionMachine;

/** What the sessions of one server share. */
export interface SessionDeps {
  readonly logic: SessionLogic;
  readonly serverInfo: McpSession['serverInfo'];
  readonly serverFeatures: McpSession['serverFeatures'];
  readonly prepareBrowser?: McpSession['prepareBrowser'];
  /** What the operator chose for every client. */
  readonly profileChoice: ProfileChoice;
  readonly workspace: SharedWorkspace;
  readonly secrets: Secrets;
  readonly lease: 'eager' | 'lazy';
  /** Of sessions whose clients choose none. */
  readonly isolation?: LeaseRequest['isolation'];
  readonly quotas?: UserQuotas | undefined;
  /** The URL patterns of a user; undefined without any. */
  urlListsOf?(principal: Principal): Promise<UrlLists | undefined>;
  /** Whether a session that is opened now gets a browser without queueing. */
  hasFreeBrowser(): boolean;
  /** Messages that a session queues until it is connected; with 0 they are refused as `not_ready`. */
  readonly queueLimit: number;
  /** What the chart is told of its set-up; undefined: an embedder prepares sessions, or a directory is asked. */
  readonly setup?: 'none' | undefined;
  readonly clock: Clock;
  readonly log: Log;
  /** The browsers that the client of a session can name. */
  browsersOf(session: SessionOwner): BrowserHandles;
  /** Receives the inspection events of every actor (see telemetry/observer.ts). */
  inspect(event: InspectionEvent): void;
}

/** A session whose client opens further browsers with what it was opened with. */
export interface SessionOwner extends Pick<SessionRequest, 'principal' | 'toolSet'> {
  readonly id: string;
  readonly groups: string | undefined;
  readonly profile: string | undefined;
  readonly browserUrl: string | undefined;
  readonly server: Pick<MethodContext, 'clientCapabilities' | 'protocolVersion'> & {
    readonly client: ClientInfo | null;
  };
}

/** The client of a session: principal, tools, browser and channel. */
export interface SessionRequest {
  readonly principal: Principal;
  readonly toolSet: ToolSet;
  /** The value of `?tools=`; absent: the server's default. */
  readonly groups?: string;
  /** What the connection chose; absent: nothing. Text that `parseProfileChoice` reads. */
  readonly profile?: string;
  /** The address of the user's own browser, if the session uses it. */
  readonly browserUrl?: string;
  /** What the client chose instead of `--isolation`. */
  readonly isolation?: 'auto' | 'context' | 'process';
  /** The URL patterns of the user. */
  readonly urlLists?: UrlLists;
  readonly channel: Channel;
}

/** The client as the chart knows it; null while the session is warm. */
export function toSessionClient(request: SessionRequest | null): SessionClient {
  if (request === null) return { issuer: null, user: null, resumable: false };
  const { principal, channel } = request;
  const { issuer, user } = principal;
  return { issuer, user, resumable: channel.resumable, ...(channel.kind === 'handle' && { handshake: 'none' }) };
}

/** The folders of a session, with its own. */
export function workspaceOf(
  session: Pick<SessionRequest, 'principal'> & {
    readonly urls: UrlRules | undefined;
    readonly browserLease: BrowserLease | undefined;
  },
  shared: SharedWorkspace,
): Workspace {
  const { principal, urls, browserLease } = session;
  return {
    ...shared,
    urls,
    owner: principalKey(principal),
    // Read on use: the session's folder exists only with its browser, and changes when the browser moves.
    get own() {
      return browserLease?.current?.ownFolder;
    },
  };
}

/** The inspection event of a failed actor: the session is closed. */
export function failureEventOf(actorRef: ActorRefFrom<SessionLogic>, logic: SessionLogic): InspectionEvent {
  const { context } = actorRef.getSnapshot();
  const snapshot = logic.resolveState({ value: 'closed', context: { ...context, closedBecause: 'setup-failed' } });
  return { type: '@xstate.snapshot', actorRef, rootId: actorRef.sessionId, event: { type: 'failed' }, snapshot };
}

/** The browser lease of a session: it has one from the start of its actor on, and releases it as it ends. */
export type Leasing =
  | { readonly kind: 'none' }
  | { readonly kind: 'held'; readonly lease: BrowserLease }
  | {
      readonly kind: 'released';
      readonly lease: BrowserLease;
      /** Its pages stay open for the node that restores the session. */
      readonly isHandedOff: boolean;
      readonly done: Promise<void>;
    };

/** Resolves when what was leased is released; undefined if nothing is being released. */
export const releaseOf = (leasing: Leasing): Promise<void> | undefined =>
  leasing.kind === 'released' ? leasing.done : undefined;

export function requireLease(leasing: Leasing): BrowserLease {
  if (leasing.kind === 'none') throw new Refusal('not_ready');
  return leasing.lease;
}

/** Called with each message received from or sent to the client. Must not throw or keep the message. */
export type MessageTap = (from: 'client' | 'session', message: JSONRPCMessage) => void;
