import { RawSse } from '../support/rawSse.js';
import { send } from '../support/http.js';
import { startServerProcess, waitUntil } from './support/serverProcess.js';

const sessionCount = 1_500;
const concurrency = 64;

test('[C-STORM] 1,500 sessions, 64 at a time, each posting in the tick of its endpoint: none fails and none is left', async () => {
  const limits = ['--max-sessions', '200', '--max-sessions-per-user', '200'];
  const server = await startServerProcess(['--lease', 'lazy', ...limits]);
  try {
    const failures: string[] = [];
    let opened = 0;
    const worker = async (): Promise<void> => {
      while (opened < sessionCount) {
        opened += 1;
        await openAndLeave(server.url).catch((error: unknown) => failures.push(String(error)));
      }
    };
    await Promise.all(Array.from({ length: concurrency }, worker));
    expect(failures).toEqual([]);
    // The server hears of a hang-up a moment after the client has hung up.
    await waitUntil(async () => (await send(`${server.url}/health`)).text.includes('"total":0'));
    expect((await send(`${server.url}/health`)).json).toMatchObject({
      sessions: { total: 0, byState: {}, byUser: {} },
      performance: { totalConnections: sessionCount, totalErrors: 0 },
    });
  } finally {
    await server.dispose();
  }
});

async function openAndLeave(url: string): Promise<void> {
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'storm', version: '1' } };
  const posts: Promise<{ readonly status: number }>[] = [];
  const stream = new RawSse(url, {
    onEndpoint: (announced) => posts.push(announced.post({ jsonrpc: '2.0', id: 1, method: 'initialize', params })),
  });
  await stream.answer(1);
  const statuses = (await Promise.all(posts)).map(({ status }) => status);
  await stream.disconnect();
  if (statuses.join() !== '202') throw new Error(`answered with ${statuses.join()}`);
}
