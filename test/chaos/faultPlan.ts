import { Random } from './random.js';

/** What is done to the nodes, their links to Redis, and Redis. */
export const faults = {
  kill: 'kill -9 of a node, which then starts again',
  stall: 'SIGSTOP for longer than the lease, then SIGCONT',
  leave: 'SIGTERM: the node leaves as it is meant to, then starts again',
  cut: 'the link between a node and Redis is cut, and none can be opened',
  delay: 'the link is slow',
  halfClose: 'Redis seems to end the connections, which still take what the node says',
  hold: 'what is on the link stands still, and arrives late',
  deaf: 'the node hears none of what is published',
  evict: 'Redis closes the connections of all clients',
  restart: 'kill -9 of Redis, which starts again with what it had written down',
  roll: 'SIGTERM of all nodes, one after the other, each started again before the next',
} as const;

export type FaultKind = keyof typeof faults;

/** How often each comes among twenty. */
const faultWeights: Readonly<Record<FaultKind, number>> = {
  ...{ kill: 3, stall: 3, leave: 2, cut: 2, delay: 2, halfClose: 2, hold: 1, deaf: 2, evict: 1, restart: 1, roll: 1 },
};
const weightedFaults = Object.entries(faultWeights).flatMap(([kind, share]) =>
  Array<FaultKind>(share).fill(kind as FaultKind),
);

export interface Fault {
  readonly kind: FaultKind;
  /** Which node, for those that befall one. */
  readonly node: number;
  /** How long it lasts, in milliseconds. */
  readonly ms: number;
  /** Milliseconds between the beginning of the one before and this one's, which may overlap. */
  readonly afterMs: number;
}

export interface PlanOptions {
  readonly seed: number;
  readonly count: number;
  readonly nodes: number;
  readonly leaseMs: number;
}

/** The faults of one run: they follow from the seed alone. */
export function planOf({ seed, count, nodes, leaseMs }: PlanOptions): Fault[] {
  const random = new Random(seed);
  const plan: Fault[] = [];
  while (plan.length < count) {
    for (const kind of random.shuffled(weightedFaults)) {
      const node = random.between(0, nodes - 1);
      const ms = durationOf(kind, leaseMs, random);
      plan.push({ kind, node, ms, afterMs: random.between(leaseMs / 4, leaseMs) });
    }
  }
  return plan.slice(0, count);
}

function durationOf(kind: FaultKind, leaseMs: number, random: Random): number {
  const [low, high] = ((): readonly [number, number] => {
    if (kind === 'stall') return [1.3, 2.5];
    if (kind === 'kill' || kind === 'restart' || kind === 'leave') return [0, 1.5];
    return [0.3, 2.2];
  })();
  return random.between(Math.round(leaseMs * low), Math.round(leaseMs * high));
}
