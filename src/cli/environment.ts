import { appendFile, rm, stat } from 'node:fs/promises';
import { attachBrowser, headersOf } from '../browser/process/attachBrowser.js';
import { findExecutable, findRunningChrome, type BrowserSearch } from '../browser/process/executable.js';
import { openProfile } from '../browser/process/launchBrowser.js';
import { createResourceLedger } from '../browser/process/browserConnection.js';
import { ConfigError, type Config } from '../config/config.js';
import { messageOf } from '../errors/errors.js';
import type { Log } from '../log.js';

/** A property of this machine with which a server cannot run, and the fix. */
export class EnvironmentProblem extends Error {
  readonly fix: string;

  constructor(message: string, fix: string, options?: ErrorOptions) {
    super(message, options);
    this.fix = fix;
  }
}

/**
 * Throws a `ConfigError` of one line if a configured folder or executable does not exist, a profile is in use, an audit log
 * cannot be written, a window has no display, or a sandbox would run as root. A browser of `--browser-url` that cannot be
 * reached may start later, and is only a warning.
 */
export async function checkEnvironment(config: Config, search: BrowserSearch, log: Log): Promise<void> {
  await checkFolders(config.workspace);
  try {
    if (config.auditLog !== undefined) await checkAuditLog(config.auditLog);
    if (config.browser === 'launch') await checkBrowser(config, search);
  } catch (error) {
    const fix = error instanceof EnvironmentProblem ? `: ${error.fix}.` : '';
    throw new ConfigError(`${messageOf(error)}${fix}`, { cause: error });
  }
  const headers = headersOf(config.browserHeader);
  await Promise.all((config.browserUrl ?? []).map((url) => warnIfUnreachable(url, headers, log)));
  if (config.browserAutoConnect)
    await findRunningChrome(config).catch((error: unknown) =>
      log.warn('Chrome to attach to was not found', { error: messageOf(error) }),
    );
}

async function checkFolders(folders: readonly string[]): Promise<void> {
  for (const folder of folders) {
    const found = await stat(folder).catch(() => undefined);
    if (found?.isDirectory() !== true)
      throw new ConfigError(`--workspace: ${JSON.stringify(folder)} is not allowed. Allowed: a folder that exists.`);
  }
}

/** A misspelt folder must not leave actions of users unrecorded. Leaves no file if there was none. */
export async function checkAuditLog(file: string): Promise<string> {
  const wasThere = await stat(file).then(
    () => true,
    () => false,
  );
  try {
    await appendFile(file, '', { mode: 0o600 });
  } catch (error) {
    const fix = 'name a file in a folder that exists and that this user may write to';
    throw new EnvironmentProblem(`--audit-log ${file} cannot be written (${messageOf(error)})`, fix, { cause: error });
  }
  if (!wasThere) await rm(file);
  return `${file} can be written`;
}

/** Checks only configured browsers: if none is installed, each session that needs one reports it. */
async function checkBrowser(config: Config, search: BrowserSearch): Promise<void> {
  const { executablePath, channel, userDataDir } = config;
  const { chromePath } = search;
  checkDisplay(config, search);
  checkSandbox(config);
  if ((executablePath ?? channel ?? chromePath) !== undefined)
    await findExecutable({ executablePath, channel, chromePath });
  if (userDataDir !== undefined) await openProfile(userDataDir);
}

/** Without a display Chrome would write nine lines and exit, for each session again. */
export function checkDisplay(
  { headless, chromeArg }: Pick<Config, 'headless' | 'chromeArg'>,
  { hasDisplay = true }: Pick<BrowserSearch, 'hasDisplay'>,
): string {
  // With a named platform, such as `--ozone-platform=headless`, Chrome may need no display.
  if (headless || hasDisplay || chromeArg.some((flag) => flag.startsWith('--ozone-platform'))) return 'present';
  throw new EnvironmentProblem(
    '--headless=false opens a window, and there is no display (DISPLAY and WAYLAND_DISPLAY are not set)',
    'leave it out, or start the server under xvfb-run',
  );
}

function checkSandbox({ sandbox }: Pick<Config, 'sandbox'>): void {
  if (sandbox !== 'on' || process.platform !== 'linux' || process.getuid?.() !== 0) return;
  const fix = 'leave it out, or start the server as another user';
  throw new EnvironmentProblem('--sandbox on: Chrome cannot start its sandbox as root', fix);
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
