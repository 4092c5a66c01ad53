import type { Protocol } from 'puppeteer-core';
import { truncateText } from './remoteObject.js';
import { RingBuffer, type KeptPart, type RingBufferReading } from './ringBuffer.js';
import type { CdpHandlers } from '../cdp/cdpSessions.js';

export type FrameKind = 'open' | 'text' | 'binary' | 'ping' | 'pong' | 'continuation' | 'close' | 'error' | 'event';

/** One WebSocket frame, or message of an EventSource (`event`), or the opening or end of a connection. */
export interface WebSocketFrame {
  /** The id of the connection in the list of requests. */
  readonly request: number | undefined;
  readonly url: string;
  readonly direction: 'sent' | 'received' | undefined;
  readonly kind: FrameKind;
  /** Text, or base64 of a binary frame; capped. */
  readonly payload: string;
  /** Bytes of the payload as sent. */
  readonly bytes: number;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** The recorded request of a connection. */
export type ConnectionLookup = (cdpId: string) => { readonly request: number | undefined; readonly url: string };

const maxPayloadChars = 4_000;
const kinds: Partial<Record<number, FrameKind>> = {
  0: 'continuation',
  1: 'text',
  2: 'binary',
  8: 'close',
  9: 'ping',
  10: 'pong',
};

interface FrameContent {
  readonly kind: FrameKind;
  readonly direction?: 'sent' | 'received';
  readonly payload?: string;
  readonly bytes?: number;
}

/**
 * Records the WebSocket frames and EventSource messages of a page (CDP Network.webSocket*, eventSourceMessageReceived):
 * the newest 2,000 within 2 MiB. Owned by the network collector, which adds its handlers.
 */
export class WebSocketFrameLog {
  readonly #ring: RingBuffer<WebSocketFrame>;
  readonly #lookup: ConnectionLookup;

  constructor(connections: ConnectionLookup, kept?: KeptPart) {
    this.#ring = new RingBuffer<WebSocketFrame>({
      maxEntries: 2_000,
      maxBytes: 2 * 1024 ** 2,
      sizeOf: ({ url, payload }) => 200 + 2 * (url.length + payload.length),
      kept,
    });
    this.#lookup = connections;
  }

  read(since?: string): RingBufferReading<WebSocketFrame> {
    return this.#ring.read(since);
  }

  handlers(): CdpHandlers {
    return {
      'Network.webSocketHandshakeResponseReceived': (event) => this.#push(event.requestId, { kind: 'open' }),
      'Network.webSocketFrameSent': (event) => this.#pushFrame(event, 'sent'),
      'Network.webSocketFrameReceived': (event) => this.#pushFrame(event, 'received'),
      'Network.webSocketFrameError': (event) =>
        this.#push(event.requestId, { kind: 'error', payload: event.errorMessage }),
      'Network.webSocketClosed': (event) => this.#push(event.requestId, { kind: 'close' }),
      'Network.eventSourceMessageReceived': (event) =>
        this.#push(event.requestId, {
          kind: 'event',
          direction: 'received',
          payload: `${event.eventName}: ${event.data}`,
        }),
    };
  }

  #pushFrame({ requestId, response }: Protocol.Network.WebSocketFrameSentEvent, direction: 'sent' | 'received'): void {
    const kind = kinds[response.opcode] ?? 'binary';
    const { payloadData } = response;
    // Binary frames are base64.
    const bytes = Buffer.byteLength(payloadData, kind === 'text' ? 'utf8' : 'base64');
    this.#push(requestId, { kind, direction, payload: payloadData, bytes });
  }

  #push(cdpId: string, { kind, direction, payload = '', bytes = Buffer.byteLength(payload) }: FrameContent): void {
    this.#ring.push({
      ...this.#lookup(cdpId),
      kind,
      direction,
      payload: truncateText(payload, maxPayloadChars),
      bytes,
      at: Date.now(),
    });
  }
}
