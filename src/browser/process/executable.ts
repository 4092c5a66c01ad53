import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { Refusal } from '../../errors/errors.js';
import { homeFolder } from '../../homeFolder.js';

/** The environment variables that locate browsers. Only `main.ts` reads them. */
export interface BrowserSearch {
  /** The value of `CHROME_PATH`. */
  readonly chromePath?: string | undefined;
  /** The value of `PATH`. */
  readonly searchPath?: string | undefined;
}

export interface ExecutableOptions extends BrowserSearch {
  /** `--executable-path`. */
  readonly executablePath?: string | undefined;
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

/**
 * The browser to launch, in this order: `--executable-path`, `CHROME_PATH`, an installed one, the newest from
 * `install-browser`. Throws `browser_failed` that names what was searched and the fix.
 */
export async function findExecutable(options: ExecutableOptions = {}): Promise<string> {
  if (options.executablePath !== undefined) return requireExecutable(options.executablePath, '--executable-path');
  if (options.chromePath !== undefined) return requireExecutable(options.chromePath, 'CHROME_PATH');
  for (const candidate of await systemCandidates(options.searchPath))
    if (await isExecutable(candidate)) return candidate;
  const downloaded = await newestDownloaded(options.cacheFolder ?? browserCache);
  if (downloaded !== undefined) return downloaded;
  throw new Refusal('browser_failed', {
    detail: 'No Chrome or Chromium was found. Run `greenroom install-browser`, or name one with --executable-path.',
  });
}

async function requireExecutable(path: string, source: string): Promise<string> {
  if (await isExecutable(path)) return path;
  const detail = `${source} names ${path}, which is not an executable file. Correct it, or run \`greenroom install-browser\`.`;
  throw new Refusal('browser_failed', { detail });
}

async function systemCandidates(searchPath: string | undefined): Promise<string[]> {
  const folders = [...binaryFolders, ...(searchPath ?? '').split(delimiter).filter((folder) => folder !== '')];
  const binaries =
    process.platform === 'win32' ? [] : binaryNames.flatMap((name) => folders.map((folder) => join(folder, name)));
  return [...(await channelPaths()), ...binaries, ...(knownPaths[process.platform] ?? [])];
}

/** The paths of Chrome's own installers per channel, stable first. Empty on a platform without these. */
async function channelPaths(): Promise<string[]> {
  const { Browser, ChromeReleaseChannel, computeSystemExecutablePath } = await import('@puppeteer/browsers');
  const channels = [ChromeReleaseChannel.STABLE, ChromeReleaseChannel.BETA, ChromeReleaseChannel.DEV];
  return channels.flatMap((channel) => {
    try {
      return [computeSystemExecutablePath({ browser: Browser.CHROME, channel })];
    } catch {
      return [];
    }
  });
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
