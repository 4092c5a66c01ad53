import type { ServerResponse } from 'node:http';
import type { Clock } from '../clock.js';
import { Refusal } from '../errors.js';
import { packageInfo } from '../packageInfo.js';
import type { Journal } from './journal.js';
import type { Payloads } from './payloads.js';
import { Table, type News } from './table.js';
import type { Frame, Overview, Row } from './wire.js';

/** Pages that may watch at once (S10). */
const maxViewers = 50;
/** How often changes of state are sent, and how often counters and the overview. */
const tickMs = 250;
const wholeTicks = 4;
/** A viewer that leaves this many frames unread, half a minute of changes, is let go; its page comes back by itself. */
const patience = 120;

interface Viewer {
  readonly response: ServerResponse;
  /** The session that is open in it. */
  readonly session: string | null;
  /** Whether it wants to see what is said in that session. */
  readonly contents: boolean;
  /** The table's turn; 0 before the first frame. */
  turn: number;
  /** The version of the session's track, and the numbers of the last entry and payload. */
  version: number;
  seq: number;
  payload: number;
  lost: number;
  leave(): void;
}

type OwnPart = 'detail' | 'payloads' | 'lost';

/** What all viewers are told who have heard the same turns: made once. */
interface Common {
  /** The frame as JSON, up to what is a viewer's own. */
  readonly json: string;
  /** The whole of it, for those who look at no session. */
  readonly bytes: Buffer;
}

const nothing = (): void => undefined;

export interface ViewersDeps {
  readonly journal: Journal;
  readonly payloads: Payloads;
  readonly clock: Clock;
  overview(): Promise<Overview>;
  /** The rows of other nodes. Never rejects. */
  others?(): Promise<readonly Row[]>;
}

/**
 * The pages that watch. Each is sent what changed since its last frame; one that does not read misses frames and is told
 * how many, and the server never waits for it. What changed is found and written down once for all of them. Without
 * viewers no timer runs. Each stream is owned by its connection: it ends when either side closes it.
 */
export class Viewers {
  readonly #deps: ViewersDeps;
  readonly #viewers = new Set<Viewer>();
  readonly #startedAt: number;
  readonly #table: Table;
  #timer: unknown;
  #ticks = 0;
  /** Made since the last tick, for all viewers. */
  #overview: Overview | undefined;
  #others: readonly Row[] = [];
  /** Of this turn, by the turn that its readers have heard last. */
  readonly #common = new Map<number, Common>();
  #advancedAt = -Infinity;

  constructor(deps: ViewersDeps) {
    this.#deps = deps;
    this.#startedAt = deps.clock.now();
    this.#table = new Table(deps.journal);
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
      throw new Refusal('too_many_viewers', { limit: `${maxViewers} pages` });
    }
    const start = { turn: 0, version: 0, seq: 0, payload: 0, lost: 0 };
    const viewer: Viewer = { response, session, contents, ...start, leave: nothing };
    response.on('close', () => this.#leave(viewer));
    response.on('error', () => this.#leave(viewer));
    if (response.destroyed) return;
    if (this.#viewers.size === 0) this.#begin();
    this.#viewers.add(viewer);
    if (contents && session !== null) viewer.leave = this.#deps.payloads.watch(session);
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
    });
    this.#send(viewer, this.#table.since(0), undefined);
    this.#refresh();
  }

  #leave(viewer: Viewer): void {
    if (!this.#viewers.delete(viewer)) return;
    viewer.leave();
    if (this.#viewers.size === 0) this.#deps.clock.clearTimeout(this.#timer);
  }

  /** Nobody has looked for a while: what there was to tell, nobody was told. */
  #begin(): void {
    if (this.#deps.clock.now() - this.#advancedAt >= tickMs) this.#advance(true);
    this.#arm();
  }

  #arm(): void {
    this.#timer = this.#deps.clock.setTimeout(() => {
      this.#tick();
      if (this.#viewers.size > 0) this.#arm();
    }, tickMs);
  }

  #advance(isWhole: boolean): News {
    this.#advancedAt = this.#deps.clock.now();
    this.#common.clear();
    return this.#table.advance(isWhole, this.#others, this.#advancedAt);
  }

  #tick(): void {
    this.#ticks += 1;
    const isWhole = this.#ticks % wholeTicks === 0;
    const before = this.#table.turn;
    const news = this.#advance(isWhole);
    const overview = this.#overview;
    this.#overview = undefined;
    if (isWhole) this.#refresh();
    const concernsAll =
      overview !== undefined || news.rows.length + news.changes.length > 0 || news.actors !== undefined;
    for (const viewer of this.#viewers) {
      const isCurrent = viewer.turn === before;
      if (isCurrent && !concernsAll && !this.#hasOwnNews(viewer)) viewer.turn = this.#table.turn;
      else if (viewer.response.writableLength > 0) skip(viewer);
      else this.#send(viewer, isCurrent ? news : this.#table.since(viewer.turn), overview);
    }
  }

  #hasOwnNews({ session, contents, version, payload }: Viewer): boolean {
    if (session === null) return false;
    const { journal, payloads } = this.#deps;
    const track = journal.track(session);
    return (track !== undefined && track.version !== version) || (contents && payloads.last(session) !== payload);
  }

  /** It asks the pool and the stores, so it comes when it comes; one that cannot be had is left out. */
  #refresh(): void {
    const keep = (overview: Overview | undefined): void => void (this.#overview = overview);
    this.#deps.overview().then(keep, () => keep(undefined));
    void this.#deps.others?.().then((rows) => (this.#others = rows));
  }

  #send(viewer: Viewer, news: News, overview: Overview | undefined): void {
    const common = this.#common.get(viewer.turn) ?? this.#write(viewer.turn, news, overview);
    this.#common.set(viewer.turn, common);
    const isOwn = viewer.session !== null || viewer.lost > 0;
    viewer.response.write(isOwn ? eventOf(common.json, this.#takeOwn(viewer)) : common.bytes);
    viewer.turn = this.#table.turn;
  }

  /** What this viewer alone is told. It counts as told then. */
  #takeOwn(viewer: Viewer): Pick<Frame, OwnPart> {
    const { session, contents, lost } = viewer;
    viewer.lost = 0;
    if (session === null) return { lost };
    const { journal, payloads } = this.#deps;
    const detail = journal.detail(session, viewer.seq);
    viewer.version = journal.track(session)?.version ?? 0;
    viewer.seq = detail?.entries.at(-1)?.seq ?? viewer.seq;
    if (!contents) return { detail, lost };
    const said = payloads.since(session, viewer.payload);
    viewer.payload = said.at(-1)?.seq ?? viewer.payload;
    return { detail, payloads: said, lost };
  }

  #write(turn: number, news: News, overview: Overview | undefined): Common {
    const frame: Omit<Frame, OwnPart> = {
      startedAt: this.#startedAt,
      version: packageInfo.version,
      now: this.#deps.clock.now(),
      full: turn === 0,
      ...news,
      ...(overview !== undefined && { overview }),
    };
    const json = JSON.stringify(frame);
    return { json, bytes: Buffer.from(eventOf(json, { lost: 0 })) };
  }
}

function skip(viewer: Viewer): void {
  viewer.lost += 1;
  if (viewer.lost > patience) viewer.response.destroy();
}

/** One event of the stream, from two halves of a document. */
function eventOf(common: string, own: Pick<Frame, OwnPart>): string {
  return `data: ${common.slice(0, -1)},${JSON.stringify(own).slice(1)}\n\n`;
}
