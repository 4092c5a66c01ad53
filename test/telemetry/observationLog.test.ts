import { z } from 'zod';
import { ToolError } from '../../src/errors/errors.js';
import type { Log } from '../../src/log.js';
import { logObservations } from '../../src/telemetry/observationLog.js';
import type { ObservationHandler } from '../../src/telemetry/observer.js';
import { defineTextTool } from '../../src/tools/defineTool.js';
import { send } from '../support/http.js';

import { connectClient, startTestServer, type TestServer } from '../support/testServer.js';
import { recordingLog } from '../tenancy/support/guardedServer.js';

const echo = defineTextTool({
  name: 'echo',
  group: 'session',
  description: 'Says a word.',
  input: z.strictObject({ word: z.string() }),
  annotations: { readOnlyHint: true },
  async handler({ word }) {
    if (word === 'bad') throw new ToolError('That word is not said.\nSay another one.');
    return { text: word };
  },
});

test('[C-LOG] why a session could not be set up is logged once, by the session, where no browser has said it', async () => {
  const lines: string[] = [];
  const onSession = (): never => {
    throw new Error('The greenhouse is on fire.');
  };
  const served = await startTestServer({ log: recordingLog(lines), onSession });
  expect((await send(`${served.url}/sse`)).text).toContain('The greenhouse is on fire.');
  await served.close();
  const [line, ...more] = lines.filter((one) => one.includes('The greenhouse is on fire.'));
  expect(more).toEqual([]);
  expect(line).toMatch(
    /^\["session: created -> closed",.*"reason":"setup_failed","error":"The greenhouse is on fire."/,
  );
});

test('nothing is made of a line whose level is off', () => {
  const log: Log = { ...recordingLog([]), isOn: () => false };
  const observe = logObservations(log, () => fail('The session was described.'));
  const about = { machine: 'session', actor: 'abcdefgh', at: 0, context: { user: 'anna', failure: null } } as const;
  const event = {
    type: 'request.settled',
    request: { id: 1, method: 'ping', tool: null, outcome: 'ok', durationMs: 1 },
  };
  observe({ kind: 'event', ...about, state: 'active', event });
  observe({
    kind: 'transition',
    ...about,
    event,
    from: '',
    to: 'created',
    cause: 'start',
    durationMs: 0,
    value: 'created',
  });
});

describe('at info', () => {
  let lines: string[];
  const info = (): Log => {
    const note = (message: string, fields?: object): void => void lines.push(JSON.stringify([message, fields]));
    return { error: note, warn: note, info: note, debug: () => undefined };
  };

  beforeEach(() => (lines = []));

  test('a session that no client has asked for leaves no line', async () => {
    let served: TestServer | undefined;
    await new Promise<void>((resolve, reject) => {
      const observe: ObservationHandler = (seen) => {
        if (seen.kind === 'transition' && seen.machine === 'session' && seen.to === 'tools-registered') resolve();
      };
      startTestServer({ log: info(), observe, options: { prewarm: 1 } }).then((started) => (served = started), reject);
    });
    await served?.close();
    expect(lines).toEqual([]);
  });

  test('a failed call leaves one line: reason, tool, client and transport; one that succeeds leaves none', async () => {
    const served = await startTestServer({ log: info(), tools: [echo] });
    const client = await connectClient(served.url);
    await client.callTool({ name: 'echo', arguments: { word: 'good' } });
    await client.callTool({ name: 'echo', arguments: { word: 'bad' } });
    await client.callTool({ name: 'echo', arguments: { words: 1 } });
    await client.callTool({ name: 'ecko', arguments: {} }).catch(() => undefined);
    const failed = lines.filter((line) => line.startsWith('["call failed"'));
    const common = /"client":"test-client 1.0.0","transport":"sse".*"ms":\d+/;
    expect(failed).toHaveLength(3);
    for (const line of failed) expect(line).toMatch(common);
    expect(failed[0]).toMatch(/"tool":"echo".*"error":"That word is not said\. Say another one\."/);
    expect(failed[1]).toMatch(/"error":".*word/);
    expect(failed[2]).toMatch(/"tool":"ecko".*"error":".*ecko/);
    await client.close();
    await served.close();
    // What happens once the client has said who it is names it, too.
    const end = lines.find((line) => line.includes('-> closed'));
    expect(end).toMatch(/"client":"test-client 1.0.0","transport":"sse"/);
  });
});

function fail(message: string): never {
  throw new Error(message);
}
