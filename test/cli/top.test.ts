import { top, type TopOptions } from '../../src/cli/top.js';
import { connectClient, startTestServer } from '../support/testServer.js';

const once = { screen: null, colored: false, stopped: Promise.resolve() } as const;

function written(): { text: () => string; write: TopOptions['write']; when: (part: string) => Promise<void> } {
  let text = '';
  let look = (): void => undefined;
  return {
    text: () => text,
    write: (more) => {
      text += more;
      look();
    },
    when: (part) =>
      new Promise((resolve) => {
        look = () => text.includes(part) && resolve();
        look();
      }),
  };
}

test('[C-INSPECTOR] without a terminal, top prints the table once, plain', async () => {
  const served = await startTestServer();
  const client = await connectClient(served.url, '/sse?userId=anna');
  const { text, write } = written();
  expect(await top({ url: `${served.url}/sse`, write, ...once })).toBe(0);
  expect(text()).toMatch(/^1 open, 0 closed\n\nSESSION +USER +STATE/);
  expect(text()).toMatch(/anna +active +\d+s +test-client 1\.0\.0 +sse +ready +0 +0/);
  expect(text()).not.toContain('\u001b');
  await client.close();
  await served.close();
});

test('[C-INSPECTOR] on a terminal it follows the sessions, through an end of the server, and leaves the screen as it was', async () => {
  const served = await startTestServer();
  const screen = written();
  let stop = (): void => undefined;
  const stopped = new Promise<void>((resolve) => (stop = resolve));
  const size = () => ({ columns: 60, rows: 10 });
  const watching = top({ url: served.url, write: screen.write, screen: size, colored: true, stopped });
  await screen.when('0 open');
  const client = await connectClient(served.url, '/sse?userId=anna');
  await screen.when('\u001b[32m');
  await client.close();
  await screen.when('closed (client-closed)');
  await served.close();
  await screen.when('is a server running there?');
  stop();
  expect(await watching).toBe(0);
  expect(screen.text().endsWith('\u001b[?1049l')).toBe(true);
});

test('[C-INSPECTOR] a client cannot steer the terminal by its name', async () => {
  const served = await startTestServer();
  const { Client } = await import('@modelcontextprotocol/sdk/client/index.js');
  const { SSEClientTransport } = await import('@modelcontextprotocol/sdk/client/sse.js');
  const client = new Client({ name: 'evil\u001b[2J\u0007', version: '1' });
  await client.connect(new SSEClientTransport(new URL('/sse', served.url)));
  const { text, write } = written();
  await top({ url: served.url, write, ...once });
  expect(text()).toContain('evil[2J 1');
  await client.close();
  await served.close();
});

test('[C-INSPECTOR] where no server answers, one line says so', async () => {
  const { write } = written();
  await expect(top({ url: 'http://127.0.0.1:9', write, ...once })).rejects.toThrow(
    /Cannot reach .* is a server running/,
  );
});
