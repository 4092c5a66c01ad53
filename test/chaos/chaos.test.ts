import { join } from 'node:path';
import { faults } from './faultPlan.js';
import { run } from './chaosRun.js';

test('[C-CHAOS][S5][S11][S12] twenty faults of all kinds under load: nothing is lost, repeated, crossed or left', async () => {
  const {
    history,
    violations,
    faults: made,
  } = await run({
    ...{
      seed: 20,
      faults: 20,
      leaseMs: 600,
      clients: 9,
      maxDurationMs: 300_000,
      waitTimeoutMs: 60_000,
      pausedMs: 5_000,
    },
    program: join(import.meta.dirname, 'chaosNode.js'),
    report: () => undefined,
  });
  expect(violations).toEqual([]);
  expect(made).toBe(20);
  const kinds = new Set(history.flatMap((each) => (each.type === 'fault' ? [each.kind] : [])));
  expect([...kinds].toSorted()).toEqual(Object.keys(faults).toSorted());
  expect(history.filter(({ type }) => type === 'answered').length).toBeGreaterThan(20);
});
