import type { Readable, Writable } from 'node:stream';
import type { BrowserSearch } from '../browser/process/executable.js';
import { flagOf, type Config } from '../config/config.js';
import { messageOf } from '../errors/errors.js';
import type { Log } from '../log.js';
import type { PrepareBrowser } from '../mcp/methodContext.js';
import { createOrchestrator, type Orchestrator } from '../server/orchestrator.js';
import { clientSetups } from '../server/rootPage.js';
import type { CloseReason } from '../../machines/events.js';
import { systemClock, watchTime } from '../clock.js';
import { StdioTransport } from '../transport/stdio.js';
import { checkEnvironment } from './environment.js';

export interface ServeHandle {
  readonly url: string;
  /** Applies the changes that need no restart, and logs both kinds. Never throws: a wrong value changes nothing. */
  reload(read: () => Config): Config;
  /** Drains and stops. Idempotent. */
  close(): Promise<void>;
}

/** What the process supplies to the start of a server. */
export interface ServeOptions {
  announce?(url: string): void;
  /** The file descriptor of a socket that is already listening. */
  readonly socket?: number | undefined;
  /** Slow preparation, called when all checks of the start have passed. If it throws, the server is closed. */
  prepare?(): Promise<void>;
}

/**
 * Opens the port, and announces its address when sessions are accepted: a node of many first waits for its store. The caller
 * closes the handle. Throws a `ConfigError` if `checkEnvironment` finds a problem.
 */
export async function serve(
  config: Config,
  search: BrowserSearch,
  log: Log,
  { announce = (url) => logReady(log, url, config), socket, prepare }: ServeOptions = {},
): Promise<ServeHandle> {
  await checkEnvironment(config, search, log);
  const orchestrator = await createOrchestrator({ config, log, search });
  try {
    await prepare?.();
    const { url } = await orchestrator.listen(socket);
    const announced = orchestrator.whenReady().then((isReady) => isReady && announce(url));
    if (config.redisUrl === undefined) await announced;
    else log.info('listening, waiting for Redis', { url });
    let current = config;
    const reload = (read: () => Config): Config => (current = reloaded(current, read, orchestrator, log));
    const stopWatching = watchTime(systemClock, (ms) => warnOfJump(ms, log));
    const close = (): Promise<void> => {
      stopWatching();
      return orchestrator.close();
    };
    return { url, reload, close };
  } catch (error) {
    await orchestrator.close();
    throw error;
  }
}

/** Timeouts and quotas use elapsed time: only dates are affected. */
function warnOfJump(ms: number, log: Log): void {
  const seconds = Math.round(ms / 1_000);
  const cause = `the clock of this machine ${ms > 0 ? 'went forward' : 'was set back'} by ${Math.abs(seconds)} s`;
  log.warn(`${cause}: tokens expire by the new time; check its synchronisation, unless the machine slept`, { seconds });
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
    notifyClients(orchestrator, changed, wanted);
    log.info('configuration reloaded', { changed: flags(changed), needsRestart: flags(kept) });
    return { ...current, ...Object.fromEntries(changed.map((name) => [name, wanted[name]])) };
  } catch (error) {
    log.error('configuration not reloaded: nothing has changed', { error: messageOf(error) });
    return current;
  }
}

/** Notifies clients of changes that affect them. Secrets are only named: nobody may see their values. */
function notifyClients({ registry }: Orchestrator, changed: readonly (keyof Config)[], config: Config): void {
  const news = changed
    .filter((name) => name !== 'logLevel')
    .map((name) => (name === 'secrets' ? flagOf(name) : `${flagOf(name)} ${String(config[name]) || 'none'}`));
  if (news.length === 0) return;
  for (const session of registry.list())
    session.server.log('notice', `The operator has changed the server's options: ${news.join(', ')}.`);
}

/** Logs the start of a server, for programs that read the log. */
function logReady(log: Log, url: string, { browser, lease }: Config): void {
  log.info('ready', { mcp: `${url}/mcp`, sse: `${url}/sse`, inspector: `${url}/inspector`, browser, lease });
}

export interface WelcomeFacts {
  readonly url: string;
  readonly version: string;
  readonly config: Pick<
    Config,
    'auth' | 'publicUrl' | 'workspace' | 'browser' | 'browserUrl' | 'browserAutoConnect' | 'userDataDir' | 'lease'
  >;
  /** Path of the browser to launch; undefined if none was found. */
  readonly executable: string | undefined;
}

/** What a person reads when the server has started: what to paste, where to look, what tools may touch. */
export function welcomeLines({ url, version, config, executable }: WelcomeFacts): string[] {
  const address = config.publicUrl ?? url;
  const needsToken = config.auth !== 'none';
  const rows: [name: string, text: string][] = [
    ...clientSetups(`${address}/mcp`, needsToken).map(({ name, text }): [string, string] => [name, text]),
    ['Inspector', `${address}/inspector`],
    ['Files', describeFiles(config.workspace)],
    ['Browser', describeBrowser(config, executable)],
  ];
  if (config.auth === 'token')
    rows.push([
      'Tokens',
      `POST ${url}/api/users registers a user, …/tokens issues a token; both need the operator's token`,
    ]);
  const width = Math.max(...rows.map(([name]) => name.length)) + 2;
  return [
    `Greenroom ${version} is ready at ${url}. Ctrl-C stops it. Connect a client:`,
    ...rows.map(([name, text]) => `  ${name.padEnd(width)}${text}`),
  ];
}

function describeFiles(workspace: readonly string[]): string {
  if (workspace.length === 0) return "tools read and write only each session's own folder; --workspace DIR adds one";
  return `tools read and write only below ${workspace.join(' and ')}; --workspace DIR chooses others`;
}

function describeBrowser(
  { browser, browserUrl = [], browserAutoConnect, userDataDir }: WelcomeFacts['config'],
  executable: string | undefined,
): string {
  if (browserAutoConnect)
    return 'your running Chrome, which asks you once, at the first session. Allow it in chrome://inspect/#remote-debugging';
  if (userDataDir !== undefined && executable !== undefined) return `${executable}, with the profile ${userDataDir}`;
  if (browser === 'attach') return `attached: ${browserUrl.map((each) => new URL(each).host).join(', ')}`;
  return executable ?? 'none was found: run `npx greenroom install-browser`, or name one with --executable-path';
}

export interface ServeStdioOptions {
  readonly config: Config;
  /** As in {@link ServeOptions}. */
  prepare?(): Promise<void>;
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
  await options.prepare?.();
  const orchestrator = await createOrchestrator({ config, search, log, ...(prepareBrowser && { prepareBrowser }) });
  const transport = new StdioTransport(input, output, { clock: systemClock, bodyLimit: config.bodyLimit });
  const session = orchestrator.connect(transport);
  void stop.then(() => session.actor.send({ type: 'session.drain' }));
  await session.closed;
  await Promise.all([transport.finished, orchestrator.close()]);
  return cleanEndReasons.has(session.actor.getSnapshot().context.closedBecause) ? 0 : 1;
}
