import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { probeRedis } from '../../src/cluster/redis/redisProbe.js';
import { RedisServer } from '../support/redisServer.js';

const patience = 60_000;

test('doctor names what is wrong with the address of one Redis, and shows no password', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-redis-'));
  const kept = ['--appendonly', 'yes', '--dir', folder];
  const primary = await RedisServer.start(undefined, ['--requirepass', 'correct-horse', ...kept]);
  const forgetful = await RedisServer.start();
  const replica = await RedisServer.start(undefined, ['--replicaof', `127.0.0.1 ${primary.port}`]);
  const [at, of] = [`127.0.0.1:${primary.port}`, `127.0.0.1:${replica.port}`];
  const told = [
    await probeRedis(`redis://:correct-horse@${at}`, patience),
    await probeRedis(`redis://:battery-staple@${at}`, patience),
    await probeRedis(`redis://${at}`, patience),
    await probeRedis(`redis://${of}`, patience),
    await probeRedis(`redis+cluster://:correct-horse@${at}`, patience),
    await probeRedis(forgetful.url, patience),
  ];
  expect(told.map(({ summary }) => summary)).toEqual([
    expect.stringMatching(new RegExp(`^Redis [\\d.]+ at ${at}$`)),
    expect.stringMatching(new RegExp(`^${at} refuses the login: WRONGPASS`)),
    expect.stringMatching(new RegExp(`^${at} refuses the login: NOAUTH`)),
    `${of} is a read-only replica`,
    `${at} is not a cluster node`,
    expect.stringMatching(/keeps no append-only file: users, tokens .* are lost when it restarts$/),
  ]);
  expect(JSON.stringify(told)).not.toMatch(/correct-horse|battery-staple/);
  await Promise.all([primary.stop(), replica.stop(), forgetful.stop()]);
  await rm(folder, { recursive: true, force: true });
});

test('doctor says that a Redis without a password refuses other machines', async () => {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    // As Redis does: before it is asked, and to nobody's command.
    socket.write('-DENIED Redis is running in protected mode.\r\n', () => socket.destroySoon());
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const at = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  expect(await probeRedis(`redis://${at}`, patience)).toMatchObject({
    summary: `${at} is in protected mode and refuses other machines`,
    fix: expect.stringMatching(/^give it a password/),
  });
  await new Promise((resolve) => server.close(resolve));
});

/** Speaks enough of the protocol to say how old it is. The test closes it. */
async function startOld(version: string): Promise<{ readonly url: string; close(): Promise<void> }> {
  const info = `# Server\r\nredis_version:${version}\r\nredis_mode:standalone\r\n`;
  const answers: Record<string, string> = {
    HELLO: '%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n',
    CLIENT: '+OK\r\n',
    INFO: `$${info.length}\r\n${info}\r\n`,
  };
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      for (const [, name = ''] of data.toString().matchAll(/\*\d+\r\n\$\d+\r\n(\w+)\r\n/g))
        socket.write(answers[name] ?? '');
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `redis://127.0.0.1:${port}`,
    close: async () => {
      server.close();
      await once(server, 'close');
    },
  };
}

test('doctor names a Redis that is too old, one that says nothing, and none', async () => {
  const old = await startOld('6.2.14');
  const silent = await RedisServer.start();
  silent.pause();
  const told = [
    await probeRedis(old.url, patience),
    await probeRedis(silent.url, 500),
    await probeRedis('redis://127.0.0.1:1', patience),
  ];
  await Promise.all([old.close(), silent.stop()]);
  expect(told).toEqual([
    {
      kind: 'problem',
      summary: expect.stringMatching(/^127\.0\.0\.1:\d+ is Redis 6\.2\.14, which is too old$/),
      fix: 'install Redis 7 or later, or Valkey',
    },
    expect.objectContaining({ summary: expect.stringMatching(/cannot be reached: it did not answer in time$/) }),
    expect.objectContaining({ summary: expect.stringMatching(/cannot be reached: .*ECONNREFUSED/) }),
  ]);
});
