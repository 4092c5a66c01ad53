import type { Additions } from '../mcp/features.js';
import type { LogLevel } from '../tools/client.js';
import type { SessionFacts } from '../tools/defineTool.js';
import type { Session } from './session.js';

/** One session as an embedder has it: from `onSession`, before it can be announced, until it is closed. */
export interface OpenSession {
  readonly id: string;
  /** As they are now. */
  readonly facts: SessionFacts;
  /** Resolves, never rejects, once the session is closed and what it owned is released. */
  readonly ended: Promise<void>;
  /**
   * Offers this session tools, prompts and resources of its own. A list that is given takes the place of the one given
   * before; a client that is there already is told (`notifications/…/list_changed`). Throws if a name is taken, and then
   * nothing has changed. Does nothing in a session that is closed.
   */
  add(additions: Additions): void;
  /** Tells the client that a resource changed, if it subscribed to it. */
  resourceUpdated(uri: string): void;
  /** Sends `notifications/message`, if the client wants that level. */
  log(level: LogLevel, data: unknown): void;
  /** Ends it, as an operator would. Idempotent. */
  close(): void;
}

/** Shows an embedder what of a session is theirs to use. */
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
