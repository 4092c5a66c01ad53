import type { Frame } from '../wire.js';

const firstPauseMs = 500;
const longestPauseMs = 5_000;

export interface Listener {
  frame(frame: Frame): void;
  /** The server is gone, or takes no more viewers; it is tried again. */
  lost(): void;
}

/**
 * The stream from the server, opened again after each loss with a growing pause. A page that nobody sees lets go of it:
 * browsers allow six connections to a server, and hidden tabs would hold them all.
 */
export class Connection {
  readonly #listener: Listener;
  #source: EventSource | undefined;
  #session: string | null = null;
  #timer: number | undefined;
  #pauseMs = firstPauseMs;

  constructor(listener: Listener) {
    this.#listener = listener;
    document.addEventListener('visibilitychange', () => (document.hidden ? this.#close() : this.#open()));
  }

  /** Watches the server, and one session in detail. */
  watch(session: string | null): void {
    if (this.#source !== undefined && this.#session === session) return;
    this.#session = session;
    this.#close();
    if (!document.hidden) this.#open();
  }

  #open(): void {
    this.#close();
    const query = this.#session === null ? '' : `?session=${encodeURIComponent(this.#session)}`;
    const source = new EventSource(`stream${query}`);
    this.#source = source;
    source.onmessage = ({ data }: MessageEvent<string>) => {
      this.#pauseMs = firstPauseMs;
      this.#listener.frame(JSON.parse(data) as Frame);
    };
    source.onerror = () => this.#again(source);
  }

  #close(): void {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = undefined;
  }

  #again(source: EventSource): void {
    if (source !== this.#source) return;
    this.#close();
    this.#timer = setTimeout(() => this.#open(), this.#pauseMs);
    this.#pauseMs = Math.min(longestPauseMs, this.#pauseMs * 2);
    this.#listener.lost();
  }
}
