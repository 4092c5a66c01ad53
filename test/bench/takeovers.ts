import { setTimeout as pause } from 'node:timers/promises';
import { defineConfig } from '../../src/config/config.js';
import { ping } from '../support/messages.js';
import { RawMcp } from '../support/rawMcp.js';
import { RedisServer } from '../support/redisServer.js';
import { startMeasured } from './processes.js';
import { median, type Figure } from './report.js';

const sessions = 20;
const retryMs = 20;
/** After the lease's end. */
const wantedMs = 3_000;
const { nodeLease: leaseMs } = defineConfig({});

export interface TakeoverOptions {
  readonly rounds: number;
  report(line: string): void;
}

/**
 * How long the clients of a node that is killed (SIGKILL) wait for another one, of each in milliseconds: they ask there from
 * that moment on, until it answers as theirs would have.
 */
export async function measureTakeovers({ rounds, report }: TakeoverOptions): Promise<readonly number[]> {
  const redis = await RedisServer.start();
  const other = await startMeasured('greenroom', undefined, [redis.url]);
  const waited: number[] = [];
  try {
    for (let round = 0; round < rounds; round += 1) {
      const owner = await startMeasured('greenroom', undefined, [redis.url]);
      const clients = await Promise.all(Array.from({ length: sessions }, () => new RawMcp(owner.url).initialize()));
      await owner.kill();
      const killedAt = performance.now();
      const times = await Promise.all(clients.map((client) => answeredAt(client.atNode(other.url))));
      waited.push(...times.map((time) => time - killedAt));
      report(
        `takeover of ${sessions} sessions: the last is answered ${(Math.max(...times) - killedAt).toFixed(0)} ms after kill -9`,
      );
    }
    return waited;
  } finally {
    await other.stop();
    await redis.stop();
  }
}

/** When the node that it is talked to at answers a ping of a session that was another's. */
async function answeredAt(client: RawMcp): Promise<number> {
  for (let id = 1; ; id += 1) {
    const { status, text } = await client.post(ping(id));
    if (status === 200 && text.includes('"result"')) return performance.now();
    await pause(retryMs);
  }
}

export function takeoverFigures(waited: readonly number[]): Figure[] {
  const [least, most] = [Math.min(...waited), Math.max(...waited)];
  const lease = `a lease of ${leaseMs / 1_000} s`;
  return [
    {
      name: `kill -9 to the answer of another node, ${lease}, longest (median ${median(waited).toFixed(0)})`,
      ...{ value: most, spread: [least, most], wanted: { atMost: leaseMs + wantedMs }, unit: 'ms' },
    },
  ];
}
