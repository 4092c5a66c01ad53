import { z } from 'zod';
import { timeLimit } from '../clock.js';
import type { Config } from '../config.js';
import { urlOf } from '../session/serverActor.js';

const common = { status: z.literal('ok'), version: z.string() };
const openHealth = z.object({ ...common, sessions: z.object({}) });
/** With authentication a stranger is told this much, and nothing else. */
const guardedHealth = z.strictObject({ ...common, uptime: z.number() });

export interface RunningServer {
  readonly url: string;
  /** Whether it asks for a token. */
  readonly isGuarded: boolean;
}

const patienceMs = 500;

/** The server that is running at `--host` and `--port` already; undefined if none answers at once. */
export async function findRunningServer({
  host,
  port,
}: Pick<Config, 'host' | 'port'>): Promise<RunningServer | undefined> {
  const url = urlOf(host, port);
  try {
    const response = await fetch(`${url}/health`, { signal: timeLimit(patienceMs) });
    const health: unknown = await response.json();
    const isGuarded = guardedHealth.safeParse(health).success;
    return isGuarded || openHealth.safeParse(health).success ? { url, isGuarded } : undefined;
  } catch {
    return undefined;
  }
}
