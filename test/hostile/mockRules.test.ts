import { networkTools } from '../../src/tools/networkTools.js';
import { startToolHarness, type ToolHarness } from '../tools/support/toolHarness.js';

let harness: ToolHarness;
beforeAll(async () => {
  harness = await startToolHarness(networkTools);
});
afterEach(() => harness.text('mock_network', { action: 'clear' }));
afterAll(() => harness.close());

const rule = { action: 'add', url: 'https://x.example/*', status: 200 };

test('the bytes of mock rules are bounded, and room is made by removing some', async () => {
  const large = { ...rule, body: 'x'.repeat(5 * 1024 ** 2) };
  for (let added = 0; added < 3; added += 1) await harness.text('mock_network', large);
  expect(await harness.refusal('mock_network', large)).toMatch(
    /rules of this session would take .* bytes.*Remove some/,
  );
  await harness.text('mock_network', { action: 'remove', id: 1 });
  expect(await harness.text('mock_network', large)).toContain('Added rule');
});

test('the number of mock rules is bounded', async () => {
  for (let added = 0; added < 200; added += 1) await harness.text('mock_network', rule);
  expect(await harness.refusal('mock_network', rule)).toContain('200 rules, the maximum');
});

test.each([
  { headers: { 'a b': 'c' }, why: 'is not the name of a header' },
  { headers: { a: 'b\nc' }, why: 'line ends' },
  { headers: { a: '☃' }, why: 'letters outside Latin-1' },
])('a rule with the header $headers is refused', async ({ headers, why }) => {
  expect(await harness.refusal('mock_network', { ...rule, headers })).toContain(why);
});
