import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { promisify } from 'node:util';
import { z } from 'zod';
import { timeLimit } from '../clock.js';
import { codeOf } from '../errors/errors.js';

const commonHealthFields = { status: z.literal('ok'), version: z.string(), uptime: z.number() };
const openHealthSchema = z.object({ ...commonHealthFields, sessions: z.object({}) });
/** The whole document for an unauthenticated caller of a server with authentication. */
const guardedHealthSchema = z.strictObject(commonHealthFields);

export interface RunningServer {
  readonly url: string;
  readonly version: string;
  /** Seconds. */
  readonly uptime: number;
  /** Whether the server has authentication on. */
  readonly requiresToken: boolean;
}

const probeTimeoutMs = 500;

/** The address of a server on this host and port. An IPv6 host may be in brackets or not. */
export function serverUrl(host: string, port: number): string {
  return `http://${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}:${port}`;
}

/** A server that listens on every address is reached at the loopback one. */
const reachableHost = (host: string): string => ({ '0.0.0.0': '127.0.0.1', '::': '::1' })[host] ?? host;

/** The Greenroom server at this host and port; undefined if none answers within half a second. */
export async function findRunningServer({
  host,
  port,
}: {
  readonly host: string;
  readonly port: number;
}): Promise<RunningServer | undefined> {
  const url = serverUrl(reachableHost(host), port);
  try {
    const response = await fetch(`${url}/health`, { signal: timeLimit(probeTimeoutMs) });
    const health: unknown = await response.json();
    const guarded = guardedHealthSchema.safeParse(health);
    const { data } = guarded.success ? guarded : openHealthSchema.safeParse(health);
    return data && { url, version: data.version, uptime: data.uptime, requiresToken: guarded.success };
  } catch {
    return undefined;
  }
}

/** Throws an error of one line if the port is taken, before the slow steps of a start. */
export async function rejectTakenPort(host: string, port: number): Promise<void> {
  const server = createServer().listen(port, host.replace(/^\[|\]$/g, ''));
  try {
    await once(server, 'listening');
  } catch (error) {
    // Every other failure is described when the server opens its port.
    if (codeOf(error) === 'EADDRINUSE') throw new Error(await describePortInUse(host, port), { cause: error });
    return;
  }
  await new Promise((resolve) => server.close(resolve));
}

/** One line for a port in use: what holds it, and what to do. */
export async function describePortInUse(host: string, port: number): Promise<string> {
  const { cause, fix } = await findPortUse(host, port);
  return `${cause}: ${fix}.`;
}

/** What holds a port in use, as far as this user may know, and what to do. */
export async function findPortUse(
  host: string,
  port: number,
): Promise<{ readonly cause: string; readonly fix: string }> {
  const running = await findRunningServer({ host, port });
  const holder = await findHolder(port).catch(() => undefined);
  const inUse = `Port ${port} on ${host} is in use`;
  const otherPort = 'or choose another --port';
  if (running !== undefined) {
    const process = holder === undefined ? '' : `, process ${holder.pid}`;
    const cause = `${inUse} by a Greenroom server (version ${running.version}${process})`;
    return { cause, fix: `use it at ${running.url}, stop it, ${otherPort}` };
  }
  const by = holder === undefined ? '' : ` by ${holder.command} (process ${holder.pid})`;
  return { cause: `${inUse}${by}`, fix: `stop the other program, ${otherPort}` };
}

interface PortHolder {
  readonly pid: number;
  readonly command: string;
}

/** The process that listens on the port; undefined if it belongs to another user. */
async function findHolder(port: number): Promise<PortHolder | undefined> {
  return process.platform === 'linux' ? findHolderInProc(port) : findHolderWithLsof(port);
}

/** Of proc(5): a socket that listens has the state 0A. */
async function findHolderInProc(port: number): Promise<PortHolder | undefined> {
  const tables = await Promise.all(
    ['/proc/net/tcp', '/proc/net/tcp6'].map((file) => readFile(file, 'utf8').catch(() => '')),
  );
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0');
  const rows = tables.flatMap((table) => table.split('\n')).map((line) => line.trim().split(/ +/));
  const listening = rows.filter(([, local = '', , state]) => state === '0A' && local.endsWith(`:${hexPort}`));
  const sockets = new Set(listening.map((row) => `socket:[${row[9] ?? ''}]`));
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    if (await hasOpenSocket(pid, sockets)) return { pid: Number(pid), command: await commandOf(pid) };
  }
  return undefined;
}

async function hasOpenSocket(pid: string, sockets: ReadonlySet<string>): Promise<boolean> {
  const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
  const targets = descriptors.map((name) => readlink(`/proc/${pid}/fd/${name}`).catch(() => ''));
  return (await Promise.all(targets)).some((target) => sockets.has(target));
}

const maxCommandLength = 80;

async function commandOf(pid: string): Promise<string> {
  const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  // The first two words are program and script: later ones may be secrets.
  return words.split('\0').slice(0, 2).join(' ').trim().slice(0, maxCommandLength) || 'another program';
}

async function findHolderWithLsof(port: number): Promise<PortHolder | undefined> {
  const { stdout } = await promisify(execFile)('lsof', ['-nP', `-iTCP:${port}`, '-sTCP:LISTEN', '-Fpc']);
  const field = (letter: string): string | undefined =>
    stdout
      .split('\n')
      .find((line) => line.startsWith(letter))
      ?.slice(1);
  const pid = field('p');
  return pid === undefined ? undefined : { pid: Number(pid), command: field('c') ?? 'another program' };
}
