import type { Additions } from '../mcp/features.js';
import type { LogLevel } from '../tools/client.js';
import type { SessionFacts } from '../tools/defineTool.js';
import type { Session } from './session.js';

/** One session as an embedder sees it: from `onSession`, before the announcement, until it is closed. */
export interface OpenSession {
  readonly id: string;
  /** The current facts. */
  readonly facts: SessionFacts;
  /** Resolves, never rejects, once the session is closed and what it owned is released. */
  readonly ended: Promise<void>;
  /**
   * Adds tools, prompts and resources to this session alone. Each given list replaces the one given before; an initialized
   * client is notified (`notifications/…/list_changed`). Throws, without a change, if a name is taken. Does nothing in a
   * closed session.
   */
  add(additions: Additions): void;
  /** Notifies the client that a resource changed, if it is subscribed to it. */
  resourceUpdated(uri: string): void;
  /** Sends `notifications/message`, if the client's log level includes it. */
  log(level: LogLevel, data: unknown): void;
  /** Closes the session as `operator-closed`. Idempotent. */
  close(): void;
}

/** The part of a session that an embedder may use. */
export function toOpenSession(session: Session): OpenSession {
  const { server } = session;
  return {
    id: session.id,
    ended: session.ended,
    get facts() {
      return session.facts();
    },
    add: (additions) => server.add(additions),
    resourceUpdated: (uri) => server.resourceUpdated(uri),
    log: (level, data) => server.log(level, data),
    close: () => session.close('operator-closed'),
  };
}
