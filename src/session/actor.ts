import { fromCallback, fromPromise } from 'xstate';
import { sessionMachine } from '../../machines/index.js';
import type { BrowserLeaseEvent, Failure } from '../../machines/events.js';
import type { BrowserLease, BrowserPool, LeaseRequest } from '../browser/pool/browserLease.js';
import { timeLimit } from '../clock.js';
import { LateAbort } from '../async.js';
import { toFailureData, Refusal } from '../errors/errors.js';
import { principalKey } from '../tenancy/principal.js';
import type { Session } from './session.js';
import type { UserQuotas } from './userQuotas.js';
import type { SessionLogic } from './sessionDeps.js';

interface LeaseInput {
  readonly id: string;
  readonly lease: 'eager' | 'lazy';
}

export interface SessionDelays {
  readonly setupTimeout: number;
  readonly initializeTimeout: number;
  readonly idleTimeout: number;
  readonly resumeGrace: number;
  readonly drainTimeout: number;
}

/** Collaborators of the session chart's implementations. */
export interface SessionLogicDeps {
  /** The session of a running actor. */
  find(id: string): Session;
  readonly pool: BrowserPool;
  readonly isolation: 'auto' | 'context' | 'process' | 'profile';
  readonly delays: SessionDelays;
  readonly quotas?: UserQuotas | undefined;
  /** Prepares a session before it can be announced; a rejection closes it as `setup-failed`. */
  registerTools(session: Session, signal: AbortSignal): Promise<void>;
  /** Claims the session in the directory; a rejection closes it as `claim-refused`, unannounced. */
  claim(session: Session, signal: AbortSignal): Promise<void>;
  /** Whether the session is handed off to another node as it ends here. */
  isHandedOff(session: Session): boolean;
}

/** Which browser a session leases: the user's own, or as the server is configured. */
function leaseTarget(
  { browserUrl: endpoint, resumeFrom, isolation: chosen }: Session,
  configured: LeaseRequest['isolation'],
) {
  const isolation = chosen ?? configured;
  const target = endpoint === undefined ? { isolation } : ({ isolation: 'profile', endpoint } as const);
  return resumeFrom === undefined ? target : { ...target, resume: resumeFrom };
}

function leaseRequestOf(session: Session, { isolation, quotas }: SessionLogicDeps): LeaseRequest {
  return {
    sessionId: session.id,
    owner: session.isWarm ? '' : principalKey(session.principal),
    rules: session.isWarm ? undefined : session.urls,
    downloadRefusal: async () => (session.isWarm ? undefined : quotas?.downloadRefusal(session.principal)),
    ...leaseTarget(session, isolation),
  };
}

/** The session chart with its implementations: made once, shared by every session actor of the process. */
export function createSessionLogic(deps: SessionLogicDeps): SessionLogic {
  const { find, pool, delays } = deps;
  return sessionMachine.provide({
    actors: {
      browserLease: fromCallback<BrowserLeaseEvent, LeaseInput>(({ input, sendBack, receive }) => {
        const session = find(input.id);
        const released = new LateAbort();
        let acquiring = 0;
        const failed = (failure: Failure): void => sendBack({ type: 'browser.failed', failure });
        const lease = pool.lease(leaseRequestOf(session, deps), {
          lost: () => {
            session.browserTime.stop();
            sendBack({ type: 'browser.lost' });
          },
          // While a lease is pending, the browser alone does not count: the session's placement is awaited too.
          ready: () => acquiring === 0 && leased(),
          failed,
        });
        const leased = (): void => {
          session.browserTime.start();
          sendBack({ type: 'browser.leased' });
        };
        session.setBrowserLease(lease);
        const acquire = (): void => {
          acquiring += 1;
          prepareBrowser(session, lease, released.signal, delays.setupTimeout)
            .finally(() => (acquiring -= 1))
            .then(leased, (error: unknown) => failed(toFailureData(error, 'browser_failed')));
        };
        if (input.lease === 'eager') acquire();
        receive(acquire);
        return () => {
          released.abort(() => new Error('The session has ended.'));
          session.releaseLease({ keepOpen: deps.isHandedOff(session) });
        };
      }),
      registerTools: fromPromise<void, { id: string }>(({ input, signal }) =>
        deps.registerTools(find(input.id), signal),
      ),
      checkBrowser: fromPromise<void, { id: string }>(
        ({ input, signal }) => find(input.id).browserLease?.check(signal) ?? Promise.resolve(),
      ),
      claim: fromPromise<void, { id: string }>(({ input, signal }) => deps.claim(find(input.id), signal)),
    },
    actions: {
      announce: ({ context }) => find(context.id).channel.announce(context.id),
      deliver: ({ context }) => find(context.id).deliver(),
      terminate: ({ context }) =>
        find(context.id).terminate(context.closedBecause ?? 'operator-closed', context.failure),
    },
    delays: { ...delays },
  });
}

/** The fraction of the setup timeout that may be spent in the wait queue; the rest is left for the answer. */
const queueFraction = 0.9;

/**
 * Waits for the browser of a session. A warm session also opens its first page, which its first tool would wait for, and
 * never queues for a browser: the wait queue is for clients. A client that queues is refused with `browsers_busy` before
 * its setup times out.
 */
async function prepareBrowser(
  session: Session,
  lease: BrowserLease,
  signal: AbortSignal,
  setupTimeout: number,
): Promise<void> {
  const queueing = new AbortController();
  let limit: AbortSignal | undefined;
  const onQueued = (): void => {
    if (session.isWarm) queueing.abort(new Refusal('browsers_busy'));
    if (limit !== undefined) return;
    limit = timeLimit(setupTimeout * queueFraction);
    limit.addEventListener('abort', () => queueing.abort(busyAfter(setupTimeout * queueFraction)), { once: true });
  };
  const browser = await lease.browser(queueing.signal, onQueued);
  if (session.isWarm) await browser.ensureFirstPage(signal);
}

function busyAfter(ms: number): Refusal {
  const detail =
    `Every browser process is taken, and none became free in ${Math.round(ms / 1000)} s. Try again in a moment; ` +
    `--max-browsers allows more of them.`;
  return new Refusal('browsers_busy', { detail });
}
