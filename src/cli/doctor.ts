import { access, constants, mkdtemp, rm, statfs, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { timeLimit } from '../clock.js';
import { attachBrowser, headersOf } from '../browser/process/attachBrowser.js';
import { type BrowserConnection, createResourceLedger } from '../browser/process/browserConnection.js';
import {
  findExecutable,
  findRunningChrome,
  type BrowserSearch,
  type RunningChrome,
} from '../browser/process/executable.js';
import { findLeftovers } from '../browser/process/janitor.js';
import { launchBrowser, openProfile } from '../browser/process/launchBrowser.js';
import type { Config } from '../config/config.js';
import { codeOf, messageOf } from '../errors/errors.js';
import { createFolder } from '../folders.js';
import { findPortUse, findRunningServer } from '../server/portHolder.js';
import { checkAuditLog, checkDisplay, EnvironmentProblem } from './environment.js';

export interface DoctorOptions extends BrowserSearch {
  readonly config: Pick<Config, 'host' | 'port' | 'browserUrl' | 'executablePath' | 'headless'> &
    Pick<Config, 'dataDir' | 'redisUrl' | 'sandbox' | 'proxyServer' | 'chromeArg'> &
    Pick<Config, 'browserHeader' | 'browserAutoConnect' | 'channel' | 'userDataDir' | 'auditLog'>;
  readonly temporaryFolder?: string;
  readonly write: (line: string) => void;
}

/** One check. Resolves with its finding; throws an `EnvironmentProblem` if a server cannot run like this. */
interface Check {
  readonly name: string;
  run(): Promise<string>;
}

const minFreeMb = 500;
/** Milliseconds that one Redis may take to answer. */
const redisTimeoutMs = 5_000;
const minNodeVersion = [20, 19] as const;

/**
 * `greenroom doctor`: checks what a server needs, prints a line for each check (`ok`, or `problem` with a fix) and resolves
 * with the exit code. Starts one browser and closes it; changes nothing.
 */
export async function doctor(options: DoctorOptions): Promise<number> {
  const { config, temporaryFolder = tmpdir() } = options;
  const { auditLog } = config;
  const checks: Check[] = [
    { name: 'node', run: async () => checkNode(process.versions.node) },
    ...browserChecks(options, temporaryFolder),
    { name: 'temporary folder', run: () => checkFolder(temporaryFolder) },
    { name: 'users', run: () => checkUserStorage(config) },
    ...(auditLog === undefined ? [] : [{ name: 'audit log', run: () => checkAuditLog(auditLog) }]),
    { name: 'port', run: () => checkPort(config.host, config.port) },
    { name: 'leftovers', run: () => checkLeftovers(temporaryFolder) },
    ...redisChecks(config.redisUrl),
  ];
  let problems = 0;
  for (const check of checks) if (!(await runCheck(check, options.write))) problems += 1;
  options.write(problems === 0 ? 'All checks passed.' : `${problems} of ${checks.length} checks failed.`);
  return problems === 0 ? 0 : 1;
}

async function runCheck({ name, run }: Check, write: (line: string) => void): Promise<boolean> {
  try {
    write(`ok       ${name}: ${await run()}`);
    return true;
  } catch (error) {
    write(`problem  ${name}: ${messageOf(error)}`);
    if (error instanceof EnvironmentProblem) write(`         fix: ${error.fix}`);
    return false;
  }
}

function checkNode(version: string): string {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [minMajor, minMinor] = minNodeVersion;
  if (major > minMajor || (major === minMajor && minor >= minMinor)) return version;
  throw new EnvironmentProblem(`${version} is too old`, `install Node ${minNodeVersion.join('.')} or later`);
}

function browserChecks(options: DoctorOptions, temporaryFolder: string): Check[] {
  const { config, chromePath, searchPath } = options;
  const { browserUrl, channel, userDataDir } = config;
  if (browserUrl !== undefined) {
    const headers = headersOf(config.browserHeader);
    return browserUrl.map((url) => ({
      name: `browser at ${new URL(url).host}`,
      run: () => timeBrowser((signal) => attachBrowser({ url, headers, signal, ledger: createResourceLedger() })),
    }));
  }
  if (config.browserAutoConnect) return [{ name: 'running Chrome', run: () => checkRunningChrome(config) }];
  const find = () => findExecutable({ executablePath: config.executablePath, channel, chromePath, searchPath });
  const launch = async (signal: AbortSignal): Promise<BrowserConnection> => {
    const executablePath = await find();
    const folder = await mkdtemp(join(temporaryFolder, 'doctor-'));
    const { headless, sandbox, proxyServer, chromeArg } = config;
    const how = { headless, sandbox, proxyServer, chromeArg };
    return launchBrowser({ executablePath, folder, ...how, signal, ledger: createResourceLedger() });
  };
  return [
    { name: 'browser', run: find },
    ...(config.headless ? [] : [{ name: 'display', run: async () => checkDisplay(config, options) }]),
    { name: 'launch', run: () => timeBrowser(launch).catch(explainLaunch) },
    ...(userDataDir === undefined ? [] : [{ name: 'profile', run: () => checkProfile(userDataDir) }]),
  ];
}

/** Adds a fix to the error of a Chrome that does not start. */
function explainLaunch(error: unknown): never {
  const [message = '', isUnknown] = messageOf(error).split(' Run `greenroom doctor`');
  if (isUnknown === undefined) throw error;
  const fix = 'install what is missing, name another browser with --executable-path, or run greenroom install-browser';
  throw new EnvironmentProblem(message, fix, { cause: error });
}

async function checkProfile(folder: string): Promise<string> {
  const created = await openProfile(folder);
  if (created !== undefined) await rm(created, { recursive: true, force: true });
  return `${folder} is free`;
}

/** Does not connect: Chrome would ask the user. */
async function checkRunningChrome(chrome: RunningChrome): Promise<string> {
  const url = new URL(await findRunningChrome(chrome));
  const socket = connect(Number(url.port), url.hostname);
  try {
    await once(socket, 'connect');
    return `listens at ${url.host}, and will ask its user when the first session connects`;
  } catch (error) {
    const fix = 'start Chrome, and switch on remote debugging in chrome://inspect/#remote-debugging';
    throw new EnvironmentProblem(`nothing answers at ${url.host}: Chrome is no longer running`, fix, {
      cause: error,
    });
  } finally {
    socket.destroy();
  }
}

function redisChecks(url: string | undefined): Check[] {
  if (url === undefined) return [];
  const run = async (): Promise<string> => {
    const { probeRedis } = await import('../cluster/redis/redisProbe.js');
    const result = await probeRedis(url, redisTimeoutMs);
    if (result.kind === 'problem') throw new EnvironmentProblem(result.summary, result.fix);
    return result.summary;
  };
  return [{ name: 'redis', run }];
}

/** Connects to a browser, opens a page in it and disconnects. Resolves with the product and the duration. */
async function timeBrowser(open: (signal: AbortSignal) => Promise<BrowserConnection>): Promise<string> {
  const startedAt = performance.now();
  const connection = await open(timeLimit(30_000));
  try {
    const context = await connection.browser.createBrowserContext();
    await context.newPage();
    await context.close();
    return `${connection.product} answered in ${Math.round(performance.now() - startedAt)} ms`;
  } finally {
    await connection.close();
  }
}

async function checkFolder(folder: string): Promise<string> {
  try {
    await access(folder, constants.W_OK);
  } catch (error) {
    throw new EnvironmentProblem(`${folder} cannot be written to`, `chmod u+w ${folder}, or set TMPDIR`, {
      cause: error,
    });
  }
  const { bavail, bsize } = await statfs(folder);
  const freeMb = Math.floor((bavail * bsize) / 1024 ** 2);
  if (freeMb < minFreeMb) {
    throw new EnvironmentProblem(
      `${folder} has ${freeMb} MB free`,
      `free ${minFreeMb} MB, or set TMPDIR to another disk`,
    );
  }
  return `${folder}, ${freeMb} MB free`;
}

/**
 * The storage of users, tokens and users' browsers: writes to the data folder as the server would, and removes what it
 * created.
 */
async function checkUserStorage({ dataDir, redisUrl }: Pick<Config, 'dataDir' | 'redisUrl'>): Promise<string> {
  if (redisUrl !== undefined) return 'stored in the Redis of --redis-url';
  let created: string | undefined;
  try {
    created = await createFolder(dataDir);
    const file = join(dataDir, `.doctor-${process.pid}`);
    await writeFile(file, '');
    await rm(file);
    return `stored in ${dataDir}`;
  } catch (error) {
    const fix = 'choose another --data-dir, or make this user the owner of the folder';
    throw new EnvironmentProblem(`${dataDir} cannot be written to: ${messageOf(error)}`, fix, { cause: error });
  } finally {
    if (created !== undefined) await rm(created, { recursive: true, force: true });
  }
}

async function checkPort(host: string, port: number): Promise<string> {
  const server = createServer();
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (error) {
    const running = await findRunningServer({ host, port });
    if (running !== undefined) return `a Greenroom server runs at ${running.url}`;
    if (codeOf(error) !== 'EADDRINUSE')
      throw new EnvironmentProblem(messageOf(error), 'choose another --host or --port', { cause: error });
    const use = await findPortUse(host, port);
    throw new EnvironmentProblem(use.cause, use.fix, { cause: error });
  }
  server.close();
  return `${host}:${port} is free`;
}

async function checkLeftovers(folder: string): Promise<string> {
  const leftovers = await findLeftovers(folder);
  if (leftovers.length === 0) return 'none';
  throw new EnvironmentProblem(
    `folders of servers that did not stop cleanly: ${leftovers.join(', ')}`,
    `rm -r ${leftovers.join(' ')}, or start a server, which removes them`,
  );
}
