import type { CDPSession, Protocol } from 'puppeteer-core';
import { z } from 'zod';
import { driverScript } from './sourceNames.js';
import {
  followSessions,
  unlessGone,
  type CdpHandlers,
  type FollowedSessions,
  type TargetSession,
  type TargetSessionKind,
} from '../cdp/cdpSessions.js';

/** A script that a page, a frame of another process or a worker has parsed. Lines and columns count from 0, as in CDP. */
export interface Script {
  /** Never reused in this process. */
  readonly key: number;
  /** Of the session, while the script is live. */
  readonly scriptId: string;
  readonly session: CDPSession;
  readonly kind: TargetSessionKind;
  /** Empty for code without a name. */
  readonly url: string;
  /** As the script names it, possibly a `data:` URL; empty if it names none. */
  readonly sourceMapUrl: string;
  /** SHA-256 of the text. */
  readonly hash: string;
  readonly length: number;
  /** Where an inline script begins in its document. */
  readonly startLine: number;
  readonly startColumn: number;
  readonly endLine: number;
  readonly endColumn: number;
  readonly isModule: boolean;
  /** The frame that runs it; undefined in workers. */
  readonly frameId: string | undefined;
  /** Whether it runs in an isolated world, as content scripts do. */
  readonly isIsolated: boolean;
  readonly executionContextId: number;
}

/** Kept scripts of one page; the oldest are forgotten first. */
const maxScripts = 2_000;
/** Characters of inline source maps that are kept; beyond them the oldest scripts that name a map are forgotten. */
const maxInlineChars = 16 * 1024 ** 2;
/** More scripts than this in a second are a flood: code that evaluates code in a loop. */
const maxScriptsPerSecond = 500;

const isOwnScript = (name: string): boolean => driverScript.test(name) || name === 'evaluate_script';

const maxOfDrivers = 50;

const auxDataSchema = z.object({ frameId: z.string().optional(), type: z.string().optional() });

let lastKey = 0;

/**
 * The scripts of a page, its out-of-process frames and its workers, from its first one on (CDP Debugger.scriptParsed).
 * Nothing pauses: `debugger` statements are skipped until somebody switches that off on a session.
 *
 * The Debugger domain slows WebAssembly and code that evaluates code in a loop. A session that runs such code is left
 * alone: the domain is disabled there, and `refresh` asks again. Not while it is `hold`ed.
 *
 * Owned by the page, which disposes it.
 */
export class ScriptRegistry {
  /** Resolves when the page's own session reports. Never rejects. */
  readonly ready: Promise<void>;
  readonly #followed: FollowedSessions;
  readonly #scripts = new Map<number, Script>();
  /** The newest script of each session with an id. */
  readonly #byId = new Map<string, Script>();
  readonly #ended = new WeakSet<Script>();
  /** Ids of the scripts of drivers in the present documents. */
  readonly #ofDrivers = new WeakMap<CDPSession, Set<string>>();
  readonly #listeners = new Set<(script: Script) => void>();
  /** By session: whether the domain is on, and the scripts of the present second. */
  readonly #sessions = new WeakMap<CDPSession, { isEnabled: boolean; second: number; count: number }>();
  #inlineChars = 0;
  #holds = 0;

  constructor(root: CDPSession) {
    this.#followed = followSessions(root, {
      handlers: (source) => this.#handlers(source),
      enable: ({ session }) => this.#enable(session),
      onGone: ({ session }) => this.#end(session, () => true),
    });
    this.ready = this.#followed.ready;
  }

  /** The open sessions, the page's own first. */
  sessions(): readonly TargetSession[] {
    return this.#followed.sessions();
  }

  /** Oldest first. Those that are gone too, as long as they are kept. */
  list(): readonly Script[] {
    return [...this.#scripts.values()];
  }

  get(key: number): Script | undefined {
    return this.#scripts.get(key);
  }

  /** The script that has this id now. */
  find(session: CDPSession, scriptId: string): Script | undefined {
    return this.#byId.get(idOf(session, scriptId));
  }

  /** Whether a driver runs it: the server itself, or puppeteer. */
  isOfDriver(session: CDPSession, scriptId: string): boolean {
    return this.#ofDrivers.get(session)?.has(scriptId) === true;
  }

  /** False once its document or worker is gone. */
  isLive(script: Script): boolean {
    return !this.#ended.has(script) && !script.session.detached;
  }

  /** The newest script with this address; one that is live if there is any. */
  named(url: string): Script | undefined {
    const found = this.list().filter((script) => script.url === url);
    return found.findLast((script) => this.isLive(script)) ?? found.at(-1);
  }

  /** Calls `listener` for each new script, until the returned function is called. */
  onScript(listener: (script: Script) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Keeps the domain enabled everywhere, until the returned function is called. */
  async hold(): Promise<() => void> {
    this.#holds += 1;
    await this.refresh();
    let isHeld = true;
    return () => {
      if (isHeld) this.#holds -= 1;
      isHeld = false;
    };
  }

  /** Resolves when the scripts of every session are known. Never rejects. */
  async refresh(): Promise<void> {
    const resting = this.sessions().filter(({ session }) => this.#sessions.get(session)?.isEnabled === false);
    await Promise.all(resting.flatMap(({ session }) => this.#enable(session)));
  }

  /** Records a worker that several pages use, until the returned function is called. */
  followWorker(worker: TargetSession): () => void {
    return this.#followed.follow(worker);
  }

  /** Removes the listeners. Idempotent. */
  dispose(): void {
    this.#followed.stop();
    this.#listeners.clear();
  }

  #enable(session: CDPSession): Promise<unknown>[] {
    this.#sessions.set(session, { isEnabled: true, second: 0, count: 0 });
    return [
      // First: a `debugger` statement must not pause in between.
      unlessGone(session.send('Debugger.setSkipAllPauses', { skip: true })),
      unlessGone(session.send('Debugger.enable')),
    ];
  }

  #rest(session: CDPSession): void {
    const state = this.#sessions.get(session);
    if (state?.isEnabled !== true || this.#holds > 0) return;
    state.isEnabled = false;
    void unlessGone(session.send('Debugger.disable'));
  }

  #handlers(source: TargetSession): CdpHandlers {
    const { session } = source;
    const end = (isGone: (script: Script) => boolean): void => this.#end(session, isGone);
    return {
      'Debugger.scriptParsed': (event) => this.#add(event, source),
      'Runtime.executionContextsCleared': () => {
        this.#ofDrivers.delete(session);
        end(() => true);
      },
      // The unique id is the newer name, but scripts still name their context by this one.
      // oxlint-disable-next-line typescript/no-deprecated
      'Runtime.executionContextDestroyed': ({ executionContextId: id }) =>
        end(({ executionContextId }) => executionContextId === id),
    };
  }

  /** Code that a tool ran is not added: a client may search for its own listeners. */
  #addOfDriver({ url, scriptId }: Protocol.Debugger.ScriptParsedEvent, session: CDPSession): void {
    if (url === 'evaluate_script') return;
    const ids = this.#ofDrivers.get(session) ?? new Set();
    // Those that stay in a document come first; then each call has one.
    if (ids.size < maxOfDrivers) this.#ofDrivers.set(session, ids.add(scriptId));
  }

  #end(session: CDPSession, isGone: (script: Script) => boolean): void {
    for (const script of this.#scripts.values())
      if (script.session === session && isGone(script)) this.#ended.add(script);
  }

  #add(event: Protocol.Debugger.ScriptParsedEvent, source: TargetSession): void {
    const { session } = source;
    if (isOwnScript(event.url)) this.#addOfDriver(event, session);
    if (isOwnScript(event.url) || this.#isKnown(event, session)) return;
    if (event.scriptLanguage === 'WebAssembly' || this.#isFlood(session)) {
      this.#rest(session);
      return;
    }
    const script = scriptOf(event, source);
    this.#scripts.set(script.key, script);
    this.#byId.set(idOf(session, script.scriptId), script);
    this.#inlineChars += script.sourceMapUrl.length;
    this.#forget();
    for (const listener of this.#listeners) listener(script);
  }

  /** All are reported again when the domain is enabled again. */
  #isKnown({ scriptId, hash }: Protocol.Debugger.ScriptParsedEvent, session: CDPSession): boolean {
    const known = this.find(session, scriptId);
    return known?.hash === hash && this.isLive(known);
  }

  #isFlood(session: CDPSession): boolean {
    const state = this.#sessions.get(session);
    if (state === undefined) return false;
    const second = Math.floor(Date.now() / 1_000);
    state.count = state.second === second ? state.count + 1 : 1;
    state.second = second;
    return state.count > maxScriptsPerSecond;
  }

  #forget(): void {
    for (const script of this.#scripts.values()) {
      const isFull = this.#inlineChars > maxInlineChars || this.#scripts.size > maxScripts;
      if (!isFull) return;
      if (this.#scripts.size <= maxScripts && script.sourceMapUrl === '') continue;
      const id = idOf(script.session, script.scriptId);
      if (this.#byId.get(id) === script) this.#byId.delete(id);
      this.#inlineChars -= script.sourceMapUrl.length;
      this.#scripts.delete(script.key);
    }
  }
}

function scriptOf(event: Protocol.Debugger.ScriptParsedEvent, { session, kind }: TargetSession): Script {
  const { frameId, type } = auxDataSchema.safeParse(event.executionContextAuxData).data ?? {};
  const { scriptId, url, hash, startLine, startColumn, endLine, endColumn, executionContextId } = event;
  return {
    key: (lastKey += 1),
    ...{ scriptId, session, kind, url, hash, startLine, startColumn, endLine, endColumn, executionContextId },
    sourceMapUrl: event.sourceMapURL ?? '',
    length: event.length ?? 0,
    isModule: event.isModule ?? false,
    frameId: kind === 'worker' ? undefined : frameId,
    isIsolated: type === 'isolated',
  };
}

const idOf = (session: CDPSession, scriptId: string): string => `${session.id()} ${scriptId}`;
