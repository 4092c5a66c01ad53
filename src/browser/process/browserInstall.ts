import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { messageOf, Refusal } from '../../errors/errors.js';
import { browserCache, findExecutable } from './executable.js';

export interface InstallOptions {
  /** Called with each line of progress, without a line break. */
  readonly write: (line: string) => void;
  /** Percent of the download between two lines of progress. Default: 10. */
  readonly percentStep?: number;
  readonly cacheFolder?: string;
  /** The download server. Default: Google's storage of Chrome for Testing. */
  readonly baseUrl?: string;
  /** Runs a command of the distribution's package manager. */
  readonly run?: (command: string, args: readonly string[], write: (line: string) => void) => Promise<void>;
  /** Whether the distribution's packages may be installed: root on Debian or Ubuntu. */
  readonly mayUseApt?: () => Promise<boolean>;
}

/**
 * Installs a browser and resolves with its path: Chrome for Testing by `@puppeteer/browsers`; if the download fails and
 * the user is root on Debian, the distribution's Chromium. Throws `browser_failed` with the cause.
 */
export async function installChrome(options: InstallOptions): Promise<string> {
  const { write } = options;
  try {
    return await download(options);
  } catch (error) {
    const reason = `Chrome could not be downloaded: ${messageOf(error)}`;
    if (!(await (options.mayUseApt ?? isRootOnDebian)())) throw installRefusal(reason, aptHint, error);
    write(`${reason}. Trying the Chromium of this distribution.`);
  }
  try {
    return await installPackage(options);
  } catch (error) {
    throw installRefusal(`Chromium could not be installed with apt-get: ${messageOf(error)}`, manualHint, error);
  }
}

const manualHint = 'Install Chrome or Chromium by hand and name it with --executable-path.';
const aptHint = `${manualHint} On Debian: apt-get install chromium, as root.`;

function installRefusal(reason: string, hint: string, cause: unknown): Refusal {
  return new Refusal('browser_failed', { detail: `${reason}. ${hint}` }, { cause });
}

async function download({
  write,
  percentStep = 10,
  cacheFolder = browserCache,
  baseUrl,
}: InstallOptions): Promise<string> {
  const { Browser, detectBrowserPlatform, install, resolveBuildId } = await import('@puppeteer/browsers');
  const platform = detectBrowserPlatform();
  if (platform === undefined) throw new Error(`there is no build for ${process.platform} ${process.arch}`);
  write('Looking up the newest stable Chrome.');
  const buildId = await resolveBuildId(Browser.CHROME, platform, 'stable');
  write(`Downloading Chrome ${buildId} to ${cacheFolder}.`);
  const { executablePath } = await install({
    browser: Browser.CHROME,
    buildId,
    cacheDir: cacheFolder,
    downloadProgressCallback: progressReporter(write, percentStep),
    ...(baseUrl !== undefined && { baseUrl }),
  });
  return executablePath;
}

/** Writes a line for each step of the download. */
function progressReporter(
  write: (line: string) => void,
  percentStep: number,
): (downloaded: number, total: number) => void {
  let reported = 0;
  return (downloaded, total) => {
    const percent = total > 0 ? Math.floor(((downloaded / total) * 100) / percentStep) * percentStep : 0;
    if (percent <= reported) return;
    reported = percent;
    write(`Downloading Chrome: ${percent} % of ${Math.round(total / 1024 ** 2)} MB`);
  };
}

async function isRootOnDebian(): Promise<boolean> {
  if (process.getuid?.() !== 0) return false;
  return access('/usr/bin/apt-get').then(
    () => true,
    () => false,
  );
}

async function installPackage({ write, run = runCommand }: InstallOptions): Promise<string> {
  // `env` adds a variable to the inherited environment: apt must not prompt.
  const apt = (...args: string[]) => run('env', ['DEBIAN_FRONTEND=noninteractive', 'apt-get', ...args], write);
  await apt('update');
  await apt('install', '--yes', '--no-install-recommends', 'chromium');
  return findExecutable();
}

async function runCommand(command: string, args: readonly string[], write: (line: string) => void): Promise<void> {
  write(`$ ${args.slice(1).join(' ')}`);
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  createInterface({ input: child.stdout }).on('line', write);
  await once(child, 'close');
  if (child.exitCode !== 0) throw new Error(`${args.slice(1).join(' ')} exited with code ${child.exitCode}`);
}
