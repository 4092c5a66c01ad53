import { ExpiringMap } from '../../src/cluster/expiringMap.js';
import { ManualClock } from '../support/manualClock.js';

test('[S10] what has expired and is never asked for again is dropped; what lives is kept', () => {
  const clock = new ManualClock();
  const map = new ExpiringMap<number>(clock);
  map.set('kept', 0, 3_600_000);
  for (let id = 1; id <= 10_000; id += 1) {
    map.set(`offer ${id}`, id, 60_000);
    clock.advance(100);
  }
  // 60 s of ten a second, and what expired since the last sweep.
  expect(map.size).toBeLessThanOrEqual(1 + 600 + 10);
  expect([map.get('kept'), map.get('offer 10000'), map.get('offer 9000')]).toEqual([0, 10_000, undefined]);
});

test('a value is there until its time is over, and a new one begins anew', () => {
  const clock = new ManualClock();
  const map = new ExpiringMap<string>(clock);
  map.set('key', 'first', 1_000);
  clock.advance(999);
  expect(map.get('key')).toBe('first');
  map.set('key', 'second', 1_000);
  clock.advance(999);
  expect(map.get('key')).toBe('second');
  clock.advance(1);
  expect([map.get('key'), map.size]).toEqual([undefined, 0]);
});
