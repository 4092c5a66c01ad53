import type { InspectionEvent } from 'xstate';
import type { sessionMachine } from '../../machines/index.js';
import type { Clock } from '../clock.js';
import type { Log } from '../log.js';
import type { McpSession } from '../mcp/mcpServer.js';
import type { JSONRPCMessage } from '../mcp/protocol.js';
import type { Principal } from '../tenancy/principal.js';
import type { ToolSet } from '../tools/catalogue.js';
import type { Workspace } from '../tools/workspace.js';
import type { Channel } from './channel.js';

/** The session chart with its implementations provided (see sessionActor.ts). */
export type SessionLogic = typeof sessionMachine;

/** Hears a message that was taken from the client, or is sent to it. Must not throw, and never keeps it as it is. */
export type MessageTap = (from: 'client' | 'session', message: JSONRPCMessage) => void;

/** What all sessions of a server share. */
export interface SessionDeps {
  readonly logic: SessionLogic;
  readonly serverInfo: McpSession['serverInfo'];
  readonly serverFeatures: McpSession['serverFeatures'];
  readonly workspace: Workspace;
  readonly lease: 'eager' | 'lazy';
  /** Whether a session that is opened now gets its browser without waiting for another one's. */
  hasFreeBrowser(): boolean;
  /** Messages that a session holds until it is connected; with 0 they are refused as `not_ready`. */
  readonly queueLimit: number;
  readonly clock: Clock;
  readonly log: Log;
  /** The one inspection stream (see observer.ts). */
  inspect(event: InspectionEvent): void;
}

/** Whom a session is opened for, with which tools, and through what. */
export interface SessionRequest {
  readonly principal: Principal;
  readonly toolSet: ToolSet;
  /** As the client asked for them; absent: the server's default. */
  readonly groups?: string;
  /** The user's own browser, where the session uses that one. */
  readonly browserUrl?: string;
  readonly channel: Channel;
}
