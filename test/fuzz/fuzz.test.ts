import fc from 'fast-check';
import { silentLog } from '../../src/log.js';
import { RawWebSocket } from '../support/rawWebSocket.js';
import { connectClient, startTestServer, whenAllEnded, type TestServer } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';
import { stepsOutside, TraceRecorder } from '../prove/traces.js';
import { doors } from './doors.js';

const seed = Date.now() % 2 ** 31;
/** Tools that answer at once. */
const tools = () => new TestTools().all.filter(({ name }) => name === 'echo' || name === 'count');

let served: TestServer;
const traces = new TraceRecorder();
const defects: string[] = [];
beforeEach(async () => {
  defects.length = 0;
  const log = { ...silentLog, error: (message: string) => void defects.push(message) };
  served = await startTestServer({ tools: tools(), log, observe: traces.observe, options: { bodyLimit: '8kb' } });
});

test('[C-FUZZ] there are at least 20,000 cases', () => {
  expect(doors.reduce((sum, { each, clients }) => sum + each * clients, 0)).toBeGreaterThanOrEqual(20_000);
  return served.close();
});

describe(`seed ${seed}`, () => {
  test.each(doors)(
    '[C-FUZZ][S5] $name: every answer is defined, the next good client is served, and nothing is left',
    async ({ cases, each, clients, play }) => {
      const batch = fc.array(cases, { minLength: each, maxLength: each });
      // A case that fails is named with its seed and path; looking for a smaller one would take long.
      await fc.assert(
        fc.asyncProperty(batch, (given) => play(served, given)),
        { seed, numRuns: clients, endOnFailure: true },
      );
      await whenAllEnded(served);
      const [client, socket] = [await connectClient(served.url), await new RawWebSocket(served.url).whenAnnounced()];
      expect(await client.ping()).toEqual({});
      expect(await socket.call(1, 'ping')).toMatchObject({ result: {} });
      await Promise.all([client.close(), socket.disconnect()]);
      expect(defects).toEqual([]);
      // Checks the ledger: what was opened is closed, and no session is left.
      await served.close();
      expect({}).not.toHaveProperty('x');
    },
  );
});

test('[C-FUZZ][S9] every step of every chart is one of the explored graphs', async () => {
  expect(stepsOutside(traces.steps)).toEqual([]);
  expect(traces.steps.length).toBeGreaterThan(20);
  await served.close();
});
