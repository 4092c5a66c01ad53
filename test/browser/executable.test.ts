import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runInThisContext } from 'node:vm';
import { findExecutable, findRunningChrome } from '../../src/browser/process/executable.js';
import { launchBrowser } from '../../src/browser/process/launchBrowser.js';
import { createResourceLedger } from '../../src/browser/process/browserConnection.js';
import { chromium } from '../support/chromium.js';

describe('the browser to launch', () => {
  let folder: string;
  let script: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'executable-test-'));
    script = join(folder, 'chrome');
    await writeFile(script, '#!/bin/sh\necho "libnss3.so: cannot open shared object file" >&2\nexit 127\n');
    await chmod(script, 0o755);
    await writeFile(join(folder, 'plain'), 'text');
  });

  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('is the named one before CHROME_PATH, and CHROME_PATH before an installed one', async () => {
    expect(await findExecutable({ executablePath: script, chromePath: '/nowhere' })).toBe(script);
    expect(await findExecutable({ chromePath: script })).toBe(script);
  });

  it('is an installed one when none is named', async () => {
    expect(await findExecutable()).toMatch(/chrom/i);
  });

  it.each([
    ['--executable-path', { executablePath: '/nowhere/chrome' }],
    ['CHROME_PATH', { chromePath: '/nowhere/chrome' }],
  ])('is refused by the name of %s when the path is wrong, with the mend', async (by, options) => {
    const refused = expect(findExecutable(options)).rejects;
    await refused.toMatchObject({
      reason: 'browser_failed',
      message: expect.stringMatching(new RegExp(`^${by} names /nowhere/chrome, .*greenroom install-browser`)),
    });
  });

  it.each(['', 'plain'])('is refused when it is no executable file: "%s"', async (name) => {
    await expect(findExecutable({ executablePath: join(folder, name) })).rejects.toThrow('not an executable file');
  });

  it('of a channel that is not installed is refused by the name of the flag, before CHROME_PATH', async () => {
    const refused = findExecutable({ channel: 'canary', chromePath: script });
    await expect(refused).rejects.toThrow(/^--channel canary: there is no such Chrome .*--executable-path/);
  });

  it('is never one of Windows, where Linux runs below it; who names that is told what to do', async () => {
    const windows = await mkdtemp(join(folder, 'wsl-'));
    const programs = {
      'chrome.exe': 'exit 0',
      wslinfo: `echo 2.0; touch ${windows}/started`,
      'cmd.exe': "echo 'C:\\Programs'",
      wslpath: `echo ${windows}/chrome.exe`,
    };
    for (const [name, line] of Object.entries(programs))
      await writeFile(join(windows, name), `#!/bin/sh\n${line}\n`, { mode: 0o755 });
    // Of the process, which the library passes on; the one of a test is a copy.
    const env = runInThisContext('process.env') as Record<string, string>;
    const { PATH = '' } = env;
    env['PATH'] = `${windows}:${PATH}`;
    try {
      expect(await findExecutable()).toMatch(/chromium|chrome$/i);
      // No program is started, which a server with other clients would wait for.
      expect(await readdir(windows)).not.toContain('started');
      await expect(findExecutable({ channel: 'canary' })).rejects.toThrow(/^--channel canary is .*WSL.*--browser-url/);
      const chromePath = join(windows, 'chrome.exe');
      await expect(findExecutable({ chromePath })).rejects.toThrow(/^CHROME_PATH names .*WSL.*install-browser/);
    } finally {
      env['PATH'] = PATH;
    }
  });

  it('is looked for among those that run by what it wrote into its profile', async () => {
    const userDataDir = await mkdtemp(join(folder, 'profile-'));
    const ports = join(userDataDir, 'DevToolsActivePort');
    const missing = expect(findRunningChrome({ userDataDir })).rejects;
    await missing.toThrow(
      /^No Chrome allows remote debugging: .*DevToolsActivePort.*chrome:\/\/inspect\/#remote-debugging/,
    );
    await writeFile(ports, 'half of it');
    await expect(findRunningChrome({ userDataDir })).rejects.toThrow('No Chrome allows remote debugging');
    await writeFile(ports, '9333\n/devtools/browser/0-1\n');
    expect(await findRunningChrome({ userDataDir })).toBe('ws://127.0.0.1:9333/devtools/browser/0-1');
  });

  it('that exits and writes nothing is refused with how it ended', async () => {
    const silent = join(folder, 'silent');
    await writeFile(silent, '#!/bin/sh\nexit 3\n', { mode: 0o755 });
    const launching = launchBrowser({
      executablePath: silent,
      folder: join(folder, 'silent-profile'),
      headless: true,
      signal: new AbortController().signal,
      ledger: createResourceLedger(),
    });
    await expect(launching).rejects.toThrow('did not start: it exited with code 3 and wrote nothing to stderr.');
  });

  it('whose folder cannot be written, as on a full disk, is refused with what to do, and leaves nothing behind', async () => {
    const ledger = createResourceLedger();
    const full = join(folder, 'full');
    // Where the profile has to be, there is a file.
    await mkdir(full);
    await writeFile(join(full, 'profile'), '');
    const { signal } = new AbortController();
    const launching = launchBrowser({ executablePath: script, folder: full, headless: true, signal, ledger });
    await expect(launching).rejects.toMatchObject({
      reason: 'browser_failed',
      message: expect.stringMatching(/^The folder \S+full for a browser cannot be written: .*set TMPDIR/),
    });
    expect(await readdir(folder)).not.toContain('full');
    expect(ledger.profiles).toEqual({ opened: 0, closed: 0 });
  });

  it('that does not start is refused with its own last words and leaves nothing behind', async () => {
    const ledger = createResourceLedger();
    const profile = join(folder, 'profile');
    const launching = launchBrowser({
      executablePath: script,
      folder: profile,
      headless: true,
      signal: new AbortController().signal,
      ledger,
    });
    await expect(launching).rejects.toMatchObject({
      reason: 'browser_failed',
      message: expect.stringMatching(/libnss3\.so.* Run .greenroom doctor/),
    });
    expect(ledger.processes).toEqual({ opened: 1, closed: 1 });
    expect(ledger.profiles).toEqual({ opened: 1, closed: 1 });
    await expect(rm(profile, { recursive: true })).rejects.toThrow('ENOENT');
  });

  it.each([
    ['a display', 'The platform failed to initialize.  Exiting.', /--headless=false needs a display.*xvfb-run/],
    ['its sandbox', 'FATAL: No usable sandbox! Update your kernel', /does not allow its sandbox.*--sandbox off/],
  ])('that lacks %s is refused in one sentence, with the way out', async (_, words, told) => {
    const lacking = join(folder, 'lacking');
    await writeFile(lacking, `#!/bin/sh\necho "[1:1:ERROR:dbus] noise" >&2\necho "${words}" >&2\nexit 1\n`, {
      mode: 0o755,
    });
    const launching = launchBrowser({
      executablePath: lacking,
      folder: join(folder, 'lacking-profile'),
      headless: false,
      signal: new AbortController().signal,
      ledger: createResourceLedger(),
    });
    const refused: unknown = await launching.catch((error: unknown) => error);
    expect(refused).toMatchObject({ message: expect.stringMatching(told) });
    expect(String(refused)).not.toMatch(/noise|\n/);
  });

  it('gets the flags that the operator names', async () => {
    const recorder = join(folder, 'recorder');
    await writeFile(recorder, '#!/bin/sh\necho "$@" >&2\nexit 1\n', { mode: 0o755 });
    const launching = launchBrowser({
      executablePath: recorder,
      folder: join(folder, 'recorder-profile'),
      headless: true,
      sandbox: 'off',
      proxyServer: 'socks5://127.0.0.1:1080',
      chromeArg: ['--lang=de'],
      signal: new AbortController().signal,
      ledger: createResourceLedger(),
    });
    await expect(launching).rejects.toThrow(/--proxy-server=socks5:\/\/127\.0\.0\.1:1080.*--no-sandbox.*--lang=de/);
  });

  it('whose start is cancelled is ended, with its folder', async () => {
    const ledger = createResourceLedger();
    const cancel = new AbortController();
    const launching = launchBrowser({
      executablePath: chromium,
      folder: join(folder, 'cancelled'),
      headless: true,
      signal: cancel.signal,
      ledger,
    });
    setImmediate(() => cancel.abort(new Error('not wanted')));
    await expect(launching).rejects.toThrow('not wanted');
    expect(ledger.processes.closed).toBe(ledger.processes.opened);
    await expect(rm(join(folder, 'cancelled'), { recursive: true })).rejects.toThrow('ENOENT');
  });
});
