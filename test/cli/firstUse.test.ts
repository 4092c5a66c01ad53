import { systemClock } from '../../src/clock.js';
import { installOnFirstUse } from '../../src/cli/installBrowser.js';
import { createOrchestrator } from '../../src/server/orchestrator.js';
import { StdioTransport } from '../../src/transport/stdio.js';
import { FakeBrowserPool } from '../support/fakeBrowserPool.js';
import { Gate } from '../support/gate.js';
import { call, initialize, initialized, ping } from '../support/messages.js';
import { streamPair } from '../support/rawStdio.js';
import { TestTools } from '../support/testTools.js';

const launching = { browser: 'launch', executablePath: undefined } as const;
const notFound = () => Promise.reject(new Error('not found'));

test('[C-STDIO] a browser is installed for the first tool that needs one; until then and meanwhile all else is answered', async () => {
  const gate = new Gate('shut');
  const installations: string[] = [];
  const prepareBrowser = installOnFirstUse(
    launching,
    {},
    {
      find: notFound,
      install: async ({ write }) => {
        installations.push('started');
        write('Downloading Chrome 1: 10 %.');
        await gate.pass();
        return '/chrome';
      },
    },
  );
  if (prepareBrowser === undefined) throw new Error('unreachable');
  const pool = new FakeBrowserPool();
  const tools = new TestTools().all;
  const orchestrator = await createOrchestrator({
    pool,
    tools,
    prepareBrowser,
    options: { lease: 'lazy', prewarm: 0, structured: true },
  });
  const { input, output, client } = streamPair();
  const session = orchestrator.connect(new StdioTransport(input, output, { clock: systemClock, bodyLimit: 1e6 }));
  client.send(initialize('first'));
  await client.answer('first');
  client.send(initialized);
  expect(installations).toEqual([]);

  client.send({ ...call('needs', 'browse'), params: { name: 'browse', _meta: { progressToken: 'p' } } });
  client.send(call('too', 'browse'));
  client.send(ping('meanwhile'));
  await client.answer('meanwhile');
  await client.first((value) => JSON.stringify(value).includes('Downloading Chrome 1: 10 %.'));
  gate.open();
  for (const id of ['needs', 'too'])
    expect(await client.answer(id)).toMatchObject({ result: { structuredContent: { value: 'browsed' } } });
  expect(installations).toEqual(['started']);
  client.closeInput();
  await session.ended;
  await orchestrator.close();
});

test('an installation that fails is the failure of its tools, and the next one tries again', async () => {
  const outcomes = [Promise.reject(new Error('no network')), Promise.resolve('/chrome')];
  const install = (): Promise<string> => outcomes.shift() ?? notFound();
  const prepare = installOnFirstUse(launching, {}, { find: notFound, install });
  const report = (): void => undefined;
  await expect(Promise.all([prepare?.(report), prepare?.(report)])).rejects.toThrow('no network');
  await prepare?.(report);
  await prepare?.(report);
  expect(outcomes).toEqual([]);
});

test.each([
  [{ browser: 'attach', executablePath: undefined } as const, {}],
  [{ browser: 'launch', executablePath: '/chrome' } as const, {}],
  [launching, { chromePath: '/chrome' }],
])('where a browser is named none is installed', (config, search) => {
  expect(installOnFirstUse(config, search)).toBeUndefined();
});
