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
  #contents = false;
  #timer: number | undefined;
  #pauseMs = firstPauseMs;

  constructor(listener: Listener) {
    this.#listener = listener;
    document.addEventListener('visibilitychange', () => (document.hidden ? this.#close() : this.#open()));
  }

  /** Watches the server, and one session in detail; with `contents`, what is said in it too. */
  watch(session: string | null, contents: boolean): void {
    if (this.#source !== undefined && this.#session === session && this.#contents === contents) return;
    this.#session = session;
    this.#contents = contents;
    this.#close();
    if (!document.hidden) this.#open();
  }

  #open(): void {
    this.#close();
    const session = this.#session === null ? '' : `?session=${encodeURIComponent(this.#session)}`;
    const query = session !== '' && this.#contents ? `${session}&contents=1` : session;
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
