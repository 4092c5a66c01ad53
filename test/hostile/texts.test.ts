import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Protocol } from 'puppeteer-core';
import { harParts, type RecordedRequest } from '../../src/browser/collectors/har.js';
import { describeException } from '../../src/browser/collectors/consoleMessage.js';
import { unpackExtension } from '../../src/browser/extensions/extensionArchive.js';
import { auditExtension } from '../../src/browser/extensions/audit/auditExtension.js';
import { ExtensionLog } from '../../src/browser/extensions/extensionLog.js';
import type { Extension } from '../../src/browser/extensions/installedExtensions.js';
import { readManifest } from '../../src/browser/extensions/manifest.js';
import { outlineItems } from '../../src/browser/page/snapshot.js';
import { inSlices } from '../../src/browser/patterns/slices.js';
import { truncateAnswer } from '../../src/tools/answers.js';
import { decodeArchive } from '../../src/browser/extensions/extensionArchive.js';
import { hasJsonWebToken } from '../../src/text.js';

/** For work that takes milliseconds in linear time, and half a minute or more in quadratic. */
const generous = 5_000;
const never = new AbortController().signal;

/** Milliseconds of processor time: other processes of a busy machine do not count. */
async function spent(work: () => unknown): Promise<number> {
  const begun = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(begun);
  return (user + system) / 1_000;
}

const exception = (description: string): Protocol.Runtime.ExceptionThrownEvent => ({
  timestamp: 1,
  exceptionDetails: {
    exceptionId: 1,
    text: 'Uncaught',
    lineNumber: 0,
    columnNumber: 0,
    exception: { type: 'object', subtype: 'error', description },
  },
});

describe('what a page throws', () => {
  test.each([
    ['line ends', '\n'.repeat(400_000)],
    ['blanks', ' '.repeat(400_000)],
    ['lines of blanks', '\n \t '.repeat(100_000)],
    ['brackets', `\n    at ${'a ('.repeat(200_000)}`],
    ['places', `\n    at a (${':1:1'.repeat(200_000)}`],
  ])('an error of many %s', async (_name, text) => {
    const log = new ExtensionLog();
    const from = { extensionId: 'a', name: 'service_worker', worker: undefined };
    expect(await spent(() => describeException(exception(`Error: ${text}!`)))).toBeLessThan(generous);
    expect(await spent(() => log.recordException(exception(`Error: ${text}!`), from))).toBeLessThan(generous);
  });

  test('the stack of an error is still kept apart from its message', () => {
    const stack = [
      'Error: no',
      '    at work (chrome-extension://a/w.js:2:15)',
      '    at chrome-extension://a/w.js:9:1',
      '    at async Promise.all (index 0)',
    ];
    expect(describeException(exception(stack.join('\n'))).text).toBe('Uncaught Error: no');
    const log = new ExtensionLog();
    log.recordException(exception(stack.join('\n')), { extensionId: 'a', name: 'service_worker', worker: undefined });
    expect(log.errors('a')[0]?.stack).toEqual([
      { functionName: 'work', url: 'chrome-extension://a/w.js', line: 2, column: 15 },
      { functionName: '(anonymous)', url: 'chrome-extension://a/w.js', line: 9, column: 1 },
    ]);
  });
});

describe('what a page stores', () => {
  test.each([
    'eyJ'.repeat(1_000_000),
    '-eyJ'.repeat(700_000),
    'eyJa.'.repeat(600_000),
    `${'-eyJ'.repeat(500_000)}.eyJ`,
  ])('a value that begins like a token', async (value) =>
    expect(await spent(() => inSlices(hasJsonWebToken(value), never, generous))).toBeLessThan(generous),
  );

  test('such a value is looked through in many steps', () => {
    expect([...hasJsonWebToken('a.eyJ '.repeat(600_000))].length).toBeGreaterThan(1_000);
  });

  test('a token is still recognised', async () => {
    expect(await inSlices(hasJsonWebToken('Bearer eyJhbGciOi.eyJzdWIi-_.c2ln'))).toBe(true);
    expect(await inSlices(hasJsonWebToken('{"t":"id-eyJhbGciOi.eyJzdWIi."}'))).toBe(true);
    expect(await inSlices(hasJsonWebToken('eyJhbGciOi.eyJzdWIi'))).toBe(false);
    expect(await inSlices(hasJsonWebToken('keyJhbGciOi.eyJzdWIi.'))).toBe(false);
    expect(await inSlices(hasJsonWebToken('eyJhbGciOi!.eyJzdWIi.'))).toBe(false);
  });
});

test('what is read of a wide page is checked in many steps', () => {
  const items = Array.from({ length: 5_000 }, (_, index) => ({ parent: index - 1, role: 'button', name: `B${index}` }));
  expect([...outlineItems(JSON.stringify(items))].length).toBeGreaterThan(20);
});

test('an archive of requests is written one request after another', () => {
  const request = (id: number): RecordedRequest => {
    const plain = {
      url: `https://example.com/?id=${id}`,
      method: 'GET',
      type: 'Fetch',
      protocol: 'h2',
      mimeType: 'text/plain',
    };
    const more = { requestHeaders: {}, responseHeaders: {}, remoteAddress: '', initiator: {}, startedAt: id };
    return {
      request: { ...plain, ...more } as unknown as RecordedRequest['request'],
      postData: undefined,
      body: { isText: true, content: `body ${id}` },
      messages: [],
    };
  };
  const parts = [...harParts({ url: 'https://example.com/', title: 'A' }, [1, 2, 3].map(request))];
  expect(parts.map((part) => part.match(/body \d/g))).toEqual([null, ['body 1'], ['body 2'], ['body 3'], null]);
  expect(JSON.parse(parts.join(''))).toMatchObject({
    log: {
      version: '1.2',
      pages: [{ title: 'A' }],
      entries: [{ pageref: 'page_1' }, {}, { response: { content: { text: 'body 3' } } }],
    },
  });
  expect(JSON.parse([...harParts({ url: '', title: '' }, [])].join(''))).toMatchObject({ log: { entries: [] } });
});

test('an answer is cut where a character ends, whatever its characters', async () => {
  expect(await spent(() => truncateAnswer('\uFFFD'.repeat(1_000_000), 'less', 900_001))).toBeLessThan(generous);
  expect(truncateAnswer('aé'.repeat(10), 'less', 8)).toMatch(/^aéaéa\n… cut/);
  expect(truncateAnswer('😀'.repeat(10), 'less', 9)).toMatch(/^😀😀\n… cut/);
});

describe('an archive', () => {
  test('of blanks is refused, or is empty, at once', async () => {
    expect(await spent(() => decodeArchive(' '.repeat(4_000_000)))).toBeLessThan(generous);
    expect(await spent(() => decodeArchive(`=${' '.repeat(4_000_000)}`))).toBeLessThan(generous);
    expect(
      await spent(() => expect(() => decodeArchive(`${' '.repeat(4_000_000)}!`)).toThrow('not base64')),
    ).toBeLessThan(generous);
    await expect(unpackExtension(Buffer.alloc(1_000_000, ' '), tmpdir(), never)).rejects.toThrow(
      'neither a zip nor a crx',
    );
  });

  test('in base64 is read with line ends and padding', () => {
    expect(decodeArchive('aGVs\nbG8=\n').toString()).toBe('hello');
    expect(decodeArchive('aGVsbG9v').toString()).toBe('helloo');
    expect(() => decodeArchive('a=b')).toThrow('not base64');
    expect(() => decodeArchive('a===')).toThrow('not base64');
  });
});

describe('the files of an extension', () => {
  let folder: string;
  beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), 'hostile-extension-'))));
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const plain = { manifest_version: 3, name: 'a', version: '1' };
  const extension = (): Extension => ({ id: 'a', name: 'a', version: '1', path: folder, enabled: true });

  async function audit(manifest: object | string, files: Record<string, string> = {}) {
    const text = typeof manifest === 'string' ? manifest : JSON.stringify({ ...plain, ...manifest });
    for (const [path, content] of Object.entries({ 'manifest.json': text, ...files })) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), content);
    }
    return auditExtension(extension(), never);
  }

  test.each([
    ['line ends', '\n'.repeat(300_000)],
    ['blanks', ' '.repeat(300_000)],
    ['returns', '\r'.repeat(300_000)],
    ['separators', '\u2028'.repeat(300_000)],
  ])('a manifest with 300,000 %s', async (_name, blank) => {
    const text = `{${blank}"manifest_version": 3, "name": "a", "version": "1"}`;
    expect(await spent(() => audit(text))).toBeLessThan(generous);
    expect(await spent(() => readManifest(extension()))).toBeLessThan(generous);
  });

  test.each([
    '/* ',
    '<!-- ',
    '<script ',
    '<script',
    '<a',
    '< a onclick ',
    'src ',
    'chrome.a.',
    ' //',
    '// ',
    '\n',
    ' ',
    '\r',
    'import ',
    'export',
    'tabs_',
    '/',
  ])('a script and a document of 2 MB of %j', async (part) => {
    const text = part.repeat(Math.ceil(2_000_000 / part.length));
    const manifest = { background: { service_worker: 'worker.js' }, permissions: ['tabs', 'storage', 'clipboardRead'] };
    expect(await spent(() => audit(manifest, { 'worker.js': text, 'page.html': text }))).toBeLessThan(2 * generous);
  });

  test('lists without end are looked at up to a bound, which is said', async () => {
    const resources = Array.from({ length: 20_000 }, (_, index) => `${index}*a*b`);
    const files = Object.fromEntries(
      Array.from({ length: 500 }, (_, index) => [`images/${'a'.repeat(100)}${index}.txt`, '']),
    );
    const manifest = { web_accessible_resources: [{ resources, matches: ['https://example.com/*'] }] };
    const run = async () => {
      const { findings, more } = await audit(manifest, files);
      expect(findings).toHaveLength(500);
      expect(more).toBeGreaterThan(500);
    };
    expect(await spent(run)).toBeLessThan(2 * generous);
  });

  test('texts that a manifest names are looked up once each', async () => {
    const names = Array.from({ length: 40_000 }, (_, index) => `__MSG_n${index}__`).join(' ');
    const messages = JSON.stringify(
      Object.fromEntries(Array.from({ length: 40_000 }, (_, index) => [`m${index}`, {}])),
    );
    const run = () => audit({ description: names, default_locale: 'en' }, { '_locales/en/messages.json': messages });
    expect(await spent(run)).toBeLessThan(generous);
  });

  test('what is too long is named', async () => {
    await expect(audit(`{"a": "${'a'.repeat(1_100_000)}"}`)).rejects.toThrow(
      /manifest\.json has \d+ bytes, and at most 1048576 are read/,
    );
    const { findings } = await audit(
      { permissions: ['storage'] },
      {
        'long.js': `${' '.repeat(9_000_000)}chrome.storage.local`,
        ...Object.fromEntries(Array.from({ length: 7 }, (_, at) => [`z${at}.js`, ' '.repeat(9_000_000)])),
      },
    );
    expect(findings).toContainEqual(expect.objectContaining({ at: 'long.js', severity: 'advice' }));
    expect(findings.map(({ problem }) => problem)).toContain(
      'It and 7 other files were not looked at: it has more than 8 MB.',
    );
    expect(findings.map(({ fix }) => fix)).toContain(
      'Nothing is said of it, nor of z0.js, z1.js, z2.js, z3.js, z4.js and 2 more.',
    );
    expect(findings.map(({ problem }) => problem).join()).not.toContain('"storage" is not used');
  });

  test.each([
    ['statements', 'chrome.storage.local.get(a.b, (c) => { if (c) d = e[f] + `${g}`; });\n'.repeat(3_000)],
    ['one sum', `x = ${'a + '.repeat(200_000)}1;`],
    ['brackets', `${'('.repeat(300_000)}1${')'.repeat(300_000)}`],
    ['functions in functions', `${'() => '.repeat(100_000)}1`],
    ['names', Array.from({ length: 20_000 }, (_, index) => `let v${index} = v${index + 1};`).join('')],
    ['aliases', Array.from({ length: 20_000 }, (_, index) => `var a${index} = a${index + 1} || b${index};`).join('')],
    ['code that stops in the middle', `${'f();'.repeat(100_000)} let let`],
  ])('a worker of many %s', async (_name, code) => {
    const findings = await audit({ background: { service_worker: 'worker.js' } }, { 'worker.js': code });
    expect(findings.more).toBe(0);
  });

  test('other work goes on while a bundle is audited', async () => {
    const code = 'function f(a) { return chrome.tabs.query({ a }, (b) => b.map((c) => c.url)); }\n'.repeat(5_000);
    let turns = 0;
    const turn = (): void => {
      turns += 1;
      next = setImmediate(turn);
    };
    let next = setImmediate(turn);
    await audit({ background: { service_worker: 'worker.js' } }, { 'worker.js': code });
    clearImmediate(next);
    expect(turns).toBeGreaterThan(100);
  });
});
