import { z } from 'zod';
import { Refusal } from '../../errors.js';
import { placeIn, sizeOf, type Replay, type StreamAddress } from '../eventLog.js';
import { eventIdOf, type FencedEventLog, type StoreBounds, type Tenure } from '../store.js';
import type { RedisConnection } from './connection.js';
import { keysOf } from './keys.js';

const replies = z.tuple([z.number(), z.number()], z.string());

/** What was sent on the streams of sessions, in Redis: the same bounds, and the same gaps, as in memory. */
export class RedisEventLog implements FencedEventLog {
  readonly #redis: RedisConnection;
  readonly #bounds: StoreBounds;

  constructor(redis: RedisConnection, bounds: StoreBounds) {
    this.#redis = redis;
    this.#bounds = bounds;
  }

  async append(epoch: number, { sessionId, streamId }: StreamAddress, data: string): Promise<string | null> {
    const { stream, session } = this.#bounds.events;
    const bounds = [stream.count, stream.bytes, session.count, session.bytes, this.#bounds.entryMs];
    const values = [epoch, streamId, data, sizeOf(data), ...bounds];
    const place = await this.#redis.run((redis) => redis.appendEvent(keysOf(sessionId).events, values));
    return typeof place === 'number' ? eventIdOf(streamId, place) : null;
  }

  async after({ sessionId, streamId }: StreamAddress, eventId: string | null): Promise<Replay> {
    const place = eventId === null ? 0 : placeIn(streamId, eventId);
    const { events } = keysOf(sessionId);
    const [last, dropped, ...data] = replies.parse(
      await this.#redis.run((redis) => redis.eventsAfter(events, [streamId, place])),
    );
    if (place > last) throw new Refusal('unknown_event');
    const first = Math.max(place, dropped) + 1;
    return {
      events: data.map((text, index) => ({ id: eventIdOf(streamId, first + index), data: text })),
      isComplete: place >= dropped,
    };
  }

  async forget({ sessionId, epoch }: Tenure, streamId?: string): Promise<void> {
    const { events } = keysOf(sessionId);
    await this.#redis.run((redis) =>
      streamId === undefined ? redis.forgetEvents(events, [epoch]) : redis.forgetStream(events, [epoch, streamId]),
    );
  }
}
