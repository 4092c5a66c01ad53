import { constants } from 'node:fs';
import { access, readFile, stat } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { Refusal } from '../../errors/errors.js';
import { homeFolder } from '../../folders.js';

/** The browsers that the environment names. Only `main.ts` reads the environment. */
export interface BrowserSearch {
  /** The value of `CHROME_PATH`. */
  readonly chromePath?: string | undefined;
  /** The value of `PATH`. */
  readonly searchPath?: string | undefined;
  /** Whether a browser can open a window. Undefined: not known. */
  readonly hasDisplay?: boolean | undefined;
}

type ChromeChannel = 'stable' | 'beta' | 'dev' | 'canary';

export interface ExecutableOptions extends BrowserSearch {
  /** `--executable-path`. */
  readonly executablePath?: string | undefined;
  /** `--channel`. */
  readonly channel?: ChromeChannel | undefined;
  /** The folder of browsers installed by `install-browser`. */
  readonly cacheFolder?: string;
}

/** The default folder of `@puppeteer/browsers`; browsers that other tools installed there are used too. */
export const browserCache = join(homeFolder(), '.cache', 'puppeteer');

const binaryNames = ['google-chrome-stable', 'google-chrome', 'chromium', 'chromium-browser', 'chrome'];

const binaryFolders = ['/usr/bin', '/usr/local/bin', '/snap/bin', '/opt/google/chrome', '/opt/homebrew/bin'];

const knownPaths: Partial<Record<NodeJS.Platform, readonly string[]>> = {
  darwin: [
    '/Applications/Chromium.app/Contents/MacOS/Chromium',
    join(homeFolder(), 'Applications/Google Chrome.app/Contents/MacOS/Google Chrome'),
    join(homeFolder(), 'Applications/Chromium.app/Contents/MacOS/Chromium'),
  ],
  win32: [join(homeFolder(), 'AppData\\Local\\Google\\Chrome\\Application\\chrome.exe')],
};

const linuxPaths: Readonly<Record<ChromeChannel, string>> = {
  stable: '/opt/google/chrome/chrome',
  beta: '/opt/google/chrome-beta/chrome',
  dev: '/opt/google/chrome-unstable/chrome',
  canary: '/opt/google/chrome-canary/chrome',
};

/**
 * The browser to launch, in this order: `--executable-path`, `--channel`, `CHROME_PATH`, an installed one, the newest from
 * `install-browser`. Throws `browser_failed` that names what was searched and the fix.
 */
export async function findExecutable(options: ExecutableOptions = {}): Promise<string> {
  if (options.executablePath !== undefined) return requireExecutable(options.executablePath, '--executable-path');
  if (options.channel !== undefined) return requireChannel(options.channel);
  if (options.chromePath !== undefined) return requireExecutable(options.chromePath, 'CHROME_PATH');
  for (const candidate of await systemCandidates(options.searchPath))
    if (await isExecutable(candidate)) return candidate;
  const downloaded = await newestDownloaded(options.cacheFolder ?? browserCache);
  if (downloaded !== undefined) return downloaded;
  throw new Refusal('browser_failed', {
    detail: 'No Chrome or Chromium was found. Run `greenroom install-browser`, or name one with --executable-path.',
  });
}

/** A program of Windows, as Linux below Windows (WSL) can start it: without the pipe over which it would be driven. */
const isOfWindows = (path: string): boolean => process.platform !== 'win32' && /\.exe$/i.test(path);

const ofWindows =
  'a program of Windows, which cannot be driven from WSL. Run `greenroom install-browser` in WSL, or start that Chrome ' +
  'in Windows with --remote-debugging-port=9222 and --user-data-dir, and name it with --browser-url.';

async function requireExecutable(path: string, source: string): Promise<string> {
  if (isOfWindows(path)) throw new Refusal('browser_failed', { detail: `${source} names ${path}, ${ofWindows}` });
  if (await isExecutable(path)) return path;
  const detail = `${source} names ${path}, which is not an executable file. Correct it, or run \`greenroom install-browser\`.`;
  throw new Refusal('browser_failed', { detail });
}

async function requireChannel(channel: ChromeChannel): Promise<string> {
  const own = linuxPaths[channel];
  if (process.platform === 'linux' && (await isExecutable(own))) return own;
  const path = await channelPath(channel);
  if (path !== undefined && isOfWindows(path))
    throw new Refusal('browser_failed', { detail: `--channel ${channel} is ${path}, ${ofWindows}` });
  if (path !== undefined && (await isExecutable(path))) return path;
  const where = path === undefined ? 'for this system' : `at ${path}`;
  const detail = `--channel ${channel}: there is no such Chrome ${where}. Install it, or name another with --executable-path.`;
  throw new Refusal('browser_failed', { detail });
}

async function systemCandidates(searchPath: string | undefined): Promise<string[]> {
  const folders = [...binaryFolders, ...(searchPath ?? '').split(delimiter).filter((folder) => folder !== '')];
  const binaries =
    process.platform === 'win32' ? [] : binaryNames.flatMap((name) => folders.map((folder) => join(folder, name)));
  return [...(await channelPaths()), ...binaries, ...(knownPaths[process.platform] ?? [])];
}

const searchedChannels = ['stable', 'beta', 'dev'] as const;

/** The paths of Chrome's own installers per channel, stable first. Empty on a platform without these. */
async function channelPaths(): Promise<string[]> {
  if (process.platform === 'linux') return searchedChannels.map((channel) => linuxPaths[channel]);
  const paths = await Promise.all(searchedChannels.map(channelPath));
  return paths.filter((path) => path !== undefined);
}

/** Undefined on a platform that has no such Chrome. In Linux it starts a shell, for WSL, and waits for it. */
async function channelPath(channel: ChromeChannel): Promise<string | undefined> {
  const { Browser, ChromeReleaseChannel, computeSystemExecutablePath } = await import('@puppeteer/browsers');
  const name = Object.values(ChromeReleaseChannel).find((candidate) => candidate.valueOf() === channel);
  try {
    return name && computeSystemExecutablePath({ browser: Browser.CHROME, channel: name });
  } catch {
    return undefined;
  }
}

async function newestDownloaded(cacheDir: string): Promise<string | undefined> {
  const { Browser, detectBrowserPlatform, getInstalledBrowsers } = await import('@puppeteer/browsers');
  const platform = detectBrowserPlatform();
  const all = await getInstalledBrowsers({ cacheDir });
  const usable = all.filter(
    ({ browser, platform: installedPlatform }) => browser === Browser.CHROME && installedPlatform === platform,
  );
  const newestFirst = usable.sort((a, b) => b.buildId.localeCompare(a.buildId, 'en', { numeric: true }));
  for (const { executablePath } of newestFirst) if (await isExecutable(executablePath)) return executablePath;
  return undefined;
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

/** The default folder of Chrome's, or Chromium's, profiles for this user. */
async function defaultProfileFolders(channel: ChromeChannel | undefined): Promise<string[]> {
  const { Browser, ChromeReleaseChannel, detectBrowserPlatform, resolveDefaultUserDataDir } =
    await import('@puppeteer/browsers');
  const platform = detectBrowserPlatform();
  if (platform === undefined) return [];
  const name = Object.values(ChromeReleaseChannel).find((candidate) => candidate.valueOf() === (channel ?? 'stable'));
  const own = name === undefined ? [] : [resolveDefaultUserDataDir(Browser.CHROME, platform, name)];
  return channel === undefined && process.platform === 'linux' ? [...own, join(homeFolder(), '.config/chromium')] : own;
}

/** Which running Chrome: that of a profile folder, or of a channel. */
export interface RunningChrome {
  readonly userDataDir?: string | undefined;
  readonly channel?: ChromeChannel | undefined;
}

const howToAllow =
  'Start Chrome 144 or later, open chrome://inspect/#remote-debugging in it and switch remote debugging on';

/**
 * The debugging address of a running Chrome. Chrome writes it into its profile folder, as `DevToolsActivePort`: the
 * port, and the path of the socket. Throws `browser_unreachable` with what the user has to do.
 */
export async function findRunningChrome({ userDataDir, channel }: RunningChrome): Promise<string> {
  const folders = userDataDir === undefined ? await defaultProfileFolders(channel) : [userDataDir];
  for (const folder of folders) {
    const text = await readFile(join(folder, 'DevToolsActivePort'), 'utf8').catch(() => undefined);
    const [port = '', path = ''] = (text ?? '').split('\n').map((line) => line.trim());
    if (/^\d{1,5}$/.test(port) && path.startsWith('/devtools/browser')) return `ws://127.0.0.1:${port}${path}`;
  }
  const detail = `No Chrome allows remote debugging: there is no DevToolsActivePort in ${folders.join(' or ')}. ${howToAllow}; --channel and --user-data-dir choose another one.`;
  throw new Refusal('browser_unreachable', { detail });
}
