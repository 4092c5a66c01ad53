import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

/** What a server under measurement can be asked. */
export type Question = 'memory' | 'processor';

/** What it tells the process that measures: its address first, then what it is asked. */
export type Answer = { readonly url: string } | Memory | Processor;

/** Bytes in use once everything that can be collected is collected. */
export interface Memory {
  readonly heap: number;
  readonly resident: number;
}

/** Of all threads, since the start. */
export interface Processor {
  readonly processorMs: number;
}

/** Tells the parent process where a server listens, and answers its questions until the channel to it closes. */
export function present(url: string): void {
  const send = (answer: Answer): void => void process.send?.(answer);
  process.on('message', (question: Question) => {
    if (question === 'memory') void memory().then(send);
    else send(processor());
  });
  // Not with a signal: a profile is written at the exit.
  process.on('disconnect', () => process.exit());
  send({ url });
}

export async function listen(server: Server): Promise<void> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  present(`http://127.0.0.1:${port}`);
}

/** What has just been closed is released by then. */
const releasedMs = 1_500;

async function memory(): Promise<Memory> {
  await pause(releasedMs);
  // `--expose-gc`; twice, since finalizers run between the two.
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed, rss } = process.memoryUsage();
  return { heap: heapUsed, resident: rss };
}

function processor(): Processor {
  const { user, system } = process.cpuUsage();
  return { processorMs: (user + system) / 1_000 };
}
