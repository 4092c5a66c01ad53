import { Duplex } from 'node:stream';
import { z } from 'zod';
import { messageOf } from '../errors/errors.js';

/** Bytes that go into one piece of an answer. */
const pieceBytes = 48 * 1024;

const replyPieceSchema = z.object({
  /** From 0, which says that the owner has taken the request. */
  index: z.number(),
  /** The owner's. */
  epoch: z.number(),
  /** In base64. */
  bytes: z.string(),
  /** Whether it is the last: the end of the answer, or of the connection before it. */
  end: z.enum(['no', 'whole', 'cut']),
});

type ReplyPiece = z.infer<typeof replyPieceSchema>;

/** Puts a piece of the answer down; the last one always fits. A rejection breaks the connection. */
export type PutPiece = (piece: string, isLast: boolean) => Promise<void>;

/** The owner's end of a request that came through another node: to a server, it is a socket. */
export class OwnerTunnel extends Duplex {
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

  #sendPiece(bytes: string, end: ReplyPiece['end']): Promise<void> {
    const next: ReplyPiece = { index: this.#index, epoch: this.#epoch, bytes, end };
    this.#index += 1;
    return this.#put(JSON.stringify(next), end !== 'no');
  }
}

/** The other end, at the node that the client asked: to an HTTP client, it is a socket. Pieces may come in any order. */
export class RequesterTunnel extends Duplex {
  readonly #takePieces: () => Promise<readonly string[]>;
  readonly #requestChunks: Buffer[] = [];
  #nextIndex = 0;
  #epoch: number | undefined;
  #isBackpressured = false;
  #fetching: Promise<void> | undefined;
  #needsFetch = false;

  /** `fetch` takes the pieces that are kept. */
  constructor(fetch: () => Promise<readonly string[]>) {
    super({ decodeStrings: true });
    this.#takePieces = fetch;
  }

  /** What the HTTP client has said so far. */
  get requestBytes(): Buffer {
    return Buffer.concat(this.#requestChunks);
  }

  /** How many pieces have come: with the first one the owner has taken the request, the others are the answer. */
  get receivedPieces(): number {
    return this.#nextIndex;
  }

  /** Of the owner that took the request; undefined before that. */
  get epoch(): number | undefined {
    return this.#epoch;
  }

  /** Told that there is a piece, and, if it is small, which. */
  onPiece(text: string | null): void {
    if (text === null || this.#isBackpressured || !this.#accept(text)) void this.fetchPieces();
  }

  /** Takes what is kept. What cannot be read breaks the connection. Never rejects. */
  fetchPieces(): Promise<void> {
    // What is asked for now may have been put down after what is under way was read.
    this.#needsFetch = true;
    return (this.#fetching ??= this.#fetchAll().finally(() => (this.#fetching = undefined)));
  }

  override _read(): void {
    if (!this.#isBackpressured) return;
    this.#isBackpressured = false;
    void this.fetchPieces();
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#requestChunks.push(chunk);
    done();
  }

  async #fetchAll(): Promise<void> {
    try {
      while (this.#needsFetch && !this.destroyed) {
        this.#needsFetch = false;
        const pieces = await this.#takePieces();
        // What is taken is kept nowhere else: a gap can never be closed.
        if (!pieces.every((text) => this.#accept(text))) throw new Error('A part of the answer was lost.');
      }
    } catch (error) {
      this.destroy(new Error(messageOf(error), { cause: error }));
    }
  }

  /** False if one that comes before it is missing. */
  #accept(text: string): boolean {
    const { index, epoch, bytes, end } = replyPieceSchema.parse(JSON.parse(text));
    if (index < this.#nextIndex || this.destroyed) return true;
    if (index > this.#nextIndex) return false;
    this.#nextIndex += 1;
    this.#epoch = epoch;
    if (bytes !== '' && !this.push(Buffer.from(bytes, 'base64'))) this.#isBackpressured = true;
    if (end === 'whole') this.push(null);
    if (end === 'cut') this.destroy(new Error('The owner of the session cut the connection.'));
    return true;
  }
}
