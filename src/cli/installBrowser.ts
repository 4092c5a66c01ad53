import type { WriteStream } from 'node:tty';
import { findExecutable, type BrowserSearch } from '../browser/process/executable.js';
import { installChrome, type InstallOptions } from '../browser/process/browserInstall.js';
import type { Config } from '../config/config.js';
import { messageOf } from '../errors/errors.js';
import type { PrepareBrowser } from '../mcp/methodContext.js';

export interface InstallOutput {
  readonly progress: ProgressLine;
  write(line: string): void;
}

/** `greenroom install-browser`: installs a browser unless one is found; shows progress and resolves with the exit code. */
export async function installBrowser(search: BrowserSearch, output: InstallOutput): Promise<number> {
  const found = await findExecutable(search).catch(() => undefined);
  if (found !== undefined) output.write(`Already installed: ${found}`);
  return (found ?? (await installMissing(output))) === undefined ? 1 : 0;
}

/** Installs a browser and resolves with its path; undefined if it cannot. */
async function installMissing({ progress, write }: InstallOutput): Promise<string | undefined> {
  try {
    const path = await installChrome({ write: (line) => progress.show(line), percentStep: progress.isMoving ? 1 : 10 });
    progress.clear();
    write(`Installed: ${path}`);
    return path;
  } catch (error) {
    progress.clear();
    write(messageOf(error));
    return undefined;
  }
}

/**
 * Resolves with the path of the browser that the server will launch; installs one if none is found. Undefined if the server
 * attaches to a browser, or the installation failed: each session that needs a browser then reports it. Never throws.
 */
export async function prepareBrowser(
  { browser, executablePath, channel }: LaunchConfig,
  search: BrowserSearch,
  output: InstallOutput,
): Promise<string | undefined> {
  if (browser === 'attach') return undefined;
  if (channel !== undefined) return findExecutable({ channel }).catch(() => undefined);
  const named = executablePath ?? search.chromePath;
  return named ?? (await findExecutable(search).catch(() => installMissing(output)));
}

/**
 * Installs a browser at the first use, so that the start of the server need not wait for it. All uses wait for the same
 * installation and see its progress; after a failure, the next use tries again.
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

type LaunchConfig = Pick<Config, 'browser' | 'executablePath' | 'channel'>;

/** Whether the operator names a browser: if it is missing, that is a mistake, and nothing is installed. */
const mayInstall = ({ browser, executablePath, channel }: LaunchConfig, { chromePath }: BrowserSearch): boolean =>
  browser !== 'attach' && (executablePath ?? channel ?? chromePath) === undefined;

/** Shows the progress of a long step. */
export interface ProgressLine {
  /** Whether each text replaces the previous one. */
  readonly isMoving: boolean;
  show(text: string): void;
  /** Removes the progress line before other output. */
  clear(): void;
}

const clearLine = '\r\u001b[K';

/** On a terminal one line that is replaced; elsewhere a line for each text. */
export function createProgressLine(
  stream: Pick<WriteStream, 'isTTY' | 'columns'> & { write(text: string): unknown },
): ProgressLine {
  if (!stream.isTTY) {
    return { isMoving: false, show: (text) => void stream.write(`${text}\n`), clear: () => undefined };
  }
  let isShown = false;
  return {
    isMoving: true,
    show(text) {
      isShown = true;
      const line = text.replace(/\p{C}+/gu, ' ').slice(0, Math.max(20, (stream.columns || 80) - 1));
      stream.write(clearLine + line);
    },
    clear() {
      if (isShown) stream.write(clearLine);
      isShown = false;
    },
  };
}
