import type { BrowserObserver, SupervisedBrowser } from '../process/connection.js';

/** A browser that several leases take part in. Owned by whoever starts it, who closes it. */
export class SharedBrowser {
  readonly browser: SupervisedBrowser;
  readonly #observers = new Set<BrowserObserver>();

  constructor(start: (observer: BrowserObserver) => SupervisedBrowser) {
    const tell = (message: (observer: BrowserObserver) => void): void => [...this.#observers].forEach(message);
    this.browser = start({
      lost: () => tell((one) => one.lost()),
      ready: (connection) => tell((one) => one.ready(connection)),
      failed: (failure) => tell((one) => one.failed(failure)),
    });
  }

  get isUsed(): boolean {
    return this.#observers.size > 0;
  }

  join(observer: BrowserObserver): void {
    this.#observers.add(observer);
  }

  leave(observer: BrowserObserver): void {
    this.#observers.delete(observer);
  }
}
