import { constants } from 'node:fs';
import { access, mkdir, readlink, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import type { Browser } from 'puppeteer-core';
import { timeLimit } from '../../clock.js';
import { codeOf, messageOf, Refusal } from '../../errors/errors.js';
import { createFolder } from '../../folders.js';
import { limitExtensions } from '../extensions/fileAccess.js';
import { noop, untilAborted } from '../../async.js';
import { startChrome, type ChromeProcess } from './chromeProcess.js';
import type { BrowserConnection, ResourceLedger } from './browserConnection.js';
import { networkFlags, refusedApis } from '../policy/networkFlags.js';
import { UrlRules } from '../policy/urlRules.js';
import { writePreferences } from '../policy/launchPreferences.js';

export interface LaunchOptions {
  readonly executablePath: string;
  /** The folder of this browser. Created here and removed when the browser is gone. */
  readonly folder: string;
  /** A profile that is kept, with its settings. Default: a new one in `folder`. */
  readonly userDataDir?: string | undefined;
  readonly headless: boolean;
  /** Accept every TLS certificate. Default: false. */
  readonly acceptInsecureCerts?: boolean;
  /** Default: auto. */
  readonly sandbox?: 'auto' | 'on' | 'off';
  readonly proxyServer?: string | undefined;
  /** More flags. */
  readonly chromeArg?: readonly string[];
  /** Folders whose files pages may show, besides the browser's temporary folder. Default: none. */
  readonly workspace?: readonly string[];
  /** Addresses that Chrome refuses. Default: none. */
  readonly rules?: UrlRules | undefined;
  /** Whether Chrome uses a proxy of the environment. */
  readonly hasProxy?: boolean | undefined;
  readonly signal: AbortSignal;
  readonly ledger: ResourceLedger;
}

/** Of every browser that is launched; `.deploy/browser.sh` has them too. */
export const defaultFlags = [
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-quic',
  '--no-first-run',
  '--no-default-browser-check',
  '--window-size=1280,800',
  // The first two save two renderers per window for the address bar's suggestions: a third of the memory, and 80 ms per
  // page. With the third a PDF's viewer is a frame of its page, which does not answer once another page is loaded. The
  // fourth starts a renderer ahead for the context that navigated last; another context's navigation throws it away.
  '--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup,PdfOopif,SpareRendererForSitePerProcess',
  // Pages can offer tools to agents: `document.modelContext`.
  '--enable-features=WebMCP',
];

/**
 * Starts Chrome, with a new profile or one that is kept, and connects over a pipe, so that Chrome exits with this process. Extensions can be
 * installed in it (CDP domain Extensions). The caller owns the connection. Throws `browser_failed` with Chrome's
 * output, or the signal's reason; leaves nothing behind then.
 */
export async function launchBrowser(options: LaunchOptions): Promise<BrowserConnection> {
  const { signal, ledger, folder } = options;
  signal.throwIfAborted();
  const temporaryFolder = join(folder, 'tmp');
  const flags = await chromeFlags(options);
  signal.throwIfAborted();
  if (options.userDataDir !== undefined) await openProfile(options.userDataDir);
  await prepareFolder(temporaryFolder, options);
  ledger.profiles.opened += 1;
  const chrome = startChrome(options.executablePath, flags, temporaryFolder);
  ledger.processes.opened += 1;
  let started: Browser | undefined;
  const close = runOnce(async () => {
    if (options.userDataDir !== undefined && started !== undefined) await quitChrome(started, chrome);
    await stopChrome(chrome, folder, ledger);
  });
  try {
    const browser = (started = await connectOverPipe(chrome, signal));
    limitExtensions(browser, { folder, refusedApis: refusedApis(options.rules) });
    const product = await browser.version();
    const ping = async (): Promise<void> => {
      await browser.version();
    };
    const endCause = () => chrome.transport.droppedBecause ?? chrome.exitCause();
    const { pid, exited: disconnected } = chrome;
    return { browser, mode: 'launch', product, pid, temporaryFolder, disconnected, endCause, ping, close };
  } catch (error) {
    await close();
    signal.throwIfAborted();
    throw launchRefusal(error, chrome, options);
  }
}

/** Leaves nothing behind if the disk is full. */
async function prepareFolder(temporaryFolder: string, options: LaunchOptions): Promise<void> {
  const { folder, headless, rules, workspace = [], userDataDir } = options;
  try {
    await mkdir(temporaryFolder, { recursive: true, mode: 0o700 });
    if (userDataDir !== undefined) return;
    const folders = [...workspace, temporaryFolder];
    await writePreferences(join(folder, 'profile'), { headless, folders, rules });
  } catch (error) {
    await rm(folder, { recursive: true, force: true }).catch(noop);
    const detail = `The folder ${folder} for a browser cannot be written: ${messageOf(error)}. Free space on that disk, or set TMPDIR to a folder of another one.`;
    throw new Refusal('browser_failed', { detail }, { cause: error });
  }
}

/** Puppeteer is imported with the first browser: it is the largest import, and starting the server does not need it. */
async function chromeFlags(options: LaunchOptions): Promise<string[]> {
  const { folder, headless, rules, hasProxy = false, acceptInsecureCerts = false } = options;
  const { sandbox = 'auto', proxyServer, chromeArg = [] } = options;
  const { defaultArgs } = await import('puppeteer-core');
  const flags = [...defaultFlags, '--remote-debugging-pipe'];
  const proxy = { server: proxyServer, isInEnvironment: hasProxy };
  const networkRules = rules ?? new UrlRules([], { blocksMetadata: false });
  flags.push(...networkFlags(networkRules, proxy));
  // Chrome cannot start its sandbox as root.
  if (sandbox === 'off' || (sandbox === 'auto' && process.getuid?.() === 0)) flags.push('--no-sandbox');
  if (acceptInsecureCerts) flags.push('--ignore-certificate-errors');
  // The startup window takes two thirds of the start time. Not headless, it stays: Chrome exits with its last window.
  if (headless) flags.push('--no-startup-window');
  flags.push(...chromeArg);
  const { userDataDir = join(folder, 'profile') } = options;
  return defaultArgs({
    headless,
    enableExtensions: true,
    userDataDir: resolve(userDataDir),
    args: mergeResolverRules(flags),
  });
}

const resolverFlag = '--host-resolver-rules=';

/** Chrome takes the last flag of a name: rules of the operator come after ours in one. */
function mergeResolverRules(flags: readonly string[]): string[] {
  const rules = flags.filter((flag) => flag.startsWith(resolverFlag)).map((flag) => flag.slice(resolverFlag.length));
  if (rules.length < 2) return [...flags];
  return [...flags.filter((flag) => !flag.startsWith(resolverFlag)), `${resolverFlag}${rules.join(',')}`];
}

async function connectOverPipe(chrome: ChromeProcess, signal: AbortSignal): Promise<Browser> {
  const connecting = chrome.transport.connect();
  const exited = chrome.exited.then(() => Promise.reject(new Error('Chrome exited while it started.')));
  return untilAborted(Promise.race([connecting, exited]), signal);
}

/** How long Chrome may take to write a profile that is kept. */
const quitTimeoutMs = 5_000;

/** Lets Chrome write its profile and exit by itself. */
async function quitChrome(browser: Browser, chrome: ChromeProcess): Promise<void> {
  const quit = browser.close().then(() => chrome.exited);
  await untilAborted(quit, timeLimit(quitTimeoutMs)).catch(noop);
}

/**
 * Creates the folder of a profile that is kept; resolves with the first folder that it created. Throws `browser_failed` if
 * the profile is in use or cannot be written to.
 */
export async function openProfile(folder: string): Promise<string | undefined> {
  const holder = await profileHolder(folder);
  if (holder !== undefined)
    throw new Refusal('browser_failed', {
      detail: `--user-data-dir ${folder} is in use by another Chrome (${holder}): quit it, or choose another folder.`,
    });
  try {
    const created = await createFolder(folder);
    await access(folder, constants.W_OK);
    return created;
  } catch (error) {
    const detail = `--user-data-dir ${folder} cannot be written to: ${messageOf(error)}. Choose another folder.`;
    throw new Refusal('browser_failed', { detail }, { cause: error });
  }
}

/** The Chrome that has a profile open: it links `SingletonLock` to `HOST-PROCESS`. One that crashed left its link behind. */
async function profileHolder(folder: string): Promise<string | undefined> {
  const lock = await readlink(join(folder, 'SingletonLock')).catch(() => undefined);
  const [, host, pid = ''] = /^(.*)-(\d+)$/.exec(lock ?? '') ?? [];
  if (host === undefined) return undefined;
  if (host !== hostname()) return `on the machine ${host}`;
  return isRunning(Number(pid)) ? `process ${pid}` : undefined;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it runs, as another user.
    return codeOf(error) !== 'ESRCH';
  }
}

async function stopChrome(chrome: ChromeProcess, folder: string, ledger: ResourceLedger): Promise<void> {
  chrome.kill();
  await chrome.exited;
  chrome.transport.close();
  ledger.processes.closed += 1;
  // Killed child processes may keep files for a moment: rm retries.
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  ledger.profiles.closed += 1;
}

/** Messages of a Chrome that cannot start, with their meaning and the fix in one sentence. */
const knownFailures: readonly (readonly [sign: RegExp, meaning: string])[] = [
  [
    /Missing X server|platform failed to initialize|cannot open display|Failed to connect to Wayland|ozone_platform/i,
    '--headless=false needs a display, and none answers: leave it out, or start the server below xvfb-run.',
  ],
  [
    /No usable sandbox|setuid sandbox|sandbox_host_linux|Operation not permitted.*namespace/i,
    'this machine does not allow its sandbox (Ubuntu 23.10 and later restrict it to known programs): use the Chrome of the ' +
      'distribution, allow it with an AppArmor profile, or start the server with --sandbox off.',
  ],
  [
    /Running as root without --no-sandbox/i,
    'it cannot start its sandbox as root: leave --sandbox on out, or start the server as another user.',
  ],
  [
    /remote debugging requires a non-default data directory/i,
    'it does not let its default profile be debugged like this: name another folder in --user-data-dir, or attach to the ' +
      'running Chrome with --browser-auto-connect.',
  ],
  [
    /profile appears to be in use|Opening in existing browser session/i,
    'the folder of --user-data-dir is in use by another Chrome: quit it, or choose another folder.',
  ],
];

function launchRefusal(error: unknown, chrome: ChromeProcess, { executablePath }: LaunchOptions): Refusal {
  const known = knownFailures.find(([sign]) => sign.test(chrome.stderrTail()));
  if (known !== undefined) {
    const detail = `${executablePath} did not start: ${known[1]}`;
    return new Refusal('browser_failed', { detail }, { cause: error });
  }
  const lines = (chrome.stderrTail() || messageOf(error)).split('\n').map((line) => line.trim());
  const reason = lines.filter((line) => line !== '').join(' ');
  const detail = `${executablePath} did not start: ${reason}${reason.endsWith('.') ? '' : '.'} Run \`greenroom doctor\` to see what is missing.`;
  return new Refusal('browser_failed', { detail }, { cause: error });
}

/** The first call runs it; later calls return the same promise. */
function runOnce(run: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => (running ??= run());
}
