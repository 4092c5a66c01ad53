import { startToolHarness } from './support/toolHarness.js';
import { startPageServer } from '../../src/selftest/pageServer.js';
import { navigationTools } from '../../src/tools/navigation.js';
import { lookTools } from '../../src/tools/look.js';
import { pageTools } from '../../src/tools/pages.js';
import { inputTools } from '../../src/tools/input/index.js';
test('try', async () => {
  const h = await startToolHarness([...navigationTools, ...lookTools, ...inputTools, ...pageTools]);
  const log = (x: unknown) => process.stdout.write(String(x) + '\n');
  const srv = await startPageServer();
  const time = async (name: string, f: () => Promise<unknown>) => { const t = performance.now(); const v = await f().catch(e => e.message); log(name + ' ' + (performance.now() - t).toFixed(1)); return v as any; };
  try {
    await h.text('navigate_page', { url: srv.url + '/settle.html' });
    await h.run('new_page', { url: srv.url + '/look.html' });
    for (const pageId of [1, 2]) {
    if (pageId === 1) await h.browser.page(1).cdp.send('Emulation.setFocusEmulationEnabled', {enabled: process.env['FOCUS'] === '1'});
    log(await h.text('evaluate_script', { pageId, function: '() => [document.visibilityState, document.hasFocus()]' }));
    const s = await time('snap', () => h.text('take_snapshot', { pageId })) as string;
    log(await time('click', () => h.text('click', { pageId, uid: /uid=(e\d+) button/.exec(s)?.[1] })));
    log(await time('shot', () => h.text('take_screenshot', { pageId }, { signal: AbortSignal.timeout(5000) })));
    }
    log(await h.text('evaluate_script', { function: '() => window.close()' }));
    log(await h.text('list_pages'));
  } finally { await h.close(); await srv.close(); }
}, 20000);
