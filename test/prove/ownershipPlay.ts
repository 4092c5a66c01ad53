import { setImmediate } from 'node:timers/promises';
import type { CloseReason } from '../../machines/events.js';
import type { ClusterStore, OwnerLookup, OwnershipTerm } from '../../src/cluster/clusterStore.js';
import { SessionOwnership } from '../../src/cluster/ownership.js';
import { silentLog } from '../../src/log.js';
import { progressEvery, type Progress } from './explore.js';
import { withOverrides } from '../cluster/storeOverrides.js';

/** What may go wrong and how far it is played. */
export interface OwnershipBounds {
  /** Steps of the store that fail, before or after they are done. */
  readonly failures: number;
  /** Whether the first node may stop, and leave the session to the other. */
  readonly drains: boolean;
}

const principal = { issuer: 'local', user: 'anna' };
/** Never aborted: one for all plays, since each costs more than the play that it is for. */
const { signal } = new AbortController();
const nodeNames = ['one', 'two'] as const;
type NodeName = (typeof nodeNames)[number];

/** A store in which nothing is known of the session. */
export interface FreshStore {
  readonly store: ClusterStore;
  readonly sessionId: string;
}

/** A step that a node has asked the store for: first it is done, then the node hears of it. */
interface Step {
  readonly name: string;
  readonly node: NodeName;
  readonly execute: () => Promise<unknown>;
  readonly resolve: (outcome: unknown) => void;
  readonly reject: (error: Error) => void;
  outcome?: Promise<unknown>;
}

interface Player {
  readonly ownership: SessionOwnership;
  session: 'none' | 'open' | 'ended';
  /** Ends the session that is open here. */
  end: (because: CloseReason) => void;
  readonly done: Set<string>;
}

/**
 * Two nodes and one session: the real `SessionOwnership` of each over one real store, of which every step waits to be done and
 * to be heard of. A play is a list of moves; it is played from the start each time.
 */
export class OwnershipPlay {
  readonly violations: string[] = [];
  readonly #store: ClusterStore;
  readonly #sessionId: string;
  readonly #players: Readonly<Record<NodeName, Player>>;
  readonly #steps: Step[] = [];
  /** The owner of each epoch, as the store gave it. */
  readonly #owners: (NodeName | undefined)[] = [];
  #isClosed = false;
  #failuresLeft: number;
  readonly #bounds: OwnershipBounds;

  constructor(bounds: OwnershipBounds, { store, sessionId }: FreshStore) {
    this.#bounds = bounds;
    this.#store = store;
    this.#sessionId = sessionId;
    this.#failuresLeft = bounds.failures;
    this.#players = { one: this.#player('one'), two: this.#player('two') };
    const { ownership } = this.#players.one;
    const claim = { sessionId: this.#sessionId, principal, transport: 'streamable-http' };
    void ownership.claim(claim, signal).then(
      () => this.#open('one'),
      () => undefined,
    );
  }

  moves(): string[] {
    const heard = this.#steps.map(
      ({ name, node, outcome }) => `${node} ${name} ${outcome === undefined ? 'done' : 'heard'}`,
    );
    const failing = this.#failuresLeft > 0 ? this.#steps.map(({ name, node }) => `${node} ${name} fails`) : [];
    return [...new Set([...heard, ...failing, ...nodeNames.flatMap((node) => this.#doings(node))])];
  }

  async perform(move: string): Promise<void> {
    const [node, name, what] = move.split(' ') as [NodeName, string, string?];
    const player = this.#players[node];
    const step = this.#steps.find((each) => each.node === node && each.name === name);
    if (what === 'done' && step !== undefined) await (step.outcome = step.execute());
    else if (step !== undefined && what !== undefined) this.#finish(step, what === 'fails');
    else {
      player.done.add(name);
      const found = await this.#store.directory.find(this.#sessionId, 'anyone');
      this.#start(node, name, found);
    }
    await turns();
  }

  /** What is known of everything: two plays that agree in this go on alike. */
  async key(): Promise<string> {
    const found = await this.#store.directory.find(this.#sessionId, 'anyone');
    const players = nodeNames.map((node) => {
      const { ownership, session, done } = this.#players[node];
      const { epoch } = ownership.termOf(this.#sessionId) ?? {};
      return [
        epoch,
        ownership.has(this.#sessionId),
        ownership.isHandedOff(this.#sessionId),
        session,
        [...done].toSorted(),
      ];
    });
    const steps = this.#steps.map(({ node, name, outcome }) => `${node} ${name} ${outcome !== undefined}`).toSorted();
    return JSON.stringify([found, players, steps, this.#failuresLeft, this.#isClosed]);
  }

  /** Lets everything that was begun come to its end, and each node renew: then only the owner has the session. */
  async settle(): Promise<void> {
    for (let round = 0; round < 3; round += 1) {
      for (const node of nodeNames) {
        const { ownership } = this.#players[node];
        void ownership.renewAll().catch(() => undefined);
        void ownership.recordPendingEnds().catch(() => undefined);
      }
      await turns();
      for (let step = this.#steps[0]; step !== undefined; step = this.#steps[0]) {
        await (step.outcome ??= step.execute());
        this.#finish(step, false);
        await turns();
      }
    }
    this.#checkEnd();
  }

  #checkEnd(): void {
    const owner = this.#owners.at(-1);
    for (const node of nodeNames) {
      const { ownership, session } = this.#players[node];
      if (session === 'open' && (owner !== node || this.#isClosed))
        this.violations.push(`S11: ${node} has the session and does not own it`);
      if (ownership.termOf(this.#sessionId) !== undefined && session !== 'open')
        this.violations.push(`S5: ${node} owns a session that has ended there`);
    }
    const isUnplayed = owner === undefined || this.#bounds.failures > this.#failuresLeft;
    const isLeft = owner !== undefined && this.#players[owner].ownership.isHandingOff;
    if (isUnplayed || this.#isClosed || isLeft) return;
    if (this.#players[owner].session !== 'open') this.violations.push('S5: the store has a session that nobody has');
  }

  #player(node: NodeName): Player {
    const player: Player = {
      ownership: new SessionOwnership({
        ...{ store: this.#gated(node), node, log: silentLog, isReady: () => true },
        onSessionLost: () => this.#players[node].end('node-lost'),
      }),
      ...{ session: 'none', end: () => undefined, done: new Set<string>() },
    };
    return player;
  }

  #doings(node: NodeName): string[] {
    const { ownership, session, done } = this.#players[node];
    const isIdle = !this.#steps.some((step) => step.node === node);
    const can: Record<string, boolean> = {
      save: this.#bounds.drains && node === 'one' && session === 'open',
      write: session === 'open',
      end: session === 'open',
      drain: this.#bounds.drains && node === 'one' && session === 'open',
      retry: isIdle && session === 'ended' && ownership.has(this.#sessionId),
      takeover:
        isIdle &&
        !ownership.has(this.#sessionId) &&
        !ownership.isHandingOff &&
        this.#owners.length > 0 &&
        !this.#isClosed,
    };
    return Object.keys(can).flatMap((name) => (can[name] === true && !done.has(name) ? [`${node} ${name}`] : []));
  }

  #start(node: NodeName, name: string, found: OwnerLookup): void {
    const { ownership, end } = this.#players[node];
    const ignore = (): void => undefined;
    if (name === 'save') ownership.saveSnapshot(this.#sessionId, '{}');
    else if (name === 'write')
      ownership.append({ sessionId: this.#sessionId, streamId: 'stream' }, 'event').then(ignore, ignore);
    else if (name === 'end') end('client-closed');
    else if (name === 'retry') ownership.recordPendingEnds().then(ignore, ignore);
    else if (name === 'takeover') this.#takeOver(node, found).then(ignore, ignore);
    else if (name === 'drain') {
      ownership.beginHandoff();
      end('server-draining');
    }
  }

  /** As `ClusterNode` does it. */
  async #takeOver(node: NodeName, found: OwnerLookup): Promise<void> {
    const { ownership } = this.#players[node];
    const store = this.#gated(node);
    if (found.kind !== 'owned' && found.kind !== 'not_ready') return;
    const epoch = await store.directory.takeOver({ sessionId: this.#sessionId, epoch: found.epoch }, node);
    if (epoch === null) return;
    const term = { sessionId: this.#sessionId, epoch };
    ownership.acquire(term);
    try {
      if (ownership.termOf(this.#sessionId) === term) this.#open(node);
      if ((await store.directory.completeTakeover(term)) === 'fenced') ownership.onFenced(term);
    } catch {
      ownership.relinquish(this.#sessionId);
    }
  }

  #open(node: NodeName): void {
    const player = this.#players[node];
    const ended = new Promise<CloseReason>((resolve) => {
      player.end = (because) => {
        if (player.session !== 'open') return;
        player.session = 'ended';
        resolve(because);
      };
    });
    player.session = 'open';
    player.ownership.releaseWhenEnded(this.#sessionId, ended);
  }

  #finish(step: Step, fails: boolean): void {
    this.#steps.splice(this.#steps.indexOf(step), 1);
    if (!fails) {
      step.resolve(step.outcome);
      return;
    }
    this.#failuresLeft -= 1;
    step.reject(new Error('The store cannot be reached.'));
  }

  #ask<Outcome>(node: NodeName, name: string, execute: () => Promise<Outcome>): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      this.#steps.push({ name, node, execute, resolve: (outcome) => resolve(outcome as Outcome), reject });
    });
  }

  #gated(node: NodeName): ClusterStore {
    const { directory, snapshots, events } = this.#store;
    const owned = async (epoch: Promise<number | null>): Promise<number | null> => {
      const given = await epoch;
      if (given !== null && this.#owners[given] !== undefined) this.violations.push('S11: two nodes have one epoch');
      if (given !== null) this.#owners[given] = node;
      return given;
    };
    const accepted = ({ epoch }: Pick<OwnershipTerm, 'epoch'>, isAccepted: boolean): void => {
      const isOwner = this.#owners[epoch] === node && epoch === this.#owners.length - 1 && !this.#isClosed;
      if (isAccepted && !isOwner) this.violations.push(`S11: a write of ${node} is accepted, and it is not the owner`);
    };
    return withOverrides(this.#store, {
      directory: {
        claim: (entry) => this.#ask(node, 'claim', () => owned(directory.claim(entry))),
        takeOver: (term, name) => this.#ask(node, 'takeOver', () => owned(directory.takeOver(term, name))),
        completeTakeover: (term) => this.#ask(node, 'completeTakeover', () => directory.completeTakeover(term)),
        renew: (term) => this.#ask(node, 'renewal', () => directory.renew(term)),
        close: (term, because) =>
          this.#ask(node, 'close', async () => {
            const outcome = await directory.close(term, because);
            accepted(term, outcome === 'closed');
            if (outcome === 'closed') this.#isClosed = true;
            return outcome;
          }),
      },
      snapshots: {
        put: (term, text) =>
          this.#ask(node, 'put', async () => {
            const outcome = await snapshots.put(term, text);
            accepted(term, outcome === 'put');
            return outcome;
          }),
      },
      events: {
        append: (epoch, address, data) =>
          this.#ask(node, 'append', async () => {
            const id = await events.append(epoch, address, data);
            accepted({ epoch }, id !== null);
            return id;
          }),
      },
    });
  }
}

const resolved = Promise.resolve();

/** Longer than any chain of promises here. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await resolved;
}

export interface PlayedOrders {
  readonly states: number;
  readonly moves: number;
  readonly depth: number;
  /** Each violation with the moves that lead to it. */
  readonly violations: ReadonlyMap<string, readonly string[]>;
}

/** Every order of everything within the bounds: a play that comes to a known state is not played on. */
export async function playAllOrders(
  bounds: OwnershipBounds,
  fresh: () => FreshStore,
  progress?: Progress,
): Promise<PlayedOrders> {
  const known = new Set<string>();
  const violations = new Map<string, readonly string[]>();
  let layer: string[][] = [[]];
  let [moves, depth, played] = [0, 0, 0];
  while (layer.length > 0) {
    const next: string[][] = [];
    for (const [index, path] of layer.entries()) {
      played += 1;
      // What a store has scheduled is kept until the event loop runs.
      if (played % 1_000 === 0) await setImmediate();
      if (played % progressEvery === 0) progress?.(played, played + layer.length - index + next.length, depth);
      const play = await replay(bounds, path, fresh());
      const key = await play.key();
      for (const found of play.violations) if (!violations.has(found)) violations.set(found, path);
      if (known.has(key)) continue;
      known.add(key);
      const possible = play.moves();
      moves += possible.length;
      next.push(...possible.map((move) => [...path, move]));
      await play.settle();
      for (const found of play.violations) if (!violations.has(found)) violations.set(found, [...path, 'all goes on']);
    }
    layer = next;
    depth += 1;
  }
  return { states: known.size, moves, depth: depth - 1, violations };
}

async function replay(bounds: OwnershipBounds, path: readonly string[], fresh: FreshStore): Promise<OwnershipPlay> {
  const play = new OwnershipPlay(bounds, fresh);
  await turns();
  for (const move of path) await play.perform(move);
  return play;
}
