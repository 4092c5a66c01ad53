import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installChrome } from '../../src/browser/process/browserInstall.js';

describe('installing a browser that cannot be downloaded', () => {
  let cacheFolder: string;
  // Nothing listens there; and where the newest build cannot even be asked for, that is the same failure.
  const baseUrl = 'http://127.0.0.1:1/chrome';

  beforeAll(async () => {
    cacheFolder = await mkdtemp(join(tmpdir(), 'install-test-'));
  });

  afterAll(() => rm(cacheFolder, { recursive: true, force: true }));

  it('falls back to the package of the distribution, without questions', async () => {
    const lines: string[] = [];
    const commands: string[] = [];
    const path = await installChrome({
      cacheFolder,
      baseUrl,
      write: (line) => lines.push(line),
      mayUseApt: async () => true,
      run: async (command, args) => void commands.push([command, ...args].join(' ')),
    });
    expect(path).toMatch(/chrom/i);
    expect(commands).toEqual([
      'env DEBIAN_FRONTEND=noninteractive apt-get update',
      'env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends chromium',
    ]);
    expect(lines.at(-1)).toMatch(/could not be downloaded.*Trying the Chromium of this distribution/);
  });

  it('says plainly that neither works', async () => {
    const write = (): void => undefined;
    await expect(installChrome({ cacheFolder, baseUrl, write, mayUseApt: async () => false })).rejects.toThrow(
      /could not be downloaded: .*--executable-path/,
    );
    const run = (): Promise<void> => Promise.reject(new Error('no network'));
    await expect(installChrome({ cacheFolder, baseUrl, write, mayUseApt: async () => true, run })).rejects.toThrow(
      /could not be installed with apt-get: no network.*--executable-path/,
    );
  });
});
