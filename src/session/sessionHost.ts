import type { SettledRequest } from '../../machines/events.js';
import type { BrowserLease } from '../browser/pool/browserLease.js';
import type { Clock } from '../clock.js';
import { messageOf, Refusal } from '../errors/errors.js';
import type { Log } from '../log.js';
import type { ToolCallDeps } from '../mcp/callTool.js';
import type { McpSession } from '../mcp/mcpServer.js';
import type { JSONRPCMessage, RequestId } from '../mcp/protocol.js';
import type { ResourceStore } from '../mcp/resourceStore.js';
import type { ToolSet } from '../tools/catalogue.js';
import type { Workspace } from '../tools/workspace.js';
import type { SessionFacts } from '../tools/defineTool.js';
import type { Session } from './session.js';
import type { SessionDeps } from './sessionParts.js';

/** A session as its MCP server sees it. Two references and no closures: there is one for each open session. */
export class SessionHost implements McpSession, ToolCallDeps {
  readonly #session: Session;
  readonly #parts: SessionDeps;

  constructor(session: Session, parts: SessionDeps) {
    this.#session = session;
    this.#parts = parts;
  }

  get toolSet(): ToolSet {
    return this.#session.toolSet;
  }

  get environment(): ToolCallDeps {
    return this;
  }

  get serverFeatures(): McpSession['serverFeatures'] {
    return this.#parts.serverFeatures;
  }

  get serverInfo(): McpSession['serverInfo'] {
    return this.#parts.serverInfo;
  }

  get session(): SessionFacts {
    return this.#session.facts();
  }

  get lease(): BrowserLease {
    const lease = this.#session.browserLease;
    if (lease === undefined) throw new Refusal('not_ready');
    return lease;
  }

  get workspace(): Workspace {
    const { folders, closed } = this.#parts.workspace;
    const lease = this.#session.browserLease;
    return {
      folders,
      closed,
      // Asked for late: the session's folder is there only with its browser, and another one after a move.
      get own() {
        return lease?.current?.ownFolder;
      },
    };
  }

  get resources(): ResourceStore {
    return this.#session.resources;
  }

  get clock(): Clock {
    return this.#parts.clock;
  }

  get log(): Log {
    return this.#parts.log;
  }

  /** What cannot be written is replaced by an answer that says so; anything else that cannot is dropped. */
  send(message: JSONRPCMessage, relatedTo?: RequestId): void {
    try {
      this.#session.tap?.('session', message);
      this.#session.channel.deliver(message, relatedTo);
    } catch (error) {
      this.#failed(error);
      if (!('method' in message) && message.id !== undefined) this.#answerFailed(message.id);
    }
  }

  #answerFailed(id: RequestId): void {
    try {
      this.#session.channel.deliver(new Refusal('internal').toJsonRpc(id), id);
    } catch (error) {
      this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    this.log.error('message not written', { session: this.#session.id.slice(0, 8), error: messageOf(error) });
  }

  requestCancelled(request: RequestId): void {
    this.#session.channel.requestCancelled?.(request);
  }

  suspend(request: RequestId, retryMs: number): void {
    this.#session.channel.suspend?.(request, retryMs);
  }

  requestSettled(request: SettledRequest): void {
    this.#session.actor.send({ type: 'request.settled', request });
  }
}
