import { z } from 'zod';
import type { Config } from '../config.js';
import { urlOf } from '../session/serverActor.js';

const healthSchema = z.object({ status: z.literal('ok'), version: z.string(), sessions: z.object({}) });

const patienceMs = 500;

/** The address of a server that is running at `--host` and `--port` already; undefined if none answers at once. */
export async function findRunningServer({ host, port }: Pick<Config, 'host' | 'port'>): Promise<string | undefined> {
  const url = urlOf(host, port);
  try {
    const response = await fetch(`${url}/health`, { signal: AbortSignal.timeout(patienceMs) });
    return healthSchema.safeParse(await response.json()).success ? url : undefined;
  } catch {
    return undefined;
  }
}
