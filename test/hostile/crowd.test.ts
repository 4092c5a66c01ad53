import { crowdTools, intruders, shortVisits } from '../bench/soak/crowd.js';
import { keepPinging } from '../bench/soak/goodClient.js';
import { ManualClock } from '../support/manualClock.js';
import { startTestServer, whenAllEnded } from '../support/testServer.js';

const manyMs = 600_000;
const hourMs = 3_600_000;

// In earnest, with thousands of them and a measured heap: npm run soak -- --part hostile.
test('whoever comes, is cut off or does its worst leaves nothing, and who pings meanwhile is answered', async () => {
  const clock = new ManualClock();
  const served = await startTestServer({ tools: crowdTools, clock, options: { lease: 'lazy' } });
  const { url, orchestrator } = served;
  const stop = new AbortController();
  const pinging = [0, 1, 3].map((turn) => keepPinging(url, turn, { signal: stop.signal, withinMs: manyMs }));
  const stay = await Promise.all(
    Object.values(intruders).map((enter, turn) =>
      enter({ url, user: `hostile-${turn}` }).catch(() => () => Promise.resolve()),
    ),
  );
  for (const [turn, visit] of Object.values(shortVisits).entries()) {
    await Promise.all([0, 1, 2].map((each) => visit({ url, user: `short-${turn}-${each}` })));
  }
  await Promise.all(stay.map((leave) => leave()));
  stop.abort();
  for (const times of await Promise.all(pinging)) expect(times.length).toBeGreaterThan(0);
  // Of some that went without a word nothing else tells.
  clock.advance(hourMs);
  await whenAllEnded(served);
  expect(orchestrator.registry.list()).toEqual([]);
  await served.close();
});
