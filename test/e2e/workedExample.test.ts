import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sampleExtension } from '../../src/selftest/pageServer.js';
import { sampleExtensionId as extensionId } from '../../src/selftest/sampleExtension.js';
import { Browsing } from './support/browse.js';
import { startServerProcess } from './support/serverProcess.js';
import { root } from '../support/root.js';

const readme = join(root, 'README.md');

/** What differs from one run to the next: times, and where the extension lies. */
const steady = (text: string): string =>
  text.replaceAll(/(?<!\d)\d+ ms/g, 'N ms').replaceAll(/"path":"[^"]*"/g, '"path":"…"');

test('[C-EXAMPLE] the worked example of the README finds and mends the bug of the sample extension in six calls', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'page-notes-'));
  const server = await startServerProcess(['--workspace', folder]);
  const transcript: string[] = [];
  try {
    await cp(sampleExtension, folder, { recursive: true });
    const browsing = await Browsing.open(server.url);
    const call = async (name: string, args: Record<string, unknown>): Promise<void> => {
      const text = await browsing.text(name, args);
      transcript.push(`> ${name} ${JSON.stringify(args)}\n${text.trim()}`);
    };
    const message = { type: 'notes.measure' };
    await call('install_extension', { path: folder });
    await call('send_extension_message', { extensionId, message });
    await call('get_extension_runtime_errors', { extensionId });

    const worker = join(folder, 'worker.js');
    const code = await readFile(worker, 'utf8');
    await writeFile(worker, code.replace('note.text.length', 'note?.text.length ?? 0'));

    await call('clear_extension_errors', { extensionId });
    await call('reload_extension', { extensionId });
    await call('send_extension_message', { extensionId, message });
    await browsing.close();
  } finally {
    await server.dispose();
    await rm(folder, { recursive: true, force: true });
  }
  const shown = steady(await readFile(readme, 'utf8'));
  for (const step of transcript) expect(shown).toContain(steady(step));
});
