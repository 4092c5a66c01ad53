import { catalogue, Refusal, type Reason } from '../../src/errors/errors.js';

test('each 429 and 503 says when to come again, and nothing else does; who knows better is believed', () => {
  const saying = Object.keys(catalogue).filter(
    (reason) => new Refusal(reason as Reason).data.retryAfterMs !== undefined,
  );
  const inTime = Object.entries(catalogue).filter(([, { status }]) => status === 429 || status === 503);
  expect(saying).toEqual(inTime.map(([reason]) => reason));
  expect(new Refusal('rate_limited', { retryAfterMs: 7 }).data).toEqual({ retryAfterMs: 7 });
});
