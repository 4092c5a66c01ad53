import { runEveryOrder, type Orders } from './everyOrder.js';
import { ScheduledCore, type Plan, type Setting } from './scheduledCore.js';

/** Clients of one server, and how far their steps may be put off. */
export interface OrderBounds {
  readonly name: string;
  readonly around: Setting;
  readonly plans: readonly Plan[];
  readonly delays: number;
}

const good = { browser: 'ok', tools: 'ok', check: 'ok', claim: 'ok' } as const;
const eager: Setting = { lease: 'eager', drains: false, queueLimit: 0, warm: null };
const lazy: Setting = { ...eager, lease: 'lazy' };
const idle: Plan = { ...good, actions: [] };

const calls: Plan = { ...good, actions: ['hold', 'answer', 'hang up'] };
const cancels: Plan = { ...good, actions: ['initialize', 'hold', 'cancel', 'close'] };
const loses: Plan = { ...good, actions: ['lose', 'recover', 'ping'] };
const waits: Plan = { ...good, actions: ['notify', 'wait', 'ping', 'wait'] };
const hastens: Plan = { ...good, actions: ['ping', 'initialize', 'ping', 'hang up'] };

const pairs: readonly Omit<OrderBounds, 'delays'>[] = [
  { name: 'one calls and hangs up, one cancels and is closed', around: eager, plans: [calls, cancels] },
  { name: 'a browser is lost, and a claim is refused', around: eager, plans: [loses, { ...calls, claim: 'fails' }] },
  {
    name: 'early messages are held, tools fail',
    around: { ...eager, queueLimit: 2 },
    plans: [hastens, { ...hastens, tools: 'fails' }],
  },
  { name: 'the server stops', around: { ...lazy, drains: true }, plans: [calls, hastens] },
  { name: 'timeouts, and a browser that fails', around: lazy, plans: [waits, { ...cancels, browser: 'fails' }] },
  { name: 'two ask for one warm session', around: { ...eager, warm: idle }, plans: [calls, hastens] },
  {
    name: 'the warm session has lost its browser',
    around: { ...eager, warm: { ...idle, check: 'fails' } },
    plans: [loses, calls],
  },
];

const threes: readonly Omit<OrderBounds, 'delays'>[] = [
  { name: 'three that call, cancel and lose their browser', around: eager, plans: [calls, cancels, loses] },
  {
    name: 'three of which one is refused, and the server stops',
    around: { ...eager, drains: true, queueLimit: 2 },
    plans: [hastens, { ...calls, claim: 'fails' }, loses],
  },
];

/** Delays of two clients, of whom three have one less. */
export const orderBounds = (delays: number): OrderBounds[] => [
  ...pairs.map((each) => ({ ...each, delays })),
  ...threes.map((each) => ({ ...each, delays: delays - 1 })),
];

export function runSessionOrders({ around, plans, delays }: OrderBounds): Promise<Orders> {
  const count = plans.length + Number(around.warm !== null) + Number(around.drains);
  return runEveryOrder(count, delays, (scheduler) => new ScheduledCore(scheduler, around).begin(plans));
}
