import type { OutgoingHttpHeaders } from 'node:http';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Log } from '../../../src/log.js';
import { send, type Reply } from '../../support/http.js';
import { RawSse } from '../../support/rawSse.js';
import { startTestServer, type TestServer, type TestServerOptions } from '../../support/testServer.js';

export const adminToken = 'the-operator-token-of-this-test';

export const bearer = (token: string): OutgoingHttpHeaders => ({ authorization: `Bearer ${token}` });

export const reasonOf = (json: unknown): unknown =>
  (json as { error?: { data?: { reason?: unknown } } } | undefined)?.error?.data?.reason;

export const connect = (url: string, token: string): RawSse => new RawSse(url, { headers: bearer(token) });

/** A server with `--auth token` and a data folder of its own. */
export interface GuardedServer {
  readonly served: TestServer;
  readonly url: string;
  readonly folder: string;
  /** Everything that was logged, as JSON. */
  readonly log: readonly string[];
  /** One management request of the operator. */
  sendAsOperator(method: string, path: string, body?: unknown): Promise<Reply>;
  /** Registers a user, if need be, and gives them a token. */
  issueToken(user: string, options?: object): Promise<{ readonly id: string; readonly token: string }>;
  close(): Promise<void>;
}

/** Keeps every line, of every level. */
export function recordingLog(lines: string[]): Log {
  const note = (message: string, fields?: object): void => void lines.push(JSON.stringify([message, fields]));
  return { error: note, warn: note, info: note, debug: note };
}

export async function serveGuarded({ options, ...given }: TestServerOptions = {}): Promise<GuardedServer> {
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-users-'));
  const log: string[] = [];
  const own = { auth: 'token', adminToken, dataDir: folder } as const;
  const served = await startTestServer({ log: recordingLog(log), ...given, options: { ...own, ...options } });
  const sendAsOperator: GuardedServer['sendAsOperator'] = (method, path, body) =>
    send(`${served.url}${path}`, {
      method,
      headers: { ...bearer(adminToken), ...(body !== undefined && { 'content-type': 'application/json' }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  return {
    served,
    url: served.url,
    folder,
    log,
    sendAsOperator,
    issueToken: async (user, token = {}) => {
      await sendAsOperator('POST', '/api/users', { id: user });
      const { status, text } = await sendAsOperator('POST', `/api/users/${user}/tokens`, token);
      if (status !== 201) throw new Error(`${status} ${text}`);
      return JSON.parse(text) as { id: string; token: string };
    },
    close: async () => {
      await served.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
