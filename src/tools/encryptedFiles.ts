import { createCipheriv, createDecipheriv, createHmac, randomBytes, type Cipher, type Decipher } from 'node:crypto';
import { link, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { inSlices } from '../browser/patterns/slices.js';
import { codeOf, messageOf, ToolError } from '../errors/errors.js';
import { createFolder } from '../folders.js';
import { parsedJson } from '../text.js';

/** Where the nodes of a server keep the key. */
export interface KeyStore {
  read(): Promise<string | null>;
  /** The key; `fresh` becomes it if there is none. */
  agree(fresh: string): Promise<string>;
}

/** Whose file it is and what it is called: as another user's, or under another name, it is refused. */
export interface FileIdentity {
  /** Issuer and subject. */
  readonly owner: string;
  readonly name: string;
}

const algorithm = 'aes-256-gcm';
const [keyBytes, nonceBytes, tagBytes] = [32, 12, 16];
/** Node would take a shorter tag, which is easier to guess. */
const tagLength = { authTagLength: tagBytes };
const version = 1;
const beginning = '{"greenroom":"encrypted"';

const headerSchema = z.object({ version: z.number(), key: z.string(), owner: z.string(), name: z.string() });
type Header = z.output<typeof headerSchema>;

/**
 * Encrypts what tools save in files, with one key of the server: `storage.key` in its data folder, or the one in the store
 * of its nodes. It is made for the first file and never replaced; it is read for each file, so that nothing is written with
 * a key that is gone.
 *
 *     file: header as JSON, line end, nonce, AES-256-GCM text, tag     authenticated: header, owner and name
 */
export class FileEncryption {
  readonly #folder: string;
  readonly #shared: KeyStore | undefined;

  constructor(folder: string, shared?: KeyStore) {
    this.#folder = folder;
    this.#shared = shared;
  }

  isEncrypted(file: Buffer): boolean {
    return file.toString('latin1', 0, beginning.length) === beginning;
  }

  /** Throws a ToolError if there is no key and none can be made. */
  async encrypt(text: Iterable<string>, identity: FileIdentity): Promise<Buffer> {
    const key = (await this.#key()) ?? (await this.#newKey());
    const header = Buffer.from(`${JSON.stringify({ greenroom: 'encrypted', ...headerOf(key, identity) })}\n`);
    const nonce = randomBytes(nonceBytes);
    const cipher = createCipheriv(algorithm, key, nonce, tagLength).setAAD(boundTo(header, identity));
    const parts = await inSlices(encryptedParts(cipher, text));
    return Buffer.concat([header, nonce, ...parts, cipher.final(), cipher.getAuthTag()]);
  }

  /** Throws a ToolError that says why a file cannot be read, and what to do. */
  async decrypt(file: Buffer, identity: FileIdentity): Promise<Buffer> {
    const headerEnd = file.indexOf('\n') + 1;
    const read = headerSchema.safeParse(parsedJson(file.toString('utf8', 0, headerEnd)));
    if (!read.success) throw damaged(identity);
    const key = await this.#key();
    requireSame(read.data, key, identity, this.#keyPlace);
    const [bodyAt, tagAt] = [headerEnd + nonceBytes, file.length - tagBytes];
    try {
      const decipher = createDecipheriv(algorithm, key, file.subarray(headerEnd, bodyAt), tagLength)
        .setAAD(boundTo(file.subarray(0, headerEnd), identity))
        .setAuthTag(file.subarray(tagAt));
      const parts = await inSlices(decryptedParts(decipher, file.subarray(bodyAt, tagAt)));
      return Buffer.concat([...parts, decipher.final()]);
    } catch (error) {
      throw damaged(identity, error);
    }
  }

  get #keyPlace(): string {
    return this.#shared === undefined ? join(this.#folder, 'storage.key') : 'the store of the nodes';
  }

  async #key(): Promise<Buffer | undefined> {
    const text = this.#shared === undefined ? await this.#readKeyFile() : await this.#shared.read();
    return text === null ? undefined : this.#parsedKey(text);
  }

  async #readKeyFile(): Promise<string | null> {
    try {
      return await readFile(this.#keyPlace, 'utf8');
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return null;
      throw new ToolError(
        `The key of saved files, ${this.#keyPlace}, cannot be read: ${messageOf(error)}. Make the user of the server its owner.`,
        { cause: error },
      );
    }
  }

  #parsedKey(text: string): Buffer {
    const key = Buffer.from(text.trim(), 'base64');
    if (key.length === keyBytes) return key;
    throw new ToolError(
      `${this.#keyPlace} is no key: it has to hold ${keyBytes} bytes in base64. Put the right one back, or move it away: ` +
        'a new one is made then, and what was saved before cannot be restored.',
    );
  }

  /** The new key, or that of another process or node which was first. */
  async #newKey(): Promise<Buffer> {
    const fresh = randomBytes(keyBytes).toString('base64');
    if (this.#shared !== undefined) return this.#parsedKey(await this.#shared.agree(fresh));
    try {
      await createFolder(this.#folder);
      await createFileOnce(this.#keyPlace, `${fresh}\n`);
    } catch (error) {
      throw new ToolError(
        `The key of saved files, ${this.#keyPlace}, cannot be made: ${messageOf(error)}. Choose another --data-dir, or ` +
          'save without file: as a resource.',
        { cause: error },
      );
    }
    return this.#parsedKey(await readFile(this.#keyPlace, 'utf8'));
  }
}

const damaged = ({ name }: FileIdentity, cause?: unknown): ToolError =>
  new ToolError(`${name} was changed or cut since it was saved: save it again.`, { cause });

const headerOf = (key: Buffer, { owner, name }: FileIdentity): Header => ({
  version,
  key: keyed(key, 'key'),
  owner: keyed(key, `owner ${owner}`),
  name,
});

/** Says which key or user it was, and nothing about it. */
const keyed = (key: Buffer, text: string): string =>
  createHmac('sha256', key).update(text).digest('base64url').slice(0, 16);

const boundTo = (header: Buffer, { owner, name }: FileIdentity): Buffer =>
  Buffer.concat([header, Buffer.from(JSON.stringify([owner, name]))]);

function requireSame(
  found: Header,
  key: Buffer | undefined,
  identity: FileIdentity,
  keyPlace: string,
): asserts key is Buffer {
  const { name } = identity;
  if (found.version > version)
    throw new ToolError(`${name} was saved by a newer server: use that one, or save it again.`);
  if (key === undefined)
    throw new ToolError(`${name} is encrypted, and its key, ${keyPlace}, is missing: put it back, or save it again.`);
  const expected = headerOf(key, identity);
  if (found.key !== expected.key)
    throw new ToolError(`${name} was saved with another key than ${keyPlace}: put that one back, or save it again.`);
  if (found.owner !== expected.owner)
    throw new ToolError(`${name} was saved by another user, who alone can restore it: save one of your own.`);
  if (found.name !== name)
    throw new ToolError(`${name} was saved as ${JSON.stringify(found.name)}: give it that name again.`);
}

const partBytes = 1024 ** 2;

function* encryptedParts(cipher: Cipher, text: Iterable<string>): Generator<undefined, Buffer[]> {
  const parts: Buffer[] = [];
  for (const part of text) {
    parts.push(cipher.update(part, 'utf8'));
    yield;
  }
  return parts;
}

function* decryptedParts(cipher: Decipher, data: Buffer): Generator<undefined, Buffer[]> {
  const parts: Buffer[] = [];
  for (let at = 0; at < data.length; at += partBytes) {
    parts.push(cipher.update(data.subarray(at, at + partBytes)));
    yield;
  }
  return parts;
}

/** Creates the whole file, for this user alone, or nothing: a file that is there stays as it is. */
async function createFileOnce(file: string, content: string): Promise<void> {
  const temporary = `${file}.${randomBytes(9).toString('base64url')}`;
  const handle = await open(temporary, 'wx', 0o600);
  try {
    await handle.writeFile(content);
    await handle.sync();
    await link(temporary, file);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  } finally {
    await handle.close();
    await rm(temporary, { force: true });
  }
}
