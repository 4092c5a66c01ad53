import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Entry } from 'yauzl';
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
    await mkdir(dirname(path), { recursive: true });
    await pipeline(await file.openReadStreamPromise(entry), createWriteStream(path, { flags: 'wx' }), { signal });
  }
}

function requirePlainFile(entry: Entry): void {
  const { fileName } = entry;
  const quoted = JSON.stringify(fileName);
  if (((entry.externalFileAttributes >>> 16) & unixTypeMask) === unixLink) {
    throw new ToolError(`The archive has a link, ${quoted}. Pack the file itself.`);
  }
  if (entry.isEncrypted()) throw new ToolError(`The archive is encrypted (${quoted}). Pack it without a password.`);
  if (fileName.split('/').length > maxDepth) throw new ToolError(`The archive nests too deep at ${quoted}.`);
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
 * protocols can be reached. Any host may be named, since the session's own browser reaches the same hosts for the same
 * client, and shows what they answer; here the answer is never shown, only unpacked. No cookies or credentials are sent.
 * At most 64 MB within 30 s. Throws a ToolError that says what the server answered.
 */
export async function download(address: string, signal: AbortSignal): Promise<Buffer> {
  const limit = timeLimit(downloadTimeoutMs);
  try {
    const response = await fetchFollowingRedirects(address, AbortSignal.any([signal, limit]));
    if (!response.ok) throw new ToolError(`${address} answered ${response.status} ${response.statusText}.`);
    return await readBounded(response, address);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof ToolError) throw error;
    const reason = limit.aborted
      ? `not all of it came within ${downloadTimeoutMs / 1000} s`
      : fetchFailureReason(error);
    throw new ToolError(`${address} could not be fetched: ${reason}.`, { cause: error });
  }
}

/** Redirects are followed here, since `fetch` would not check their targets. */
async function fetchFollowingRedirects(address: string, signal: AbortSignal): Promise<Response> {
  let url = parseWebUrl(address);
  for (let hops = 0; hops <= maxRedirects; hops += 1) {
    const response = await fetch(url, { redirect: 'manual', credentials: 'omit', signal });
    const location = response.headers.get('location');
    if (response.status < 300 || response.status >= 400 || location === null) return response;
    await response.body?.cancel();
    url = parseWebUrl(new URL(location, url).href);
  }
  throw new ToolError(`${address} redirects more than ${maxRedirects} times.`);
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

async function readBounded(response: Response, address: string): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  // The types of `fetch` leave open what a body yields.
  const body = response.body as AsyncIterable<Uint8Array> | null;
  for await (const chunk of body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > maxDownloadBytes) throw new ToolError(`${address} has more than ${maxDownloadBytes / 1024 / 1024} MB.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** The cause is more specific than `fetch failed`. */
function fetchFailureReason(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return messageOf(cause);
}
