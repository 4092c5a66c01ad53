import type { SessionRegistry } from '../session/sessionRegistry.js';
import type { Removed } from '../tenancy/removed.js';
import type { OpenAnswers } from '../transport/openAnswers.js';

/** Ends what was opened with what is removed: streams, and sessions. Resolves when all that they owned is released. */
export function endRemoved(registry: SessionRegistry, answers: OpenAnswers) {
  return async ({ users, tokens, browsers }: Removed): Promise<void> => {
    for (const token of tokens) answers.revoke(token);
    await registry.closeEach(
      ({ user, principal: { credentialId }, browserUrl }) =>
        users.includes(user) ||
        (credentialId !== undefined && tokens.includes(credentialId)) ||
        browsers.some((browser) => browser.user === user && browser.url === browserUrl),
    );
  };
}
