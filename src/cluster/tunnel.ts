import { Duplex } from 'node:stream';
import { z } from 'zod';
import { messageOf } from '../errors.js';

/** Bytes that go into one piece of an answer. */
const pieceBytes = 48 * 1024;

const piece = z.object({
  /** From 0, which says that the owner has taken the request. */
  index: z.number(),
  /** The owner's. */
  epoch: z.number(),
  /** In base64. */
  bytes: z.string(),
  /** Whether it is the last: the end of the answer, or of the connection before it. */
  end: z.enum(['no', 'whole', 'cut']),
});

type Piece = z.infer<typeof piece>;

/** Puts a piece of the answer down; the last one always fits. A rejection breaks the connection. */
export type PutPiece = (piece: string, isLast: boolean) => Promise<void>;

/** The owner's end of a request that came through another node: to a server, it is a socket. */
export class ServedTunnel extends Duplex {
  readonly #put: PutPiece;
  readonly #epoch: number;
  #index = 0;

  /** `request`: all that the client says. `epoch`: the owner's. */
  constructor(request: Buffer, epoch: number, put: PutPiece) {
    super({ decodeStrings: true });
    this.#put = put;
    this.#epoch = epoch;
    this.push(request);
    this.#sendPiece('', 'no').catch((error: unknown) => this.destroy(new Error(messageOf(error))));
  }

  override _read(): void {
    // All that there is was pushed at once; the end comes with the end of the tunnel.
    return;
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#send(chunk).then(() => done(), done);
  }

  override _writev(chunks: { readonly chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#send(Buffer.concat(chunks.map(({ chunk }) => chunk))).then(() => done(), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#sendPiece('', 'whole').then(() => done(), done);
  }

  /** The other end is told, if it can be. */
  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (!this.writableFinished) this.#sendPiece('', 'cut').catch(() => undefined);
    done(error);
  }

  async #send(bytes: Buffer): Promise<void> {
    for (let start = 0; start < bytes.length; start += pieceBytes) {
      await this.#sendPiece(bytes.subarray(start, start + pieceBytes).toString('base64'), 'no');
    }
  }

  #sendPiece(bytes: string, end: Piece['end']): Promise<void> {
    const next: Piece = { index: this.#index, epoch: this.#epoch, bytes, end };
    this.#index += 1;
    return this.#put(JSON.stringify(next), end !== 'no');
  }
}

/** The other end, at the node that the client asked: to an HTTP client, it is a socket. Pieces may come in any order. */
export class AskingTunnel extends Duplex {
  readonly #fetch: () => Promise<readonly string[]>;
  readonly #said: Buffer[] = [];
  #next = 0;
  #epoch: number | undefined;
  #isBehind = false;
  #fetching: Promise<void> | undefined;
  #isStale = false;

  /** `fetch` takes the pieces that are kept. */
  constructor(fetch: () => Promise<readonly string[]>) {
    super({ decodeStrings: true });
    this.#fetch = fetch;
  }

  /** What the HTTP client has said so far. */
  get said(): Buffer {
    return Buffer.concat(this.#said);
  }

  /** How many pieces have come: with the first one the owner has taken the request, the others are the answer. */
  get received(): number {
    return this.#next;
  }

  /** Of the owner that took the request; undefined before that. */
  get epoch(): number | undefined {
    return this.#epoch;
  }

  /** Told that there is a piece, and, if it is small, which. */
  told(text: string | null): void {
    if (text === null || this.#isBehind || !this.#take(text)) void this.fetch();
  }

  /** Takes what is kept. What cannot be read breaks the connection. Never rejects. */
  fetch(): Promise<void> {
    // What is asked for now may have been put down after what is under way was read.
    this.#isStale = true;
    return (this.#fetching ??= this.#takeAll().finally(() => (this.#fetching = undefined)));
  }

  override _read(): void {
    if (!this.#isBehind) return;
    this.#isBehind = false;
    void this.fetch();
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#said.push(chunk);
    done();
  }

  async #takeAll(): Promise<void> {
    try {
      while (this.#isStale && !this.destroyed) {
        this.#isStale = false;
        const pieces = await this.#fetch();
        // What is taken is kept nowhere else: a gap can never be closed.
        if (!pieces.every((text) => this.#take(text))) throw new Error('A part of the answer was lost.');
      }
    } catch (error) {
      this.destroy(new Error(messageOf(error), { cause: error }));
    }
  }

  /** False if one that comes before it is missing. */
  #take(text: string): boolean {
    const { index, epoch, bytes, end } = piece.parse(JSON.parse(text));
    if (index < this.#next || this.destroyed) return true;
    if (index > this.#next) return false;
    this.#next += 1;
    this.#epoch = epoch;
    if (bytes !== '' && !this.push(Buffer.from(bytes, 'base64'))) this.#isBehind = true;
    if (end === 'whole') this.push(null);
    if (end === 'cut') this.destroy(new Error('The owner of the session cut the connection.'));
    return true;
  }
}
