import type { Browser, Protocol } from 'puppeteer-core';
import { CdpScope } from '../cdp/cdpScope.js';
import { WorkerMonitor } from './serviceWorkers.js';
import { openBrowserCdpSession } from '../protocol/openSession.js';

interface OpenMonitor {
  readonly scope: CdpScope;
  readonly watch: WorkerMonitor;
  readonly abort: AbortController;
}

/** Tells of the end of workers for as long as some are followed. Owned by ExtensionActivity, which closes it. */
export class WorkerEndObserver {
  readonly #browser: Browser;
  #monitor: Promise<OpenMonitor> | undefined;

  constructor(browser: Browser) {
    this.#browser = browser;
  }

  /** Does nothing when it is open. */
  async open(): Promise<void> {
    this.#monitor ??= this.#open().catch((error: unknown) => {
      this.#monitor = undefined;
      throw error;
    });
    await this.#monitor;
  }

  /** Calls `ended` once when this worker ends; never after `close`. */
  onEnd({ targetId, url }: Protocol.Target.TargetInfo, onEnded: () => void): void {
    const { host } = new URL(url);
    const waiting = this.#monitor?.then(async ({ watch }) => {
      const isRunning = (): boolean => watch.targetId(host) === targetId;
      const isStarting = (): boolean => watch.state(host) === 'starting';
      // It may be heard of here before the registry has it.
      await watch.waitUntil(() => isRunning() || isStarting());
      await watch.waitUntil(() => !isRunning() && !isStarting());
      onEnded();
    });
    waiting?.catch(noop);
  }

  /** Idempotent; never rejects. */
  async close(): Promise<void> {
    const opened = await this.#monitor?.catch(noop);
    this.#monitor = undefined;
    opened?.abort.abort(new Error('No worker is followed any more.'));
    await opened?.scope.close();
  }

  async #open(): Promise<OpenMonitor> {
    const abort = new AbortController();
    const scope = new CdpScope(this.#browser, await openBrowserCdpSession(this.#browser), abort.signal);
    try {
      return { scope, abort, watch: await WorkerMonitor.open(scope) };
    } catch (error) {
      await scope.close();
      throw error;
    }
  }
}

function noop(): undefined {
  return undefined;
}
