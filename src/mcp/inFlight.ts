import type { RequestId } from './protocol.js';
import type { RequestInfo } from './methodContext.js';

/** A request that is not answered yet. Most ask nothing that could be stopped: its signal is made when it is wanted. */
export class InFlight implements RequestInfo {
  readonly id: RequestId;
  #controller: AbortController | undefined;

  constructor(id: RequestId) {
    this.id = id;
  }

  get signal(): AbortSignal {
    return (this.#controller ??= new AbortController()).signal;
  }

  get isAborted(): boolean {
    return this.#controller?.signal.aborted === true;
  }

  abort(reason: Error): void {
    (this.#controller ??= new AbortController()).abort(reason);
  }
}
