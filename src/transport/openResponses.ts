import type { ServerResponse } from 'node:http';
import { LRUCache } from 'lru-cache';
import { unauthorized } from '../tenancy/bearerToken.js';
import type { Caller } from '../tenancy/principal.js';

/** The last revoked tokens: a request that was admitted just before the revocation is still refused. */
const maxRevokedTokens = 1_000;

/**
 * The open responses, by the token of their requests. A session belongs to its user, and any token of that user may open
 * streams of it, at any node. When a token is revoked, its responses end, even if another token opened the session.
 */
export class OpenResponses {
  readonly #byToken = new Map<string, Set<ServerResponse>>();
  readonly #revoked = new LRUCache<string, true>({ max: maxRevokedTokens });

  /** Tracks a response until it closes. Throws `unauthorized` if the token was revoked after the admission. */
  track(caller: Caller, response: ServerResponse): void {
    const token = caller === 'anyone' ? undefined : caller.credentialId;
    if (token === undefined || response.destroyed) return;
    if (this.#revoked.has(token)) throw unauthorized({ tokenRejected: true });
    const responses = this.#byToken.get(token) ?? new Set();
    this.#byToken.set(token, responses.add(response));
    response.once('close', () => {
      responses.delete(response);
      if (responses.size === 0 && this.#byToken.get(token) === responses) this.#byToken.delete(token);
    });
  }

  /** Cuts every response of this token, and refuses later ones. */
  closeForToken(token: string): void {
    this.#revoked.set(token, true);
    // The socket, not the response: a pipelined response that waits for an earlier one has no socket of its own yet.
    for (const { req } of this.#byToken.get(token) ?? []) req.socket.destroy();
  }
}
