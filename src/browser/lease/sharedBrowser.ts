import type { BrowserObserver, SupervisedBrowser } from '../process/browserConnection.js';

/** A browser that several leases take part in. Owned by whoever starts it, who closes it. */
export class ObservedBrowser {
  readonly browser: SupervisedBrowser;
  readonly #observers = new Set<BrowserObserver>();

  constructor(start: (observer: BrowserObserver) => SupervisedBrowser) {
    const notify = (call: (observer: BrowserObserver) => void): void => [...this.#observers].forEach(call);
    this.browser = start({
      lost: () => notify((observer) => observer.lost()),
      ready: (connection) => notify((observer) => observer.ready(connection)),
      failed: (failure) => notify((observer) => observer.failed(failure)),
    });
  }

  get isInUse(): boolean {
    return this.#observers.size > 0;
  }

  addObserver(observer: BrowserObserver): void {
    this.#observers.add(observer);
  }

  removeObserver(observer: BrowserObserver): void {
    this.#observers.delete(observer);
  }
}
