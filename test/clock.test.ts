import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { timeLimit } from '../src/clock.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

test('a time limit that nothing but a joined signal knows of is kept', async () => {
  const { signal } = new AbortController();
  const reason = new Promise((resolve) => {
    const either = AbortSignal.any([signal, timeLimit(500)]);
    either.addEventListener('abort', () => resolve(either.reason), { once: true });
  });
  // What was made in this turn is held until its end.
  await nextTurn();
  collectGarbage();
  expect(await reason).toMatchObject({ name: 'TimeoutError' });
});
