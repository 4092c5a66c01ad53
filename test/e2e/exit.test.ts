import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from '../support/chromium.js';
import { BrowsingClient } from './support/browsingClient.js';
import { startServerProcess } from './support/serverProcess.js';

test('[S5] what a child of the browser keeps open does not keep the server alive', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-exit-'));
  const [program, pidFile] = [join(folder, 'browser'), join(folder, 'pid')];
  // A process in a session of its own, which has the pipes of the browser and is not killed with it.
  await writeFile(program, `#!/bin/sh\nsetsid sleep 1000 & echo $! > ${pidFile}\nexec ${chromium} "$@"\n`);
  await chmod(program, 0o700);
  const server = await startServerProcess(['--executable-path', program, '--prewarm', '0']);
  try {
    const browsing = await BrowsingClient.open(server.url);
    await browsing.text('new_page', { url: 'about:blank' });
    browsing.client.onerror = () => void browsing.close();
    server.child.kill('SIGTERM');
    expect(await server.exited).toEqual([0, null]);
  } finally {
    process.kill(Number(await readFile(pidFile, 'utf8')), 'SIGKILL');
    await server.dispose();
    await rm(folder, { recursive: true, force: true });
  }
});

test('[S5] a server that is stopped while a warm session opens its page is gone soon after', async () => {
  const server = await startServerProcess(['--prewarm', '2']);
  server.child.kill('SIGTERM');
  const stopped = Date.now();
  expect(await server.exited).toEqual([0, null]);
  // The drain alone may take 10 s; a timer of the browser's library would take 30 s more.
  expect(Date.now() - stopped).toBeLessThan(30_000);
  await server.dispose();
});
