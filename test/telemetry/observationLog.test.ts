import { send } from '../support/http.js';
import { startTestServer } from '../support/testServer.js';
import { recordingLog } from '../tenancy/support/guardedServer.js';

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
