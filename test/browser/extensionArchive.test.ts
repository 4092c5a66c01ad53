import { UrlRules } from '../../src/browser/policy/urlRules.js';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { unpackExtension, download } from '../../src/browser/extensions/extensionArchive.js';
import { crx, zip, type ZipEntry } from '../support/zipWriter.js';

const anyUrl = new UrlRules([], { blocksMetadata: false });

const signal = new AbortController().signal;
const manifest = (more: object = {}): ZipEntry => ({
  name: 'manifest.json',
  content: JSON.stringify({ name: 'A', ...more }),
});

let outer: string;
let parent: string;

beforeEach(async () => {
  outer = await mkdtemp(join(tmpdir(), 'greenroom-test-'));
  parent = join(outer, 'session');
  await mkdir(parent);
});
afterEach(() => rm(outer, { recursive: true, force: true }));

const unpack = (archive: Buffer): Promise<string> => unpackExtension(archive, parent, signal);

describe('an archive', () => {
  it('becomes a folder with its files', async () => {
    const folder = await unpack(
      zip([manifest(), { name: 'sub/', content: '' }, { name: 'sub/é.js', content: 'let a;' }]),
    );
    expect(dirname(folder)).toBe(parent);
    expect(await readFile(join(folder, 'sub/é.js'), 'utf8')).toBe('let a;');
    expect(await readdir(parent)).toEqual([basename(folder)]);
  });

  it('may be a crx of version 3 or 2', async () => {
    const archive = zip([manifest()]);
    const version2 = Buffer.alloc(16 + 3 + 4);
    version2.write('Cr24', 0, 'latin1');
    version2.writeUInt32LE(2, 4);
    version2.writeUInt32LE(3, 8);
    version2.writeUInt32LE(4, 12);
    for (const packed of [crx(archive), Buffer.concat([version2, archive])]) {
      expect(await readdir(await unpack(packed))).toEqual(['manifest.json']);
    }
  });

  it('may have everything in one folder', async () => {
    const nested = zip([
      { ...manifest(), name: 'project-main/manifest.json' },
      { name: '__MACOSX/x', content: '' },
    ]);
    expect(await readdir(await unpack(nested))).toEqual(['manifest.json']);
  });

  it('of the same extension takes the place of the one before, and of another one does not', async () => {
    const first = await unpack(zip([manifest({ version: '1' }), { name: 'old.js', content: '' }]));
    const second = await unpack(zip([manifest({ version: '2' })]));
    expect(second).toBe(first);
    expect(await readdir(second)).toEqual(['manifest.json']);
    expect(await unpack(zip([manifest({ name: 'B' })]))).not.toBe(first);
    const named = (words: string): Buffer =>
      zip([
        manifest({ name: '__MSG_name__', default_locale: 'en' }),
        { name: '_locales/en/messages.json', content: JSON.stringify({ name: { message: words } }) },
      ]);
    expect(await unpack(named('one'))).not.toBe(await unpack(named('two')));
  });

  const link: ZipEntry = { name: 'link', content: '/etc/passwd', mode: 0o120777 };
  const refused: [string, Buffer, RegExp][] = [
    ['that is none', Buffer.from('hello'), /neither a zip nor a crx/],
    ['that is empty', Buffer.alloc(0), /neither a zip nor a crx/],
    ['that is cut short', zip([manifest()]).subarray(0, 60), /cannot be unpacked/],
    ['of an unknown crx version', Buffer.from('Cr24\x09\0\0\0\0\0\0\0\0\0\0\0', 'latin1'), /crx archive of version 9/],
    [
      'without a manifest',
      zip([
        { name: 'a.js', content: '' },
        { name: 'b.js', content: '' },
      ]),
      /no manifest.json.*a.js, b.js/,
    ],
    [
      'that leads out of its folder',
      zip([manifest(), { name: '../../escaped', content: 'x' }]),
      /invalid relative path/,
    ],
    ['with backslashes that do', zip([manifest(), { name: '..\\..\\escaped', content: 'x' }]), /invalid relative path/],
    ['with an absolute path', zip([manifest(), { name: '/tmp/escaped', content: 'x' }]), /absolute path/],
    ['with a symbolic link', zip([manifest(), link, { name: 'link/x', content: '' }]), /has a link, "link"/],
    ['with the same file twice', zip([manifest(), manifest()]), /has "manifest.json" twice/],
    [
      'with a file that is a folder, too',
      zip([manifest(), { name: 'a', content: '' }, { name: 'a/b', content: '' }]),
      /has "a\/b" twice, or as a file and as a folder/,
    ],
    [
      'with contents that are not what it says',
      zip([manifest(), { name: 'a.js', content: 'x', checksum: 1 }]),
      /damaged: "a.js" has another checksum/,
    ],
    ['that is encrypted', zip([manifest(), { name: 'a.js', content: 'x', isEncrypted: true }]), /is encrypted/],
    ['with a name that no disk takes', zip([manifest(), { name: 'n'.repeat(300), content: '' }]), /ENAMETOOLONG/],
    [
      'with a name of 10,000 characters, of which 200 are told',
      zip([manifest(), { name: 'n'.repeat(10_000), content: '' }]),
      /^.{1,100}"n{200}…".{1,100}$/,
    ],
    [
      'in a crx whose header ends behind it',
      Buffer.from('Cr24\x03\0\0\0\xff\xff\xff\xff\0\0\0\0', 'latin1'),
      /cannot be unpacked/,
    ],
    [
      'that is bigger than it says',
      zip([manifest(), { name: 'bomb', content: 'x'.repeat(1e6), claimedLength: 10 }]),
      /too many bytes/,
    ],
    [
      'that says it is huge',
      zip([manifest(), { name: 'bomb', content: '', claimedLength: 0xfffffff0 }]),
      /more than 128 MB/,
    ],
    [
      'with too many files',
      zip(Array.from({ length: 10_001 }, (_, index) => ({ name: `f${index}/`, content: '' }))),
      /more than 10000 files/,
    ],
    ['that nests too deep', zip([{ name: `${'a/'.repeat(40)}x`, content: '' }]), /nests too deep/],
  ];
  it.each(refused)('%s is refused and leaves nothing', async (_name, archive, words) => {
    await expect(unpack(archive)).rejects.toThrow(words);
    await expect(unpack(archive)).rejects.toMatchObject({ name: 'ToolError' });
    expect(await readdir(parent)).toEqual([]);
    expect(await readdir(outer)).toEqual(['session']);
  });

  it('is one too many after twenty', async () => {
    for (let index = 0; index < 20; index += 1) await unpack(zip([manifest({ name: `n${index}` })]));
    await expect(unpack(zip([manifest({ name: 'one more' })]))).rejects.toThrow('Remove one with uninstall_extension');
    await unpack(zip([manifest({ name: 'n3', version: '2' })]));
    expect(await readdir(parent)).toHaveLength(20);
  });

  it('that is given up leaves nothing', async () => {
    const reason = new Error('given up');
    await expect(unpackExtension(zip([manifest()]), parent, AbortSignal.abort(reason))).rejects.toBe(reason);
    expect(await readdir(parent)).toEqual([]);
  });
});

describe('a download', () => {
  let server: Server | undefined;
  afterEach(() => {
    server?.closeAllConnections();
    server?.close();
  });

  async function serve(listener: RequestListener): Promise<string> {
    const listening = createServer(listener);
    server = listening;
    await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(listening.address() as AddressInfo).port}`;
  }

  const redirect =
    (location: (path: string) => string): RequestListener =>
    (request, response) => {
      if (request.url === '/end') response.end('the end');
      else response.writeHead(302, { location: location(request.url ?? '') }).end();
    };

  it('follows redirects, and refuses those to other schemes', async () => {
    const url = await serve(redirect((path) => (path === '/start' ? '/end' : 'file:///etc/passwd')));
    expect((await download(`${url}/start`, signal, anyUrl)).toString()).toBe('the end');
    await expect(download(`${url}/file`, signal, anyUrl)).rejects.toThrow('over http and https only, not file:');
  });

  it('gives up on redirects without end', async () => {
    const url = await serve(redirect((path) => `${path}x`));
    await expect(download(`${url}/`, signal, anyUrl)).rejects.toThrow('redirects more than 5 times');
  });

  it('says what the server answered, and does not quote it', async () => {
    const url = await serve((_request, response) => response.writeHead(404).end('secret'));
    const refusal = download(`${url}/gone.zip`, signal, anyUrl);
    await expect(refusal).rejects.toThrow(`${url}/gone.zip answered 404 Not Found.`);
    await expect(refusal).rejects.not.toThrow('secret');
  });

  it('stops at 64 MB', async () => {
    const chunk = Buffer.alloc(1024 * 1024);
    const url = await serve((_request, response) => {
      const more = (): void => void response.write(chunk, () => response.destroyed || setImmediate(more));
      more();
    });
    await expect(download(url, signal, anyUrl)).rejects.toThrow('more than 64 MB');
  });

  it('ends with the reason of a cancellation', async () => {
    const cancel = new AbortController();
    const url = await serve(() => cancel.abort(new Error('cancelled')));
    await expect(download(url, cancel.signal, anyUrl)).rejects.toThrow('cancelled');
  });

  const addresses: [string, RegExp][] = [
    ['file:///etc/passwd', /http and https only/],
    ['data:text/plain,x', /http and https only/],
    ['nonsense', /is no URL/],
    ['http://user:word@127.0.0.1/', /Leave name and password out/],
    ['http://127.0.0.1:1/', /could not be fetched/],
  ];
  it.each(addresses)('refuses %s', async (address, words) => {
    await expect(download(address, signal, anyUrl)).rejects.toThrow(words);
  });
});
