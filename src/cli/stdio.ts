import type { Readable, Writable } from 'node:stream';
import type { CloseReason } from '../../machines/events.js';
import type { BrowserSearch } from '../browser/process/executable.js';
import { systemClock } from '../clock.js';
import type { Config } from '../config/config.js';
import type { Log } from '../log.js';
import { createOrchestrator } from '../server/orchestrator.js';
import { StdioTransport } from '../transport/stdio.js';
import { checkEnvironment } from './serve.js';

export interface ServeStdioOptions {
  readonly config: Config;
  readonly search: BrowserSearch;
  readonly log: Log;
  readonly input: Readable;
  /** Nothing but messages is written to it. */
  readonly output: Writable;
  /** Resolves when the process is asked to stop. */
  readonly stop: Promise<unknown>;
}

/** How a session may end without anything being wrong. */
const cleanEndReasons: ReadonlySet<CloseReason | null> = new Set(['client-closed', 'idle-timeout', 'server-draining']);

/**
 * `greenroom stdio`: one session on two streams, and no port. Resolves with the exit code when the client has left, the
 * process is asked to stop or the session has ended, and everything that it owned is released.
 */
export async function serveStdio({ config, search, log, input, output, stop }: ServeStdioOptions): Promise<number> {
  await checkEnvironment(config, search, log);
  const orchestrator = await createOrchestrator({ config, search, log });
  const transport = new StdioTransport(input, output, { clock: systemClock, bodyLimit: config.bodyLimit });
  const session = orchestrator.connect(transport);
  void stop.then(() => session.actor.send({ type: 'session.drain' }));
  await session.closed;
  await Promise.all([transport.finished, orchestrator.close()]);
  return cleanEndReasons.has(session.actor.getSnapshot().context.closedBecause) ? 0 : 1;
}
