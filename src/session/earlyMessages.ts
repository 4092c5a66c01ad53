import type { Refusal } from '../errors/errors.js';
import type { JSONRPCMessage, RequestId } from '../mcp/protocol.js';

/** Bytes that one session may queue (S10). */
const maxQueuedBytes = 4 * 1024 ** 2;

interface QueuedMessage {
  readonly message: JSONRPCMessage;
  delivered(): void;
  refused(refusal: Refusal): void;
}

/**
 * Messages received before `connected`, in the order of arrival. Each is settled exactly once: delivered or refused. Owned
 * by its session; the chart limits their count, this queue their size.
 */
export class EarlyMessageQueue {
  #queue: QueuedMessage[] = [];
  #bytes = 0;

  hasRoomFor(message: JSONRPCMessage): boolean {
    return this.#bytes + sizeOf(message) <= maxQueuedBytes;
  }

  hasRequest(id: RequestId): boolean {
    return this.#queue.some(({ message }) => 'method' in message && 'id' in message && message.id === id);
  }

  /** Resolves when the message is delivered; rejects with the refusal if it never is. */
  enqueue(message: JSONRPCMessage): Promise<void> {
    this.#bytes += sizeOf(message);
    return new Promise((delivered, refused) => this.#queue.push({ message, delivered, refused }));
  }

  deliver(receive: (message: JSONRPCMessage) => void): void {
    for (const { message, delivered } of this.#takeAll()) {
      receive(message);
      delivered();
    }
  }

  refuse(refusal: Refusal): void {
    for (const { refused } of this.#takeAll()) refused(refusal);
  }

  #takeAll(): readonly QueuedMessage[] {
    this.#bytes = 0;
    return this.#queue.splice(0);
  }
}

function sizeOf(message: JSONRPCMessage): number {
  return Buffer.byteLength(JSON.stringify(message));
}
