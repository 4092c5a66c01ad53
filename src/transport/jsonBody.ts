import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { Refusal } from '../errors/errors.js';
import { decodedText, inSlices } from '../browser/patterns/slices.js';
import { maxTextAtOnce, messageIn, parseMessageText } from '../mcp/messageText.js';
import type { BodyShare } from './bodyMemory.js';

const utf8 = new TextDecoder();

/**
 * Reads a JSON body of up to `limit` bytes; an empty body is an empty object. Called after authentication. Rejects with
 * `unsupported_media_type`, `too_large`, `parse_error`, `invalid_message`, or `queue_full` when `share` has no memory left. If an embedder's
 * middleware has read the body already, its `request.body` is returned.
 */
export async function readJson(request: IncomingMessage, limit: number, share: BodyShare): Promise<unknown> {
  if (!request.readableEnded) return parseBody(await readJsonBytes(request, limit, share));
  requireJson(request.headers);
  return 'body' in request ? request.body : undefined;
}

/** The bytes of a JSON body, to be passed on or parsed later. Rejects as `readJson` does, but for `parse_error`. */
export async function readJsonBytes(request: IncomingMessage, limit: number, share: BodyShare): Promise<Uint8Array> {
  requireJson(request.headers);
  try {
    return await readBytes(request, limit, share);
  } finally {
    share.release();
  }
}

/** Throws `parse_error`, or `invalid_message` for too many values. */
export function parseJson(bytes: Uint8Array): unknown {
  if (bytes.length === 0) return {};
  try {
    return parseMessageText(utf8.decode(bytes));
  } catch (error) {
    throw refusalOf(error);
  }
}

async function parseBody(bytes: Uint8Array): Promise<unknown> {
  if (bytes.length <= maxTextAtOnce) return parseJson(bytes);
  try {
    return await inSlices(decodedMessage(bytes));
  } catch (error) {
    throw refusalOf(error);
  }
}

function* decodedMessage(bytes: Uint8Array): Generator<undefined, unknown> {
  return yield* messageIn(yield* decodedText(new TextDecoder(), bytes));
}

const refusalOf = (error: unknown): Refusal => (error instanceof Refusal ? error : new Refusal('parse_error'));

/** JSON must be UTF-8 (RFC 8259, section 8.1). Compressed bodies are refused: they hide their size. */
function requireJson(headers: IncomingHttpHeaders): void {
  const { 'content-type': given = '', 'content-encoding': encoding = '' } = headers;
  // A proxy may repeat it.
  const [type = '', ...others] = given.split(', ');
  const hasBody = headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined;
  const isPlain = encoding === '' || encoding.toLowerCase() === 'identity';
  if (hasBody && given === 'application/json' && isPlain) return;
  const isSame = others.every((other) => other === type);
  if (!hasBody || !isJson(type) || !isSame || !isPlain) throw new Refusal('unsupported_media_type');
}

function isJson(type: string): boolean {
  const [, charset = 'utf-8'] = /;\s*charset\s*=\s*"?([^\s;"]*)/i.exec(type) ?? [];
  return /^\s*application\/json\s*(;|$)/i.test(type) && /^utf-?8$/i.test(charset);
}

/** Bytes past the limit are read and discarded, so that the connection can serve the next request. */
function readBytes(request: IncomingMessage, limit: number, share: BodyShare): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const bytes = new GrowingBytes(share);
    const refuse = (refusal: unknown): void => {
      request.off('data', keep).resume();
      bytes.drop();
      reject(refusal);
    };
    const keep = (chunk: Buffer): void => {
      try {
        if (bytes.length + chunk.length > limit) throw new Refusal('too_large');
        bytes.append(chunk);
      } catch (error) {
        refuse(error);
      }
    };
    const onClose = (): void => {
      if (!request.readableEnded) refuse(new Refusal('parse_error'));
    };
    request.on('data', keep);
    request.on('end', () => resolve(bytes.take()));
    request.on('close', onClose);
    if (request.destroyed) onClose();
    if (Number(request.headers['content-length'] ?? 0) > limit) refuse(new Refusal('too_large'));
  });
}

const minBufferBytes = 16 * 1024;

/** Collects chunks in one growing buffer: a list of many small chunks would take far more memory than their bytes. */
class GrowingBytes {
  readonly #share: BodyShare;
  #bytes: Buffer = Buffer.alloc(0);
  #length = 0;

  constructor(share: BodyShare) {
    this.#share = share;
  }

  get length(): number {
    return this.#length;
  }

  /** Throws `queue_full` when the share has no memory left. */
  append(chunk: Buffer): void {
    const length = this.#length + chunk.length;
    if (this.#length === 0) {
      // Most bodies are one chunk: it is not copied.
      this.#share.grow(chunk.length);
      this.#bytes = chunk;
    } else {
      if (length > this.#bytes.length) this.#enlarge(length);
      this.#bytes.set(chunk, this.#length);
    }
    this.#length = length;
  }

  take(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  drop(): void {
    this.#bytes = Buffer.alloc(0);
    this.#length = 0;
  }

  #enlarge(length: number): void {
    const size = Math.max(2 * length, minBufferBytes);
    this.#share.grow(size - this.#bytes.length);
    const larger = Buffer.allocUnsafeSlow(size);
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}
