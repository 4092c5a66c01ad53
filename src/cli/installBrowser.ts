import { findExecutable, type BrowserSearch } from '../browser/process/executable.js';
import { installChrome as install } from '../browser/process/browserInstall.js';
import type { Config } from '../config/config.js';
import { messageOf } from '../errors/errors.js';

/** `greenroom install-browser`: installs one unless there is one; prints progress and resolves with the exit code. */
export async function installBrowser(search: BrowserSearch, write: (line: string) => void): Promise<number> {
  try {
    const found = await findExecutable(search).catch(() => undefined);
    write(found === undefined ? `Installed: ${await install({ write })}` : `There is one: ${found}`);
    return 0;
  } catch (error) {
    write(messageOf(error));
    return 1;
  }
}

/**
 * Makes sure that a server which launches browsers has one, installing it if need be. Never throws: what is missing then
 * is told to each session that needs it.
 */
export async function prepareBrowser(
  config: Pick<Config, 'browser' | 'executablePath'>,
  search: BrowserSearch,
  write: (line: string) => void,
): Promise<void> {
  if (config.browser === 'attach' || config.executablePath !== undefined || search.chromePath !== undefined) return;
  await findExecutable(search).catch(() => installBrowser(search, write));
}
