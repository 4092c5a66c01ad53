import type { ServerResponse } from 'node:http';
import { LRUCache } from 'lru-cache';
import { unauthorized } from '../tenancy/bearerToken.js';
import type { Caller } from '../tenancy/principal.js';

/** Requests that were let in with a token just before it was revoked are turned away for so many tokens back. */
const maxRevokedTokens = 1_000;

/**
 * The answers that are under way in sessions which somebody else may have opened, by the token that each was asked for
 * with: a session belongs to its user, and any token of theirs opens a stream of it. What a token opened ends with it.
 */
export class OpenResponses {
  readonly #byToken = new Map<string, Set<ServerResponse>>();
  readonly #revoked = new LRUCache<string, true>({ max: maxRevokedTokens });

  /** Follows an answer to its end. Throws `unauthorized` if the token was revoked since it was let in. */
  track(caller: Caller, response: ServerResponse): void {
    const token = caller === 'anyone' ? undefined : caller.credentialId;
    if (token === undefined || response.destroyed) return;
    if (this.#revoked.has(token)) throw unauthorized({ tokenRejected: true });
    const answers = this.#byToken.get(token) ?? new Set();
    this.#byToken.set(token, answers.add(response));
    response.once('close', () => {
      answers.delete(response);
      if (answers.size === 0 && this.#byToken.get(token) === answers) this.#byToken.delete(token);
    });
  }

  /** Cuts every answer that was asked for with this token, and lets in no more. */
  closeForToken(token: string): void {
    this.#revoked.set(token, true);
    // Not the answer alone: one that waits for another on its connection (pipelining) has no socket to end yet.
    for (const { req } of this.#byToken.get(token) ?? []) req.socket.destroy();
  }
}
