import type { Browser, CDPSession } from 'puppeteer-core';
import { z } from 'zod';
import { timeLimit } from '../../clock.js';
import { ToolError } from '../../errors/errors.js';
import { RingBuffer, type KeptPart, type RingBufferReading } from '../collectors/ringBuffer.js';
import type { StorageChangeReport } from '../injected/extensionContract.js';
import { untilAborted } from '../../async.js';
import { callExpression, listenToStorage } from '../cdp/injectedFunctions.js';
import { CdpScope } from '../cdp/cdpScope.js';
import { truncateText } from '../collectors/remoteObject.js';
import { ownDocumentUrl } from './installedExtensions.js';
import { openBrowserCdpSession } from '../cdp/cdpSessions.js';
import { parsedJson } from '../../text.js';

/** A change of one key. */
export interface StorageChange {
  readonly extensionId: string;
  readonly area: string;
  readonly key: string;
  /** JSON, capped; undefined if the key did not exist before, or does not exist any more. */
  readonly oldValue: string | undefined;
  readonly newValue: string | undefined;
  /** Milliseconds since 1970. */
  readonly at: number;
}

interface StorageListener {
  readonly scope: CdpScope;
  readonly session: CDPSession;
}

const limits = { maxEntries: 1_000, maxBytes: 2 * 1024 ** 2 };
const maxValueChars = 4_000;
const openTimeoutMs = 10_000;
const noStorage =
  'The extension has no chrome.storage. Add "storage" to permissions in its manifest, then call reload_extension.';
const bindingName = 'greenroomStorage';

const changeSchema = z.object({
  area: z.string(),
  at: z.number(),
  changes: z.record(z.string(), z.object({ oldValue: z.string().optional(), newValue: z.string().optional() })),
}) satisfies z.ZodType<StorageChangeReport>;

const listenScript = callExpression(listenToStorage, bindingName);

/**
 * Records changes of extensions' storage in all areas, from the first read of each extension on: the newest 1,000
 * within 2 MiB. Listens in a hidden document of the extension (`chrome.storage.onChanged`), so it neither needs nor
 * starts the worker. Owned by ExtensionRecorder, which closes it.
 */
export class StorageChangeLog {
  readonly #browser: Browser;
  readonly #ring: RingBuffer<StorageChange>;
  readonly #storageListeners = new Map<string, Promise<StorageListener>>();
  readonly #closed = new AbortController();

  constructor(browser: Browser, kept?: KeptPart) {
    this.#browser = browser;
    this.#ring = new RingBuffer<StorageChange>({ ...limits, sizeOf, kept });
  }

  read(since?: string): RingBufferReading<StorageChange> {
    return this.#ring.read(since);
  }

  /** Starts listening. Resolves with whether it listened before, which is false after a reload of the extension. */
  async watch(extensionId: string, signal: AbortSignal): Promise<boolean> {
    const known = this.#storageListeners.get(extensionId);
    if (known !== undefined && (await untilAborted(isListening(known), signal))) return true;
    if (known !== undefined) await this.#stop(extensionId, known);
    const watching = this.#open(extensionId);
    this.#storageListeners.set(extensionId, watching);
    watching.catch(() => this.#storageListeners.delete(extensionId));
    await untilAborted(watching, signal);
    return false;
  }

  /** Idempotent; never rejects. */
  async close(): Promise<void> {
    this.#closed.abort(new Error('The session has ended.'));
    await Promise.all([...this.#storageListeners].map(([extensionId, watching]) => this.#stop(extensionId, watching)));
  }

  async #open(extensionId: string): Promise<StorageListener> {
    const signal = AbortSignal.any([this.#closed.signal, timeLimit(openTimeoutMs)]);
    const scope = new CdpScope(this.#browser, await openBrowserCdpSession(this.#browser), signal);
    try {
      const session = await scope.hiddenPage(ownDocumentUrl(extensionId));
      session.on('Runtime.bindingCalled', ({ payload }) => this.#record(extensionId, payload));
      await scope.untilAborted(session.send('Runtime.addBinding', { name: bindingName }));
      const { exceptionDetails } = await scope.untilAborted(
        session.send('Runtime.evaluate', { expression: listenScript }),
      );
      if (exceptionDetails) throw new ToolError(noStorage);
      return { scope, session };
    } catch (error) {
      await scope.close();
      throw error;
    }
  }

  async #stop(extensionId: string, watching: Promise<StorageListener>): Promise<void> {
    this.#storageListeners.delete(extensionId);
    const open = await watching.catch(() => undefined);
    await open?.scope.close();
  }

  #record(extensionId: string, payload: string): void {
    const { success, data } = changeSchema.safeParse(parsedJson(payload));
    // Other documents of the extension reach this one, and can call the binding.
    if (!success) return;
    const { area, at, changes } = data;
    for (const [key, { oldValue, newValue }] of Object.entries(changes)) {
      this.#ring.push({ extensionId, area, key, at, oldValue: capped(oldValue), newValue: capped(newValue) });
    }
  }
}

const capped = (text: string | undefined): string | undefined =>
  text === undefined ? undefined : truncateText(text, maxValueChars);

/** A document from before a reload is disconnected from the extension. */
async function isListening(watching: Promise<StorageListener>): Promise<boolean> {
  try {
    const { session } = await watching;
    const answer = await session.send('Runtime.evaluate', {
      expression: `chrome.runtime?.id !== undefined && ${listenScript}`,
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
