import type { Browser, Protocol } from 'puppeteer-core';
import { ProtocolScope } from '../protocol/protocolScope.js';
import { WorkerWatch } from './serviceWorkers.js';
import { openBrowserSession } from '../protocol/openSession.js';

interface Opened {
  readonly scope: ProtocolScope;
  readonly watch: WorkerWatch;
  readonly abort: AbortController;
}

/** Tells of the end of workers for as long as some are followed. Owned by ExtensionActivity, which closes it. */
export class WorkerRegistry {
  readonly #browser: Browser;
  #opened: Promise<Opened> | undefined;

  constructor(browser: Browser) {
    this.#browser = browser;
  }

  /** Does nothing when it is open. */
  async open(): Promise<void> {
    this.#opened ??= this.#open().catch((error: unknown) => {
      this.#opened = undefined;
      throw error;
    });
    await this.#opened;
  }

  /** Calls `ended` once when this worker ends; never after `close`. */
  onEnd({ targetId, url }: Protocol.Target.TargetInfo, ended: () => void): void {
    const { host } = new URL(url);
    const waiting = this.#opened?.then(async ({ watch }) => {
      const lives = (): boolean => watch.targetId(host) === targetId;
      const starts = (): boolean => watch.state(host) === 'starting';
      // It may be heard of here before the registry has it.
      await watch.until(() => lives() || starts());
      await watch.until(() => !lives() && !starts());
      ended();
    });
    waiting?.catch(closed);
  }

  /** Idempotent; never rejects. */
  async close(): Promise<void> {
    const opened = await this.#opened?.catch(closed);
    this.#opened = undefined;
    opened?.abort.abort(new Error('No worker is followed any more.'));
    await opened?.scope.close();
  }

  async #open(): Promise<Opened> {
    const abort = new AbortController();
    const scope = new ProtocolScope(this.#browser, await openBrowserSession(this.#browser), abort.signal);
    try {
      return { scope, abort, watch: await WorkerWatch.open(scope) };
    } catch (error) {
      await scope.close();
      throw error;
    }
  }
}

function closed(): undefined {
  return undefined;
}
