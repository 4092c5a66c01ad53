import type { AddressInfo } from 'node:net';
import type { Server } from 'node:http';

/** What a server under measurement tells the process that measures: its address first, then, when asked, its size. */
export type Answer = { readonly url: string } | { readonly heap: number; readonly resident: number };

/** Tells the parent process where a server listens, and answers its questions until the channel to it closes. */
export function present(url: string): void {
  const send = (answer: Answer): void => void process.send?.(answer);
  process.on('message', () => send(measure()));
  process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
  send({ url });
}

export async function listen(server: Server): Promise<void> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  present(`http://127.0.0.1:${port}`);
}

/** Bytes in use once everything that can be collected is collected. */
function measure(): Answer {
  // `--expose-gc`; twice, since finalizers run between the two.
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed, rss } = process.memoryUsage();
  return { heap: heapUsed, resident: rss };
}
