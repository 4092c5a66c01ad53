import fc from 'fast-check';
import { runEveryOrder, type ScheduledProgram, type Scheduler } from './everyOrder.js';
import { plan, ScheduledCore, setting } from './scheduledCore.js';
import { orderBounds, runSessionOrders } from './sessionOrders.js';

const schedules = 2_000;

// The reporter prints seed and path of a failure: give both to fc.assert to run it again.
test(`[S1][S2][S3][S4][S5][S6][S7][S8][S9] hold in ${schedules} generated interleavings of up to four sessions`, async () => {
  const plans = fc.array(plan, { minLength: 1, maxLength: 3 });
  let announced = 0;
  let held = 0;
  let handedOver = 0;
  const property = fc.asyncProperty(fc.scheduler(), plans, setting, async (scheduler, asked, around) => {
    const run = new ScheduledCore(scheduler, around).begin(asked);
    await run.end();
    expect(run.violations()).toEqual([]);
    announced += run.sessions.filter(({ channel }) => channel.announcements === 1).length;
    held += run.sessions.flatMap((entry) => entry.held.filter(({ answer }) => answer === 'ok')).length;
    handedOver += Math.sign(run.assigned);
  });
  await fc.assert(property, { numRuns: schedules });
  // Else the promises held because nothing happened.
  expect(announced).toBeGreaterThan(schedules / 5);
  expect(held).toBeGreaterThan(schedules / 20);
  expect(handedOver).toBeGreaterThan(schedules / 50);
});

// `npm run prove` puts steps off once more.
test.each(orderBounds(2))(
  '[S1][S2][S3][S4][S5][S6][S7][S8][S9] hold in every order with up to $delays delays: $name',
  async (bounds) => {
    const { orders, runs, pruned, violations } = await runSessionOrders(bounds);
    expect(Object.fromEntries(violations)).toEqual({});
    expect(runs + pruned).toBeLessThanOrEqual(orders);
    expect(runs).toBeGreaterThan(10);
  },
);

/** Two plans that read a number, and write it one higher: each its own, or both the same one. */
function counting(scheduler: Scheduler, isOne: boolean): ScheduledProgram {
  const counters = [0, 0];
  const after: Promise<void>[] = [];
  for (const plan of [0, 1]) {
    const at = isOne ? 0 : plan;
    const owner = { plan, isShared: false };
    const reading = scheduler.schedule(Promise.resolve(), 'read', owner).then(() => counters[at] ?? 0);
    after.push(
      reading.then(async (read) => {
        await scheduler.schedule(Promise.resolve(), 'write', owner);
        counters[at] = read + 1;
      }),
    );
  }
  return {
    end: () => scheduler.waitIdle(),
    violations: () => (counters[0] === 1 && isOne ? ['a count is lost'] : []),
    fingerprint: () => counters.join(),
  };
}

test('every order within the bound is counted; what is lost in one of them is found, and so is what is shared unsaid', async () => {
  const apart = await runEveryOrder(2, 4, (scheduler) => counting(scheduler, false));
  // Of two plans of two steps: 4! / (2! 2!).
  expect([apart.orders, apart.violations.size]).toEqual([6, 0]);
  expect(apart.runs + apart.pruned).toBe(6);
  const without = await runEveryOrder(2, 0, (scheduler) => counting(scheduler, true));
  expect([without.orders, without.violations.size]).toEqual([1, 0]);
  const { violations } = await runEveryOrder(2, 1, (scheduler) => counting(scheduler, true));
  expect(violations.get('"a count is lost"')).toEqual(['0 read', '1 read', '1 write', '0 write']);
  const unsaid = await runEveryOrder(2, 4, (scheduler) => counting(scheduler, true));
  expect([...unsaid.violations.keys()].join()).toMatch('steps that share nothing: ');
});
