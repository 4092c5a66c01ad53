import { createOrchestrator } from '../../src/server/orchestrator.js';
import { startUserChrome } from '../browser/support/userChrome.js';
import { send } from '../support/http.js';
import { RawSse } from '../support/rawSse.js';
import { adminToken, bearer } from './support/guardedServer.js';
import { withFolder } from './support/tempFolder.js';

const reasonOf = (json: unknown): unknown => (json as { error: { data: { reason: unknown } } }).error.data.reason;

test("[C-USERS] a user's own browser is probed, used by that user's sessions, given back, and missed with suggestions", () =>
  withFolder(async (dataDir) => {
    const chrome = await startUserChrome();
    const orchestrator = await createOrchestrator({
      options: { port: 0, prewarm: 0, auth: 'token', adminToken, dataDir },
    });
    const { url } = await orchestrator.listen();
    const manage = async (path: string, body: object): Promise<Record<string, string>> => {
      const headers = { ...bearer(adminToken), 'content-type': 'application/json' };
      const { json, status, text } = await send(`${url}${path}`, {
        method: 'POST',
        headers,
        body: JSON.stringify(body),
      });
      if (status !== 201) throw new Error(text);
      return json as Record<string, string>;
    };
    await manage('/api/users', { id: 'anna' });
    const { token = '' } = await manage('/api/users/anna/tokens', {});
    const browser = await manage('/api/users/anna/browsers', { url: chrome.url, label: 'desk' });
    expect(browser).toMatchObject({ url: chrome.url, label: 'desk', product: expect.stringMatching(/Chrom.*\/\d/) });
    expect(await orchestrator.health()).toMatchObject({ browsers: { total: 0 } });

    const connect = (path: string) => new RawSse(url, { path, headers: bearer(token) });
    const streams = [connect('/sse?structured=1'), connect(`/sse?structured=1&browser=${browser['id']}`)];
    for (const stream of streams) {
      await stream.whenAnnounced();
      const opening = { jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion: '2025-11-25' } };
      expect((await stream.post(opening, bearer(token))).status).toBe(202);
      const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'get_connected_browser' } };
      expect((await stream.post(call, bearer(token))).status).toBe(202);
      expect(await stream.answer(1)).toMatchObject({
        result: { structuredContent: { mode: 'attach', isolation: 'profile' } },
      });
    }
    expect(await orchestrator.health()).toMatchObject({ browsers: { total: 1, ready: 1 } });

    const none = await send(`${url}/sse?browser=nonsense`, { headers: bearer(token) });
    expect([none.status, reasonOf(none.json)]).toEqual([400, 'invalid_parameter']);
    expect(none.text).toContain(`launch, ${browser['id']}`);

    const sessions = orchestrator.registry.list();
    const removed = await send(`${url}/api/users/anna/browsers/${browser['id']}`, {
      method: 'DELETE',
      headers: bearer(adminToken),
    });
    expect(removed.status).toBe(204);
    await Promise.all([...streams.map((stream) => stream.whenClosed()), ...sessions.map(({ ended }) => ended)]);
    expect(await orchestrator.health()).toMatchObject({ browsers: { total: 0 } });
    expect(chrome.process.exitCode).toBeNull();

    await manage('/api/users/anna/browsers', { url: chrome.url });
    await chrome.end();
    const missed = await send(`${url}/sse`, { headers: bearer(token) });
    expect([missed.status, reasonOf(missed.json)]).toEqual([502, 'browser_unreachable']);
    expect(missed.text).toMatch(/No browser answers at .*ECONNREFUSED.*Start Chrome with --remote-debugging-port/);
    expect(orchestrator.registry.list()).toEqual([]);
    await orchestrator.close();
  }));
