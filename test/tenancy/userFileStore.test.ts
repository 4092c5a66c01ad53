import { chmod, mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Refusal } from '../../src/errors/errors.js';
import { emptyDocument, type UserDocument } from '../../src/tenancy/userDocument.js';
import { lockFolder } from '../../src/tenancy/folderLock.js';
import { UserStoreError } from '../../src/tenancy/userDocument.js';
import { createFolder } from '../../src/folders.js';
import { openUserFileStore, type UserFileStore } from '../../src/tenancy/userFileStore.js';
import { withFolder } from './support/tempFolder.js';

const add =
  (id: string) =>
  (document: UserDocument): { document: UserDocument; result: string } => {
    if (document.users.some((user) => user.id === id)) throw new Refusal('already_registered');
    const user = { id, createdAt: '2026-01-01T00:00:00.000Z', tokens: [], browsers: [] };
    return { document: { ...document, users: [...document.users, user] }, result: id };
  };

const idsOf = ({ document }: UserFileStore): string[] => document.users.map(({ id }) => id);

/** Runs with an open store, and closes it. */
const withStore = <Result>(folder: string, run: (store: UserFileStore) => Promise<Result>): Promise<Result> =>
  openUserFileStore(folder).then(async (store) => {
    try {
      return await run(store);
    } finally {
      await store.close();
    }
  });

/** Why the store cannot be opened, in one line. */
async function complaint(folder: string): Promise<string> {
  const refused = await openUserFileStore(folder).catch((error: unknown) => error);
  if (!(refused instanceof UserStoreError)) throw new Error('It was opened.');
  expect(refused.message).not.toContain('\n');
  return refused.message;
}

test('[C-STORE] what was acknowledged is there when the store is opened again', () =>
  withFolder(async (folder) => {
    await withStore(folder, async (store) => {
      expect(idsOf(store)).toEqual([]);
      expect(await store.update(add('anna'))).toBe('anna');
      expect(idsOf(store)).toEqual(['anna']);
    });
    await withStore(folder, async (store) => expect(idsOf(store)).toEqual(['anna']));
  }));

test('[C-STORE][C-SECRETS] only the user of the process may read folder and file', () =>
  withFolder(async (parent) => {
    const folder = join(parent, 'deep', 'data');
    await withStore(folder, (store) => store.update(add('anna')));
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    expect((await stat(join(folder, 'users.json'))).mode & 0o777).toBe(0o600);
    expect(await readdir(folder)).toEqual(['users.json']);
  }));

test('[C-STORE] changes that come together keep their order and share the writes', () =>
  withFolder(async (folder) => {
    await withStore(folder, async (store) => {
      const ids = Array.from({ length: 200 }, (_, index) => `u${index}`);
      const settled: string[] = [];
      const writes = new Set<UserDocument>();
      const note = (id: string): void => {
        settled.push(id);
        writes.add(store.document);
      };
      const changes = ids.map((id) => store.update(add(id)).then(note));
      const twice = store.update(add('u7'));
      await expect(twice).rejects.toMatchObject({ reason: 'already_registered' });
      await Promise.all(changes);
      expect([settled, idsOf(store)]).toEqual([ids, ids]);
      expect(writes.size).toBeLessThanOrEqual(2);
    });
  }));

test('[C-STORE] a change that is refused writes nothing', () =>
  withFolder(async (folder) => {
    await withStore(folder, async (store) => {
      const refused = store.update(() => {
        throw new Refusal('not_registered');
      });
      await expect(refused).rejects.toMatchObject({ reason: 'not_registered' });
      expect(store.document).toBe(emptyDocument);
    });
    expect(await readdir(folder)).toEqual([]);
  }));

test('[C-STORE] a full disk refuses the change, keeps what was there, and is forgotten when it has room', () =>
  withFolder(async (folder) => {
    await withStore(folder, async (store) => {
      await store.update(add('anna'));
      // Every write to this device fails with ENOSPC.
      await symlink('/dev/full', join(folder, 'users.json.tmp'));
      await expect(store.update(add('bert'))).rejects.toMatchObject({
        reason: 'storage_failed',
        status: 507,
        message: expect.stringMatching(/users\.json cannot be written: ENOSPC.*Nothing was changed/),
      });
      expect(idsOf(store)).toEqual(['anna']);
      expect(await store.update(add('bert'))).toBe('bert');
    });
    await withStore(folder, async (store) => expect(idsOf(store)).toEqual(['anna', 'bert']));
  }));

test('[C-STORE] a write that fails refuses every change in it, and leaves nothing half-written', () =>
  withFolder(async (folder) => {
    await withStore(folder, async (store) => {
      await store.update(add('anna'));
      await rename(join(folder, 'users.json'), join(folder, 'kept'));
      await mkdir(join(folder, 'users.json', 'not-empty'), { recursive: true });
      // The first is written alone. Of the others one is refused in view of another, which has never been.
      const refused = await Promise.allSettled(['bert', 'carl', 'carl', 'dora'].map((id) => store.update(add(id))));
      for (const outcome of refused) {
        expect(outcome).toMatchObject({ status: 'rejected', reason: { reason: 'storage_failed' } });
      }
      expect(idsOf(store)).toEqual(['anna']);
      expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
      await rm(join(folder, 'users.json'), { recursive: true });
      await rename(join(folder, 'kept'), join(folder, 'users.json'));
      expect(await store.update(add('carl'))).toBe('carl');
    });
  }));

test.each([
  ['cut off', '{"version":1,"users":[{"id":"an', /users\.json is damaged: restore a copy of it/],
  ['empty', '', /is damaged/],
  ['of another shape', '{"version":1,"users":{}}', /is damaged/],
  ['with a field nobody knows', '{"version":1,"users":[],"extra":1}', /is damaged/],
  ['with an id of control characters', '{"version":1,"users":[{"id":"a\\u0000b","createdAt":"2026-01-01T00:00:00.000Z","tokens":[],"browsers":[]}]}', /is damaged/], // prettier-ignore
  ['of a newer version', '{"version":2,"users":[]}', /written by a newer version of the server \(format 2\)/],
])('[C-STORE] a file that is %s stops the start in one line, and is left as it is', (_name, content, line) =>
  withFolder(async (folder) => {
    const file = join(folder, 'users.json');
    await writeFile(file, content);
    expect(await complaint(folder)).toMatch(line);
    expect(await readFile(file, 'utf8')).toBe(content);
    expect(await readdir(folder)).toEqual(['users.json']);
  }),
);

test('[C-STORE] the last uses of tokens are read in the form of older servers, and not in that of newer ones', () =>
  withFolder(async (folder) => {
    const file = join(folder, 'token-uses.json');
    const usesIn = async (content: string): Promise<unknown> => {
      await writeFile(file, content);
      const store = await openUserFileStore(folder);
      const uses = await store.uses.read(['a']);
      await store.close();
      return Object.fromEntries(uses);
    };
    expect(await usesIn('{"a":5,"b":6}')).toEqual({ a: 5 });
    expect(await usesIn('{"version":1,"uses":{"a":7}}')).toEqual({ a: 7 });
    expect(await usesIn('{"a":')).toEqual({});
    await writeFile(file, '{"version":2}');
    expect(await complaint(folder)).toMatch(/token-uses\.json was written by a newer version .*format 2/);
    expect(await readFile(file, 'utf8')).toBe('{"version":2}');
  }));

test('[C-STORE] a data folder that is a file, or below one, stops the start in one line', () =>
  withFolder(async (folder) => {
    const file = join(folder, 'file');
    await writeFile(file, '');
    expect(await complaint(file)).toContain(`${file} cannot be used`);
    expect(await complaint(join(file, 'below'))).toContain('--data-dir');
    // Where the system says ENOENT though the folder above is there, Node's own `recursive` never ends.
    expect(await complaint('/proc/greenroom/users')).toContain('--data-dir');
    const deep = join(folder, 'a/b/c');
    expect(await createFolder(deep)).toBe(join(folder, 'a'));
    expect(await createFolder(deep)).toBeUndefined();
  }));

test('[C-STORE] a file that is not ours to read stops the start in one line', () =>
  withFolder(async (folder) => {
    await mkdir(join(folder, 'users.json'));
    expect(await complaint(folder)).toMatch(/users\.json cannot be read: EISDIR/);
    await chmod(folder, 0o700);
  }));

test('[C-STORE] a second server on the same folder is refused with the id of the first, until that one is done', () =>
  withFolder(async (folder) => {
    const first = await openUserFileStore(folder);
    expect(await complaint(folder)).toBe(
      `${folder} is in use by the process ${process.pid}: stop that server, or choose another --data-dir.`,
    );
    await first.close();
    await (await openUserFileStore(folder)).close();
    expect(await readdir(folder)).toEqual([]);
  }));

test('[C-STORE] locks of dead processes, and of others that were given their ids, are no locks', () =>
  withFolder(async (folder) => {
    // Larger than any process id; and this very process, at another start.
    for (const name of ['lock-4999999-1-abcdef01', `lock-${process.pid}-1-abcdef02`]) {
      await writeFile(join(folder, name), '');
    }
    const unlock = await lockFolder(folder);
    expect(await readdir(folder)).toHaveLength(1);
    await unlock();
    expect(await readdir(folder)).toEqual([]);
  }));

test('[C-STORE] of many that start at once at most one gets the folder, and nobody leaves a lock behind', () =>
  withFolder(async (folder) => {
    let [holders, most] = [0, 0];
    const take = async (): Promise<void> => {
      const unlock = await lockFolder(folder).catch(() => undefined);
      if (unlock === undefined) return;
      holders += 1;
      most = Math.max(most, holders);
      await readdir(folder);
      holders -= 1;
      await unlock();
    };
    await Promise.all(Array.from({ length: 20 }, take));
    expect(most).toBeLessThanOrEqual(1);
    expect(await readdir(folder)).toEqual([]);
    await rm(folder, { recursive: true });
  }));

test('[C-STORE] a store that is closed finishes what it was given and takes nothing more', () =>
  withFolder(async (folder) => {
    const store = await openUserFileStore(folder);
    const last = store.update(add('anna'));
    await Promise.all([store.close(), store.close()]);
    await expect(last).resolves.toBe('anna');
    await expect(store.update(add('bert'))).rejects.toMatchObject({ reason: 'draining' });
    await withStore(folder, async (again) => expect(idsOf(again)).toEqual(['anna']));
  }));
