import type { SessionRegistry } from '../session/registry.js';
import type { RemovedRecords } from '../tenancy/removed.js';
import type { OpenResponses } from '../transport/openResponses.js';

/** Ends what was opened with what is removed: streams, and sessions. Resolves when all that they owned is released. */
export function endRemovedAccess(registry: SessionRegistry, answers: OpenResponses) {
  return async ({ users, tokens, browsers }: RemovedRecords): Promise<void> => {
    for (const token of tokens) answers.closeForToken(token);
    await registry.closeWhere(
      ({ user, principal: { credentialId }, browserUrl }) =>
        users.includes(user) ||
        (credentialId !== undefined && tokens.includes(credentialId)) ||
        browsers.some((browser) => browser.user === user && browser.url === browserUrl),
    );
  };
}
