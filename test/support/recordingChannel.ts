import type { JSONRPCMessage } from '../../src/mcp/protocol.js';
import { ResponseMemory } from '../../src/mcp/responseMemory.js';
import type { Channel, CloseNotice } from '../../src/session/channel.js';

/** The other end of a session without a socket: what it was told, in order. */
export class RecordingChannel implements Channel {
  readonly kind = 'sse';
  readonly memory = new ResponseMemory().open('');
  readonly resumable: boolean;
  readonly sent: ('announce' | 'end' | JSONRPCMessage)[] = [];
  readonly endings: CloseNotice[] = [];
  /** Runs at each announcement, in the tick in which a client could know of it. */
  readonly #onAnnounce: (sessionId: string) => void;

  constructor(onAnnounce: (sessionId: string) => void = () => undefined, resumable = false) {
    this.#onAnnounce = onAnnounce;
    this.resumable = resumable;
  }

  get announcements(): number {
    return this.sent.filter((one) => one === 'announce').length;
  }

  announce(sessionId: string): void {
    this.sent.push('announce');
    this.#onAnnounce(sessionId);
  }

  deliver(message: JSONRPCMessage): void {
    this.sent.push(message);
  }

  end(ending: CloseNotice): void {
    this.sent.push('end');
    this.endings.push(ending);
  }
}
