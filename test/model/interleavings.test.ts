import fc from 'fast-check';
import { plan, ScheduledCore, setting } from './scheduledCore.js';

const schedules = 2_000;

// The reporter prints seed and path of a failure: give both to fc.assert to run it again.
test(`[S1][S2][S3][S4][S5][S6][S7][S8][S9] hold in ${schedules} generated interleavings of up to four sessions`, async () => {
  const plans = fc.array(plan, { minLength: 1, maxLength: 3 });
  let announced = 0;
  let held = 0;
  let handedOver = 0;
  const property = fc.asyncProperty(fc.scheduler(), plans, setting, async (scheduler, asked, around) => {
    const run = new ScheduledCore(scheduler, around);
    if (around.warm !== null) run.openWarm(around.warm);
    for (const one of asked) run.openLater(one);
    if (around.drains) void scheduler.schedule(Promise.resolve(), 'drain').then(() => void run.registry.drain());
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
