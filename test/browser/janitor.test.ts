import { spawn, type ChildProcess, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { findLeftovers, openRunFolder, removeLeftovers } from '../../src/browser/process/janitor.js';
import { waitUntil } from './support/testPool.js';

const programs = join(import.meta.dirname, 'support');

/** The processes whose command line carries this text. */
async function processesWith(text: string): Promise<string[]> {
  const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(ids.map((id) => readFile(`/proc/${id}/cmdline`, 'utf8').catch(() => '')));
  return ids.filter((_, index) => lines[index]?.includes(text));
}

function startServer(script: string, parent: string): ChildProcessByStdio<null, Readable, null> {
  return spawn(process.execPath, [join(programs, script), parent], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

describe('a run folder', () => {
  let parent: string;

  beforeEach(async () => {
    parent = await mkdtemp(join(tmpdir(), 'janitor-test-'));
  });

  afterEach(async () => {
    await rm(parent, { recursive: true, force: true });
  });

  it('that cannot be written, as on a full disk, is refused with what to do', async () => {
    const refused = openRunFolder(join(parent, 'missing'));
    await expect(refused).rejects.toMatchObject({
      reason: 'browser_failed',
      message: expect.stringMatching(
        /^The temporary folder \S+missing cannot be written: .* or set TMPDIR to a folder/,
      ),
    });
  });

  it('is removed with everything in it, once', async () => {
    const run = await openRunFolder(parent);
    await mkdir(join(run.nextBrowserFolder(), 'profile'), { recursive: true });
    await Promise.all([run.close(), run.close()]);
    expect(await readdir(parent)).toEqual([]);
  });

  it('takes the processes along that were started out of it, and no others', async () => {
    const run = await openRunFolder(parent);
    const sleeper = (argument: string): ChildProcess =>
      spawn('/bin/sh', ['-c', 'echo up; while :; do sleep 1; done', argument], { detached: true });
    const ours = sleeper(`--user-data-dir=${run.path}/1/profile`);
    const other = sleeper(`--user-data-dir=${run.path}-of-somebody-else/1`);
    await Promise.all([once(ours.stdout ?? ours, 'data'), once(other.stdout ?? other, 'data')]);
    const ended = once(ours, 'exit');
    await run.close();
    expect((await ended)[1]).toBe('SIGKILL');
    expect(other.signalCode).toBeNull();
    const otherEnded = once(other, 'exit');
    process.kill(-Number(other.pid), 'SIGKILL');
    await otherEnded;
  });

  it('leaves neither processes nor folders when the server is killed', async () => {
    const server = startServer('serverThatDies.js', parent);
    const [line] = (await once(server.stdout, 'data')) as [Buffer];
    const path = line.toString('utf8').trim();
    expect((await processesWith(path)).length).toBeGreaterThan(2);
    server.kill('SIGKILL');
    await once(server, 'exit');
    await waitUntil(async () => !existsSync(path) && (await processesWith(path)).length === 0);
    expect(await readdir(parent)).toEqual([]);
  });

  it('is waited for by a server that stops', async () => {
    const server = startServer('serverThatStops.js', parent);
    const said = once(server.stdout, 'data');
    const [code] = (await once(server, 'exit')) as [number | null];
    expect(code).toBe(0);
    expect(String(await said)).toBe('stopped\n');
    expect(await readdir(parent)).toEqual([]);
  });

  it('of a dead server is found and removed by the next one; those of living servers stay', async () => {
    const living = await openRunFolder(parent);
    const dead = join(parent, 'greenroom-dead01');
    await mkdir(join(dead, '1/profile'), { recursive: true });
    const owner = await readFile(join(living.path, 'owner'), 'utf8');
    // The same process id, given to another process later.
    await writeFile(join(dead, 'owner'), `${owner}0`);
    await mkdir(join(parent, 'greenroom-isborn'));
    expect(await findLeftovers(parent)).toEqual([dead]);
    await removeLeftovers([dead]);
    expect((await readdir(parent)).sort()).toEqual(['greenroom-isborn', living.path.slice(parent.length + 1)].sort());
    await living.close();
  });
});
