import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createOrchestrator } from '../../../src/server/orchestrator.js';
import { present } from './serve.js';

/**
 * This server as it is shipped, all of its default tools, its limits raised; a browser is leased when a tool needs one. With
 * the address of a Redis, and its place among the servers of a proxy, it is one of many nodes.
 */
const limits = { maxSessions: 100_000, maxSessionsPerUser: 100_000, connectRate: 1e9, requestRate: 1e9 };
const [, , redisUrl, proxyPlace] = process.argv;
const dataDir = await mkdtemp(join(tmpdir(), 'greenroom-bench-'));
process.once('exit', () => rmSync(dataDir, { recursive: true, force: true }));
const shared = {
  dataDir,
  ...(redisUrl !== undefined && { redisUrl }),
  ...(proxyPlace !== undefined && { proxyPlace }),
};
const options = { port: 0, lease: 'lazy', idleTimeout: '1h', ...limits, ...shared } as const;
const orchestrator = await createOrchestrator({ options });
const { url } = await orchestrator.listen();
while (redisUrl !== undefined && (await fetch(`${url}/ready`)).status !== 200) await pause(20);
present(url);
