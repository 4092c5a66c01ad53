import { Refusal, type JsonRpcErrorResponse, type RequestId } from '../errors.js';
import { idOf, parseMessage, type JSONRPCMessage } from '../mcp/protocol.js';

/**
 * Hands over one message that came as text, for transports whose messages have no status of their own. Returns what it
 * was refused with, to be sent as the answer; null if it was taken. Whatever else goes wrong is thrown.
 */
export function receiveText(text: string, receive: (message: JSONRPCMessage) => void): JsonRpcErrorResponse | null {
  let id: RequestId = null;
  try {
    const value = parseJson(text);
    id = idOf(value);
    receive(parseMessage(value));
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
