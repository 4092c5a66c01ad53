import { createOrchestrator } from '../../src/server/orchestrator.js';
import type { Options } from '../../src/config/config.js';
import { send } from '../support/http.js';
import { recordingLog } from '../tenancy/support/guardedServer.js';
import { BrowsingClient, textOf } from './support/browsingClient.js';

const cases: [name: string, options: Options, reason: string, told: RegExp][] = [
  [
    'that is not there',
    { executablePath: '/nowhere/chrome' },
    'browser_failed',
    /--executable-path names \/nowhere\/chrome.*greenroom install-browser/,
  ],
  ['that ends at once', { executablePath: '/bin/false' }, 'browser_failed', /\/bin\/false/],
  [
    'that cannot be reached',
    { browserUrl: 'http://127.0.0.1:1' },
    'browser_unreachable',
    /127\.0\.0\.1:1.*--remote-debugging-port/,
  ],
];

test.each(cases)('[S8] a browser %s: the client hears cause and mend, and nothing is left', async (...row) => {
  const [, options, reason, told] = row;
  const lines: string[] = [];
  const orchestrator = await createOrchestrator({
    options: { ...options, port: 0, prewarm: 0 },
    log: recordingLog(lines),
  });
  const { url } = await orchestrator.listen();
  try {
    const reply = await send(`${url}/sse`);
    expect(reply.status).toBe(502);
    expect(reply.json).toMatchObject({
      id: null,
      error: { code: -32014, message: expect.stringMatching(told), data: { reason } },
    });
    const health = await send(`${url}/health`);
    expect(health.json).toMatchObject({ sessions: { total: 0 }, performance: { totalConnections: 0, totalErrors: 1 } });
    // Said once, by the browser; what follows from it names the code alone.
    expect(lines.filter((line) => told.test(line))).toEqual([expect.stringContaining('browser: unsettled -> failed')]);
    for (const line of ['refused', 'session: created -> closed'])
      expect(lines.filter((one) => one.includes(`"${line}"`))).toEqual([expect.stringContaining(`"${reason}"`)]);
  } finally {
    await orchestrator.close();
  }
});

test('[S8] with --lease lazy the session opens, and each tool that needs the browser says why it cannot be had', async () => {
  const options = { executablePath: '/nowhere/chrome', lease: 'lazy', port: 0 } as const;
  const orchestrator = await createOrchestrator({ options });
  const { url } = await orchestrator.listen();
  const browsing = await BrowsingClient.open(url);
  try {
    const answer = await browsing.call('list_pages');
    expect(answer.isError).toBe(true);
    expect(textOf(answer)).toMatch(/--executable-path names \/nowhere\/chrome/);
    expect(await browsing.text('get_session_info')).toMatch(/sse/);
  } finally {
    await browsing.close();
    await orchestrator.close();
  }
});
