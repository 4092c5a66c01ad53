import type { ServerResponse } from 'node:http';
import type { Clock } from '../clock.js';
import { Refusal } from '../errors/errors.js';
import { packageInfo } from '../packageInfo.js';
import { jsonToShow } from '../text.js';
import type { Journal } from './journal.js';
import type { Payloads } from './payloads.js';
import { SessionTable, type TableDelta } from './sessionTable.js';
import type { Frame, Overview, SessionRow } from './wire.js';

/** Inspector pages that may be connected at once (S10). */
const maxViewers = 50;
/** Changes of state are sent every tick; counters and the overview every fourth. */
const tickMs = 250;
const ticksPerFullUpdate = 4;
/** A viewer that skips this many frames (30 s) is disconnected; its page reconnects. */
const maxSkippedFrames = 120;

interface Viewer {
  readonly response: ServerResponse;
  /** The session that the page shows. */
  readonly session: string | null;
  /** Whether the messages of that session are sent, too. */
  readonly contents: boolean;
  /** The table revision last sent; 0 before the first frame. */
  revision: number;
  /** Last sent of `session`: the version of its track, the `seq` of its entries and payloads. */
  version: number;
  seq: number;
  payload: number;
  lost: number;
  stopRecording(): void;
}

type ViewerField = 'detail' | 'payloads' | 'lost';

/** The frame shared by all viewers at one revision: encoded once. */
interface SharedFrame {
  /** The frame as JSON, without the fields of one viewer. */
  readonly json: string;
  /** The complete event, for viewers that show no session. */
  readonly bytes: Buffer;
}

const noop = (): void => undefined;

interface ViewersDeps {
  readonly journal: Journal;
  readonly payloads: Payloads;
  readonly clock: Clock;
  overview(): Promise<Overview>;
  /** The rows of other nodes. Never rejects. */
  remoteRows?(): Promise<readonly SessionRow[]>;
}

/**
 * The connected inspector pages. Each gets the changes since its last frame. A slow one skips frames and is sent their
 * number; the server never waits for it. Changes are computed and encoded once for all viewers. Without viewers no timer
 * runs. Each stream is owned by its connection: it ends when either side closes it.
 */
export class Viewers {
  readonly #deps: ViewersDeps;
  readonly #viewers = new Set<Viewer>();
  readonly #startedAt: number;
  readonly #table: SessionTable;
  #timer: unknown;
  #ticks = 0;
  /** Completed since the last tick; sent to all viewers with the next one. */
  #overview: Overview | undefined;
  #remoteRows: readonly SessionRow[] = [];
  /** Of the current revision, by the revision that a viewer has. */
  readonly #sharedFrames = new Map<number, SharedFrame>();
  #advancedAt = -Infinity;

  constructor(deps: ViewersDeps) {
    this.#deps = deps;
    this.#startedAt = deps.clock.now();
    this.#table = new SessionTable(deps.journal);
  }

  get size(): number {
    return this.#viewers.size;
  }

  /**
   * Answers a request with the stream; with `contents`, the stream has the messages of the session from now on, redacted.
   * Throws `too_many_viewers`, before anything is written.
   */
  open(response: ServerResponse, session: string | null, contents = false): void {
    if (this.#viewers.size >= maxViewers) {
      throw new Refusal('too_many_viewers', { limit: `${maxViewers} pages` });
    }
    const start = { revision: 0, version: 0, seq: 0, payload: 0, lost: 0 };
    const viewer: Viewer = { response, session, contents, ...start, stopRecording: noop };
    response.on('close', () => this.#remove(viewer));
    response.on('error', () => this.#remove(viewer));
    if (response.destroyed) return;
    if (this.#viewers.size === 0) this.#start();
    this.#viewers.add(viewer);
    if (contents && session !== null) viewer.stopRecording = this.#deps.payloads.watch(session);
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
    });
    this.#send(viewer, this.#table.since(0), undefined);
    this.#refresh();
  }

  #remove(viewer: Viewer): void {
    if (!this.#viewers.delete(viewer)) return;
    viewer.stopRecording();
    if (this.#viewers.size === 0) this.#deps.clock.clearTimeout(this.#timer);
  }

  /** After a time without viewers the table is stale: it is advanced first. */
  #start(): void {
    if (this.#deps.clock.now() - this.#advancedAt >= tickMs) this.#advance(true);
    this.#scheduleTick();
  }

  #scheduleTick(): void {
    this.#timer = this.#deps.clock.setTimeout(() => {
      this.#tick();
      if (this.#viewers.size > 0) this.#scheduleTick();
    }, tickMs);
  }

  #advance(isFull: boolean): TableDelta {
    this.#advancedAt = this.#deps.clock.now();
    this.#sharedFrames.clear();
    return this.#table.advance(isFull, this.#remoteRows, this.#advancedAt);
  }

  #tick(): void {
    this.#ticks += 1;
    const isFull = this.#ticks % ticksPerFullUpdate === 0;
    const before = this.#table.revision;
    const delta = this.#advance(isFull);
    const overview = this.#overview;
    this.#overview = undefined;
    if (isFull) this.#refresh();
    const hasSharedChanges =
      overview !== undefined || delta.rows.length + delta.changes.length > 0 || delta.actors !== undefined;
    for (const viewer of this.#viewers) {
      const isCurrent = viewer.revision === before;
      if (isCurrent && !hasSharedChanges && !this.#hasViewerChanges(viewer)) viewer.revision = this.#table.revision;
      else if (viewer.response.writableLength > 0) skipFrame(viewer);
      else this.#send(viewer, isCurrent ? delta : this.#table.since(viewer.revision), overview);
    }
  }

  #hasViewerChanges({ session, contents, version, payload }: Viewer): boolean {
    if (session === null) return false;
    const { journal, payloads } = this.#deps;
    const track = journal.track(session);
    return (track !== undefined && track.version !== version) || (contents && payloads.last(session) !== payload);
  }

  /** Reads the pool and the stores, so the result comes with a later frame. A failed reading is left out. */
  #refresh(): void {
    const keep = (overview: Overview | undefined): void => void (this.#overview = overview);
    this.#deps.overview().then(keep, () => keep(undefined));
    void this.#deps.remoteRows?.().then((rows) => (this.#remoteRows = rows));
  }

  #send(viewer: Viewer, delta: TableDelta, overview: Overview | undefined): void {
    const shared = this.#sharedFrames.get(viewer.revision) ?? this.#encodeFrame(viewer.revision, delta, overview);
    this.#sharedFrames.set(viewer.revision, shared);
    const isOwn = viewer.session !== null || viewer.lost > 0;
    viewer.response.write(isOwn ? toEvent(shared.json, this.#viewerFields(viewer)) : shared.bytes);
    viewer.revision = this.#table.revision;
  }

  /** The fields of this viewer alone; marks them as sent. */
  #viewerFields(viewer: Viewer): Pick<Frame, ViewerField> {
    const { session, contents, lost } = viewer;
    viewer.lost = 0;
    if (session === null) return { lost };
    const { journal, payloads } = this.#deps;
    const detail = journal.detail(session, viewer.seq);
    viewer.version = journal.track(session)?.version ?? 0;
    viewer.seq = detail?.entries.at(-1)?.seq ?? viewer.seq;
    if (!contents) return { detail, lost };
    const recorded = payloads.since(session, viewer.payload);
    viewer.payload = recorded.at(-1)?.seq ?? viewer.payload;
    return { detail, payloads: recorded, lost };
  }

  #encodeFrame(revision: number, delta: TableDelta, overview: Overview | undefined): SharedFrame {
    const frame: Omit<Frame, ViewerField> = {
      startedAt: this.#startedAt,
      version: packageInfo.version,
      now: this.#deps.clock.now(),
      full: revision === 0,
      ...delta,
      ...(overview !== undefined && { overview }),
    };
    const json = jsonToShow(frame);
    return { json, bytes: Buffer.from(toEvent(json, { lost: 0 })) };
  }
}

function skipFrame(viewer: Viewer): void {
  viewer.lost += 1;
  if (viewer.lost > maxSkippedFrames) viewer.response.destroy();
}

/** One event of the stream: the shared JSON document with a viewer's own fields added. */
function toEvent(shared: string, own: Pick<Frame, ViewerField>): string {
  return `data: ${shared.slice(0, -1)},${jsonToShow(own).slice(1)}\n\n`;
}
