import type { Browser, CDPSession } from 'puppeteer-core';
import { z } from 'zod';
import { timeLimit } from '../../clock.js';
import { ToolError } from '../../errors.js';
import { Ring, type RingReading } from '../collectors/ring.js';
import type { StorageChangeReport } from '../injected/contract.js';
import { untilAborted } from '../protocol/abort.js';
import { callExpression, listenToStorage } from '../protocol/injectedFunctions.js';
import { ProtocolScope } from '../protocol/protocolScope.js';
import { capText } from '../collectors/remoteObject.js';
import { originOf } from './extensions.js';
import { openBrowserSession } from '../protocol/openSession.js';

/** A change of one key. */
export interface StorageChange {
  readonly extensionId: string;
  readonly area: string;
  readonly key: string;
  /** JSON, capped; undefined where the key was not, or is not any more. */
  readonly oldValue: string | undefined;
  readonly newValue: string | undefined;
  /** Milliseconds since 1970. */
  readonly at: number;
}

interface Watching {
  readonly scope: ProtocolScope;
  readonly session: CDPSession;
}

const limits = { maxEntries: 1_000, maxBytes: 2 * 1024 ** 2 };
const maxValueChars = 4_000;
const openTimeoutMs = 10_000;
const noStorage =
  'The extension has no chrome.storage. Add "storage" to permissions in its manifest, then call reload_extension.';
const bindingName = 'greenroomStorage';

const change = z.object({
  area: z.string(),
  at: z.number(),
  changes: z.record(z.string(), z.object({ oldValue: z.string().optional(), newValue: z.string().optional() })),
}) satisfies z.ZodType<StorageChangeReport>;

const listen = callExpression(listenToStorage, bindingName);

/** The document that is opened hidden: every extension has it, and nothing runs in it. */
export const quietDocument = (extensionId: string): string => `${originOf(extensionId)}/manifest.json`;

/**
 * Changes of extensions' storage, all areas, from the first question about each on: the newest 1,000 within 2 MiB. Heard
 * in a hidden document of the extension (`chrome.storage.onChanged`), so it goes on while the worker sleeps and wakes
 * none. Owned by ExtensionActivity, which closes it.
 */
export class StorageWatch {
  readonly #browser: Browser;
  readonly #ring = new Ring<StorageChange>({ ...limits, sizeOf });
  readonly #watching = new Map<string, Promise<Watching>>();
  readonly #closed = new AbortController();

  constructor(browser: Browser) {
    this.#browser = browser;
  }

  read(since?: string): RingReading<StorageChange> {
    return this.#ring.read(since);
  }

  /** Listens from now on. Answers whether it did so before; when the extension was loaded again, it did not. */
  async watch(extensionId: string, signal: AbortSignal): Promise<boolean> {
    const known = this.#watching.get(extensionId);
    if (known !== undefined && (await untilAborted(isListening(known), signal))) return true;
    if (known !== undefined) await this.#end(extensionId, known);
    const watching = this.#open(extensionId);
    this.#watching.set(extensionId, watching);
    watching.catch(() => this.#watching.delete(extensionId));
    await untilAborted(watching, signal);
    return false;
  }

  /** Idempotent; never rejects. */
  async close(): Promise<void> {
    this.#closed.abort(new Error('The session has ended.'));
    await Promise.all([...this.#watching].map(([extensionId, watching]) => this.#end(extensionId, watching)));
  }

  async #open(extensionId: string): Promise<Watching> {
    const signal = AbortSignal.any([this.#closed.signal, timeLimit(openTimeoutMs)]);
    const scope = new ProtocolScope(this.#browser, await openBrowserSession(this.#browser), signal);
    try {
      const session = await scope.hiddenPage();
      session.on('Runtime.bindingCalled', ({ payload }) => this.#note(extensionId, payload));
      await scope.until(session.send('Page.navigate', { url: quietDocument(extensionId) }));
      await scope.until(session.send('Runtime.addBinding', { name: bindingName }));
      const { exceptionDetails } = await scope.until(session.send('Runtime.evaluate', { expression: listen }));
      if (exceptionDetails) throw new ToolError(noStorage);
      return { scope, session };
    } catch (error) {
      await scope.close();
      throw error;
    }
  }

  async #end(extensionId: string, watching: Promise<Watching>): Promise<void> {
    this.#watching.delete(extensionId);
    const open = await watching.catch(() => undefined);
    await open?.scope.close();
  }

  #note(extensionId: string, payload: string): void {
    const { area, at, changes } = change.parse(JSON.parse(payload));
    for (const [key, { oldValue, newValue }] of Object.entries(changes)) {
      this.#ring.push({ extensionId, area, key, at, oldValue: capped(oldValue), newValue: capped(newValue) });
    }
  }
}

const capped = (text: string | undefined): string | undefined =>
  text === undefined ? undefined : capText(text, maxValueChars);

/** A document of an extension that was loaded again is cut off from it. */
async function isListening(watching: Promise<Watching>): Promise<boolean> {
  try {
    const { session } = await watching;
    const answer = await session.send('Runtime.evaluate', {
      expression: `chrome.runtime?.id !== undefined && ${listen}`,
      returnByValue: true,
    });
    return answer.result.value === true;
  } catch {
    return false;
  }
}

function sizeOf({ key, oldValue = '', newValue = '' }: StorageChange): number {
  return 200 + 2 * (key.length + oldValue.length + newValue.length);
}
