import { parseRedisAddress } from '../../src/redisAddress.js';

const plain = { kind: 'single', isEncrypted: false, login: {}, database: 0, primary: '', sentinelLogin: {} } as const;
const host = (name: string, port: number) => ({ host: name, port });

test.each([
  ['redis://127.0.0.1', { ...plain, hosts: [host('127.0.0.1', 6379)] }],
  [
    'rediss://me:p%40ss%2F1@redis.example:6380/2',
    {
      ...{ ...plain, isEncrypted: true, database: 2 },
      ...{ login: { username: 'me', password: 'p@ss/1' }, hosts: [host('redis.example', 6380)] },
    },
  ],
  ['redis://:secret@[::1]:7/', { ...plain, login: { password: 'secret' }, hosts: [host('::1', 7)] }],
  [
    'redis+sentinel://:secret@one,two:5000,[::1]/my-master/1?sentinel_username=s&sentinel_password=t%26',
    {
      ...{ ...plain, kind: 'sentinel', primary: 'my-master', database: 1 },
      hosts: [host('one', 26_379), host('two', 5000), host('::1', 26_379)],
      ...{ login: { password: 'secret' }, sentinelLogin: { username: 's', password: 't&' } },
    },
  ],
  [
    'rediss+cluster://one:7000,two/0',
    { ...plain, kind: 'cluster', isEncrypted: true, hosts: [host('one', 7000), host('two', 6379)] },
  ],
])('%s is an address of Redis', (text, address) => {
  expect(parseRedisAddress(text)).toEqual(address);
});

test.each([
  'http://127.0.0.1',
  'redis:127.0.0.1',
  'redis://',
  'redis://one,two',
  'redis://one:0',
  'redis://one:65536',
  'redis://one:port',
  'redis://one/database',
  'redis://one/1/2',
  'redis://one?sentinel_password=x',
  'redis://:%zz@one',
  'redis://::1',
  'redis+sentinel://one',
  'redis+sentinel://one/',
  'redis+sentinel://one/main/zero',
  'redis+sentinel://one/main?db=1',
  'redis+cluster://one,,two',
  'redis+cluster://one/1',
  'redis+other://one',
])('%s is none', (text) => {
  expect(parseRedisAddress(text)).toBeUndefined();
});
