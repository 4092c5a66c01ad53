import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { Refusal } from '../errors.js';

const utf8 = new TextDecoder();

/**
 * Reads a JSON body of up to `limit` bytes; an empty one is an empty object. Rejects with `unsupported_media_type`,
 * `too_large` or `parse_error`. What an embedder's own middleware has read before is taken as that left it, in
 * `request.body`.
 */
export async function readJson(request: IncomingMessage, limit: number): Promise<unknown> {
  requireJson(request.headers);
  if (request.readableEnded) return 'body' in request ? request.body : undefined;
  const bytes = await readBytes(request, limit);
  if (bytes.length === 0) return {};
  try {
    return JSON.parse(utf8.decode(bytes));
  } catch {
    throw new Refusal('parse_error');
  }
}

/** JSON on a wire is UTF-8 (RFC 8259, section 8.1). Compressed bodies are refused: they hide their size. */
function requireJson(headers: IncomingHttpHeaders): void {
  const { 'content-type': type = '', 'content-encoding': encoding = 'identity' } = headers;
  const hasBody = headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined;
  if (hasBody && type === 'application/json' && encoding === 'identity') return;
  const [, charset = 'utf-8'] = /;\s*charset\s*=\s*"?([^\s;"]*)/i.exec(type) ?? [];
  const isJson = /^\s*application\/json\s*(;|$)/i.test(type) && charset.toLowerCase() === 'utf-8';
  if (!hasBody || !isJson || encoding.toLowerCase() !== 'identity') throw new Refusal('unsupported_media_type');
}

/** What is past the limit is read and dropped, so that the connection can serve the next request. */
function readBytes(request: IncomingMessage, limit: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const refuse = (): void => {
      chunks.length = 0;
      request.off('data', keep).resume();
      reject(new Refusal('too_large'));
    };
    const keep = (chunk: Buffer): void => {
      length += chunk.length;
      chunks.push(chunk);
      if (length > limit) refuse();
    };
    request.on('data', keep);
    request.on('end', () => resolve(Buffer.concat(chunks)));
    request.on('close', () => {
      if (!request.readableEnded) reject(new Refusal('parse_error'));
    });
    if (Number(request.headers['content-length'] ?? 0) > limit) refuse();
  });
}
