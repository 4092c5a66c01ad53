import { lookup } from 'node:dns';
import { get as httpGet, type IncomingMessage } from 'node:http';
import { get as httpsGet } from 'node:https';
import type { LookupFunction } from 'node:net';
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { crc32 } from 'node:zlib';
import type { Entry } from 'yauzl';
import type { UrlRules } from '../policy/urlRules.js';
import { messageOf, ToolError } from '../../errors/errors.js';
import { readBeginning } from './extensionFiles.js';
import { manifestOf, readManifestFile } from './manifest.js';
import { timeLimit } from '../../clock.js';

/** Limit on the unpacked size. The largest extensions of the store have a tenth of it. */
const maxFiles = 10_000;
const maxUnpackedBytes = 128 * 1024 * 1024;
const maxDepth = 32;
/** Limit on the texts that identify an extension. */
const maxMessageBytes = 1024 * 1024;
/** Limit on unpacked extensions of one session. */
const maxFolders = 20;

const crxMagic = 'Cr24';
const unixTypeMask = 0o170000;
const unixLink = 0o120000;

/**
 * Unpacks an extension (zip, or crx of version 2 or 3) below `parent` and returns the folder with its manifest. An
 * archive of the same extension replaces the previous one: the same folder, and so the same id and storage. The
 * signature of a crx is not checked: Chrome loads the folder as unpacked. Throws a ToolError for an archive that is
 * invalid, has paths outside of the folder, has links, is encrypted, or is too large; leaves nothing behind then.
 */
export async function unpackExtension(archive: Buffer, parent: string, signal: AbortSignal): Promise<string> {
  const folder = await mkdtemp(join(parent, 'unpacking-'));
  try {
    await unpack(toZip(archive), folder, signal);
    const root = await findManifestFolder(folder);
    const target = join(parent, `extension-${await extensionKey(root)}`);
    await reserveFolder(parent, target);
    await rename(root, target);
    return target;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof ToolError) throw error;
    throw new ToolError(`The archive cannot be unpacked: ${messageOf(error)}`, { cause: error });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Checks the text first: Node's decoder skips invalid characters. */
export function decodeArchive(text: string): Buffer {
  const end = text.search(/[^\w+/\s-]/);
  const padding = end === -1 ? '' : text.slice(end).replace(/\s+/g, '');
  if (['', '=', '=='].includes(padding)) return Buffer.from(text, 'base64');
  throw new ToolError('archive is not base64. Encode the bytes of the zip or crx file.');
}

/** A crx is a zip after a header with keys and signatures. */
function toZip(archive: Buffer): Buffer {
  if (archive.subarray(0, 2).toString('latin1') === 'PK') return archive;
  if (archive.subarray(0, 4).toString('latin1') !== crxMagic || archive.length < 16) {
    throw new ToolError('This is neither a zip nor a crx archive. Zip the folder with manifest.json.');
  }
  const version = archive.readUInt32LE(4);
  if (version === 3) return archive.subarray(12 + archive.readUInt32LE(8));
  if (version === 2) return archive.subarray(16 + archive.readUInt32LE(8) + archive.readUInt32LE(12));
  throw new ToolError(`This is a crx archive of version ${version}. Versions 2 and 3 can be installed.`);
}

/** yauzl rejects paths outside of the folder, and files that are larger than declared. */
async function unpack(zip: Buffer, folder: string, signal: AbortSignal): Promise<void> {
  const yauzl = await import('yauzl');
  const file = await yauzl.fromBufferPromise(zip, { lazyEntries: true, strictFileNames: false });
  let [files, bytes] = [0, 0];
  for await (const entry of file.eachEntry()) {
    signal.throwIfAborted();
    files += 1;
    bytes += entry.uncompressedSize;
    if (files > maxFiles) throw new ToolError(`The archive has more than ${maxFiles} files.`);
    if (bytes > maxUnpackedBytes)
      throw new ToolError(`Unpacked, the archive has more than ${maxUnpackedBytes / 1024 / 1024} MB.`);
    requirePlainFile(entry);
    if (entry.fileName.endsWith('/')) continue;
    const path = join(folder, entry.fileName);
    try {
      await mkdir(dirname(path), { recursive: true });
      const contents = await file.openReadStreamPromise(entry);
      await pipeline(contents, checkSum(entry), createWriteStream(path, { flags: 'wx' }), { signal });
    } catch (error) {
      throw writeProblem(error, entry);
    }
  }
}

/** Passes the contents of a file on, and fails if they are not what the archive says. */
function checkSum({ fileName, crc32: expected }: Entry) {
  return async function* (chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    let sum = 0;
    for await (const chunk of chunks) {
      sum = crc32(chunk, sum);
      yield chunk;
    }
    if (sum === expected) return;
    throw new ToolError(`The archive is damaged: ${quoted(fileName)} has another checksum. Pack it again.`);
  };
}

/** Of a longer name. */
const maxNameChars = 200;

const quoted = (name: string): string =>
  JSON.stringify(name.length > maxNameChars ? `${name.slice(0, maxNameChars)}…` : name);

/** An error of the file system, without the server's path. */
function writeProblem(error: unknown, { fileName }: Entry): unknown {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const name = quoted(fileName);
  if (['EEXIST', 'ENOTDIR', 'EISDIR'].includes(code))
    return new ToolError(`The archive has ${name} twice, or as a file and as a folder.`, { cause: error });
  if (code === 'ENAMETOOLONG')
    return new ToolError(`The archive has a name that no file may have (${code}): ${name}. Shorten it.`, {
      cause: error,
    });
  return code.startsWith('E') ? new ToolError(`${name} cannot be unpacked: ${code}.`, { cause: error }) : error;
}

function requirePlainFile(entry: Entry): void {
  const { fileName } = entry;
  const name = quoted(fileName);
  if (((entry.externalFileAttributes >>> 16) & unixTypeMask) === unixLink) {
    throw new ToolError(`The archive has a link, ${name}. Pack the file itself.`);
  }
  if (entry.isEncrypted()) throw new ToolError(`The archive is encrypted (${name}). Pack it without a password.`);
  if (fileName.split('/').length > maxDepth) throw new ToolError(`The archive nests too deep at ${name}.`);
}

/** The folder with the manifest: the top, or the only folder there, as in what GitHub packs. */
async function findManifestFolder(folder: string): Promise<string> {
  const entries = (await readdir(folder, { withFileTypes: true })).filter(({ name }) => name !== '__MACOSX');
  if (entries.some(({ name }) => name === 'manifest.json')) return folder;
  const [only, ...others] = entries;
  if (only?.isDirectory() === true && others.length === 0) return findManifestFolder(join(folder, only.name));
  const names = entries.slice(0, 10).map(({ name }) => name);
  throw new ToolError(`The archive has no manifest.json at its top. There is: ${names.join(', ') || 'nothing'}.`);
}

/** The identity of an extension across archives: its key, or its name in the manifest and default locale. */
async function extensionKey(root: string): Promise<string> {
  const { key, name, default_locale: locale } = manifestOf(await readManifestFile(root)) ?? {};
  const messages =
    locale === undefined || !/^[\w-]+$/.test(locale)
      ? ''
      : await readBeginning(join(root, '_locales', locale, 'messages.json'), maxMessageBytes).catch(() => '');
  const identity = key ?? `${name ?? ''} ${name?.startsWith('__MSG_') === true ? messages.toString() : ''}`;
  return createHash('sha256').update(identity).digest('hex').slice(0, 16);
}

async function reserveFolder(parent: string, target: string): Promise<void> {
  await rm(target, { recursive: true, force: true });
  const existing = (await readdir(parent)).filter((name) => name.startsWith('extension-'));
  if (existing.length < maxFolders) return;
  throw new ToolError(`This session has ${maxFolders} extensions from archives. Remove one with uninstall_extension.`);
}

const maxDownloadBytes = 64 * 1024 * 1024;
const maxRedirects = 5;
const downloadTimeoutMs = 30_000;

/**
 * Fetches an archive. Only `http:` and `https:`, also after each redirect: nothing of the server's disk or of other
 * protocols can be reached, and of the network what the rules of the session allow. The answer is never shown, only
 * unpacked. No cookies or credentials are sent. At most 64 MB within 30 s. Throws a ToolError that says what the server
 * answered.
 */
export async function download(address: string, signal: AbortSignal, rules: UrlRules): Promise<Buffer> {
  const limit = timeLimit(downloadTimeoutMs);
  try {
    const response = await fetchFollowingRedirects(address, rules, AbortSignal.any([signal, limit]));
    const { statusCode = 0, statusMessage = '' } = response;
    if (statusCode >= 200 && statusCode < 300) return await readBounded(response, address);
    response.destroy();
    throw new ToolError(`${address} answered ${statusCode} ${statusMessage}.`);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof ToolError) throw error;
    const reason = limit.aborted ? `not all of it came within ${downloadTimeoutMs / 1000} s` : messageOf(error);
    throw new ToolError(`${address} could not be fetched: ${reason}.`, { cause: error });
  }
}

async function fetchFollowingRedirects(
  address: string,
  rules: UrlRules,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  let url = parseWebUrl(address);
  for (let hops = 0; hops <= maxRedirects; hops += 1) {
    await rules.check(url);
    const response = await get(url, rules, signal);
    const { statusCode = 0, headers } = response;
    if (statusCode < 300 || statusCode >= 400 || headers.location === undefined) return response;
    response.destroy();
    url = parseWebUrl(new URL(headers.location, url).href);
  }
  throw new ToolError(`${address} redirects more than ${maxRedirects} times.`);
}

/** Connects only to addresses that the rules allow: the name is resolved once, here. */
function get(url: URL, rules: UrlRules, signal: AbortSignal): Promise<IncomingMessage> {
  const resolve: LookupFunction = (name, options, done) => {
    lookup(name, options, (error, found, family) => {
      const addresses = typeof found === 'string' ? [found] : error === null ? found.map(({ address }) => address) : [];
      const refusal = addresses
        .map((address) => rules.refusalOfAddress(name, address))
        .find((text) => text !== undefined);
      done(refusal === undefined ? error : new ToolError(refusal), found, family);
    });
  };
  const request = url.protocol === 'https:' ? httpsGet : httpGet;
  return new Promise((resolved, rejected) => {
    request(url, { signal, lookup: resolve, agent: false, headers: { 'accept-encoding': 'identity' } })
      .once('response', resolved)
      .once('error', rejected);
  });
}

function parseWebUrl(address: string): URL {
  if (!URL.canParse(address)) throw new ToolError(`${JSON.stringify(address)} is no URL. Write it in full.`);
  const url = new URL(address);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new ToolError(`Archives are fetched over http and https only, not ${url.protocol}`);
  }
  if (url.username !== '' || url.password !== '') throw new ToolError('Leave name and password out of the URL.');
  return url;
}

async function readBounded(response: IncomingMessage, address: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    if (bytes > maxDownloadBytes) throw new ToolError(`${address} has more than ${maxDownloadBytes / 1024 / 1024} MB.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
