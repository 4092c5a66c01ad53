import { watch, type FSWatcher } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser } from 'puppeteer-core';
import { Lock, noop, untilAborted } from '../../async.js';
import { systemClock, timeLimit, type Clock } from '../../clock.js';
import { messageOf, ToolError } from '../../errors/errors.js';
import { withCdpScope } from '../cdp/cdpScope.js';
import { RingBuffer, type RingBufferReading } from '../collectors/ringBuffer.js';
import type { SessionPage } from '../page/sessionPage.js';
import { listFolder } from './extensionFiles.js';
import { loadAgain, reloadExtension, type ReloadResult } from './extensionInstall.js';
import { listExtensions, type Extension } from './installedExtensions.js';

/** What a change of the folder led to. */
export interface FolderReload {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Relative paths, with `+` before a new file and `-` before one that is gone. */
  readonly changed: readonly string[];
  readonly previousVersion: string;
  /** A text if it was not loaded. */
  readonly outcome: ReloadResult | string;
  /** Pages that were loaded again afterwards. */
  readonly loaded: readonly SessionPage[];
}

interface Owner {
  readonly browser: Browser;
  pages(): readonly SessionPage[];
  readonly clock?: Clock;
}

/** Each call about extensions compares every file, so that it never runs into code that is not loaded yet. */
const maxFiles = 5_000;
const maxWatched = 10;
/** A build writes many files: it is over when none was written for `quietMs`, or after `latestMs`. */
const quietMs = 300;
const latestMs = 3_000;
const reloadLimitMs = 60_000;
const kept = {
  maxEntries: 50,
  maxBytes: 256 * 1024,
  sizeOf: ({ changed }: FolderReload) => 500 + changed.join().length,
};
const maxNamed = 50;

/**
 * Loads extensions again whenever their folders change. Owned by a placement, which closes it. Where the file system tells
 * of no changes (network, container), the next call about extensions finds them.
 */
export class FolderWatches {
  readonly #owner: Owner;
  readonly #watches = new Map<string, FolderWatch>();

  constructor(owner: Owner) {
    this.#owner = owner;
  }

  /** Watches the folder of an extension from now on. False if it is watched already. */
  async start(extension: Extension, reloadPages: boolean | undefined, signal: AbortSignal): Promise<boolean> {
    const known = this.#watches.get(extension.id);
    if (known !== undefined) {
      known.reloadPages = reloadPages ?? known.reloadPages;
      return false;
    }
    if (this.#watches.size >= maxWatched)
      throw new ToolError(`${maxWatched} folders are watched already. Pass stop for one of them.`);
    const onGone = (): void => void this.stop(extension.id);
    const made = new FolderWatch(this.#owner, { extension, reloadPages: reloadPages ?? false, onGone });
    this.#watches.set(extension.id, made);
    try {
      await untilAborted(made.open(), signal);
    } catch (error) {
      this.stop(extension.id);
      throw error;
    }
    return true;
  }

  /** False if it was not watched. */
  stop(extensionId: string): boolean {
    this.#watches.get(extensionId)?.close();
    return this.#watches.delete(extensionId);
  }

  /** The files that are watched, and the reloads so far, which are told then. Undefined if it is not watched. */
  read(extensionId: string, since?: string): (RingBufferReading<FolderReload> & { files: number }) | undefined {
    return this.#watches.get(extensionId)?.read(since);
  }

  /** Resolves when what has changed by now is loaded. */
  async settle(signal: AbortSignal): Promise<void> {
    await untilAborted(Promise.all([...this.#watches.values()].map((each) => each.check())), signal);
  }

  /** The last reload of each extension that no answer has told yet. */
  takeNotices(): string[] {
    return [...this.#watches.values()].flatMap((each) => each.takeNotice());
  }

  /** Idempotent. */
  close(): void {
    for (const id of this.#watches.keys()) this.stop(id);
  }
}

interface WatchOptions {
  readonly extension: Extension;
  readonly reloadPages: boolean;
  /** Called when the extension is no longer installed. */
  onGone(): void;
}

class FolderWatch {
  reloadPages: boolean;
  readonly #owner: Owner;
  readonly #extension: Extension;
  readonly #onGone: () => void;
  readonly #clock: Clock;
  readonly #ring = new RingBuffer<FolderReload>(kept);
  readonly #lock = new Lock();
  readonly #closed = new AbortController();
  readonly #watchers = new Map<string, FSWatcher>();
  /** Of the files that are loaded: path, and time of change and size. */
  #files: ReadonlyMap<string, string> = new Map();
  #untold: FolderReload | undefined;
  #timer: unknown;
  /** Of the first change that is waited for. */
  #since: number | undefined;

  constructor(owner: Owner, { extension, reloadPages, onGone }: WatchOptions) {
    this.#owner = owner;
    this.#extension = extension;
    this.#onGone = onGone;
    this.#clock = owner.clock ?? systemClock;
    this.reloadPages = reloadPages;
  }

  async open(): Promise<void> {
    this.#files = await this.#look();
    if (!this.#files.has('manifest.json'))
      throw new ToolError(`${this.#extension.path} is not on this disk, so that it cannot be watched.`);
  }

  read(since?: string): RingBufferReading<FolderReload> & { files: number } {
    this.#untold = undefined;
    return { ...this.#ring.read(since), files: this.#files.size };
  }

  takeNotice(): string[] {
    const last = this.#untold;
    this.#untold = undefined;
    return last === undefined ? [] : [noticeOf(this.#extension, last)];
  }

  close(): void {
    this.#closed.abort(new Error('The folder is no longer watched.'));
    this.#clock.clearTimeout(this.#timer);
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  /** Loads the extension again if its folder has changed. Never rejects. */
  async check(): Promise<void> {
    await this.#lock.run(this.#closed.signal, () => this.#reloadIfChanged()).catch(noop);
  }

  async #reloadIfChanged(): Promise<void> {
    this.#clock.clearTimeout(this.#timer);
    this.#since = undefined;
    const files = await this.#look();
    const changed = changesBetween(this.#files, files);
    // A build that empties the folder first is not done.
    if (changed.length === 0 || !files.has('manifest.json')) return;
    this.#files = files;
    const reload = await this.#reload(changed);
    this.#closed.signal.throwIfAborted();
    this.#ring.push(reload);
    this.#untold = reload;
  }

  async #reload(changed: readonly string[]): Promise<FolderReload> {
    const { id, version, path } = this.#extension;
    const signal = AbortSignal.any([this.#closed.signal, timeLimit(reloadLimitMs)]);
    const base = { at: this.#clock.now(), changed: changed.slice(0, maxNamed), previousVersion: version, loaded: [] };
    try {
      const { previous, outcome } = await withCdpScope(this.#owner.browser, signal, async (scope) => {
        const installed = (await listExtensions(scope)).find((each) => each.id === id && each.path === path);
        if (installed === undefined) this.#onGone();
        this.#closed.signal.throwIfAborted();
        const extension = installed ?? this.#extension;
        return { previous: extension.version, outcome: await reloadExtension(scope, extension, this.#owner.pages()) };
      });
      const loaded = this.reloadPages ? await loadAgain(outcome.stalePages, signal) : [];
      return { ...base, previousVersion: previous, outcome, loaded };
    } catch (error) {
      return { ...base, outcome: messageOf(error) };
    }
  }

  /** Each file with what tells a change of it. Watches the folders that are new. */
  async #look(): Promise<ReadonlyMap<string, string>> {
    const { path, name } = this.#extension;
    for (;;) {
      const { paths, folders, isWhole } = await listFolder(path, maxFiles);
      if (!isWhole)
        throw new ToolError(
          `The folder of ${name} has more than ${maxFiles} files. Install a folder of the built files.`,
        );
      // What is written to a new folder before it is watched is found by the next round.
      if (this.#follow(folders)) continue;
      const states = [...paths]
        .filter(isOfAuthor)
        .map(async (file) => [file, await stateOf(join(path, file))] as const);
      return new Map((await Promise.all(states)).filter(([, state]) => state !== ''));
    }
  }

  /** Whether there are new ones. */
  #follow(folders: ReadonlySet<string>): boolean {
    for (const [folder, watcher] of this.#watchers) {
      if (folders.has(folder)) continue;
      watcher.close();
      this.#watchers.delete(folder);
    }
    const added = [...folders].filter((folder) => !this.#watchers.has(folder));
    for (const folder of added) {
      if (this.#closed.signal.aborted) return false;
      try {
        const watcher = watch(folder, { persistent: false }, () => this.#onChange());
        this.#watchers.set(folder, watcher.on('error', noop));
      } catch {
        // Gone again, or the system watches as many as it may: the next call finds the change.
        return false;
      }
    }
    return added.length > 0;
  }

  #onChange(): void {
    if (this.#closed.signal.aborted) return;
    const now = this.#clock.now();
    this.#since ??= now;
    this.#clock.clearTimeout(this.#timer);
    const wait = Math.max(0, Math.min(quietMs, this.#since + latestMs - now));
    this.#timer = this.#clock.setTimeout(() => void this.check(), wait);
  }
}

/** Chrome writes its own files there. */
const isOfAuthor = (path: string): boolean => !path.startsWith('_metadata/');

/** Empty for a file that is gone. */
async function stateOf(path: string): Promise<string> {
  const found = await stat(path).catch(() => undefined);
  return found === undefined ? '' : `${found.mtimeMs} ${found.size} ${found.ino}`;
}

function changesBetween(before: ReadonlyMap<string, string>, now: ReadonlyMap<string, string>): string[] {
  const written = [...now].filter(([path, state]) => before.get(path) !== state);
  const gone = [...before.keys()].filter((path) => !now.has(path));
  return [...written.map(([path]) => (before.has(path) ? path : `+${path}`)), ...gone.map((path) => `-${path}`)];
}

function noticeOf({ name }: Extension, { changed, outcome }: FolderReload): string {
  const [first = '', ...others] = changed;
  const what = `${first}${others.length > 0 ? ` and ${others.length} more` : ''} changed in the folder of "${name}"`;
  const rest = 'watch_extension_folder says more.';
  if (typeof outcome === 'string') return `${what}, and it could not be loaded again. ${rest}`;
  const affected = outcome.warnings.length > 0 ? ', with warnings' : '';
  return `${what}, and it was loaded again${affected}. ${rest}`;
}
