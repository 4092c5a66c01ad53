import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser } from 'puppeteer-core';
import { messageOf, Refusal } from '../../errors/errors.js';
import { closeFiles } from '../extensions/fileAccess.js';
import { untilAborted } from '../../async.js';
import { startChrome, type ChromeProcess } from './chromeProcess.js';
import type { BrowserConnection } from './browserConnection.js';
import type { ResourceLedger } from './resourceLedger.js';
import { writePreferences } from '../policy/launchPreferences.js';

export interface LaunchOptions {
  readonly executablePath: string;
  /** A folder for this browser alone; made here and removed when the browser is gone. */
  readonly folder: string;
  readonly headless: boolean;
  /** The folders whose files pages may show, beside the browser's own temporary folder. Default: none. */
  readonly workspace?: readonly string[];
  readonly signal: AbortSignal;
  readonly ledger: ResourceLedger;
}

const defaultFlags = [
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-quic',
  '--no-first-run',
  '--no-default-browser-check',
  '--window-size=1280,800',
  // Two renderers for each window that only ever draw the address bar's list: a third of the memory, and 80 ms a page.
  '--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup',
];

/**
 * Starts a Chrome of our own with a fresh profile, driven over a pipe: Chrome ends itself when this process does.
 * Extensions can be installed in it (CDP domain `Extensions`). The caller owns the connection. Throws `browser_failed`
 * with what Chrome said, or the signal's reason; either way nothing is left.
 */
export async function launchBrowser(options: LaunchOptions): Promise<BrowserConnection> {
  const { signal, ledger, folder } = options;
  signal.throwIfAborted();
  const temporaryFolder = join(folder, 'tmp');
  const flags = await chromeFlags(options);
  signal.throwIfAborted();
  await mkdir(temporaryFolder, { recursive: true, mode: 0o700 });
  ledger.profiles.opened += 1;
  const folders = [...(options.workspace ?? []), temporaryFolder];
  await writePreferences(join(folder, 'profile'), { headless: options.headless, folders });
  const chrome = startChrome(options.executablePath, flags, temporaryFolder);
  ledger.processes.opened += 1;
  const close = runOnce(() => stopChrome(chrome, folder, ledger));
  try {
    const browser = await connectOverPipe(chrome, signal);
    closeFiles(browser, folder);
    const product = await browser.version();
    const ping = async (): Promise<void> => {
      await browser.version();
    };
    const droppedBecause = () => chrome.transport.droppedBecause;
    const { pid, exited: disconnected } = chrome;
    return { browser, mode: 'launch', product, pid, temporaryFolder, disconnected, droppedBecause, ping, close };
  } catch (error) {
    await close();
    signal.throwIfAborted();
    throw launchRefusal(error, chrome, options.executablePath);
  }
}

/** What drives browsers is loaded with the first of them: it is the most that there is to load, and a start needs none of it. */
async function chromeFlags({ folder, headless }: LaunchOptions): Promise<string[]> {
  const { defaultArgs } = await import('puppeteer-core');
  const flags = [...defaultFlags, '--remote-debugging-pipe'];
  // Chrome cannot start its sandbox as root.
  if (process.getuid?.() === 0) flags.push('--no-sandbox');
  // A first window that nobody asked for takes two thirds of the start-up time. With a screen, Chrome ends with its last
  // window, so there it stays.
  if (headless) flags.push('--no-startup-window');
  return defaultArgs({ headless, enableExtensions: true, userDataDir: join(folder, 'profile'), args: flags });
}

async function connectOverPipe(chrome: ChromeProcess, signal: AbortSignal): Promise<Browser> {
  const { connect: open } = await import('puppeteer-core');
  const opening = open({ transport: chrome.transport, defaultViewport: null });
  const died = chrome.exited.then(() => Promise.reject(new Error('Chrome ended while it started.')));
  return untilAborted(Promise.race([opening, died]), signal);
}

async function stopChrome(chrome: ChromeProcess, folder: string, ledger: ResourceLedger): Promise<void> {
  chrome.kill();
  await chrome.exited;
  chrome.transport.close();
  ledger.processes.closed += 1;
  // Killed children may still hold files for a moment: rm tries again.
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  ledger.profiles.closed += 1;
}

function launchRefusal(error: unknown, chrome: ChromeProcess, executablePath: string): Refusal {
  const reason = chrome.stderrTail() || messageOf(error);
  const detail = `${executablePath} did not start: ${reason}\nRun \`greenroom doctor\` to see what is missing.`;
  return new Refusal('browser_failed', { detail }, { cause: error });
}

/** The first call does it; every later one waits for the same end. */
function runOnce(run: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => (running ??= run());
}
