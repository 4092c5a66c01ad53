import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { mainProgram } from '../support/root.js';
import { sampleExtensionFolder, startPageServer, type PageServer } from '../../src/selftest/pageServer.js';
import { BrowsingClient } from './support/browsingClient.js';
import { startServerProcess, waitUntil, type ServerProcess } from './support/serverProcess.js';

describe('a server process and its browsers', () => {
  let pages: PageServer;
  let server: ServerProcess;

  beforeAll(async () => {
    pages = await startPageServer();
  });
  beforeEach(async () => {
    server = await startServerProcess();
  });
  afterEach(() => server.dispose());
  afterAll(() => pages.close());

  test('[S5] kill -9 of the browser: the same session works again and is told what was lost', async () => {
    const browsing = await BrowsingClient.open(server.url);
    await browsing.text('new_page', { url: `${pages.url}/` });
    for (const pid of await server.browsers()) killProcess(pid);
    const answer = await browsing.text('new_page', { url: `${pages.url}/` });
    expect(answer).toMatch(/ended unexpectedly.*opened again with the same ids/s);
    expect(await browsing.evaluate('() => location.href')).toBe(`${pages.url}/`);
    expect(await browsing.data('list_pages')).toMatchObject({ pages: [{ id: 1, url: `${pages.url}/` }, {}] });
    await browsing.close();
  });

  test('[S5] SIGTERM: sessions are told, and neither a process nor a folder is left', async () => {
    const browsing = await BrowsingClient.open(server.url);
    const told: unknown[] = [];
    browsing.client.fallbackNotificationHandler = async (notification) => void told.push(notification);
    await browsing.text('new_page', { url: `${pages.url}/` });
    const closed = new Promise<void>((resolve) => (browsing.client.onclose = resolve));
    browsing.client.onerror = () => void browsing.close();
    server.child.kill('SIGTERM');
    expect(await server.exited).toEqual([0, null]);
    await closed;
    expect(told).toMatchObject([{ method: 'notifications/message', params: { data: 'The server is shutting down.' } }]);
    expect(await server.browsers()).toEqual([]);
    expect(await server.leftovers()).toEqual([]);
  });

  test('[S5] kill -9 of the server: its browsers and their folders are gone within 10 s', async () => {
    const browsing = await BrowsingClient.open(server.url, '?tools=all');
    await browsing.text('new_page', { url: `${pages.url}/` });
    await browsing.text('install_extension', { path: sampleExtensionFolder });
    expect((await server.browsers()).length).toBeGreaterThan(0);
    server.child.kill('SIGKILL');
    await waitUntil(async () => (await server.browsers()).length === 0);
    await waitUntil(async () => (await server.leftovers()).length === 0);
    browsing.client.onerror = () => undefined;
    await browsing.close();
  });

  test('the log has one line for each transition, with session, user, cause and duration', async () => {
    const browsing = await BrowsingClient.open(server.url, '?userId=alice');
    const { sessions } = (await (await fetch(`${server.url}/api/sessions`)).json()) as { sessions: { id: string }[] };
    const session = String(sessions[0]?.id).slice(0, 8);
    await browsing.close();
    await waitUntil(async () => server.log.some((line) => line.includes('-> closed') && line.includes(session)));
    const lines = server.log.map((line) => JSON.parse(line) as Record<string, unknown>);
    const own = lines.filter((line) => line['session'] === session);
    expect(own.map(({ message }) => message)).toEqual([
      'session: new -> created',
      'session: created -> tools-registered',
      'session: tools-registered -> connected',
      'session: connected -> active',
      'session: active -> closed',
    ]);
    for (const line of own) {
      expect(line).toMatchObject({ level: 'info', user: 'alice', cause: expect.any(String), ms: expect.any(Number) });
    }
  });
});

function killProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended with its parent a moment ago.
  }
}

/** Opens a socket, as systemd does, and starts the program with it each time that it is told to. */
const socketHolder = `use IO::Socket::INET; use POSIX (); $^F = 9; $| = 1;
my $socket = IO::Socket::INET->new(Listen => 64, LocalAddr => shift) or die $!;
POSIX::dup2(fileno($socket), 3); print $socket->sockport, "\\n";
while (<STDIN>) {
  my $pid = fork;
  if (!$pid) { $ENV{LISTEN_PID} = $$; $ENV{LISTEN_FDS} = 1; exec @ARGV }
  waitpid $pid, 0; print "ended\\n";
}`;

function holdSocket(address: string, ...more: readonly string[]) {
  const flags = ['--lease', 'lazy', '--log-format', 'json', '--executable-path', process.execPath, ...more];
  return spawn('perl', ['-e', socketHolder, address, process.execPath, mainProgram, 'serve', ...flags]);
}

test('a socket that is handed over stays open while the server restarts: who comes meanwhile is answered by the next one', async () => {
  const file = join(await mkdtemp(join(tmpdir(), 'greenroom-reload-')), 'config.json');
  await writeFile(file, '{}');
  const holder = holdSocket('127.0.0.1', '--config', file);
  const exited = once(holder, 'exit');
  const log = createInterface({ input: holder.stderr })[Symbol.asyncIterator]();
  const lines = createInterface({ input: holder.stdout })[Symbol.asyncIterator]();
  const nextLine = async (): Promise<string> => String((await lines.next()).value);
  const reload = async (text: string): Promise<string> => {
    await writeFile(file, text);
    process.kill(await serverBelow(holder.pid ?? 0), 'SIGHUP');
    for (;;) {
      const { done, value: line } = await log.next();
      if (done === true) throw new Error('The server ended.');
      if (line.includes('reloaded')) return line;
    }
  };
  try {
    const url = `http://127.0.0.1:${await nextLine()}`;
    const isReady = async (): Promise<number> => (await fetch(`${url}/ready`)).status;
    holder.stdin.write('start\n');
    expect(await isReady()).toBe(200);
    expect(await reload('{"maxSessions": 7}')).toMatch(/"configuration reloaded".*"changed":"--max-sessions"/);
    for (const broken of ['{"maxSessions": 8', '', '[]', 'null', '{"maxSessions": -1}', '{"nothing": 1}'])
      expect(await reload(broken)).toMatch(/"configuration not reloaded: nothing has changed"/);
    expect(await reload('{"maxSessions": 7}')).toMatch(/"configuration reloaded".*"changed":"none"/);
    process.kill(await serverBelow(holder.pid ?? 0), 'SIGTERM');
    expect(await nextLine()).toBe('ended');
    const waiting = isReady();
    holder.stdin.write('start\n');
    expect(await waiting).toBe(200);
    process.kill(await serverBelow(holder.pid ?? 0), 'SIGTERM');
    expect(await nextLine()).toBe('ended');
  } finally {
    holder.stdin.end();
    const left = await serverBelow(holder.pid ?? 0);
    if (left > 0) process.kill(left, 'SIGKILL');
    await exited;
    await rm(dirname(file), { recursive: true });
  }
});

async function serverBelow(parent: number): Promise<number> {
  return Number(await readFile(`/proc/${parent}/task/${parent}/children`, 'utf8').catch(() => ''));
}

test('a socket that is open to others is not served where --host says that only this machine may connect', async () => {
  const holder = holdSocket('0.0.0.0');
  holder.stdin.end('start\n');
  const [said] = await Promise.all([text(holder.stderr), once(holder, 'exit')]);
  expect(said.trim().split('\n').at(-1)).toBe(
    'greenroom: The socket that was handed over listens on 0.0.0.0, and --host is 127.0.0.1: give both the same address.',
  );
});
