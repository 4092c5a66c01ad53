import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * Serves pages by their paths, in the parts that they consist of, each made anew when it is asked for; empty ones elsewhere.
 * What begins with a brace is JSON. The test closes it.
 */
export async function servePages(pages: Readonly<Record<string, () => Iterable<string>>>) {
  const server = createServer((request, response) => {
    response.setHeader('content-type', 'text/html');
    for (const part of pages[request.url ?? '']?.() ?? []) {
      if (!response.headersSent && part.startsWith('{')) response.setHeader('content-type', 'application/json');
      response.write(part);
    }
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, close: () => server.close() };
}
