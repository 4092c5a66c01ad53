import { Duplex } from 'node:stream';
import { z } from 'zod';
import { messageOf } from '../errors/errors.js';

/** Most bytes in one piece of a reply. */
const pieceBytes = 48 * 1024;

const replyPieceSchema = z.object({
  /** Starts at 0. Piece 0 is empty: it confirms that the owner has taken the request. */
  index: z.number(),
  /** The epoch of the owner. */
  epoch: z.number(),
  /** Base64. */
  bytes: z.string(),
  /** `whole`: the reply is complete. `cut`: the connection closed before that. */
  end: z.enum(['no', 'whole', 'cut']),
});

type ReplyPiece = z.infer<typeof replyPieceSchema>;

/** Stores a piece of the reply. A rejection breaks the connection. */
export type PutPiece = (piece: string, isLast: boolean) => Promise<void>;

/** The owner's end of a forwarded request. An HTTP server uses it as the client's socket. */
export class OwnerTunnel extends Duplex {
  readonly #put: PutPiece;
  readonly #epoch: number;
  #index = 0;

  /** `request`: the whole HTTP request. `epoch`: the owner's. */
  constructor(request: Buffer, epoch: number, put: PutPiece) {
    super({ decodeStrings: true });
    this.#put = put;
    this.#epoch = epoch;
    this.push(request);
    this.#sendPiece('', 'no').catch((error: unknown) => this.destroy(new Error(messageOf(error))));
  }

  override _read(): void {
    // The constructor pushed the whole request. The readable side ends with the tunnel.
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

  /** Notifies the other end, if the store is reachable. */
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
    const piece: ReplyPiece = { index: this.#index, epoch: this.#epoch, bytes, end };
    this.#index += 1;
    return this.#put(JSON.stringify(piece), end !== 'no');
  }
}

/** How far a reply has come. `offered`: no node has taken the request. `taken`: by the owner of that epoch, which is serving it. */
export type ReplyProgress =
  | { readonly kind: 'offered' }
  | { readonly kind: 'taken'; readonly epoch: number }
  | { readonly kind: 'answering'; readonly epoch: number; readonly pieces: number };

/** The number of accepted pieces: the first confirms that the owner took the request, the others are the reply. */
export function piecesOf(progress: ReplyProgress): number {
  if (progress.kind === 'offered') return 0;
  return progress.kind === 'taken' ? 1 : progress.pieces;
}

/**
 * The requesting node's end of a forwarded request. An HTTP client uses it as its socket. Pieces are accepted in the order
 * of their indexes, whatever the order of the hints.
 */
export class RequesterTunnel extends Duplex {
  readonly #takePieces: () => Promise<readonly string[]>;
  readonly #requestChunks: Buffer[] = [];
  #progress: ReplyProgress = { kind: 'offered' };
  #isBackpressured = false;
  #fetching: Promise<void> | undefined;
  #needsFetch = false;

  /** `takePieces` removes and returns the stored pieces. */
  constructor(takePieces: () => Promise<readonly string[]>) {
    super({ decodeStrings: true });
    this.#takePieces = takePieces;
  }

  /** The request, as far as the HTTP client has written it. */
  get requestBytes(): Buffer {
    return Buffer.concat(this.#requestChunks);
  }

  get progress(): ReplyProgress {
    return this.#progress;
  }

  /** Handles a hint: `text` is the piece, or null if it is too large for a hint. */
  onPiece(text: string | null): void {
    if (text === null || this.#isBackpressured || !this.#accept(text)) void this.fetchPieces();
  }

  /** Reads the stored pieces. An unreadable or missing piece breaks the connection. Never rejects. */
  fetchPieces(): Promise<void> {
    // A fetch in progress may have read before the newest piece was written: run once more.
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
        // Pieces are removed when read: a missing one cannot be recovered.
        if (!pieces.every((text) => this.#accept(text))) throw new Error('A piece of the reply was lost.');
      }
    } catch (error) {
      this.destroy(new Error(messageOf(error), { cause: error }));
    }
  }

  /** False if an earlier piece is missing. */
  #accept(text: string): boolean {
    const { index, epoch, bytes, end } = replyPieceSchema.parse(JSON.parse(text));
    const pieces = piecesOf(this.#progress);
    if (index < pieces || this.destroyed) return true;
    if (index > pieces) return false;
    this.#progress = pieces === 0 ? { kind: 'taken', epoch } : { kind: 'answering', epoch, pieces: pieces + 1 };
    if (bytes !== '' && !this.push(Buffer.from(bytes, 'base64'))) this.#isBackpressured = true;
    if (end === 'whole') this.push(null);
    if (end === 'cut') this.destroy(new Error('The owning node closed the connection.'));
    return true;
  }
}
