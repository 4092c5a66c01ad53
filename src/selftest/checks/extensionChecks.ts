import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { assertIncludes, rowsOf, rowWith, type ToolReply, type CheckContext, type Check } from '../checkContext.js';
import { sampleExtensionId as extensionId } from '../pageServer.js';

/** Installs the sample extension, or loads it again. */
const loadSample = (context: CheckContext): Promise<ToolReply> =>
  context.call('install_extension', { path: context.extension });

/** Installs the sample extension, unless it is installed from this run's folder and its worker runs. */
export async function installSample(context: CheckContext): Promise<void> {
  const place = join(basename(context.folder), basename(context.extension));
  const isReady = ({ id, path, serviceWorker }: Record<string, unknown>): boolean =>
    id === extensionId && String(path).endsWith(place) && serviceWorker === 'running';
  if (!rowsOf(await context.call('list_extensions'), 'extensions').some(isReady)) await loadSample(context);
}

export const evaluateInSample = async (
  context: CheckContext,
  expression: string,
  more: object = {},
): Promise<unknown> => {
  const { data } = await context.call('evaluate_in_extension', { extensionId, expression, ...more });
  return JSON.parse(String(data['result']));
};

/** An extension of this run alone, with a random name. */
export async function writeExtension(context: CheckContext, manifest: object): Promise<{ path: string; name: string }> {
  const name = `Made ${randomUUID()}`;
  const path = join(context.folder, name);
  await mkdir(path);
  await writeFile(
    join(path, 'manifest.json'),
    JSON.stringify({ manifest_version: 3, name, version: '1.2.3', ...manifest }),
  );
  return { path, name };
}

export const extensionChecks: readonly Check[] = [
  {
    tool: 'install_extension',
    async run(context) {
      const sample = await loadSample(context);
      assert.equal(sample.data['id'], extensionId);
      assert.deepEqual(sample.data['warnings'], []);
      const made = await writeExtension(context, { permissions: ['nonsense'] });
      const { text, data } = await context.call('install_extension', { path: made.path });
      assert.equal(data['name'], made.name);
      assert.equal(data['version'], '1.2.3');
      assertIncludes(JSON.stringify(data['warnings']), 'nonsense');
      assertIncludes(text, made.name);
      const old = await writeExtension(context, { manifest_version: 2 });
      assertIncludes(
        await context.expectError('install_extension', { path: old.path }),
        'unsupported manifest version',
      );
      const packed = randomUUID();
      const archive = zip({ 'manifest.json': JSON.stringify({ manifest_version: 3, name: packed, version: '1.0' }) });
      const sent = await context.call('install_extension', { archive: archive.toString('base64') });
      assert.equal(sent.data['name'], packed);
      const url = `${context.pages}/bytes?base64=${archive.toString('base64url')}`;
      assert.equal((await context.call('install_extension', { url })).data['id'], sent.data['id']);
      return 'from folders, an archive and a url; a warning, a refusal';
    },
  },
  {
    tool: 'list_extensions',
    async run(context) {
      await installSample(context);
      const made = await writeExtension(context, {});
      const { data } = await context.call('install_extension', { path: made.path });
      const answer = await context.call('list_extensions');
      const sample = rowWith(answer, 'extensions', { id: extensionId });
      assert.equal(sample['name'], 'Page Notes');
      assert.equal(sample['serviceWorker'], 'running');
      assert.ok(Number(sample['contexts']) >= 1, 'the service worker is a context');
      const other = rowWith(answer, 'extensions', { id: data['id'], name: made.name, enabled: true });
      assert.equal(other['serviceWorker'], 'none');
      assertIncludes(answer.text, made.name);
      return `${sample['name']}, worker ${sample['serviceWorker']}`;
    },
  },
  {
    tool: 'evaluate_in_extension',
    async run(context) {
      await installSample(context);
      const word = randomUUID();
      const stored = `chrome.storage.local.set({ word: "${word}" }).then(() => chrome.storage.local.get("word"))`;
      const { text, data } = await context.call('evaluate_in_extension', { extensionId, expression: stored });
      assert.deepEqual(JSON.parse(String(data['result'])), { word });
      assertIncludes(text, word);
      await context.navigate(`${context.pages}/extension-notes.html`);
      const target = 'content_script';
      assert.equal(
        await evaluateInSample(context, '() => chrome.runtime.id + location.pathname', { target }),
        `${extensionId}/extension-notes.html`,
      );
      const thrown = await context.expectError('evaluate_in_extension', {
        extensionId,
        expression: `{ throw new Error("${word}") }`,
      });
      assertIncludes(thrown, word);
      return 'in the service worker and in a content script';
    },
  },
  {
    tool: 'activate_extension_service_worker',
    async run(context) {
      await installSample(context);
      const running = await context.call('activate_extension_service_worker', { extensionId });
      assert.equal(running.data['before'], 'running');
      const broken = await writeExtension(context, { background: { service_worker: 'worker.js' } });
      const word = randomUUID();
      await writeFile(join(broken.path, 'worker.js'), `throw new Error("${word}");`);
      const { data } = await context.call('install_extension', { path: broken.path });
      assertIncludes(await context.expectError('activate_extension_service_worker', { extensionId: data['id'] }), word);
      await writeFile(join(broken.path, 'worker.js'), '');
      const mended = await context.call('activate_extension_service_worker', { extensionId: data['id'] });
      assert.equal(mended.data['before'], 'none');
      const row = rowWith(await context.call('list_extensions'), 'extensions', { id: data['id'] });
      assert.equal(row['serviceWorker'], 'running');
      assertIncludes(mended.text, broken.name);
      return 'a worker that throws named its error and, mended, came up';
    },
  },
];

const localSignature = Buffer.from('PK\x03\x04', 'latin1');
const centralSignature = Buffer.from('PK\x01\x02', 'latin1');
const endSignature = Buffer.from('PK\x05\x06', 'latin1');

/** A zip archive of a few small files, not compressed (APPNOTE 4.3). */
export function zip(files: Readonly<Record<string, string>>): Buffer {
  const locals: Buffer[] = [];
  const centrals: Buffer[] = [];
  let offset = 0;
  for (const [path, text] of Object.entries(files)) {
    const [name, content] = [Buffer.from(path), Buffer.from(text)];
    const facts = Buffer.alloc(26);
    facts.writeUInt16LE(10, 0);
    facts.writeUInt32LE(crc32(content), 10);
    facts.writeUInt32LE(content.length, 14);
    facts.writeUInt32LE(content.length, 18);
    facts.writeUInt16LE(name.length, 22);
    const place = Buffer.alloc(14);
    place.writeUInt32LE(offset, 10);
    const local = Buffer.concat([localSignature, facts, name, content]);
    locals.push(local);
    centrals.push(Buffer.concat([centralSignature, Buffer.alloc(2), facts, place, name]));
    offset += local.length;
  }
  const directory = Buffer.concat(centrals);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(centrals.length, 4);
  end.writeUInt16LE(centrals.length, 6);
  end.writeUInt32LE(directory.length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...locals, directory, endSignature, end]);
}
