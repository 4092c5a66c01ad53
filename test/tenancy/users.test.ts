import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../src/clock.js';
import { MemoryStore } from '../../src/cluster/memoryStore.js';
import { Users } from '../../src/tenancy/users.js';
import { ManualClock } from '../support/manualClock.js';
import { withFolder } from './support/tempFolder.js';

/** Runs with the users of a folder, and closes them. */
const withUsers = (run: (users: Users, folder: string, clock: ManualClock) => Promise<void>): Promise<void> =>
  withFolder(async (folder) => {
    const clock = new ManualClock();
    const users = new Users({ folder, clock });
    try {
      await run(users, folder, clock);
    } finally {
      await users.close();
    }
  });

test('[C-STORE] nothing is made on the disk before users are asked for, nor after they are closed', () =>
  withFolder(async (folder) => {
    const users = new Users({ folder: join(folder, 'data'), clock: systemClock });
    await users.close();
    await expect(users.list()).rejects.toMatchObject({ reason: 'draining' });
    expect(await readdir(folder)).toEqual([]);
  }));

test('[C-USERS] the same user registered twice at once is registered once', () =>
  withUsers(async (users) => {
    const both = await Promise.allSettled([users.create('anna'), users.create('anna')]);
    expect(both.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    expect(await users.list()).toHaveLength(1);
  }));

test('[C-USERS][C-SECRETS] a token is 32 random bytes of which only the hash is kept, and opens one door', () =>
  withUsers(async (users, folder) => {
    await users.create('anna');
    const issued = await Promise.all(Array.from({ length: 20 }, () => users.issueToken('anna', {})));
    const secrets = issued.map(({ secret }) => secret);
    expect(new Set(secrets).size).toBe(20);
    for (const secret of secrets) expect(Buffer.from(secret.slice(3), 'base64url')).toHaveLength(32);
    const kept = await readFile(join(folder, 'users.json'), 'utf8');
    for (const secret of secrets) expect(kept).not.toContain(secret.slice(3));
    for (const { secret, token } of issued) {
      expect(await users.principalForToken(secret)).toEqual({ issuer: 'local', user: 'anna', credentialId: token.id });
      expect(await users.principalForToken(token.hash)).toBeUndefined();
    }
  }));

test('[C-USERS] a token holds until it is revoked, expires, or its user is removed', () =>
  withUsers(async (users, _folder, clock) => {
    await users.create('anna');
    const issue = async (lifeMs?: number) => {
      const { secret } = await users.issueToken('anna', lifeMs === undefined ? {} : { lifeMs });
      const principal = await users.principalForToken(secret);
      if (principal === undefined) throw new Error('The token is nobody’s.');
      return { secret, principal, id: principal.credentialId ?? '' };
    };
    const [short, revoked, left] = [await issue(1_000), await issue(), await issue()];
    clock.advance(1_000);
    await users.revokeToken('anna', revoked.id);
    for (const { secret, principal } of [short, revoked]) {
      expect([await users.principalForToken(secret), await users.isTokenValid(principal)]).toEqual([undefined, false]);
    }
    expect(await users.isTokenValid(left.principal)).toBe(true);
    await users.remove('anna');
    expect([await users.principalForToken(left.secret), await users.isTokenValid(left.principal)]).toEqual([
      undefined,
      false,
    ]);
    expect(await users.isTokenValid({ issuer: 'https://issuer.example', user: 'anna' })).toBe(true);
  }));

test('[C-USERS] a user has at most twenty browsers, no two at one address', () =>
  withUsers(async (users) => {
    await users.create('anna');
    const add = (port: number) => users.addBrowser('anna', { url: `http://127.0.0.1:${port}` });
    for (let port = 1; port <= 20; port += 1) await add(port);
    await expect(add(1)).rejects.toMatchObject({ reason: 'already_registered' });
    await expect(add(21)).rejects.toMatchObject({ reason: 'too_many_records', data: { limit: '20 browsers' } });
    expect(await users.browsersOf('anna')).toHaveLength(20);
    expect(await users.browsersOf('nobody')).toEqual([]);
  }));

test.each(['a folder', 'a store that nodes share'])(
  '[C-USERS] the last use of a token is known at once, and recorded in %s once a minute and at the end',
  (where) =>
    withFolder(async (folder) => {
      const clock = new ManualClock();
      const shared = where === 'a folder' ? undefined : new MemoryStore(clock).server.users;
      const open = () => new Users({ folder, clock, shared });
      const [users, other] = [open(), shared === undefined ? undefined : open()];
      await users.create('anna');
      const { secret, token } = await users.issueToken('anna', {});
      const unused = await users.issueToken('anna', {});
      const ids = [token.id, unused.token.id];
      expect(await users.lastUses(ids)).toEqual(new Map());
      await users.principalForToken(secret);
      const first = clock.now();
      expect(await users.lastUses(ids)).toEqual(new Map([[token.id, first]]));
      clock.advance(59_000);
      await users.principalForToken(secret);
      expect(await users.lastUses(ids)).toEqual(new Map([[token.id, clock.now()]]));
      if (other !== undefined) expect(await other.lastUses(ids)).toEqual(new Map([[token.id, first]]));
      await users.close();
      await other?.close();
      const again = open();
      await again.list();
      expect(await again.lastUses(ids)).toEqual(new Map([[token.id, clock.now()]]));
      await again.close();
    }),
);
