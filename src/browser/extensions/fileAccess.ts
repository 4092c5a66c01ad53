import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, CDPSession, Protocol } from 'puppeteer-core';
import { timeLimit } from '../../clock.js';
import { messageOf, ToolError } from '../../errors/errors.js';
import { Lock, untilAborted } from '../../async.js';
import { callExpression, correctInstallDetails } from '../cdp/injectedFunctions.js';
import { withCdpScope, type CdpScope } from '../cdp/cdpScope.js';
import { unlessGone } from '../cdp/cdpSessions.js';
import { readManifest, stringsIn, type Manifest } from './manifest.js';
import {
  ExtensionsPage,
  listExtensions,
  loadExtension,
  originOf,
  uninstallExtension,
  type Extension,
} from './installedExtensions.js';

/** Limit on the wait for the first start of a worker. */
const startTimeoutMs = 5_000;

/** What no extension of a browser may do. */
export interface ExtensionLimits {
  /** Placeholders are created there: no extension may read files. */
  readonly folder: string;
  /** APIs that change how Chrome reaches the network, which its flags and preferences bind to the URL rules. */
  readonly refusedApis: readonly string[];
}

const limits = new WeakMap<Browser, ExtensionLimits>();

/** From now on the extensions of this browser are limited. */
export function limitExtensions(browser: Browser, limitsOfBrowser: ExtensionLimits): void {
  limits.set(browser, limitsOfBrowser);
}

/** Throws a ToolError for APIs that no extension of this browser may use. */
export function requireAllowedApis(browser: Browser, apis: readonly string[]): void {
  const refused = apis.filter((api) => limits.get(browser)?.refusedApis.includes(api));
  if (refused.length === 0) return;
  throw new ToolError(
    `The extension has the permission ${refused.join(', ')}, with which it could reach addresses that sessions of this ` +
      'server may not reach (--auth, --allowed-urls, --blocked-urls). Remove it from the manifest.',
  );
}

/** One load at a time in each browser: what a load has found of a folder holds until it is done. */
const loads = new WeakMap<Browser, Lock>();

function loadsOf(browser: Browser): Lock {
  const known = loads.get(browser) ?? new Lock();
  loads.set(browser, known);
  return known;
}

/** Runs work while this browser loads no extension, such as a change of an extension's folder. */
export function betweenLoads<T>(browser: Browser, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  return loadsOf(browser).run(signal, work);
}

/**
 * Runs the loading of an extension to its end, in a scope of its own, even if the call is cancelled: Chrome finishes a load
 * that has begun, and the loaded extension must be checked. The end of the browser ends it.
 */
export function loading<T>(scope: CdpScope, work: (own: CdpScope) => Promise<T>): Promise<T> {
  const { owner, signal } = scope;
  const unlimited = new AbortController().signal;
  return scope.untilAborted(loadsOf(owner).run(signal, () => withCdpScope(owner, unlimited, work)));
}

/**
 * Loads an unpacked extension as `loadExtension` does, but in a launched browser without access to files. Chrome grants
 * that access to every unpacked extension, and it can only be revoked for an installed one, then permanently for the
 * id. So a placeholder without scripts is installed first under the extension's future id, and no script of the
 * extension ever runs with the access.
 */
export function loadWithoutFiles(scope: CdpScope, path: string): Promise<Extension> {
  return loading(scope, async (own) => {
    const limit = limits.get(own.owner);
    const manifest = await readManifest({ path });
    // A theme has no scripts.
    if (limit === undefined || manifest?.theme !== undefined) return loadExtension(own, path);
    requireAllowedApis(own.owner, stringsIn(manifest?.permissions));
    const page = await ExtensionsPage.open(own);
    const key = manifest?.key ?? Buffer.from(path).toString('base64');
    const known = (await listExtensions(own)).find(({ id }) => id === idOf(key));
    if (known === undefined) return loadFirst(own, page, { folder: limit.folder, key, path, manifest });
    // A profile that is kept may hold one that was installed without this server.
    if ((await page.info(known.id)).fileAccess.isActive) await page.denyFiles(known.id);
    return loadChecked(own, page, path);
  });
}

interface FirstLoad extends PlaceholderOf {
  readonly manifest: Manifest | undefined;
}

async function loadFirst(scope: CdpScope, page: ExtensionsPage, first: FirstLoad): Promise<Extension> {
  const { path, manifest } = first;
  const placeholder = await installPlaceholder(scope, page, first);
  const start = await correctFirstInstall(scope, originOf(placeholder.id));
  try {
    const extension = await loadChecked(scope, page, path);
    // An extension that cannot be loaded never starts.
    if (manifest?.background?.service_worker !== undefined)
      await untilAborted(start.started, timeLimit(startTimeoutMs)).catch(noStart);
    if (extension.id !== placeholder.id) await uninstallExtension(scope, placeholder);
    return extension;
  } catch (error) {
    await uninstallExtension(scope, placeholder);
    throw error;
  } finally {
    start.stop();
  }
}

/** Removes the extension again if it has access to files, since its manifest was replaced while it was loaded, or an API that is refused. */
async function loadChecked(scope: CdpScope, page: ExtensionsPage, path: string): Promise<Extension> {
  const extension = await loadExtension(scope, path);
  try {
    const [{ fileAccess }, apis] = await Promise.all([page.info(extension.id), page.apis(extension.id)]);
    requireAllowedApis(scope.owner, apis);
    if (fileAccess.isActive)
      throw new ToolError(`The manifest in ${path} changed while it was loaded. Call the tool again.`);
    return extension;
  } catch (error) {
    await uninstallExtension(scope, extension);
    throw error;
  }
}

interface PlaceholderOf {
  /** Where it is created. */
  readonly folder: string;
  readonly key: string;
  /** The folder of its extension. */
  readonly path: string;
}

async function installPlaceholder(
  scope: CdpScope,
  page: ExtensionsPage,
  { folder, key, path }: PlaceholderOf,
): Promise<Extension> {
  const place = await mkdtemp(join(folder, 'placeholder-'));
  const manifest = {
    manifest_version: 3,
    name: 'An extension that is being installed',
    version: placeholderVersion,
    key,
  };
  try {
    await writeFile(join(place, 'manifest.json'), JSON.stringify(manifest));
    // The key is the only thing of the extension in it.
    const placeholder = await loadExtension(scope, place).catch((error: unknown) => {
      throw new ToolError(messageOf(error).replaceAll(place, path), { cause: error });
    });
    await page.denyFiles(placeholder.id).catch(async (error: unknown) => {
      await uninstallExtension(scope, placeholder);
      throw error;
    });
    return placeholder;
  } finally {
    await rm(place, { recursive: true, force: true });
  }
}

/** The first half of the hash, with the letters a to p as digits. */
function idOf(key: string): string {
  const bytes = Buffer.from(key.replace(/-----[^-]*-----/g, '').replace(/\s/g, ''), 'base64');
  const digits = createHash('sha256').update(bytes).digest('hex').slice(0, 32);
  return digits.replace(/./g, (digit) => String.fromCharCode(97 + parseInt(digit, 16)));
}

function noStart(): void {
  return undefined;
}

/** The version of the placeholder of an extension. No real extension has it. */
const placeholderVersion = '0.0.0.65535';

/** The placeholder makes Chrome take the first install for an update. The worker's listeners are told of an install. */
const correction = callExpression(correctInstallDetails, placeholderVersion);

interface FirstStart {
  /** Resolves when the worker runs its first script, with the correction. One without a worker never does. */
  readonly started: Promise<void>;
  /** Stops watching for new workers. Their sessions end with the scope. */
  stop(): void;
}

/** Corrects the install reason that the extension at this origin gets at its first start. */
async function correctFirstInstall(scope: CdpScope, origin: string): Promise<FirstStart> {
  const { browser } = scope;
  const connection = browser.connection();
  const armed: (() => Promise<void>)[] = [];
  const { promise: started, resolve: onStart } = withResolvers();
  const arm = (session: CDPSession): void => {
    session.on('Debugger.scriptParsed', ({ url }) => {
      if (url.startsWith(`${origin}/`)) onStart();
    });
    void unlessGone(session.send('Debugger.enable'));
    void unlessGone(session.send('Debugger.setSkipAllPauses', { skip: true }));
    const place = { urlRegex: `^${origin}/`, lineNumber: 0, columnNumber: 0 };
    const set = unlessGone(session.send('Debugger.setBreakpointByUrl', { ...place, condition: correction }));
    armed.push(async () => {
      const breakpoint = await set;
      if (breakpoint !== undefined)
        await unlessGone(session.send('Debugger.removeBreakpoint', { breakpointId: breakpoint.breakpointId }));
    });
  };
  const resume = ({ sessionId }: Protocol.Target.AttachedToTargetEvent): void => {
    const session = connection?.session(sessionId);
    if (session) void unlessGone(session.send('Runtime.runIfWaitingForDebugger'));
  };
  // The first session that resumes a new worker starts it, this one or puppeteer's, so both get the breakpoint before.
  // Puppeteer detaches from a worker immediately; the breakpoint of the other session stays.
  connection?.on('sessionattached', arm);
  browser.on('Target.attachedToTarget', resume);
  const filter = [{ type: 'service_worker' }];
  await scope.untilAborted(
    browser.send('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: true, flatten: true, filter }),
  );
  const stop = (): void => {
    connection?.off('sessionattached', arm);
    browser.off('Target.attachedToTarget', resume);
    for (const disarm of armed) void disarm();
  };
  return { started, stop };
}

function withResolvers(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((done) => (resolve = done));
  return { promise, resolve };
}
