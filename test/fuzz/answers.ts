import { catalogue } from '../../src/errors/errors.js';

/** Throws unless an HTTP answer, or several on one connection, is one that the contract knows: no 5xx but 503 and 504. */
export function checkHttp(bytes: Buffer): void {
  const statuses = [...bytes.toString('latin1').matchAll(/(?:^|\n)HTTP\/1\.1 (\d{3}) /g)].map(([, status]) =>
    Number(status),
  );
  const wrong = statuses.filter((status) => status >= 500 && status !== 503 && status !== 504);
  const isSilent = bytes.length === 0;
  if (wrong.length > 0 || (!isSilent && statuses.length === 0))
    throw new Error(`undefined answer: ${bytes.toString('latin1')}`);
}

/** Throws unless this is a JSON-RPC message that a server sends; an error by the catalogue has its code. */
export function checkMessage(text: string): void {
  const value = JSON.parse(text) as Record<string, unknown>;
  const { error } = value as { error?: { code: number; data?: { reason?: string } } };
  const reason = error?.data?.reason;
  const known = Object.entries(catalogue).find(([name]) => name === reason)?.[1];
  const isKnown = reason === undefined || (known?.code === error?.code && reason !== 'internal');
  const kinds = ['method', 'result', 'error'].filter((key) => key in value);
  if (value['jsonrpc'] !== '2.0' || kinds.length !== 1 || !isKnown) throw new Error(`undefined answer: ${text}`);
}

const closeCodes = new Set([1000, 1001, 1002, 1003, 1005, 1007, 1008, 1009]);

/** Throws unless these are whole frames of a server: text that is a message, pongs, and at most one close, at the end. */
export function checkFrames(bytes: Buffer): void {
  let at = 0;
  while (at < bytes.length) {
    const [first = 0, size = 0] = bytes.subarray(at, at + 2);
    const long = size === 126 ? 2 : size === 127 ? 8 : 0;
    const length = long === 0 ? size : long === 2 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2));
    const start = at + 2 + long;
    const payload = bytes.subarray(start, start + length);
    if (first === 0x81) checkMessage(payload.toString('utf8'));
    else if (first === 0x88) checkClose(payload, start + length === bytes.length);
    else if (first !== 0x8a) throw new Error(`undefined frame: ${bytes.subarray(at).toString('hex')}`);
    at = start + length;
  }
}

function checkClose(payload: Buffer, isLast: boolean): void {
  const code = payload.length === 0 ? 1005 : payload.readUInt16BE(0);
  // A close code of the client's own comes back to it (RFC 6455, section 5.5.1).
  if (!isLast || (!closeCodes.has(code) && (code < 1000 || code > 4999))) throw new Error(`undefined close: ${code}`);
}
