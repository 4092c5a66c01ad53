import type { CDPSession, Protocol } from 'puppeteer-core';
import { noop, untilAborted } from '../../async.js';
import { timeLimit } from '../../clock.js';
import { formatValue } from '../cdp/injectedFunctions.js';
import { unlessGone } from '../cdp/cdpSessions.js';
import { describeObject } from './remoteObject.js';

type RemoteObject = Protocol.Runtime.RemoteObject;

/** Values that are read concurrently. */
const maxConcurrentReads = 16;
/** Values that wait to be read. */
const maxWaitingReads = 500;
/** Limit on the wait for values, in ms: a page may be busy. */
const readLimitMs = 500;

const maxCauses = 5;
const maxErrors = 10;
const maxFields = 20;

interface UnreadValue {
  readonly session: CDPSession;
  readonly object: RemoteObject;
  onText(text: string): void;
}

/**
 * Reads the values of console events in full, of which the events have only a preview, and then releases them, so that the
 * page can collect them. Never rejects.
 */
export class ValueReader {
  readonly #maxChars: number;
  /** The oldest first. */
  readonly #waiting: UnreadValue[] = [];
  readonly #onRead = new Set<() => void>();
  readonly #releasing = new Map<CDPSession, { again: boolean }>();
  /** Sessions whose values are released when none is being read. */
  readonly #pendingReleases = new Set<CDPSession>();
  #count = 0;

  constructor(maxChars: number) {
    this.#maxChars = maxChars;
  }

  /** Calls `onText` once the value is read. False if too many wait: then it is never read. */
  read(session: CDPSession, object: RemoteObject, onText: (text: string) => void): boolean {
    if (this.#waiting.length >= maxWaitingReads) return false;
    this.#waiting.push({ session, object, onText });
    this.#readNext();
    return true;
  }

  /** Resolves when the values so far are read, or when the page takes too long for it. */
  async whenRead(signal: AbortSignal): Promise<void> {
    if (this.#count === 0) return;
    const limit = timeLimit(readLimitMs);
    let onRead = noop;
    const read = new Promise<void>((resolve) => this.#onRead.add((onRead = resolve)));
    await untilAborted(read, AbortSignal.any([signal, limit])).catch((error: unknown) => {
      if (!limit.aborted) throw error;
    });
    this.#onRead.delete(onRead);
  }

  /** Releases the values of console events; one command at a time, however fast the page logs. */
  release(session: CDPSession): void {
    // Commands may be reordered: values are released only when none is being read.
    if (this.#count > 0) {
      this.#pendingReleases.add(session);
      return;
    }
    const running = this.#releasing.get(session);
    if (running !== undefined) {
      running.again = true;
      return;
    }
    const release = { again: false };
    this.#releasing.set(session, release);
    void unlessGone(session.send('Runtime.releaseObjectGroup', { objectGroup: 'console' })).then(() => {
      this.#releasing.delete(session);
      if (release.again) this.release(session);
    });
  }

  #readNext(): void {
    while (this.#count < maxConcurrentReads) {
      const next = this.#waiting.shift();
      if (next === undefined) break;
      this.#count++;
      void fullTextOf(next.session, next.object, this.#maxChars).then((text) => {
        if (text !== undefined) next.onText(text);
        this.#count--;
        this.#readNext();
      });
    }
    if (this.#count > 0) return;
    const sessions = [...this.#pendingReleases];
    this.#pendingReleases.clear();
    for (const session of sessions) this.release(session);
    for (const resolve of this.#onRead) resolve();
  }
}

/**
 * A value of a page as a console prints it, an error with its fields and what caused it. Undefined for what has side effects
 * when it is read (`throwOnSideEffect`), and when the page is gone.
 */
export async function fullTextOf(
  session: CDPSession,
  object: RemoteObject,
  maxChars: number,
): Promise<string | undefined> {
  if (object.subtype === 'error') return errorText(session, object);
  const { objectId } = object;
  if (objectId === undefined) return undefined;
  const reading = session.send('Runtime.callFunctionOn', {
    objectId,
    functionDeclaration: formatValue,
    arguments: [{ value: maxChars }],
    returnByValue: true,
    silent: true,
    throwOnSideEffect: true,
  });
  const answer = await unlessGone(reading);
  const text: unknown = answer?.result.value;
  return answer?.exceptionDetails === undefined && typeof text === 'string' ? text : undefined;
}

export const causedBy = 'Caused by: ';
export const oneOfIt = 'One of it: ';

/** An error's stack, the fields of its own, the errors that it is made of, and what caused it. */
export async function errorText(session: CDPSession, error: RemoteObject, maxDepth = maxCauses): Promise<string> {
  const properties = await ownProperties(session, error);
  const fields = properties.flatMap(({ name, enumerable, value }) =>
    enumerable && value !== undefined && !['name', 'stack', 'message', 'cause', 'errors'].includes(name)
      ? [`${name}: ${value.type === 'string' ? JSON.stringify(value.value) : describeObject(value)}`]
      : [],
  );
  const valueOf = (name: string): RemoteObject | undefined => properties.find((each) => each.name === name)?.value;
  const [cause, errors] = [valueOf('cause'), valueOf('errors')];
  const parts = errors?.subtype === 'array' ? await ownProperties(session, errors) : [];
  const partTexts = parts
    .filter(({ name }) => /^\d+$/.test(name))
    .slice(0, maxErrors)
    .map(({ value }) => textOfPart(session, value, maxDepth));
  return [
    describeObject(error),
    ...(fields.length === 0 ? [] : [`{${fields.slice(0, maxFields).join(', ')}}`]),
    ...(await Promise.all(partTexts)).map((text) => `${oneOfIt}${text}`),
    ...(cause === undefined ? [] : [`${causedBy}${await textOfPart(session, cause, maxDepth)}`]),
  ].join('\n');
}

async function textOfPart(session: CDPSession, value: RemoteObject | undefined, maxDepth: number): Promise<string> {
  if (value === undefined) return '(getter)';
  return value.subtype === 'error' && maxDepth > 0 ? errorText(session, value, maxDepth - 1) : describeObject(value);
}

async function ownProperties(
  session: CDPSession,
  { objectId }: RemoteObject,
): Promise<Protocol.Runtime.PropertyDescriptor[]> {
  if (objectId === undefined) return [];
  const reading = session.send('Runtime.getProperties', { objectId, ownProperties: true, generatePreview: true });
  return (await unlessGone(reading))?.result ?? [];
}
