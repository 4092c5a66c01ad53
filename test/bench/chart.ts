import { createActor, fromPromise, type ActorRefFrom } from 'xstate';
import { chart, inputOf } from '../model/plan.js';

/** Processor time of the session chart alone, in microseconds: what every server pays whose sessions are these actors. */
export interface ChartCost {
  /** From the actor's start to its end, with what a client says that initialises and leaves. */
  readonly sessions: number;
  /** One request, received and settled. */
  readonly pings: number;
}

const done = fromPromise<void, { id: string }>(() => Promise.resolve());
const logic = chart.provide({ actors: { registerTools: done, checkBrowser: done, claim: done } });
/** Arms nothing. */
const clock = { setTimeout: () => 0, clearTimeout: () => undefined };
const request = { id: 1, method: 'ping', tool: null, outcome: 'ok', durationMs: 1 } as const;

type Running = ActorRefFrom<typeof logic>;

/** Measured in this process, which does nothing else meanwhile. The first round warms up. */
export async function measureChart(count: number): Promise<ChartCost> {
  await openAndClose(count);
  const sessions = await microsOf(count, () => openAndClose(count));
  const actor = await open();
  ask(actor, count);
  const pings = await microsOf(count, async () => ask(actor, count));
  actor.stop();
  return { sessions, pings };
}

async function openAndClose(count: number): Promise<void> {
  for (let left = count; left > 0; left -= 1) {
    const actor = await open();
    ask(actor, 1);
    actor.send({ type: 'message.received', kind: 'notification' });
    actor.send({ type: 'transport.detached', because: 'client-closed' });
  }
}

async function open(): Promise<Running> {
  const actor = createActor(logic, { clock, input: inputOf('lazy', 0) });
  const connected = new Promise<void>((resolve) => {
    actor.subscribe((snapshot) => snapshot.matches('connected') && resolve());
  });
  actor.start().send({ type: 'transport.attached' });
  await connected;
  return actor;
}

function ask(actor: Running, count: number): void {
  for (let left = count; left > 0; left -= 1) {
    actor.send({ type: 'message.received', kind: left === count ? 'initialize' : 'request' });
    actor.send({ type: 'request.settled', request });
  }
}

async function microsOf(count: number, work: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / count;
}
