import { systemClock } from '../../src/clock.js';
import { installOnFirstUse } from '../../src/cli/installBrowser.js';
import { createOrchestrator } from '../../src/server/orchestrator.js';
import { StdioTransport } from '../../src/transport/stdio.js';
import { FakeBrowserPool } from '../support/fakeBrowserPool.js';
import { Gate } from '../support/gate.js';
import { call, initialize, initialized, ping } from '../support/messages.js';
import { streamPair } from '../support/rawStdio.js';
import { envelope } from '../support/statelessClient.js';
import { TestTools } from '../support/testTools.js';

const launching = { browser: 'launch', executablePath: undefined } as const;
const notFound = () => Promise.reject(new Error('not found'));

/** A client of a machine without a browser, and the steps of its installation, which ends when `gate` opens. */
async function connectWithoutBrowser() {
  const gate = new Gate('shut');
  const steps: string[] = [];
  const prepareBrowser = installOnFirstUse(
    launching,
    {},
    {
      find: () => {
        steps.push('looked');
        return notFound();
      },
      install: async ({ write }) => {
        steps.push('started');
        write('Downloading Chrome 1: 10 %.');
        await gate.pass();
        return '/chrome';
      },
    },
  );
  if (prepareBrowser === undefined) throw new Error('unreachable');
  const pool = new FakeBrowserPool();
  const tools = new TestTools().all;
  const options = { lease: 'lazy', prewarm: 0, structured: true } as const;
  const orchestrator = await createOrchestrator({ pool, tools, prepareBrowser, options });
  const { input, output, client } = streamPair();
  const session = orchestrator.connect(new StdioTransport(input, output, { clock: systemClock, bodyLimit: 1e6 }));
  const close = async (): Promise<void> => {
    client.closeInput();
    await session.ended;
    await orchestrator.close();
  };
  return { client, gate, steps, close };
}

test('[C-STDIO] a browser is installed for the first tool that needs one; until then and meanwhile all else is answered', async () => {
  const { client, gate, steps, close } = await connectWithoutBrowser();
  client.send(initialize('first'));
  await client.answer('first');
  client.send(initialized);
  client.send(call('none', 'echo', { value: 'x' }));
  await client.answer('none');
  expect(steps).toEqual([]);

  client.send({ ...call('needs', 'browse'), params: { name: 'browse', _meta: { progressToken: 'p' } } });
  client.send(call('too', 'browse'));
  client.send(ping('meanwhile'));
  await client.answer('meanwhile');
  await client.first((value) => JSON.stringify(value).includes('Downloading Chrome 1: 10 %.'));
  gate.open();
  for (const id of ['needs', 'too'])
    expect(await client.answer(id)).toMatchObject({ result: { structuredContent: { value: 'browsed' } } });
  expect(steps).toEqual(['looked', 'started']);
  await close();
});

test('[C-STDIO] a client without a session has one installed when it opens a browser that has to run at once', async () => {
  const { client, gate, steps, close } = await connectWithoutBrowser();
  const ask = (id: string, method: string, params: object = {}): void =>
    client.send({ jsonrpc: '2.0', id, method, params: { ...params, _meta: { ...envelope(), progressToken: id } } });
  ask('discover', 'server/discover');
  await client.answer('discover');
  ask('open', 'tools/call', { name: 'open_browser' });
  await client.answer('open');
  expect(steps).toEqual([]);
  ask('emulating', 'tools/call', { name: 'open_browser', arguments: { emulation: { colorScheme: 'dark' } } });
  await client.first((value) => JSON.stringify(value).includes('Downloading Chrome 1: 10 %.'));
  gate.open();
  // The browser of these tests has no pages.
  expect(JSON.stringify(await client.answer('emulating'))).toContain('The emulation failed');
  expect(steps).toEqual(['looked', 'started']);
  await close();
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
