import { messageOf, Refusal, type JsonRpcErrorResponse, type RequestId } from '../errors/errors.js';
import { replyIdOf, parseMessage } from '../mcp/protocol.js';
import type { MessageHandler } from './transport.js';

interface TextReceiver {
  /** Takes the message, or throws the Refusal that it is answered with. */
  readonly receive: MessageHandler;
  /** Hears of an error that is no Refusal: a defect of ours. */
  readonly failed: (error: Error) => void;
}

/**
 * Delivers one message that came as text, for transports whose messages have no status of their own. It is delivered
 * before this returns. Resolves, never rejects, with the error to answer; null if the message was taken, or if what failed
 * here is no request, which has no answer.
 */
export async function receiveText(
  text: string,
  { receive, failed }: TextReceiver,
): Promise<JsonRpcErrorResponse | null> {
  let id: RequestId = null;
  try {
    const value = parseJson(text);
    id = replyIdOf(value);
    await receive(parseMessage(value));
    return null;
  } catch (error) {
    if (error instanceof Refusal) return error.toJsonRpc(id);
    failed(new Error(`A message could not be handled: ${messageOf(error)}`, { cause: error }));
    return id === null ? null : new Refusal('internal').toJsonRpc(id);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Refusal('parse_error');
  }
}
