import { appendFile, stat } from 'node:fs/promises';
import type { Readable, Writable } from 'node:stream';
import { createResourceLedger } from '../browser/process/resourceLedger.js';
import { attachBrowser, headersOf } from '../browser/process/attachBrowser.js';
import { findExecutable, findRunningChrome, type BrowserSearch } from '../browser/process/executable.js';
import { openProfile } from '../browser/process/launchBrowser.js';
import { ConfigError, flagOf, type Config } from '../config/config.js';
import { messageOf } from '../errors/errors.js';
import type { Log } from '../log.js';
import type { PrepareBrowser } from '../mcp/methodContext.js';
import { createOrchestrator, type Orchestrator } from '../server/orchestrator.js';
import type { CloseReason } from '../../machines/events.js';
import { systemClock } from '../clock.js';
import { StdioTransport } from '../transport/stdio.js';

export interface ServeHandle {
  readonly url: string;
  /** Takes over what can change, and says what did and what needs a restart. Never throws: a wrong value changes nothing. */
  reload(read: () => Config): Config;
  /** Drains and stops. Idempotent. */
  close(): Promise<void>;
}

/** What the start of a server takes from its process. */
export interface ServeOptions {
  announce?(url: string): void;
  /** A socket that listens already. */
  readonly socket?: number | undefined;
}

/**
 * Opens the port, and announces its address when sessions are accepted: many nodes wait for their store. The caller closes the handle. Throws a `ConfigError` for an executable or a folder
 * that does not exist; an unreachable browser of `--browser-url` may start later, and is only a warning.
 */
export async function serve(
  config: Config,
  search: BrowserSearch,
  log: Log,
  { announce = (url) => logReady(log, url, config), socket }: ServeOptions = {},
): Promise<ServeHandle> {
  await checkEnvironment(config, search, log);
  const orchestrator = await createOrchestrator({ config, log, search });
  try {
    const { url } = await orchestrator.listen(socket);
    const announced = orchestrator.whenReady().then((isReady) => isReady && announce(url));
    if (config.redisUrl === undefined) await announced;
    else log.info('listening, waits for Redis', { url });
    let current = config;
    const reload = (read: () => Config): Config => (current = reloaded(current, read, orchestrator, log));
    return { url, reload, close: () => orchestrator.close() };
  } catch (error) {
    await orchestrator.close();
    throw error;
  }
}

/** The options that a running server can change. */
const changeable: readonly (keyof Config)[] = ['logLevel', 'secrets', 'maxSessions', 'maxSessionsPerUser', 'userQuota'];

/** The configuration in force after SIGHUP. */
function reloaded(current: Config, read: () => Config, orchestrator: Orchestrator, log: Log): Config {
  try {
    const wanted = read();
    const differing = (Object.keys(wanted) as (keyof Config)[]).filter(
      (name) => JSON.stringify(wanted[name]) !== JSON.stringify(current[name]),
    );
    const kept = differing.filter((name) => !changeable.includes(name));
    const changed = differing.filter((name) => changeable.includes(name));
    orchestrator.reload(wanted);
    const flags = (names: readonly string[]): string => names.map(flagOf).join(' ') || 'none';
    tellClients(orchestrator, changed, wanted);
    log.info('configuration reloaded', { changed: flags(changed), needsRestart: flags(kept) });
    return { ...current, ...Object.fromEntries(changed.map((name) => [name, wanted[name]])) };
  } catch (error) {
    log.error('configuration not reloaded: nothing has changed', { error: messageOf(error) });
    return current;
  }
}

/** What a client may notice. Secrets go by their names: the values are nobody's to see. */
function tellClients({ registry }: Orchestrator, changed: readonly (keyof Config)[], config: Config): void {
  const news = changed
    .filter((name) => name !== 'logLevel')
    .map((name) => (name === 'secrets' ? flagOf(name) : `${flagOf(name)} ${String(config[name]) || 'none'}`));
  if (news.length === 0) return;
  for (const session of registry.list())
    session.server.log('notice', `The operator has changed the server's options: ${news.join(', ')}.`);
}

/** The start of a server in the log, for programs that read it. */
function logReady(log: Log, url: string, { browser, lease }: Config): void {
  log.info('ready', { mcp: `${url}/mcp`, sse: `${url}/sse`, inspector: `${url}/inspector`, browser, lease });
}

/** Throws a `ConfigError` if a configured executable or folder does not exist, a profile is in use or the audit log cannot be written. */
export async function checkEnvironment(config: Config, search: BrowserSearch, log: Log): Promise<void> {
  await checkFolders(config.workspace);
  if (config.auditLog !== undefined) await checkAuditLog(config.auditLog);
  if (config.browser === 'launch') await checkBrowser(config, search);
  const headers = headersOf(config.browserHeader);
  await Promise.all((config.browserUrl ?? []).map((url) => warnIfUnreachable(url, headers, log)));
  if (config.browserAutoConnect)
    await findRunningChrome(config).catch((error: unknown) =>
      log.warn('the Chrome to attach to was not found', { error: messageOf(error) }),
    );
}

async function checkFolders(folders: readonly string[]): Promise<void> {
  for (const folder of folders) {
    const found = await stat(folder).catch(() => undefined);
    if (found?.isDirectory() !== true)
      throw new ConfigError(`--workspace: ${JSON.stringify(folder)} is not allowed. Allowed: a folder that exists.`);
  }
}

/** What users do must not go unrecorded because of a misspelt folder. */
async function checkAuditLog(file: string): Promise<void> {
  try {
    await appendFile(file, '', { mode: 0o600 });
  } catch (error) {
    throw new ConfigError(
      `--audit-log ${file} cannot be written: ${messageOf(error)}. Name a file in a folder that exists and that this user may write to.`,
      { cause: error },
    );
  }
}

/** Checks what is configured only: a missing browser is reported to each session that needs one. */
async function checkBrowser(config: Config, { chromePath }: BrowserSearch): Promise<void> {
  const { executablePath, channel, userDataDir } = config;
  try {
    if ((executablePath ?? channel ?? chromePath) !== undefined)
      await findExecutable({ executablePath, channel, chromePath });
    if (userDataDir !== undefined) await openProfile(userDataDir);
  } catch (error) {
    throw new ConfigError(messageOf(error), { cause: error });
  }
}

async function warnIfUnreachable(url: string, headers: ReturnType<typeof headersOf>, log: Log): Promise<void> {
  try {
    const connection = await attachBrowser({
      url,
      headers,
      signal: new AbortController().signal,
      ledger: createResourceLedger(),
    });
    await connection.close();
  } catch (error) {
    log.warn('browser to attach to is unreachable', { error: messageOf(error) });
  }
}

export interface ServeStdioOptions {
  readonly config: Config;
  readonly prepareBrowser?: PrepareBrowser | undefined;
  readonly search: BrowserSearch;
  readonly log: Log;
  readonly input: Readable;
  /** Carries JSON-RPC messages only. */
  readonly output: Writable;
  /** Resolves when the process is asked to stop. */
  readonly stop: Promise<unknown>;
}

/** The close reasons of exit code 0. */
const cleanEndReasons: ReadonlySet<CloseReason | null> = new Set(['client-closed', 'idle-timeout', 'server-draining']);

/**
 * `greenroom stdio`: one session on two streams, and no port. When the input ends, `stop` resolves or the session ends,
 * everything is released and the promise resolves with the exit code.
 */
export async function serveStdio(options: ServeStdioOptions): Promise<number> {
  const { config, search, log, input, output, stop, prepareBrowser } = options;
  await checkEnvironment(config, search, log);
  const orchestrator = await createOrchestrator({ config, search, log, ...(prepareBrowser && { prepareBrowser }) });
  const transport = new StdioTransport(input, output, { clock: systemClock, bodyLimit: config.bodyLimit });
  const session = orchestrator.connect(transport);
  void stop.then(() => session.actor.send({ type: 'session.drain' }));
  await session.closed;
  await Promise.all([transport.finished, orchestrator.close()]);
  return cleanEndReasons.has(session.actor.getSnapshot().context.closedBecause) ? 0 : 1;
}
