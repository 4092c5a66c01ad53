import type { CloseReason } from '../../machines/events.js';
import { noBrowserPool, type BrowserPool } from '../browser/pool/browserLease.js';
import type { UrlRules } from '../browser/policy/urlRules.js';
import { memoryDirectory, type Directory } from '../cluster/ownership.js';
import type { CompiledEmbedding, Setup } from './embedding.js';
import { toOpenSession } from '../session/embedderView.js';
import type { BrowserHandles } from '../mcp/methodContext.js';
import type { HandleOwner } from '../session/browserHandles.js';
import { createSessionLogic } from '../session/actor.js';
import type { Session } from '../session/session.js';
import type { SessionDeps, SessionOwner } from '../session/sessionDeps.js';
import type { SessionRegistry } from '../session/registry.js';
import { persistSnapshots } from '../session/persistence.js';
import { unauthorized } from '../tenancy/bearerToken.js';
import type { UserQuotas } from '../session/userQuotas.js';
import type { Principal } from '../tenancy/principal.js';
import type { Users } from '../tenancy/users.js';
import type { FileEncryption } from '../tools/encryptedFiles.js';

export interface SessionPartsDeps {
  readonly setup: Setup;
  readonly registry: SessionRegistry;
  readonly pool: BrowserPool;
  readonly users: Users;
  readonly embedding: CompiledEmbedding;
  readonly inspect: SessionDeps['inspect'];
  readonly directory: Directory;
  readonly rules: UrlRules;
  readonly encryption: FileEncryption;
  browsersOf(owner: HandleOwner): BrowserHandles;
  readonly quotas: UserQuotas;
}

/** The dependencies that all sessions of a server share. */
export function createSessionParts(deps: SessionPartsDeps): SessionDeps {
  const { registry, pool, users, embedding, inspect, directory, quotas } = deps;
  const { config, clock, log, secrets, onSession, prepareBrowser } = deps.setup;
  const { features: serverFeatures, serverInfo, profileChoice } = embedding;
  const logic = createSessionLogic({
    find: (id) => registry.get(id),
    pool,
    isolation: config.isolation,
    delays: config,
    quotas,
    registerTools: async (session, signal) => onSession?.(toOpenSession(session), signal),
    claim: async (session, signal) => {
      const { id: sessionId, principal, channel } = session;
      // The token may have been revoked, or have expired, while the browser was opened.
      const { expiresAt = Number.POSITIVE_INFINITY } = principal;
      if (!(await users.isTokenValid(principal)) || expiresAt <= clock.now())
        throw unauthorized({ tokenRejected: true });
      await directory.claim({ sessionId, principal, transport: channel.kind }, signal);
      registerOwnership(session, directory);
    },
    isHandedOff: ({ id }) => directory.isHandedOff?.(id) ?? false,
  });
  const { onEarlyMessage } = config;
  const { rules: urls, encryption } = deps;
  const workspace = { folders: config.workspace, closed: [config.dataDir], urls, encryption };
  // An eager session would wait for a browser that never comes.
  const lease = pool === noBrowserPool ? 'lazy' : config.lease;
  const queueLimit = onEarlyMessage === 'queue' ? config.queueLimit : 0;
  const hasFreeBrowser = (): boolean => config.isolation !== 'process' || !pool.isFull;
  // Otherwise nobody outside of this process is asked, and no token can be revoked meanwhile.
  const needsSetup = onSession !== undefined || directory !== memoryDirectory || config.auth !== 'none';
  const setup = needsSetup ? undefined : ('none' as const);
  const shared = {
    serverInfo,
    serverFeatures,
    profileChoice,
    secrets,
    workspace,
    lease,
    isolation: config.isolation,
    quotas,
    urlListsOf: async ({ user }: Principal) => (config.auth === 'none' ? undefined : users.urlListsOf(user)),
    queueLimit,
    setup,
    clock,
    log,
  };
  const browsersOf = (session: SessionOwner): BrowserHandles => deps.browsersOf(ownerOf(session));
  return { ...shared, logic, prepareBrowser, hasFreeBrowser, inspect, browsersOf };
}

/** A session opens further browsers with its own settings. */
function ownerOf(session: SessionOwner): HandleOwner {
  const { id: sessionId, principal, toolSet, groups, profile, browserUrl, server } = session;
  const { client, clientCapabilities, protocolVersion } = server;
  return {
    ...{ principal, caller: principal, toolSet, client, clientCapabilities, sessionId },
    protocolVersion: protocolVersion ?? '',
    ...(groups !== undefined && { groups }),
    ...(profile !== undefined && { profile }),
    ...(browserUrl !== undefined && { browserUrl }),
    // The session was counted, and so is each of its messages.
    admitOpening: () => Promise.resolve(),
  };
}

/** From its claim on, the directory gets the snapshots of the session, if it is resumable, and its end. */
export function registerOwnership(session: Session, directory: Directory): void {
  const { id, channel } = session;
  if (channel.snapshot !== undefined && directory.saveSnapshot !== undefined) {
    persistSnapshots(session, (snapshot) => directory.saveSnapshot?.(id, snapshot));
  }
  directory.releaseWhenEnded?.(id, whenEndDelivered(session));
}

/** Resolves with the close reason, after the session has ended and its last message is flushed. */
async function whenEndDelivered({ ended, channel, actor }: Session): Promise<CloseReason> {
  await ended;
  await channel.flushed;
  return actor.getSnapshot().context.closedBecause ?? 'setup-failed';
}

/**
 * The number of sessions that are kept warm. A session cannot be set up before its client is known in the tabs of a user,
 * or if an embedder's `onSession` may depend on the client.
 */
export function warmSessionCount({ config, onSession }: Setup, { lease }: SessionDeps): number {
  const fitsAnyClient = lease === 'eager' && config.isolation !== 'profile' && onSession === undefined;
  return fitsAnyClient ? config.prewarm : 0;
}
