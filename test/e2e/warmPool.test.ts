import { createOrchestrator, type Orchestrator } from '../../src/server/orchestrator.js';
import { killBrowser, waitUntil } from '../browser/support/testPool.js';
import { send } from '../support/http.js';
import { BrowsingClient } from './support/browsingClient.js';

async function whenPrewarmed({ registry }: Orchestrator, after?: string): Promise<string> {
  await waitUntil(() => registry.warm().some(({ id }) => id !== after));
  return registry.warm()[0]?.id ?? '';
}

test('[C-WARM] the first tool finds a page that was open before its client came; a killed browser costs only the wait', async () => {
  const orchestrator = await createOrchestrator({ options: { port: 0 } });
  const { url } = await orchestrator.listen();
  try {
    const first = await whenPrewarmed(orchestrator);
    const waiting = orchestrator.registry.get(first).browserLease?.current;
    expect(waiting?.pages().map((page) => page.url())).toEqual(['about:blank']);
    const browsing = await BrowsingClient.open(url);
    expect(orchestrator.registry.list().map(({ id }) => id)).toEqual([first]);
    expect(await browsing.text('evaluate_script', { function: '() => 6 * 7' })).toBe('42');
    expect(waiting?.pages()).toHaveLength(1);
    await browsing.close();

    const second = await whenPrewarmed(orchestrator, first);
    const lost = orchestrator.registry.get(second).browserLease?.current;
    if (!lost) throw new Error('The warm session has no browser.');
    await killBrowser(lost);
    const other = await BrowsingClient.open(url);
    const text = await other.text('evaluate_script', { function: '() => 6 * 7' });
    expect(text).toMatch(/42$/);
    await other.close();
    await whenPrewarmed(orchestrator, second);
    const { json } = await send(`${url}/health`);
    expect(json).toMatchObject({ sessions: { warm: 1 }, browsers: { ready: 1 }, performance: { totalErrors: 0 } });
  } finally {
    await orchestrator.close();
  }
});

test('[C-WARM] with a process for each session the first tool finds one that runs: none is started for it, and none beyond the ceiling', async () => {
  const started: string[] = [];
  const orchestrator = await createOrchestrator({
    options: { port: 0, isolation: 'process', maxBrowsers: 1 },
    observe: (one) => {
      if (one.kind === 'transition' && one.machine === 'browser' && one.from === '') started.push(one.actor);
    },
  });
  const { url } = await orchestrator.listen();
  try {
    const first = await whenPrewarmed(orchestrator);
    expect(started).toHaveLength(1);
    const browsing = await BrowsingClient.open(url);
    expect(orchestrator.registry.list().map(({ id }) => id)).toEqual([first]);
    expect(await browsing.text('evaluate_script', { function: '() => 6 * 7' })).toBe('42');
    expect(started).toHaveLength(1);
    await browsing.close();
    await whenPrewarmed(orchestrator, first);
    const { json } = await send(`${url}/health`);
    expect(json).toMatchObject({ sessions: { total: 0, warm: 1 }, browsers: { total: 1, queued: 0 } });
  } finally {
    await orchestrator.close();
  }
});
