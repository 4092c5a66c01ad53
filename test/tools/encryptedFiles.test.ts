import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/clock.js';
import { MemoryStore } from '../../src/cluster/memoryStore.js';
import { FileEncryption } from '../../src/tools/encryptedFiles.js';

const mine = { owner: 'local me', name: 'state.json' };
const secret = 'the-secret-of-the-login';

let folder: string;
let files: FileEncryption;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'greenroom-test-'));
  files = new FileEncryption(join(folder, 'data'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const keyFile = () => join(folder, 'data', 'storage.key');

test('what was encrypted is read again, also after a restart, and shows nothing', async () => {
  const text = `${secret}${'x'.repeat(3 * 1024 ** 2)}`;
  const file = await files.encrypt([text], mine);
  expect(files.isEncrypted(file)).toBe(true);
  expect(files.isEncrypted(Buffer.from('{"cookies":[]}'))).toBe(false);
  expect([secret, 'local me'].map((shown) => file.includes(shown))).toEqual([false, false]);
  expect(String(await new FileEncryption(join(folder, 'data')).decrypt(file, mine))).toBe(text);
  expect(await files.encrypt([text], mine)).not.toEqual(file);
});

test('the key is made once, for the user of the server alone, whoever comes first', async () => {
  const all = Array.from({ length: 8 }, () => new FileEncryption(join(folder, 'data')));
  const made = await Promise.all(all.map((each) => each.encrypt([secret], mine)));
  for (const file of made) expect(String(await files.decrypt(file, mine))).toBe(secret);
  expect(await readdir(join(folder, 'data'))).toEqual(['storage.key']);
  expect((await stat(keyFile())).mode & 0o777).toBe(0o600);
  const key = await readFile(keyFile(), 'utf8');
  await files.encrypt([secret], mine);
  expect(await readFile(keyFile(), 'utf8')).toBe(key);
});

test('no byte of a file can be changed, and none be missing', async () => {
  const file = await files.encrypt([secret], mine);
  for (let at = 0; at < file.length; at += 1) {
    const changed = Buffer.from(file);
    changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
    await expect(files.decrypt(changed, mine)).rejects.toThrow(/^state\.json/);
  }
  for (let length = 0; length < file.length; length += 1) {
    await expect(files.decrypt(file.subarray(0, length), mine)).rejects.toThrow(
      'was changed or cut since it was saved',
    );
  }
  const changed = Buffer.from(file);
  changed.writeUInt8(changed.readUInt8(file.length - 20) ^ 1, file.length - 20);
  await expect(files.decrypt(changed, mine)).rejects.toThrow('was changed or cut since it was saved: save it again.');
});

test('a file of another user, or under another name, is refused', async () => {
  const file = await files.encrypt([secret], mine);
  await expect(files.decrypt(file, { ...mine, owner: 'local other' })).rejects.toThrow('was saved by another user');
  await expect(files.decrypt(file, { ...mine, name: 'admin.json' })).rejects.toThrow('was saved as "state.json"');
  const theirs = await files.encrypt([secret], { ...mine, owner: 'local other' });
  const [header, foreign] = [file, theirs].map((each) => each.subarray(0, each.indexOf('\n') + 1));
  const swapped = Buffer.concat([header ?? file, theirs.subarray(foreign?.length)]);
  await expect(files.decrypt(swapped, mine)).rejects.toThrow('was changed or cut');
});

test('a key that is lost, another one, or none at all is named with what to do, and nothing is overwritten', async () => {
  const file = await files.encrypt([secret], mine);
  const key = await readFile(keyFile(), 'utf8');
  await rm(keyFile());
  await expect(files.decrypt(file, mine)).rejects.toThrow(`${keyFile()}, is missing: put it back, or save it again.`);
  await expect(readFile(keyFile())).rejects.toThrow('ENOENT');
  await files.encrypt([secret], mine);
  await expect(files.decrypt(file, mine)).rejects.toThrow(`was saved with another key than ${keyFile()}`);
  await writeFile(keyFile(), 'short');
  for (const use of [files.decrypt(file, mine), files.encrypt([secret], mine)])
    await expect(use).rejects.toThrow(`${keyFile()} is no key: it has to hold 32 bytes in base64.`);
  expect(await readFile(keyFile(), 'utf8')).toBe('short');
  await writeFile(keyFile(), key);
  expect(String(await files.decrypt(file, mine))).toBe(secret);
});

test('a folder in which no key can be read or made is named', async () => {
  await writeFile(join(folder, 'data'), '');
  await expect(files.encrypt([secret], mine)).rejects.toThrow(`${keyFile()}, cannot be read: ENOTDIR`);
  const nowhere = new FileEncryption('/proc/no-folder');
  await expect(nowhere.encrypt([secret], mine)).rejects.toThrow('storage.key, cannot be made: ENOENT');
});

test('[C-NODES] nodes share the key of their store, and leave no key file', async () => {
  const { fileKey } = new MemoryStore(systemClock).server;
  const [one, two] = ['one', 'two'].map((node) => new FileEncryption(join(folder, node), fileKey));
  const file = await one?.encrypt([secret], mine);
  expect(String(await two?.decrypt(file ?? Buffer.of(), mine))).toBe(secret);
  expect(await readdir(folder)).toEqual([]);
});
