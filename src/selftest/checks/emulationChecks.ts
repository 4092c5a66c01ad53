import assert from 'node:assert/strict';
import { randomInt, randomUUID } from 'node:crypto';
import { assertIncludes, type CheckContext, type Check } from '../checkContext.js';

/** The best of three times of the same work in the page, in milliseconds. Throttling misses short work. */
const measureWork = async (context: CheckContext): Promise<number> =>
  Number(
    await context.evaluate(`Math.min(...[1, 2, 3].map(() => {
      const start = performance.now();
      let sum = 0;
      for (let i = 0; i < 2e7; i++) sum += Math.sqrt(i);
      return sum > 0 && performance.now() - start;
    }))`),
  );

/** The middle one of three measurements: other processes slow some of them, too. */
async function usualWork(context: CheckContext): Promise<number> {
  const times: number[] = [];
  for (let runs = 0; runs < 3; runs += 1) times.push(await measureWork(context));
  return times.toSorted((a, b) => a - b)[1] ?? Infinity;
}

const headers = 'fetch("/echo").then(async (response) => (await response.json()).headers)';

const resetEmulation = async (context: CheckContext): Promise<void> => {
  const { data } = await context.call('emulate', { reset: true });
  assert.deepEqual(data['emulated'], {});
};

export const emulationChecks: readonly Check[] = [
  {
    tool: 'emulate',
    async run(context) {
      await context.openControls();
      const word = randomUUID();
      const width = randomInt(300, 600);
      const settings = {
        userAgent: `Agent/${word}`,
        extraHttpHeaders: { 'x-word': word },
        colorScheme: 'dark',
        viewport: { width, height: 500 },
        geolocation: { latitude: randomInt(-80, 80), longitude: randomInt(-170, 170) },
      };
      const { text, data } = await context.call('emulate', settings);
      assert.deepEqual(data['emulated'], settings);
      assertIncludes(text, word);
      const sent = JSON.stringify(await context.evaluate(headers));
      assertIncludes(sent, `"user-agent":"Agent/${word}"`);
      assertIncludes(sent, `"x-word":"${word}"`);
      assert.deepEqual(await context.evaluate('[innerWidth, matchMedia("(prefers-color-scheme: dark)").matches]'), [
        width,
        true,
      ]);
      const place = await context.evaluate(
        `new Promise((resolve, reject) => navigator.geolocation.getCurrentPosition(({ coords }) =>
          resolve({ latitude: coords.latitude, longitude: coords.longitude }), reject))`,
      );
      assert.deepEqual(place, settings.geolocation);
      await resetEmulation(context);
      assert.ok(!JSON.stringify(await context.evaluate(headers)).includes(word));
      return `${width} pixels, dark, at ${settings.geolocation.latitude}, ${settings.geolocation.longitude}, and back`;
    },
  },
  {
    tool: 'emulate_cpu',
    async run(context) {
      await context.openControls();
      await resetEmulation(context);
      const before = await usualWork(context);
      const cpuThrottlingRate = randomInt(600, 1200) / 100;
      const { text, data } = await context.call('emulate_cpu', { cpuThrottlingRate });
      assert.deepEqual(data['emulated'], { cpuThrottlingRate });
      assertIncludes(text, String(cpuThrottlingRate));
      let slow = 0;
      // A browser thread pauses the page at intervals: on a busy machine some runs may escape it.
      for (let tries = 0; slow <= 2 * before && tries < 3; tries += 1) slow = await usualWork(context);
      await resetEmulation(context);
      const usual = Math.max(before, await usualWork(context));
      assert.ok(slow > 2 * usual, `${slow} ms is not much more than ${usual} ms`);
      return `${Math.round(usual)} ms of work took ${Math.round(slow)} ms`;
    },
  },
  {
    tool: 'emulate_network',
    async run(context) {
      await context.openControls();
      await resetEmulation(context);
      const reachable = 'fetch("/echo").then(() => "there", () => "gone")';
      const { text, data } = await context.call('emulate_network', { networkConditions: 'Offline' });
      assert.deepEqual(data['emulated'], { networkConditions: 'Offline' });
      assertIncludes(text, 'Offline');
      assert.equal(await context.evaluate(reachable), 'gone');
      const back = await context.call('emulate_network', { networkConditions: 'No emulation' });
      assert.deepEqual(back.data['emulated'], {});
      assert.equal(await context.evaluate(reachable), 'there');
      return 'cut, and there again';
    },
  },
];
