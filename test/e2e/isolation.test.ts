import { startPageServer, type PageServer } from '../../src/selftest/pageServer.js';
import { BrowsingClient, textOf } from './support/browsingClient.js';
import { startServerProcess, type ServerProcess } from './support/serverProcess.js';

const clients = 8;

describe('several clients of one user at once', () => {
  let pages: PageServer;
  let server: ServerProcess;
  let browsings: BrowsingClient[];

  beforeAll(async () => {
    [pages, server] = await Promise.all([startPageServer(), startServerProcess()]);
    browsings = await Promise.all(
      Array.from({ length: clients }, () => BrowsingClient.open(server.url, '?userId=alice')),
    );
  });
  afterAll(async () => {
    await Promise.all(browsings.map((browsing) => browsing.close()));
    await server.dispose();
    await pages.close();
  });

  test('[S6] regression: each sees and touches only its own pages, whatever the others do meanwhile', async () => {
    const seen = await Promise.all(
      browsings.map(async (browsing, index) => {
        const own = `${pages.url}/index.html?client=${index}`;
        await browsing.text('new_page', { url: own });
        await browsing.evaluate(`() => {
          document.title = 'client ${index}';
          document.cookie = 'who=client-${index}';
          localStorage.setItem('who', 'client-${index}');
          console.log('hello from client ${index}');
          return fetch('/echo?from=client-${index}').then(() => 1);
        }`);
        return {
          pages: await browsing.text('list_pages'),
          console: await browsing.text('list_console_messages'),
          network: await browsing.text('list_network_requests'),
          page: await browsing.evaluate('() => [document.title, document.cookie, localStorage.getItem("who")]'),
        };
      }),
    );
    for (const [index, { page, ...texts }] of seen.entries()) {
      expect(page).toEqual([`client ${index}`, `who=client-${index}`, `client-${index}`]);
      for (const text of Object.values(texts)) expect(clientsNamedIn(text)).toEqual([index]);
    }
  });

  test.each([
    ['a folder outside', { path: '/nowhere/at-all' }, 'outside the folders'],
    ['a file that is none', { path: 'package.json' }, 'is not a folder'],
    ['a folder without a manifest', { path: 'test/support' }, 'manifest.json: there is none'],
    ['an archive that is none', { archive: 'bm8gemlw' }, 'neither a zip nor a crx'],
    ['an address that nobody answers', { url: 'http://127.0.0.1:9/x.zip' }, '127.0.0.1:9'],
    ['nothing', {}, 'exactly one'],
  ])('an installation of %s is refused before the session gives up its pages', async (_what, args, reason) => {
    const browsing = await BrowsingClient.open(server.url);
    await browsing.text('new_page', { url: `${pages.url}/index.html` });
    await browsing.evaluate("() => { document.cookie = 'kept=1'; window.entered = 'kept'; return 1; }");
    const answer = await browsing.call('install_extension', args);
    expect(answer).toMatchObject({ isError: true });
    expect(textOf(answer)).toContain(reason);
    expect(textOf(answer)).not.toContain('moved');
    expect(await browsing.data('get_connected_browser')).toMatchObject({ isolation: 'context', pages: 1 });
    expect(await browsing.evaluate('() => [document.cookie, window.entered]')).toEqual(['kept=1', 'kept']);
    await browsing.close();
  });

  test('looking for extensions before one is installed moves no session, whose cookies stay', async () => {
    const browsing = await BrowsingClient.open(server.url);
    await browsing.text('new_page', { url: `${pages.url}/index.html` });
    await browsing.evaluate("() => { document.cookie = 'kept=1'; return 1; }");
    expect(await browsing.text('list_extensions')).toBe('No extension is installed. Call install_extension.');
    const answer = await browsing.call('list_extension_contexts', { extensionId: 'a'.repeat(32) });
    expect(answer).toMatchObject({ isError: true });
    expect(textOf(answer)).toContain('Call install_extension first.');
    expect(await browsing.data('get_connected_browser')).toMatchObject({ isolation: 'context', pages: 1 });
    expect(await browsing.evaluate('() => document.cookie')).toContain('kept=1');
    await browsing.close();
  });

  test('a session that lists its pages has one, which new_page then takes', async () => {
    const browsing = await BrowsingClient.open(server.url);
    expect(await browsing.data('get_connected_browser')).toMatchObject({ pages: 1, selectedPageId: 1 });
    expect(await browsing.data('list_pages')).toMatchObject({ pages: [{ id: 1, url: 'about:blank', selected: true }] });
    const url = `${pages.url}/index.html`;
    expect(await browsing.data('new_page', { url })).toMatchObject({ pageId: 1 });
    expect(await browsing.data('list_pages')).toMatchObject({ pages: [{ id: 1, url }] });
    expect(await browsing.data('new_page', { url })).toMatchObject({ pageId: 2 });
    await browsing.close();
  });

  test("[S6] a page id of another session is not known, and a page's uid neither", async () => {
    const [first, second] = browsings;
    const { pageId } = (await first?.data('new_page', { url: `${pages.url}/index.html` })) ?? {};
    await first?.data('new_page', { url: `${pages.url}/index.html` });
    const known = Number(pageId) + 1;
    const answer = await second?.call('select_page', { pageId: known });
    expect(answer?.isError).toBe(true);
    expect(answer && textOf(answer)).toMatch(new RegExp(`no page ${known}`, 'i'));
  });
});

function clientsNamedIn(text: string): number[] {
  return [...new Set([...text.matchAll(/client[- =](\d)/g)].map(([, index]) => Number(index)))];
}
