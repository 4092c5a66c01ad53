import { z } from 'zod';
import { Refusal } from '../../errors/errors.js';
import { sequenceIn, utf16Bytes, type Replay, type StreamAddress } from '../eventLog.js';
import { formatEventId, type FencedEventLog, type StoreLimits, type OwnershipTerm } from '../clusterStore.js';
import type { RedisConnection } from './redisConnection.js';
import { sessionKeys } from './redisKeys.js';

const eventsAfterSchema = z.tuple([z.number(), z.number()], z.string());

/** What was sent on the streams of sessions, in Redis: the same bounds, and the same gaps, as in memory. */
export class RedisEventLog implements FencedEventLog {
  readonly #redis: RedisConnection;
  readonly #limits: StoreLimits;

  constructor(redis: RedisConnection, bounds: StoreLimits) {
    this.#redis = redis;
    this.#limits = bounds;
  }

  async append(epoch: number, { sessionId, streamId }: StreamAddress, data: string): Promise<string | null> {
    const { stream, session } = this.#limits.events;
    const limits = [stream.count, stream.bytes, session.count, session.bytes, this.#limits.entryTtlMs];
    const values = [epoch, streamId, data, utf16Bytes(data), ...limits];
    const sequence = await this.#redis.run((redis) => redis.appendEvent(sessionKeys(sessionId).events, values));
    return typeof sequence === 'number' ? formatEventId(streamId, sequence) : null;
  }

  async after({ sessionId, streamId }: StreamAddress, eventId: string | null): Promise<Replay> {
    const sequence = eventId === null ? 0 : sequenceIn(streamId, eventId);
    const { events } = sessionKeys(sessionId);
    const [last, dropped, ...data] = eventsAfterSchema.parse(
      await this.#redis.run((redis) => redis.eventsAfter(events, [streamId, sequence])),
    );
    if (sequence > last) throw new Refusal('unknown_event');
    const first = Math.max(sequence, dropped) + 1;
    return {
      events: data.map((text, index) => ({ id: formatEventId(streamId, first + index), data: text })),
      isComplete: sequence >= dropped,
    };
  }

  async forget({ sessionId, epoch }: OwnershipTerm, streamId?: string): Promise<void> {
    const { events } = sessionKeys(sessionId);
    await this.#redis.run((redis) =>
      streamId === undefined ? redis.discardEvents(events, [epoch]) : redis.discardStream(events, [epoch, streamId]),
    );
  }
}
