import { once } from 'node:events';
import { createServer, request as open } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import { silentLog } from '../../src/log.js';
import { addManagementRoutes } from '../../src/server/managementRoutes.js';
import type { Users } from '../../src/tenancy/users.js';

test('a browser is not probed any longer than the operator who registers it waits for the answer', async () => {
  let probed: (signal: AbortSignal) => void = () => undefined;
  const probe = new Promise<AbortSignal>((resolve) => (probed = resolve));
  const app = express();
  addManagementRoutes(app, {
    users: { get: (id: string) => Promise.resolve({ id }) } as unknown as Users,
    jwtIssuer: undefined,
    isOperator: () => true,
    bodyLimit: 1_000,
    log: silentLog,
    probeBrowser: (_url, signal) => {
      probed(signal);
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error));
      });
    },
  });
  const server = createServer(app).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const headers = { 'content-type': 'application/json' };
  const asking = open({ port, host: '127.0.0.1', method: 'POST', path: '/api/users/anna/browsers', headers });
  asking.on('error', () => undefined);
  asking.end(JSON.stringify({ url: 'http://127.0.0.1:9222' }));
  const signal = await probe;
  expect(signal.aborted).toBe(false);
  const aborted = once(signal, 'abort');
  asking.destroy();
  await aborted;
  server.close();
  await once(server, 'close');
});
