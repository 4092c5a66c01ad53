import type { CDPSession, Protocol } from 'puppeteer-core';
import {
  describeException,
  describeLogEntry,
  describeRuntimeCall,
  maxArgumentChars,
  maxArguments,
  noKey,
  withArgument,
  withPartialArgument,
  type ConsoleMessage,
  type ConsoleMessageBody,
  type KeyOfScript,
  type ScriptKeyOf,
} from './consoleMessage.js';
import { noop } from '../../async.js';
import { RingBuffer, type KeptPart, type RingBufferReading } from './ringBuffer.js';
import { describeIssue, subjectOfEntry, subjectOfIssue } from './issues.js';
import { droppedEvents } from '../process/messageQueue.js';
import { isAbridged } from './remoteObject.js';
import { ValueReader } from './valueReader.js';
import {
  followSessions,
  unlessGone,
  type FollowedSessions,
  type CdpHandlers,
  type TargetSession,
} from '../cdp/cdpSessions.js';

export type { CodeLocation, ConsoleMessage, StackFrame } from './consoleMessage.js';

const maxEntries = 2_000;
const maxBytes = 2 * 1024 ** 2;

const violations = [
  { name: 'longTask', threshold: 200 },
  { name: 'longLayout', threshold: 30 },
  { name: 'blockedEvent', threshold: 100 },
  { name: 'handler', threshold: 150 },
  { name: 'recurringHandler', threshold: 50 },
] satisfies Protocol.Log.ViolationSetting[];

/**
 * Records the console of a page, its frames and workers: console calls, uncaught exceptions and rejections, and the
 * browser's own entries (Runtime.consoleAPICalled, Runtime.exceptionThrown, Log.entryAdded). Records from its
 * construction on and across navigations, the newest 2,000 messages within 2 MiB. Equal consecutive messages are
 * counted, not repeated. Values are formatted immediately and released, so that the page can collect them. Owned by the
 * page, which disposes it.
 */
export class ConsoleCollector {
  /** Resolves when recording has started. Never rejects. */
  readonly ready: Promise<void>;
  readonly #ring: RingBuffer<ConsoleMessage>;
  readonly #onCall: () => void;
  readonly #keyOf: ScriptKeyOf;
  readonly #followed: FollowedSessions;
  readonly #extensions = new Map<string, string>();
  readonly #exceptions = new Map<string, number>();
  /** Ids of messages, by their text. */
  readonly #issues = new Map<string, number>();
  /** Ids of what is an issue and in Chrome's log, by its subject. */
  readonly #subjects = new Map<string, { readonly id: number; readonly isIssue: boolean }>();
  readonly #values = new ValueReader(maxArgumentChars);
  #mainFrame = '';
  #navigation = { page: '', navigation: 0 };

  /** `onCall` is called for each console call. */
  constructor(cdp: CDPSession, onCall: () => void = noop, keyOf: ScriptKeyOf = noKey, kept?: KeptPart) {
    this.#ring = new RingBuffer<ConsoleMessage>({ maxEntries, maxBytes, sizeOf, kept });
    this.#onCall = onCall;
    this.#keyOf = keyOf;
    this.#followed = followSessions(cdp, {
      handlers: (source) => ({
        ...this.#handlers(source),
        ...(source.kind === 'page' ? this.#navigationHandlers() : {}),
      }),
      enable: ({ session, kind }) => [
        ...(kind === 'page' ? [this.#trackNavigation(session)] : []),
        unlessGone(session.send('Runtime.enable')),
        unlessGone(session.send('Log.enable')),
        unlessGone(session.send('Audits.enable')),
        unlessGone(session.send('Log.startViolationsReport', { config: violations })),
      ],
    });
    this.ready = this.#followed.ready;
  }

  /** The messages that are new or changed since the cursor. Throws a ToolError for an invalid cursor. */
  read(since?: string): RingBufferReading<ConsoleMessage> {
    return this.#ring.read(since);
  }

  get(id: number): ConsoleMessage | undefined {
    return this.#ring.get(id);
  }

  /** Resolves when the values so far are read in full, or when the page takes too long for it. */
  async whenRead(signal: AbortSignal): Promise<void> {
    await this.#values.whenRead(signal);
  }

  /** Records a worker that several pages use, until the returned function is called. */
  followWorker(worker: TargetSession): () => void {
    return this.#followed.follow(worker);
  }

  /** Stops recording. The recorded messages stay readable. Idempotent. */
  dispose(): void {
    this.#followed.stop();
  }

  #handlers(source: TargetSession): CdpHandlers {
    const contextKey = (id: number): string => `${source.session.id()} ${id}`;
    const keyOf: KeyOfScript = (scriptId) => this.#keyOf(source.session, scriptId);
    const extensionOf = (id: number | undefined): string | undefined =>
      id === undefined ? undefined : this.#extensions.get(contextKey(id));
    return {
      'Runtime.executionContextCreated': ({ context }) => {
        if (context.origin.startsWith('chrome-extension://')) {
          this.#extensions.set(contextKey(context.id), context.origin);
        }
      },
      // The unique id is the newer name, but console calls still name their context by this one.
      // oxlint-disable-next-line typescript/no-deprecated
      'Runtime.executionContextDestroyed': ({ executionContextId }) =>
        void this.#extensions.delete(contextKey(executionContextId)),
      'Runtime.consoleAPICalled': (event) => this.#recordCall(event, source, extensionOf(event.executionContextId)),
      'Runtime.exceptionThrown': (event) => {
        const { exceptionId, executionContextId, exception } = event.exceptionDetails;
        const id = this.#record(describeException(event, keyOf), source, extensionOf(executionContextId));
        this.#rememberException(contextKey(exceptionId), id);
        if (exception !== undefined && isAbridged(exception)) this.#readLater(id, 0, exception, source.session);
        if (exception?.objectId !== undefined) this.#values.release(source.session);
      },
      'Runtime.exceptionRevoked': ({ exceptionId }) => {
        const id = this.#exceptions.get(contextKey(exceptionId));
        if (id !== undefined) this.#ring.update(id, (message) => ({ ...message, handledLater: true }));
      },
      [droppedEvents]: ({ count, isIncomplete, executionContextId }) => {
        this.#ring.skip(count);
        if (isIncomplete) this.#record(lossWarning(), source, extensionOf(executionContextId));
        this.#values.release(source.session);
      },
      'Audits.issueAdded': ({ issue }) => this.#recordIssue(issue, source),
      'Log.entryAdded': ({ entry }) => {
        // A worker's messages come from its own session, in full.
        if (entry.source !== 'worker') this.#recordEntry(entry, source, keyOf);
        if (entry.args?.some((arg) => arg.objectId !== undefined)) this.#values.release(source.session);
      },
    };
  }

  #recordCall(
    event: Protocol.Runtime.ConsoleAPICalledEvent,
    source: TargetSession,
    extension: string | undefined,
  ): void {
    this.#onCall();
    if (event.type === 'endGroup') return;
    const abridged = event.args
      .slice(0, maxArguments)
      .map((arg, index) => ({ arg, index }))
      .filter(({ arg }) => isAbridged(arg));
    const message = describeRuntimeCall(event, (scriptId) => this.#keyOf(source.session, scriptId));
    const id = this.#record(message, source, extension);
    for (const { arg, index } of abridged) this.#readLater(id, index, arg, source.session);
    if (event.args.some((arg) => arg.objectId !== undefined)) this.#values.release(source.session);
  }

  /** An issue counts once for a document, however often Chrome finds it. */
  #recordIssue(issue: Protocol.Audits.InspectorIssue, source: TargetSession): void {
    const message = describeIssue(issue, Date.now(), (scriptId) => this.#keyOf(source.session, scriptId));
    if (message === undefined) return;
    const place = `${message.location?.url ?? ''}:${message.location?.line ?? ''}:${message.location?.column ?? ''}`;
    const key = `${this.#navigation.navigation} ${message.text} ${place}`;
    const known = this.#issues.get(key);
    if (known !== undefined) {
      this.#ring.amend(known, (value) => ({ ...value, count: value.count + 1, lastAt: message.at }));
      return;
    }
    const subject = this.#subjectKey(subjectOfIssue(issue, message));
    const logged = this.#subjects.get(subject);
    // It says more than Chrome's message of the same.
    const replaces = logged?.isIssue === false && this.#ring.update(logged.id, (value) => ({ ...value, ...message }));
    const id = replaces ? logged.id : this.#push(message, source, undefined);
    this.#issues.set(key, id);
    forgetOldest(this.#issues);
    this.#rememberSubject(subject, { id, isIssue: true });
  }

  /** Records a message of Chrome's own log, unless an issue tells the same. */
  #recordEntry(entry: Protocol.Log.LogEntry, source: TargetSession, keyOf: KeyOfScript): void {
    const message = describeLogEntry(entry, keyOf);
    const subject = this.#subjectKey(subjectOfEntry(entry, message));
    if (this.#subjects.get(subject)?.isIssue === true) return;
    const id = this.#record(message, source, undefined);
    this.#rememberSubject(subject, { id, isIssue: false });
  }

  /** Empty for what has no subject. */
  #subjectKey(subject: string | undefined): string {
    return subject === undefined ? '' : `${this.#navigation.navigation} ${subject}`;
  }

  #rememberSubject(key: string, told: { readonly id: number; readonly isIssue: boolean }): void {
    if (key === '') return;
    this.#subjects.set(key, told);
    forgetOldest(this.#subjects);
  }

  /** Appends a message, or counts it if it equals the last one. */
  #record(message: ConsoleMessageBody, source: TargetSession, extension: string | undefined): number {
    const last = this.#ring.last();
    if (
      last === undefined ||
      !isRepeated(last.value, message, { ...this.#navigation, source: source.kind, extension })
    ) {
      return this.#push(message, source, extension);
    }
    this.#ring.update(last.id, (value) => ({ ...value, count: value.count + 1, lastAt: message.at }));
    return last.id;
  }

  #push(message: ConsoleMessageBody, source: TargetSession, extension: string | undefined): number {
    return this.#ring.push({
      ...message,
      ...this.#navigation,
      source: source.kind,
      extension,
      count: 1,
      lastAt: message.at,
      handledLater: false,
    });
  }

  #readLater(id: number, index: number, value: Protocol.Runtime.RemoteObject, session: CDPSession): void {
    const isRead = this.#values.read(session, value, (text) =>
      this.#ring.amend(id, (message) => withArgument(message, index, text, value.subtype === 'error')),
    );
    if (!isRead) this.#ring.amend(id, (message) => withPartialArgument(message, index));
  }

  #rememberException(key: string, id: number): void {
    this.#exceptions.set(key, id);
    forgetOldest(this.#exceptions);
  }

  async #trackNavigation(session: CDPSession): Promise<void> {
    await unlessGone(session.send('Page.enable'));
    const tree = await unlessGone(session.send('Page.getFrameTree'));
    if (tree === undefined || this.#mainFrame !== '') return;
    this.#mainFrame = tree.frameTree.frame.id;
    this.#navigation = { ...this.#navigation, page: tree.frameTree.frame.url };
  }

  #navigationHandlers(): CdpHandlers {
    return {
      'Page.frameNavigated': ({ frame }) => {
        if (frame.parentId !== undefined) return;
        this.#mainFrame = frame.id;
        this.#navigation = {
          page: frame.url + (frame.urlFragment ?? ''),
          navigation: this.#navigation.navigation + 1,
        };
      },
      'Page.navigatedWithinDocument': ({ frameId, url }) => {
        if (frameId === this.#mainFrame) this.#navigation = { ...this.#navigation, page: url };
      },
    };
  }
}

const lossWarning = (): ConsoleMessageBody =>
  describeLogEntry({
    source: 'other',
    level: 'warning',
    text: 'Messages came faster than they could be recorded: an unknown number before this one is lost.',
    timestamp: Date.now(),
  });

const maxRemembered = 500;

function forgetOldest(ids: Map<string, unknown>): void {
  const [oldest] = ids.keys();
  if (ids.size > maxRemembered && oldest !== undefined) ids.delete(oldest);
}

function isRepeated(
  last: ConsoleMessage,
  next: ConsoleMessageBody,
  context: Pick<ConsoleMessage, 'navigation' | 'source' | 'extension'>,
): boolean {
  return (
    last.navigation === context.navigation &&
    last.type === next.type &&
    last.text === next.text &&
    last.source === context.source &&
    last.extension === context.extension &&
    last.location?.url === next.location?.url &&
    last.location?.line === next.location?.line &&
    !last.abridged &&
    !next.abridged
  );
}

/** An upper bound: two bytes per character, and the object's overhead. */
function sizeOf(message: ConsoleMessage): number {
  const chars = message.args.reduce((sum, arg) => sum + arg.length, message.text.length + message.page.length);
  return 2 * chars + 400 + message.stack.reduce((sum, frame) => sum + 100 + 2 * frame.url.length, 0);
}
