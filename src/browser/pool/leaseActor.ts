import { createActor, fromPromise, type ActorRefFrom, type AnyActorRef, type InspectionEvent } from 'xstate';
import type { LeaseEvent } from '../../../machines/events.js';
import { leaseMachine } from '../../../machines/index.js';
import type { LeaseRequest } from './browserLease.js';

/** The actions that the chart of a lease requires of its owner. */
export interface LeaseActions {
  startOpening(this: void): void;
  startMove(this: void): void;
  keepRecord(this: void): void;
  keepPages(this: void): void;
  dropPlacement(this: void): void;
  reportLost(this: void): void;
  reportReady(this: void): void;
  closeAll(this: void): Promise<void>;
}

type LeaseAction = Exclude<keyof LeaseActions, 'closeAll'>;

interface LeaseActorOptions {
  readonly request: LeaseRequest;
  readonly inspect?: ((event: InspectionEvent) => void) | undefined;
  /** Called once, when the lease is used for the first time. */
  actions(this: void): LeaseActions;
}

/** The actor of one lease, from its first use on: most lazy leases are released without. Owned by the lease. */
export class LeaseActor {
  readonly #options: LeaseActorOptions;
  /** The actions requested in the current step of the chart. They run after it, since they may read its state. */
  readonly #due: LeaseAction[] = [];
  #actions: LeaseActions | undefined;
  #actor: ActorRefFrom<typeof leaseMachine> | undefined;

  constructor(options: LeaseActorOptions) {
    this.#options = options;
  }

  /** Whether the next browser restores what the session had open. */
  get isRestorable(): boolean {
    return this.#actor?.getSnapshot().hasTag('restorable') === true;
  }

  /** Whether the session has moved, or could never. */
  get isSettled(): boolean {
    return this.#actor?.getSnapshot().matches({ leased: { process: 'settled' } }) === true;
  }

  get losses(): number {
    return this.#actor?.getSnapshot().context.losses ?? 0;
  }

  /** A call needs a browser. */
  want(): void {
    if (this.#actor !== undefined) this.send({ type: 'browser.wanted' });
    else this.#start();
  }

  /** What happens before the first use, or after the release, is of no interest. */
  send(event: LeaseEvent): void {
    if (this.#actor?.getSnapshot().status !== 'active') return;
    this.#actor.send(event);
    this.#follow();
  }

  /** An action of the chart. */
  add(action: LeaseAction): void {
    this.#due.push(action);
  }

  /** The actor `closeAll` of the chart. */
  closeAll(): Promise<void> {
    return this.#actions?.closeAll() ?? Promise.resolve();
  }

  #start(): void {
    const { request, inspect, actions } = this.#options;
    const { sessionId, isolation, resume } = request;
    this.#actions = actions();
    this.#actor = createActor(leaseLogic, {
      id: sessionId,
      input: { isolation, isResumed: resume !== undefined },
      ...(inspect && { inspect }),
    });
    leaseActors.set(this.#actor.system, this);
    this.#actor.start();
    this.#follow();
  }

  #follow(): void {
    for (let next = this.#due.shift(); next !== undefined; next = this.#due.shift()) this.#actions?.[next]();
  }
}

/** Each lease has a system of actors of its own. */
const leaseActors = new WeakMap<AnyActorRef['system'], LeaseActor>();

function leaseIn(system: AnyActorRef['system']): LeaseActor {
  const lease = leaseActors.get(system);
  if (lease === undefined) throw new Error('The actor of a lease runs without its owner.');
  return lease;
}

const adding =
  (action: LeaseAction) =>
  ({ system }: { readonly system: AnyActorRef['system'] }): void =>
    leaseIn(system).add(action);

/** The lease chart with its implementations: made once, shared by the actors of all leases. */
const leaseLogic = leaseMachine.provide({
  actions: {
    startOpening: adding('startOpening'),
    startMove: adding('startMove'),
    keepRecord: adding('keepRecord'),
    keepPages: adding('keepPages'),
    dropPlacement: adding('dropPlacement'),
    reportLost: adding('reportLost'),
    reportReady: adding('reportReady'),
  },
  actors: { closeAll: fromPromise(({ system }) => leaseIn(system).closeAll()) },
});
