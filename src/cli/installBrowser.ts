import { findExecutable, type BrowserSearch } from '../browser/process/executable.js';
import { installChrome, type InstallOptions } from '../browser/process/browserInstall.js';
import type { Config } from '../config/config.js';
import { messageOf } from '../errors/errors.js';
import type { PrepareBrowser } from '../mcp/methodContext.js';

/** `greenroom install-browser`: installs a browser unless one is found; prints progress and resolves with the exit code. */
export async function installBrowser(search: BrowserSearch, write: (line: string) => void): Promise<number> {
  try {
    const found = await findExecutable(search).catch(() => undefined);
    write(found === undefined ? `Installed: ${await installChrome({ write })}` : `Already installed: ${found}`);
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
  config: LaunchConfig,
  search: BrowserSearch,
  write: (line: string) => void,
): Promise<void> {
  if (mayInstall(config, search)) await findExecutable(search).catch(() => installBrowser(search, write));
}

/**
 * Installs a browser at the first use, for a server whose client does not wait for it. Every use meanwhile waits for the
 * same installation and hears of it; after a failure, the next one tries again.
 */
export function installOnFirstUse(
  config: LaunchConfig,
  search: BrowserSearch,
  { find = findExecutable, install = installChrome }: Partial<Installation> = {},
): PrepareBrowser | undefined {
  if (!mayInstall(config, search)) return undefined;
  const listeners = new Set<(step: string) => void>();
  const write = (step: string): void => listeners.forEach((report) => report(step));
  const prepare = async (): Promise<void> => {
    const found = await find(search).catch(() => undefined);
    if (found === undefined) await install({ write });
  };
  let prepared: Promise<void> | undefined;
  return async (report) => {
    listeners.add(report);
    prepared ??= prepare().catch((error: unknown) => {
      prepared = undefined;
      throw error;
    });
    await prepared.finally(() => listeners.delete(report));
  };
}

interface Installation {
  find(search: BrowserSearch): Promise<string>;
  install(options: Pick<InstallOptions, 'write'>): Promise<string>;
}

type LaunchConfig = Pick<Config, 'browser' | 'executablePath'>;

/** A browser that is named is there, or its absence is the operator's mistake. */
const mayInstall = ({ browser, executablePath }: LaunchConfig, { chromePath }: BrowserSearch): boolean =>
  browser !== 'attach' && executablePath === undefined && chromePath === undefined;
