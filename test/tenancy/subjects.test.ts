import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { send } from '../support/http.js';
import { startTestServer } from '../support/testServer.js';
import { adminToken, bearer } from './support/guardedServer.js';
import { OAuthIssuer } from './support/oauthIssuer.js';
import { withFolder } from './support/tempFolder.js';

const subjects = ['auth0|5f7', 'https://idp.example/users/7?x=1#y', 'Анна Müller', '%2e%2e', 'a\\b'];

test("[C-USERS][C-AUTH] with an outside issuer a user is any subject of it, encoded in paths, and the subject's sessions find their browsers", () =>
  withFolder(async (dataDir) => {
    const issuer = await new OAuthIssuer().start();
    await issuer.rotate();
    const jwt = { auth: 'jwt', jwtIssuer: issuer.url, jwtAudience: 'https://mcp.example', adminToken } as const;
    const served = await startTestServer({ options: { ...jwt, dataDir } });
    const headers = { ...bearer(adminToken), 'content-type': 'application/json' };
    const manage = (method: string, path: string, body?: object) =>
      send(`${served.url}${path}`, { method, headers, ...(body && { body: JSON.stringify(body) }) });
    for (const id of subjects) {
      const path = `/api/users/${encodeURIComponent(id)}`;
      const created = await manage('POST', '/api/users', { id });
      expect([created.status, created.headers.location]).toEqual([201, path]);
      expect((await manage('GET', path)).json).toMatchObject({ id, browsers: 0 });
      expect((await manage('GET', `${path}/browsers`)).json).toEqual({ browsers: [] });
      const asked = await send(`${served.url}/sse?browser=none`, { headers: bearer(await issuer.sign({ sub: id })) });
      expect([asked.status, asked.text]).toEqual([400, expect.stringContaining('Known: launch.')]);
    }
    for (const id of ['', '.', '..', 'a\nb', 'x'.repeat(256)])
      expect((await manage('POST', '/api/users', { id })).json).toMatchObject({
        error: { data: { reason: 'invalid_parameter' } },
      });
    await served.close();
    const stored = JSON.parse(await readFile(join(dataDir, 'users.json'), 'utf8')) as { users: { id: string }[] };
    expect(stored.users.map(({ id }) => id)).toEqual(subjects);
    const again = await startTestServer({ options: { ...jwt, dataDir } });
    const [first = ''] = subjects;
    const removed = await send(`${again.url}/api/users/${encodeURIComponent(first)}`, { method: 'DELETE', headers });
    expect(removed.status).toBe(204);
    await again.close();
    await issuer.stop();
  }));
