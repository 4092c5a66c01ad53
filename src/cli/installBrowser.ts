import { findExecutable, type BrowserSearch } from '../browser/process/executable.js';
import { installChrome as install } from '../browser/process/browserInstall.js';
import type { Config } from '../config/config.js';
import { messageOf } from '../errors/errors.js';

/** `greenroom install-browser`: installs a browser unless one is found; prints progress and resolves with the exit code. */
export async function installBrowser(search: BrowserSearch, write: (line: string) => void): Promise<number> {
  try {
    const found = await findExecutable(search).catch(() => undefined);
    write(found === undefined ? `Installed: ${await install({ write })}` : `Already installed: ${found}`);
    return 0;
  } catch (error) {
    write(messageOf(error));
    return 1;
  }
}

/**
 * Installs a browser if the server launches browsers and none is found. Never throws: a missing browser is reported to each
 * session that needs one.
 */
export async function prepareBrowser(
  config: Pick<Config, 'browser' | 'executablePath'>,
  search: BrowserSearch,
  write: (line: string) => void,
): Promise<void> {
  if (config.browser === 'attach' || config.executablePath !== undefined || search.chromePath !== undefined) return;
  await findExecutable(search).catch(() => installBrowser(search, write));
}
