import type { InspectionEvent } from 'xstate';
import type { sessionMachine } from '../../machines/index.js';
import type { Clock } from '../clock.js';
import type { Log } from '../log.js';
import type { ProfileChoice } from '../mcp/clientProfiles.js';
import type { BrowserHandles, ClientInfo, McpSession, MethodContext } from '../mcp/methodContext.js';
import type { Secrets } from '../mcp/secrets.js';
import type { Principal } from '../tenancy/principal.js';
import type { ToolSet } from '../tools/catalogue.js';
import type { Workspace } from '../tools/workspace.js';
import type { Channel } from './channel.js';

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
  readonly workspace: Workspace;
  readonly secrets: Secrets;
  readonly lease: 'eager' | 'lazy';
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
  readonly channel: Channel;
}
