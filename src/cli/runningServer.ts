import { z } from 'zod';
import { timeLimit } from '../clock.js';
import type { Config } from '../config/config.js';
import { serverUrl } from '../server/httpServer.js';

const commonHealthFields = { status: z.literal('ok'), version: z.string() };
const openHealthSchema = z.object({ ...commonHealthFields, sessions: z.object({}) });
/** With authentication a stranger is told this much, and nothing else. */
const guardedHealthSchema = z.strictObject({ ...commonHealthFields, uptime: z.number() });

export interface RunningServer {
  readonly url: string;
  /** Whether it asks for a token. */
  readonly requiresToken: boolean;
}

const probeTimeoutMs = 500;

/** The server that is running at `--host` and `--port` already; undefined if none answers at once. */
export async function findRunningServer({
  host,
  port,
}: Pick<Config, 'host' | 'port'>): Promise<RunningServer | undefined> {
  const url = serverUrl(host, port);
  try {
    const response = await fetch(`${url}/health`, { signal: timeLimit(probeTimeoutMs) });
    const health: unknown = await response.json();
    const requiresToken = guardedHealthSchema.safeParse(health).success;
    return requiresToken || openHealthSchema.safeParse(health).success ? { url, requiresToken } : undefined;
  } catch {
    return undefined;
  }
}
