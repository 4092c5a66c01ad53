import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { z } from 'zod';
import { noop } from '../async.js';
import { timeLimit } from '../clock.js';
import { messageOf } from '../errors/errors.js';
import { createFolder } from '../folders.js';
import { isObject } from '../mcp/protocol.js';
import { parsedJson } from '../text.js';
import { connect, endpointOf } from './connect.js';

/**
 * The sessions that `greenroom call --session NAME` keeps between commands: their ids, in a folder that only this user can
 * read. The server ends one after `--idle-timeout`; the next call with its name opens a new one.
 */
export interface NamedSessions {
  /** The folder of the files. */
  readonly folder: string;
  readonly token?: string | undefined;
}

const keptVersion = 1;
/** Files from before the first release have no version. */
const keptSchema = z.object({
  version: z.literal(keptVersion).default(keptVersion),
  url: z.string(),
  id: z.string(),
  at: z.number(),
});
type KeptSession = z.output<typeof keptSchema>;

export interface NamedSession {
  readonly client: Client;
  /** False if this command opened the session. */
  readonly isContinued: boolean;
}

/** Continues the session of this name, or opens one at the server. The caller closes the client; the session stays. */
export async function openNamedSession(name: string, url: string, sessions: NamedSessions): Promise<NamedSession> {
  const kept = await readKept(name, sessions);
  if (kept?.url === url && (await isAlive(kept, sessions))) {
    const { client } = await connect({ url, token: sessions.token, name: 'greenroom-call', session: kept.id });
    return { client, isContinued: true };
  }
  const { client, sessionId } = await connect({ url, token: sessions.token, name: 'greenroom-call', session: null });
  const record: KeptSession = { version: keptVersion, url, id: sessionId ?? '', at: Date.now() };
  try {
    await keep(name, record, sessions);
  } catch (error) {
    // No later command could continue or end it.
    await client.close();
    await request(record, sessions, 'DELETE').catch(noop);
    const cause = messageOf(error);
    throw new Error(`The session cannot be kept: ${cause}. Free space, or choose another --data-dir.`, {
      cause: error,
    });
  }
  return { client, isContinued: false };
}

/** `greenroom sessions`: one line per name. The names of ended sessions are removed. */
export async function listNamedSessions(sessions: NamedSessions): Promise<string[]> {
  const lines: string[] = [];
  for (const name of await readNames(sessions)) {
    const kept = await readKept(name, sessions);
    if (kept === undefined) continue;
    const isOpen = await isAlive(kept, sessions);
    const minutes = Math.round((Date.now() - kept.at) / 60_000);
    lines.push(`${name}  ${isOpen ? 'open' : 'ended'}  ${kept.url}  ${minutes} min`);
    if (!isOpen) await rm(fileOf(name, sessions), { force: true });
  }
  return lines.length === 0 ? ['No session is kept. Keep one with: greenroom call --session NAME TOOL'] : lines;
}

/** `greenroom sessions --end NAME`: ends the session at its server, with its pages. Throws if no session has the name. */
export async function endNamedSession(name: string, sessions: NamedSessions): Promise<string> {
  const kept = await readKept(name, sessions);
  if (kept === undefined) {
    const names = await readNames(sessions);
    const known = names.length === 0 ? 'None is kept.' : `Kept: ${names.join(', ')}.`;
    throw new Error(`No session is called "${name}". ${known}`);
  }
  const response = await request(kept, sessions, 'DELETE').catch((error: unknown) => messageOf(error));
  await rm(fileOf(name, sessions), { force: true });
  return typeof response === 'string' || !response.ok ? `${name} had already ended.` : `${name} has ended.`;
}

/** If the disk is full, the previous file stays. */
async function keep(name: string, record: KeptSession, sessions: NamedSessions): Promise<void> {
  await createFolder(sessions.folder);
  const unfinished = `${fileOf(name, sessions)}.${process.pid}`;
  try {
    await writeFile(unfinished, JSON.stringify(record), { mode: 0o600 });
    await rename(unfinished, fileOf(name, sessions));
  } catch (error) {
    await rm(unfinished, { force: true }).catch(noop);
    throw error;
  }
}

const fileOf = (name: string, { folder }: NamedSessions): string => join(folder, `${name}.json`);

async function readNames({ folder }: NamedSessions): Promise<string[]> {
  const files = await readdir(folder).catch(() => []);
  return files.filter((file) => file.endsWith('.json')).map((file) => file.slice(0, -'.json'.length));
}

/** Undefined if there is no file, or it is damaged. Throws an error of one line if a newer version wrote it. */
async function readKept(name: string, sessions: NamedSessions): Promise<KeptSession | undefined> {
  const file = fileOf(name, sessions);
  const stored = await readFile(file, 'utf8').then(parsedJson, () => undefined);
  const version = isObject(stored) ? stored['version'] : undefined;
  if (typeof version === 'number' && version > keptVersion)
    throw new Error(
      `${file} was written by a newer version (format ${version}): use that version, or remove the file to forget the session.`,
    );
  return keptSchema.safeParse(stored).data;
}

async function isAlive(kept: KeptSession, sessions: NamedSessions): Promise<boolean> {
  const response = await request(kept, sessions, 'POST').catch(() => undefined);
  await response?.body?.cancel();
  return response?.ok === true;
}

/** A ping, or the end. */
function request({ url, id }: KeptSession, { token }: NamedSessions, method: 'POST' | 'DELETE'): Promise<Response> {
  const headers = {
    'mcp-session-id': id,
    accept: 'application/json, text/event-stream',
    'content-type': 'application/json',
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
  };
  const body = method === 'POST' ? JSON.stringify({ jsonrpc: '2.0', id: 'alive', method: 'ping' }) : null;
  return fetch(endpointOf(url, 'mcp', 'all'), { method, headers, body, signal: timeLimit(5_000) });
}
