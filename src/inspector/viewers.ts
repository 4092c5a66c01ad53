import type { ServerResponse } from 'node:http';
import type { Clock } from '../clock.js';
import { Refusal } from '../errors.js';
import { packageInfo } from '../packageInfo.js';
import type { Journal } from './journal.js';
import type { Payloads } from './payloads.js';
import type { Frame, Overview } from './wire.js';

/** Pages that may watch at once (S10). */
const maxViewers = 50;
/** How often changes are sent, and how often the overview. */
const tickMs = 100;
const overviewTicks = 10;
/** A viewer that leaves this many frames unread, half a minute of changes, is let go; its page comes back by itself. */
const patience = 300;
const retryAfterMs = 5_000;

interface Viewer {
  readonly response: ServerResponse;
  /** The session that is open in it. */
  readonly session: string | null;
  /** Whether it wants to see what is said in that session. */
  readonly contents: boolean;
  /** The journal's version, and the session's last entry, that it has been sent. */
  version: number;
  seq: number;
  payload: number;
  lost: number;
  leave(): void;
}

const nothing = (): void => undefined;

export interface ViewersDeps {
  readonly journal: Journal;
  readonly payloads: Payloads;
  readonly clock: Clock;
  overview(): Promise<Overview>;
}

/**
 * The pages that watch. Each is sent what changed since its last frame; one that does not read misses frames and is told
 * how many, and the server never waits for it. Without viewers no timer runs. Each stream is owned by its connection: it
 * ends when either side closes it.
 */
export class Viewers {
  readonly #deps: ViewersDeps;
  readonly #viewers = new Set<Viewer>();
  readonly #startedAt: number;
  #timer: unknown;
  #ticks = 0;
  /** Made since the last tick, for all viewers. */
  #overview: Overview | undefined;

  constructor(deps: ViewersDeps) {
    this.#deps = deps;
    this.#startedAt = deps.clock.now();
  }

  get size(): number {
    return this.#viewers.size;
  }

  /**
   * Answers a request with the stream; with `contents`, what is said in the session from now on is in it, redacted. Throws
   * `too_many_viewers`, and then nothing was written.
   */
  open(response: ServerResponse, session: string | null, contents = false): void {
    if (this.#viewers.size >= maxViewers) {
      throw new Refusal('too_many_viewers', { retryAfterMs, limit: `${maxViewers} pages` });
    }
    const viewer: Viewer = { response, session, contents, version: 0, seq: 0, payload: 0, lost: 0, leave: nothing };
    response.on('close', () => this.#leave(viewer));
    response.on('error', () => this.#leave(viewer));
    if (response.destroyed) return;
    this.#viewers.add(viewer);
    if (contents && session !== null) viewer.leave = this.#deps.payloads.watch(session);
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
    });
    this.#send(viewer, this.#frame(viewer, undefined));
    this.#refresh();
    if (this.#viewers.size === 1) this.#arm();
  }

  #leave(viewer: Viewer): void {
    if (!this.#viewers.delete(viewer)) return;
    viewer.leave();
    if (this.#viewers.size === 0) this.#deps.clock.clearTimeout(this.#timer);
  }

  #arm(): void {
    this.#timer = this.#deps.clock.setTimeout(() => {
      this.#tick();
      if (this.#viewers.size > 0) this.#arm();
    }, tickMs);
  }

  #tick(): void {
    this.#ticks += 1;
    if (this.#ticks % overviewTicks === 0) this.#refresh();
    const overview = this.#overview;
    this.#overview = undefined;
    for (const viewer of this.#viewers) {
      if (overview === undefined && !this.#hasNews(viewer)) continue;
      if (viewer.response.writableLength === 0) this.#send(viewer, this.#frame(viewer, overview));
      else if (++viewer.lost > patience) viewer.response.destroy();
    }
  }

  #hasNews({ version, session, contents, payload }: Viewer): boolean {
    const { journal, payloads } = this.#deps;
    return version !== journal.version || (contents && session !== null && payload !== payloads.last(session));
  }

  /** It asks the pool and the stores, so it comes when it comes; one that cannot be had is left out. */
  #refresh(): void {
    const keep = (overview: Overview | undefined): void => void (this.#overview = overview);
    this.#deps.overview().then(keep, () => keep(undefined));
  }

  #frame(viewer: Viewer, overview: Overview | undefined): Frame {
    const { journal, payloads, clock } = this.#deps;
    const actors = journal.actorsSince(viewer.version);
    return {
      startedAt: this.#startedAt,
      version: packageInfo.version,
      now: clock.now(),
      full: viewer.version === 0,
      rows: journal.rowsSince(viewer.version),
      ...(actors !== undefined && { actors }),
      ...(overview !== undefined && { overview }),
      ...(viewer.session !== null && { detail: journal.detail(viewer.session, viewer.seq) }),
      ...(viewer.contents && viewer.session !== null && { payloads: payloads.since(viewer.session, viewer.payload) }),
      lost: viewer.lost,
    };
  }

  #send(viewer: Viewer, frame: Frame): void {
    viewer.version = this.#deps.journal.version;
    viewer.seq = frame.detail?.entries.at(-1)?.seq ?? viewer.seq;
    viewer.payload = frame.payloads?.at(-1)?.seq ?? viewer.payload;
    viewer.lost = 0;
    viewer.response.write(`data: ${JSON.stringify(frame)}\n\n`);
  }
}
