import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import type { IncomingMessage } from 'node:http';
import type { Clock } from '../clock.js';
import type { Channel } from '../session/channel.js';
import type { Session, SessionParts } from '../session/session.js';
import type { SessionRegistry } from '../session/sessionRegistry.js';
import type { Authenticate, Credentials } from '../tenancy/auth.js';
import type { Principal } from '../tenancy/principal.js';
import type { ToolSet } from '../tools/catalogue.js';

/**
 * The contract of every transport: the SDK's `Transport`, so that anything which speaks it can be put behind one of ours,
 * and the session's `Channel`, which adds the one thing the SDK lacks: `start()` opens without telling the client anything,
 * `announce()` tells it.
 *
 * Owned by whoever accepted the connection; ended by its session (`end`) or by either side closing it (`close`). `onclose`
 * fires exactly once, however it ends, and nothing is written afterwards (S7).
 */
export interface SessionTransport extends Transport, Channel {
  /** Why `onclose` fired. */
  readonly closedBecause: 'client-closed' | 'slow-client';
}

/** What the routes of every transport need. */
export interface TransportDeps {
  readonly registry: SessionRegistry;
  readonly parts: SessionParts;
  readonly authenticate: Authenticate;
  /** The tools of `?tools=`, or the server's default without it. Throws a Refusal on an unknown group. */
  selectTools(groups: string | null): ToolSet;
  readonly clock: Clock;
}

/** Opens a session over a transport and ties the two together. Throws what `registry.open` throws: nothing was created. */
export function openSession(
  { registry, parts }: Pick<TransportDeps, 'registry' | 'parts'>,
  request: { readonly principal: Principal; readonly toolSet: ToolSet; readonly channel: SessionTransport },
): Session {
  const { channel } = request;
  const session = registry.open(parts, request);
  channel.onclose = () => session.detach(channel.closedBecause);
  channel.onmessage = (message) => session.receive(message);
  return session;
}

/** Who asks, of a request or an upgrade. No URL is parsed: a request target may be anything, and this must not fail. */
export function credentialsOf({ headers, url = '' }: Pick<IncomingMessage, 'headers' | 'url'>): Credentials {
  const start = url.indexOf('?');
  return { headers, query: new URLSearchParams(start === -1 ? '' : url.slice(start + 1)) };
}
