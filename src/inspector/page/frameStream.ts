import type { Frame } from '../wire.js';

const initialPauseMs = 500;
const maxPauseMs = 5_000;

interface FrameListener {
  onFrame(frame: Frame): void;
  /** The connection failed or was refused; it is retried. */
  onLost(): void;
}

/**
 * The stream from the server, reopened after each loss with exponential backoff. A hidden page closes it: browsers allow
 * six connections to a server, and hidden tabs would hold them all.
 */
export class FrameStream {
  readonly #listener: FrameListener;
  #source: EventSource | undefined;
  #session: string | null = null;
  #contents = false;
  #timer: number | undefined;
  #pauseMs = initialPauseMs;

  constructor(listener: FrameListener) {
    this.#listener = listener;
    document.addEventListener('visibilitychange', () => (document.hidden ? this.#close() : this.#open()));
  }

  /** Streams the server, and one session in detail; with `contents`, its messages, too. */
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
      this.#pauseMs = initialPauseMs;
      this.#listener.onFrame(JSON.parse(data) as Frame);
    };
    source.onerror = () => this.#reconnect(source);
  }

  #close(): void {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = undefined;
  }

  #reconnect(source: EventSource): void {
    if (source !== this.#source) return;
    this.#close();
    this.#timer = setTimeout(() => this.#open(), this.#pauseMs);
    this.#pauseMs = Math.min(maxPauseMs, this.#pauseMs * 2);
    this.#listener.onLost();
  }
}
