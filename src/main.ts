#!/usr/bin/env node
import { join } from 'node:path';
import { runProgram, type Commands } from './cli/program.js';
import { serve, welcomeLines, type ServeHandle } from './cli/serve.js';
import { ConfigError, type Config } from './config/config.js';
import { noop } from './async.js';
import { messageOf } from './errors/errors.js';
import { createLog, isPretty, type Log } from './log.js';
import { packageInfo } from './packageInfo.js';
import { rejectTakenPort } from './server/portHolder.js';

/** The entry point: the only file that uses arguments, environment, signals and standard streams of the process. */

const proxyVariables = ['http_proxy', 'https_proxy', 'all_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY'];
const isSet = (name: string): boolean => (process.env[name] ?? '') !== '';
// An empty variable is one that is not set.
const search = {
  chromePath: process.env['CHROME_PATH'] || undefined,
  searchPath: process.env['PATH'],
  hasProxy: proxyVariables.some(isSet),
  hasDisplay: ['darwin', 'win32'].includes(process.platform) || ['DISPLAY', 'WAYLAND_DISPLAY'].some(isSet),
};

const write = (line: string): void => void process.stdout.write(`${line}\n`);
const writeError = (line: string): void => void process.stderr.write(`${line}\n`);

/** Finds the browser that the server will launch, or installs one and shows how far it is. */
async function findOrInstallBrowser(config: Config): Promise<string | undefined> {
  const { createProgressLine, prepareBrowser } = await import('./cli/installBrowser.js');
  return prepareBrowser(config, search, { progress: createProgressLine(process.stderr), write: writeError });
}

/** Resolves at the first SIGINT or SIGTERM. The second one exits the process at once; its browsers exit with it. */
function untilStopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    const onSignal = (signal: NodeJS.Signals): void => {
      for (const name of ['SIGINT', 'SIGTERM'] as const) {
        process.off(name, onSignal);
        process.on(name, () => process.exit(1));
      }
      resolve(signal);
    };
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
  });
}

/** Resolves at the first unhandled rejection: an internal error, after which the state of the process is unknown. */
function untilUnhandledRejection(log: Log): Promise<'unhandledRejection'> {
  return new Promise((resolve) => {
    process.on('unhandledRejection', (error) => {
      const stack = error instanceof Error ? error.stack : undefined;
      log.error('unhandled rejection: internal error, the server stops', { error: messageOf(error), stack });
      resolve('unhandledRejection');
    });
  });
}

/** Resolves at `q`, or at Ctrl-C, which a terminal in raw mode sends as a character. */
function untilQuitKey(): Promise<void> {
  return new Promise((resolve) => {
    process.stdin.on('data', (keys: Buffer) => {
      if (/[qQ\u0003]/.test(keys.toString())) resolve();
    });
  });
}

/** A server for one command: on a free loopback port, without authentication and warm sessions. */
async function startTemporaryServer(config: Config, logLevel: 'error' | 'warn'): Promise<ServeHandle> {
  const log = createLog({ ...config, logLevel }, process.stderr.isTTY);
  const prepare = async (): Promise<void> => void (await findOrInstallBrowser(config));
  return serve({ ...config, host: '127.0.0.1', port: 0, auth: 'none', prewarm: 0 }, search, log, { prepare });
}

const namedSessionsOf = (config: Config, token: string | undefined) => ({
  folder: join(config.dataDir, 'shell'),
  token,
});

/**
 * The socket that systemd opened for this process (sd_listen_fds(3)): it stays open while the server restarts, so that no
 * client is refused meanwhile. Programs that are started do not inherit it.
 */
function takeHandedSocket(): number | undefined {
  const { LISTEN_PID: pid, LISTEN_FDS: count } = process.env;
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) Reflect.deleteProperty(process.env, name);
  if (Number(pid) !== process.pid || Number(count) < 1) return undefined;
  if (Number(count) > 1)
    throw new ConfigError('More than one socket was handed over: leave one ListenStream= in the socket unit.');
  return 3;
}

const commands: Commands = {
  async serve(config, reread) {
    const log = createLog(config, process.stderr.isTTY);
    const defect = untilUnhandledRejection(log);
    const socket = takeHandedSocket();
    let executable: string | undefined;
    const stop = Promise.race([untilStopSignal(), defect]);
    const prepare = async (): Promise<void> => {
      const stopped = stop.then((cause) => Promise.reject(new Error(`${cause} came before the server was ready.`)));
      executable = await Promise.race([findOrInstallBrowser(config), stopped]);
    };
    const { version } = packageInfo;
    const welcome = (url: string): void => welcomeLines({ url, version, config, executable }).forEach(writeError);
    const isWatched = isPretty(config, process.stderr.isTTY);
    const start = async (): Promise<ServeHandle> => {
      if (socket === undefined) await rejectTakenPort(config.host, config.port);
      return serve(config, search, log, { socket, prepare, ...(isWatched && { announce: welcome }) });
    };
    const started = start();
    const reload = (): Promise<void> =>
      started.then((handle) => void (log.level = handle.reload(reread).logLevel), noop);
    // Below a terminal it means that the terminal is gone, and ends the process. One that comes early waits for the start.
    if (!process.stdin.isTTY && !process.stderr.isTTY) process.on('SIGHUP', () => void reload());
    const running = await started;
    const cause = await stop;
    log.info('stopping', { cause });
    await running.close();
    log.info('stopped');
    // After an internal error, open handles must not keep the process alive.
    if (cause === 'unhandledRejection') process.exit(1);
    return 0;
  },

  async stdio(config) {
    const log = createLog(config, process.stderr.isTTY);
    const defect = untilUnhandledRejection(log);
    const { installOnFirstUse } = await import('./cli/installBrowser.js');
    // An eager session is not connected without a browser; otherwise the client does not wait for one.
    const prepare = async (): Promise<void> => {
      if (config.lease === 'eager') await findOrInstallBrowser(config);
    };
    const { serveStdio } = await import('./cli/serve.js');
    const failed = new AbortController();
    void defect.then(() => failed.abort());
    const code = await serveStdio({
      config,
      prepare,
      prepareBrowser: installOnFirstUse(config, search),
      search,
      log,
      input: process.stdin,
      output: process.stdout,
      stop: Promise.race([untilStopSignal(), defect]),
    });
    // Output that the client does not read must not keep the process alive.
    process.exit(failed.signal.aborted ? 1 : code);
  },

  async selftest({ config, ...target }) {
    const { selftest } = await import('./selftest/runSelftest.js');
    return selftest({ ...target, write, startServer: () => startTemporaryServer(config, 'warn') });
  },

  async call({ config, url, token, mayReuse, calls, session: name, asJson, output }) {
    const { call } = await import('./cli/call.js');
    const { findRunningServer } = await import('./server/portHolder.js');
    const found = url === undefined && mayReuse ? await findRunningServer(config) : undefined;
    // Without a token, a server with authentication would refuse the session.
    const reused = found?.requiresToken === true && token === undefined ? undefined : found?.url;
    if (reused !== undefined) writeError(`Using the running server at ${reused}.`);
    const target = url ?? reused;
    const options = { calls, asJson, output, write, note: writeError };
    if (target !== undefined) {
      const session = name === undefined ? undefined : { name, kept: namedSessionsOf(config, token) };
      return call({ ...options, url: target, token, session });
    }
    if (name !== undefined)
      throw new Error(
        '--session needs a running server, which keeps it: start one with npm start, or name one with --url.',
      );
    // What fails is the answer of the command, once.
    const running = await startTemporaryServer(config, 'error');
    try {
      return await call({ ...options, url: running.url });
    } finally {
      await running.close();
    }
  },

  async tools({ name, asJson }) {
    const { describeTool, describeToolAsJson, listTools } = await import('./cli/toolHelp.js');
    if (asJson) write(describeToolAsJson(name));
    else (name === undefined ? listTools() : describeTool(name)).forEach(write);
    return 0;
  },

  async sessions({ config, token, end }) {
    const { endNamedSession, listNamedSessions } = await import('./cli/namedSessions.js');
    const kept = namedSessionsOf(config, token);
    if (end === undefined) (await listNamedSessions(kept)).forEach(write);
    else write(await endNamedSession(end, kept));
    return 0;
  },

  async skills({ action, ...request }) {
    const { installSkills, listSkills } = await import('./cli/skillsCommand.js');
    if (action === 'install') return installSkills({ ...request, write });
    listSkills().forEach(write);
    return 0;
  },

  async completion(shell, offered) {
    const { completionScript } = await import('./cli/completion.js');
    process.stdout.write(completionScript(shell, offered));
    return 0;
  },

  async doctor(config) {
    const { doctor } = await import('./cli/doctor.js');
    return doctor({ config, ...search, write });
  },

  async top(config, url) {
    const { top } = await import('./cli/top.js');
    const { serverUrl } = await import('./server/portHolder.js');
    const { stdin, stdout, env } = process;
    const isWatched = stdin.isTTY && stdout.isTTY;
    if (isWatched) stdin.setRawMode(true).resume();
    try {
      return await top({
        url: url ?? serverUrl(config.host, config.port),
        write: (text) => void stdout.write(text),
        screen: isWatched ? () => ({ columns: stdout.columns, rows: stdout.rows }) : null,
        colored: env['NO_COLOR'] === undefined,
        authorization: config.adminToken === undefined ? undefined : `Bearer ${config.adminToken}`,
        stopped: isWatched ? untilQuitKey() : Promise.resolve(),
      });
    } finally {
      if (isWatched) stdin.setRawMode(false).pause();
    }
  },

  async installBrowser() {
    const { createProgressLine, installBrowser } = await import('./cli/installBrowser.js');
    return installBrowser(search, { progress: createProgressLine(process.stdout), write });
  },
};

process.exitCode = await runProgram(process.argv.slice(2), process.env, commands, writeError);
// Everything is closed. What others still hold open must not keep the process alive: a child of Chrome its pipes, a timer.
setTimeout(() => process.exit(), 1_000).unref();
