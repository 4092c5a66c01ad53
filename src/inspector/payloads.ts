import type { Clock } from '../clock.js';
import type { MessageTap } from '../session/sessionDeps.js';
import { redact } from './redact.js';
import type { Payload } from './wire.js';

/** Bounds for one session (S10). */
const maxPayloads = 200;
const maxCharacters = 256 * 1024;
const maxPayloadCharacters = 8 * 1024;

/** The part of a session that can be tapped. */
export interface TappableSession {
  tap: MessageTap | null;
}

interface Recording {
  viewers: number;
  seq: number;
  characters: number;
  readonly payloads: Payload[];
  stop(): void;
}

/**
 * Recorded messages of the sessions whose contents a viewer requested: redacted when recorded, in bounded memory. A session
 * is tapped while it has such a viewer; its recording is deleted with the last one.
 */
export class Payloads {
  readonly #clock: Clock;
  readonly #find: (id: string) => TappableSession | undefined;
  readonly #recordings = new Map<string, Recording>();

  constructor(clock: Clock, find: (id: string) => TappableSession | undefined) {
    this.#clock = clock;
    this.#find = find;
  }

  /** Taps a session, by its short id. Returns the function that ends it: to be called once, when the viewer leaves. */
  watch(id: string): () => void {
    const recording = this.#recordings.get(id) ?? this.#record(id);
    recording.viewers += 1;
    return () => {
      recording.viewers -= 1;
      if (recording.viewers > 0) return;
      recording.stop();
      this.#recordings.delete(id);
    };
  }

  /** The recorded messages of a session after `seq`, oldest first. */
  since(id: string, seq: number): readonly Payload[] {
    return this.#recordings.get(id)?.payloads.filter((payload) => payload.seq > seq) ?? [];
  }

  /** The number of the last payload of a session; 0 for none. */
  last(id: string): number {
    return this.#recordings.get(id)?.seq ?? 0;
  }

  #record(id: string): Recording {
    const session = this.#find(id);
    const stop = (): void => {
      if (session !== undefined) session.tap = null;
    };
    const recording: Recording = { viewers: 0, seq: 0, characters: 0, payloads: [], stop };
    if (session !== undefined) session.tap = (from, message) => this.#add(recording, from, message);
    this.#recordings.set(id, recording);
    return recording;
  }

  #add(recording: Recording, from: Payload['from'], message: unknown): void {
    const shown = redact(message);
    const whole = JSON.stringify(shown, null, 2);
    const text = whole.length > maxPayloadCharacters ? `${whole.slice(0, maxPayloadCharacters)}\n… cut` : whole;
    recording.seq += 1;
    recording.characters += text.length;
    recording.payloads.push({ seq: recording.seq, at: this.#clock.now(), from, what: labelOf(shown), text });
    while (recording.payloads.length > maxPayloads || recording.characters > maxCharacters)
      recording.characters -= recording.payloads.shift()?.text.length ?? 0;
  }
}

/** The method of a request or notification; a response has none. */
function labelOf(shown: unknown): string {
  const { id, method, error }: Record<string, unknown> = { ...(shown as object) };
  const what = typeof method === 'string' ? method : error === undefined ? 'answer' : 'error';
  return typeof id === 'number' ? `${what} #${id}` : what;
}
