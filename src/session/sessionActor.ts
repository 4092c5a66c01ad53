import { fromCallback, fromPromise } from 'xstate';
import { sessionMachine } from '../../machines/index.js';
import type { Failure } from '../../machines/events.js';
import type { BrowserPool } from '../browser/lease/lease.js';
import { messageOf, Refusal } from '../errors.js';
import { ownerKey } from '../tenancy/principal.js';
import type { Session, SessionLogic } from './session.js';

export interface SessionDelays {
  readonly setupTimeout: number;
  readonly initializeTimeout: number;
  readonly idleTimeout: number;
  readonly resumeGrace: number;
  readonly drainTimeout: number;
}

/** What the names in the session chart stand for in this process. */
export interface SessionImplementation {
  /** The session of a running actor. */
  find(id: string): Session;
  readonly pool: BrowserPool;
  readonly isolation: 'auto' | 'context' | 'process' | 'profile';
  readonly delays: SessionDelays;
  /** Prepares one session before it can be announced; a rejection closes it as `setup-failed`. */
  registerTools(session: Session, signal: AbortSignal): Promise<void>;
  /** Claims the session in the directory; a rejection closes it as `claim-refused`, unannounced. */
  claim(session: Session, signal: AbortSignal): Promise<void>;
}

/** The session chart with its implementations: made once, shared by every session actor of the process. */
export function provideSession(implementation: SessionImplementation): SessionLogic {
  const { find, pool, isolation, delays } = implementation;
  return sessionMachine.provide({
    actors: {
      browserLease: fromCallback<{ type: 'none' }, { id: string; lease: 'eager' | 'lazy' }>(({ input, sendBack }) => {
        const session = find(input.id);
        const failed = (failure: Failure): void => sendBack({ type: 'browser.failed', failure });
        const lease = pool.lease(
          { sessionId: session.id, owner: ownerKey(session.principal), isolation },
          {
            lost: () => sendBack({ type: 'browser.lost' }),
            ready: () => sendBack({ type: 'browser.leased' }),
            failed,
          },
        );
        session.holdLease(lease);
        if (input.lease === 'eager') {
          lease.browser().then(
            () => sendBack({ type: 'browser.leased' }),
            (error: unknown) => failed(failureOf(error)),
          );
        }
        return () => session.releaseLease();
      }),
      registerTools: fromPromise<void, { id: string }>(({ input, signal }) =>
        implementation.registerTools(find(input.id), signal),
      ),
      claim: fromPromise<void, { id: string }>(({ input, signal }) => implementation.claim(find(input.id), signal)),
    },
    actions: {
      announce: ({ context }) => find(context.id).channel.announce(context.id),
      deliver: ({ context }) => find(context.id).deliver(),
      dismiss: ({ context }) => find(context.id).dismiss(context.closedBecause ?? 'operator-closed', context.failure),
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

function failureOf(error: unknown): Failure {
  return { reason: error instanceof Refusal ? error.reason : 'browser_failed', message: messageOf(error) };
}
