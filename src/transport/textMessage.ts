import { Refusal, type JsonRpcErrorResponse, type RequestId } from '../errors.js';
import { idOf, parseMessage } from '../mcp/protocol.js';
import type { OnMessage } from './transport.js';

/**
 * Hands over one message that came as text, for transports whose messages have no status of their own. It is handed
 * over before this returns. Resolves with what it was refused with, to be sent as the answer; null if it was taken.
 */
export async function receiveText(text: string, receive: OnMessage): Promise<JsonRpcErrorResponse | null> {
  let id: RequestId = null;
  try {
    const value = parseJson(text);
    id = idOf(value);
    await receive(parseMessage(value));
    return null;
  } catch (error) {
    if (error instanceof Refusal) return error.toJsonRpc(id);
    throw error;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Refusal('parse_error');
  }
}
