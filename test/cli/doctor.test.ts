import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { doctor } from '../../src/cli/doctor.js';
import { startTestServer } from '../support/testServer.js';
import { serveGuarded } from '../tenancy/support/guardedServer.js';

describe('doctor', () => {
  let temporaryFolder: string;
  const lines: string[] = [];
  const run = (config: object): Promise<number> => {
    lines.length = 0;
    const own = {
      host: '127.0.0.1',
      port: 0,
      headless: true,
      dataDir: join(temporaryFolder, '../doctor-users-of-this-test'),
    };
    const how = { sandbox: 'auto', proxyServer: undefined, chromeArg: [], browserAutoConnect: false } as const;
    const defaults = { ...own, ...how, browserUrl: undefined, executablePath: undefined, redisUrl: undefined };
    return doctor({
      config: { ...defaults, ...config },
      temporaryFolder,
      hasDisplay: false,
      write: (line) => lines.push(line),
    });
  };

  beforeAll(async () => {
    temporaryFolder = await mkdtemp(join(tmpdir(), 'doctor-test-'));
  });

  afterAll(() => rm(temporaryFolder, { recursive: true, force: true }));

  it('finds all well, says what it found, and leaves nothing', async () => {
    expect(await run({})).toBe(0);
    expect(lines.filter((line) => line.startsWith('ok')).map((line) => /ok +([a-z][a-z ]*):/.exec(line)?.[1])).toEqual([
      'node',
      'browser',
      'launch',
      'temporary folder',
      'users',
      'port',
      'leftovers',
    ]);
    expect(lines.join('\n')).toMatch(/launch: Chrome\/[\d.]+ answered in \d+ ms/);
    expect(lines).toContain(`ok       users: stored in ${join(temporaryFolder, '../doctor-users-of-this-test')}`);
    expect(await readdir(temporaryFolder)).toEqual([]);
  });

  it('tries to write to the data folder, as the server will, and leaves nothing there', async () => {
    const file = join(temporaryFolder, 'a-file');
    await writeFile(file, '');
    const wrong = { dataDir: join(file, 'users'), executablePath: '/bin/false', auditLog: join(file, 'log') };
    expect(await run({ ...wrong, headless: false })).toBe(1);
    expect(lines.join('\n')).toMatch(/problem +launch: .*code 1 and wrote nothing to stderr\.\n +fix: install what/);
    expect(lines.join('\n')).toMatch(/problem +audit log: --audit-log \S+log cannot be written .*\n +fix: name a file/);
    expect(lines.join('\n')).toMatch(/problem +display: --headless=false opens a window, .*\n +fix: .*xvfb-run/);
    expect(lines.join('\n')).toMatch(/problem +users: \S+a-file\/users cannot be written to: .*\n +fix: .*--data-dir/);
    await rm(file);
    await run({ dataDir: join(temporaryFolder, 'deep/users'), executablePath: '/nowhere' });
    expect(await readdir(temporaryFolder)).toEqual([]);
  });

  it('names each problem with its mend', async () => {
    const taken = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
    await once(taken, 'listening');
    await mkdir(join(temporaryFolder, 'greenroom-dead01'));
    await writeFile(join(temporaryFolder, 'greenroom-dead01', 'owner'), '0 0');
    const redisUrl = 'redis://me:correct-horse@127.0.0.1:1';
    expect(await run({ port: (taken.address() as AddressInfo).port, executablePath: '/nowhere', redisUrl })).toBe(1);
    taken.close();
    const text = lines.join('\n');
    expect(text).toMatch(/problem +browser: --executable-path names \/nowhere.*install-browser/);
    expect(text).toMatch(
      /problem +port: Port \d+ on 127\.0\.0\.1 is in use by .*node.*\(process \d+\)\n +fix: .*--port/,
    );
    expect(text).toMatch(/problem +leftovers: .*greenroom-dead01\n +fix: rm -r/);
    expect(text).toMatch(/problem +redis: 127\.0\.0\.1:1 cannot be reached: .*\n +fix: .*--redis-url/);
    expect(text).not.toContain('correct-horse');
    expect(lines.at(-1)).toBe('5 of 8 checks failed.');
  });

  it('says what a running Chrome has to allow, and whose profile is in use, without asking anybody', async () => {
    const profile = await mkdtemp(join(tmpdir(), 'doctor-profile-'));
    expect(await run({ browserAutoConnect: true, userDataDir: profile })).toBe(1);
    expect(lines.join('\n')).toMatch(
      /problem +running Chrome: No Chrome allows remote debugging: .*chrome:\/\/inspect/,
    );
    const listener = createServer().listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const { port } = listener.address() as AddressInfo;
    await writeFile(join(profile, 'DevToolsActivePort'), `${port}\n/devtools/browser/x`);
    await run({ browserAutoConnect: true, userDataDir: profile });
    expect(lines.join('\n')).toMatch(/ok +running Chrome: listens at 127\.0\.0\.1:\d+, and will ask its user/);
    listener.close();
    await once(listener, 'close');
    await run({ browserAutoConnect: true, userDataDir: profile });
    expect(lines.join('\n')).toMatch(/problem +running Chrome: nothing answers at .*\n +fix: start Chrome/);
    await symlink(`${hostname()}-${process.pid}`, join(profile, 'SingletonLock'));
    await run({ userDataDir: profile, executablePath: '/nowhere' });
    expect(lines.join('\n')).toMatch(
      /problem +profile: --user-data-dir \S+ is in use by another Chrome \(process \d+\)/,
    );
    await rm(profile, { recursive: true });
  });

  it('says that the port is taken by a server of ours, which is no problem', async () => {
    for (const server of [await startTestServer(), await serveGuarded()]) {
      await run({ port: Number(new URL(server.url).port) });
      await server.close();
      expect(lines).toContain(`ok       port: a Greenroom server runs at ${server.url}`);
    }
  });
});
