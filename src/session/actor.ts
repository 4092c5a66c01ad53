import { fromCallback, fromPromise } from 'xstate';
import { sessionMachine } from '../../machines/index.js';
import type { BrowserLeaseEvent, Failure } from '../../machines/events.js';
import type { BrowserLease, BrowserPool, LeaseRequest } from '../browser/pool/browserLease.js';
import { timeLimit } from '../clock.js';
import { toFailureData, Refusal } from '../errors/errors.js';
import { principalKey } from '../tenancy/principal.js';
import type { Session, SessionLogic } from './session.js';

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

/** What the names in the session chart stand for in this process. */
export interface SessionLogicDeps {
  /** The session of a running actor. */
  find(id: string): Session;
  readonly pool: BrowserPool;
  readonly isolation: 'auto' | 'context' | 'process' | 'profile';
  readonly delays: SessionDelays;
  /** Prepares one session before it can be announced; a rejection closes it as `setup-failed`. */
  registerTools(session: Session, signal: AbortSignal): Promise<void>;
  /** Claims the session in the directory; a rejection closes it as `claim-refused`, unannounced. */
  claim(session: Session, signal: AbortSignal): Promise<void>;
  /** Whether another node goes on with the session as it ends here. */
  isHandedOff(session: Session): boolean;
}

/** Where a session works: in the user's own browser and profile, or as the server is configured. */
function leaseTarget({ browserUrl: endpoint, resumeFrom }: Session, isolation: LeaseRequest['isolation']) {
  const place = endpoint === undefined ? { isolation } : ({ isolation: 'profile', endpoint } as const);
  return resumeFrom === undefined ? place : { ...place, resume: resumeFrom };
}

/** The session chart with its implementations: made once, shared by every session actor of the process. */
export function createSessionLogic(deps: SessionLogicDeps): SessionLogic {
  const { find, pool, isolation, delays } = deps;
  return sessionMachine.provide({
    actors: {
      browserLease: fromCallback<BrowserLeaseEvent, LeaseInput>(({ input, sendBack, receive }) => {
        const session = find(input.id);
        const released = new AbortController();
        let acquiring = 0;
        const failed = (failure: Failure): void => sendBack({ type: 'browser.failed', failure });
        const lease = pool.lease(
          {
            sessionId: session.id,
            owner: session.isWarm ? '' : principalKey(session.principal),
            ...leaseTarget(session, isolation),
          },
          {
            lost: () => sendBack({ type: 'browser.lost' }),
            // While one is being leased, that is what is waited for: not the browser alone, but the session's place in it.
            ready: () => acquiring === 0 && sendBack({ type: 'browser.leased' }),
            failed,
          },
        );
        session.setBrowserLease(lease);
        const acquire = (): void => {
          acquiring += 1;
          prepareBrowser(session, lease, released.signal, delays.setupTimeout)
            .finally(() => (acquiring -= 1))
            .then(
              () => sendBack({ type: 'browser.leased' }),
              (error: unknown) => failed(toFailureData(error, 'browser_failed')),
            );
        };
        if (input.lease === 'eager') acquire();
        receive(acquire);
        return () => {
          released.abort(new Error('The session has ended.'));
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
      terminate: ({ context }) => find(context.id).terminate(context.closedBecause ?? 'operator-closed', context.failure),
    },
    delays: {
      setupTimeout: delays.setupTimeout,
      initializeTimeout: delays.initializeTimeout,
      idleTimeout: delays.idleTimeout,
      resumeGrace: delays.resumeGrace,
      drainTimeout: delays.drainTimeout,
    },
  });
}

/** Of the time for the set-up, how much may be spent in the queue: what is left is for the answer. */
const queueShare = 0.9;

/**
 * In a warm session the first page is open too: it is what the first tool would wait for. One that nobody has asked for
 * does not queue for a browser: whoever waits for one is a client, who is told that all are taken before the set-up ends.
 */
async function prepareBrowser(
  session: Session,
  lease: BrowserLease,
  signal: AbortSignal,
  setupTimeout: number,
): Promise<void> {
  const waiting = new AbortController();
  let limit: AbortSignal | undefined;
  const onQueued = (): void => {
    if (session.isWarm) waiting.abort(new Refusal('browsers_busy'));
    if (limit !== undefined) return;
    limit = timeLimit(setupTimeout * queueShare);
    limit.addEventListener('abort', () => waiting.abort(stillBusy(setupTimeout * queueShare)), { once: true });
  };
  const browser = await lease.browser(waiting.signal, onQueued);
  if (session.isWarm) await browser.ensureFirstPage(signal);
}

function stillBusy(ms: number): Refusal {
  const detail =
    `Every browser process is taken, and none became free in ${Math.round(ms / 1000)} s. Try again in a moment; ` +
    `--max-browsers allows more of them.`;
  return new Refusal('browsers_busy', { detail });
}
