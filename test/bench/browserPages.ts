import { execFile } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import { promisify } from 'node:util';

/** A page that servers are measured on: the name of its figures, and its address. */
export interface BenchPage {
  readonly name: 'sections' | 'table' | 'app' | 'docs';
  readonly url: string;
}

export interface BenchPages {
  readonly pages: readonly BenchPage[];
  close(): Promise<void>;
}

/** The button of the page of sections that does nothing but note that it was clicked. */
export const button = 'The quiet one';
export const field = 'The empty one';

const docs = { package: 'sqlite3-doc', page: '/usr/share/doc/sqlite3/pragma.html' };
const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.gif': 'image/gif',
  '.svg': 'image/svg+xml',
};

/**
 * Serves 500 sections, a table of 5,000 rows, an app of 200 components that fetch what they show, and a manual page of a Debian
 * package, which is downloaded and not installed; without apt there is no manual page. The caller closes it.
 */
export async function serveBenchPages(report: (line: string) => void): Promise<BenchPages> {
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-bench-pages-'));
  const hasDocs = await unpackDocs(folder).then(
    () => true,
    (error: unknown) => {
      report(`no page of ${docs.package}: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`);
      return false;
    },
  );
  const preact = await readFile(createRequire(import.meta.url).resolve('preact'), 'utf8');
  const made: Readonly<Record<string, { readonly type: string; readonly body: string }>> = {
    '/sections': { type: 'text/html', body: sectionsPage() },
    '/table': { type: 'text/html', body: tablePage() },
    '/app': { type: 'text/html', body: appPage },
    '/preact.mjs': { type: 'text/javascript', body: preact },
    '/items': {
      type: 'application/json',
      body: JSON.stringify(numbers(200).map((id) => ({ id, name: `Item ${id}` }))),
    },
  };
  const server = createServer(({ url = '/' }, response) => {
    const { pathname } = new URL(url, 'http://localhost');
    const page = made[pathname];
    if (page !== undefined) {
      response.writeHead(200, { 'content-type': `${page.type}; charset=utf-8` }).end(page.body);
      return;
    }
    const file = createReadStream(join(folder, normalize(pathname)));
    file.once('error', () => response.writeHead(404).end());
    file.once('open', () => {
      response.writeHead(200, { 'content-type': types[extname(pathname)] ?? 'application/octet-stream' });
      file.pipe(response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const names = ['sections', 'table', 'app'] as const;
  return {
    pages: [
      ...names.map((name) => ({ name, url: `${base}/${name}` })),
      ...(hasDocs ? [{ name: 'docs' as const, url: base + docs.page }] : []),
    ],
    close: async () => {
      server.close();
      server.closeAllConnections();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function unpackDocs(cwd: string): Promise<void> {
  const run = promisify(execFile);
  await run('apt-get', ['download', docs.package], { cwd });
  await run('sh', ['-c', 'dpkg-deb -x ./*.deb .'], { cwd });
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

function sectionsPage(): string {
  const section = (index: number): string =>
    `<section><h2>Section ${index}</h2><p>What it says of ${index}.</p><a href="#${index}">More</a><button>Do ${index}</button></section>`;
  const head = `<!doctype html><title>500 sections</title><button onclick="this.dataset.at = 'now'">${button}</button>`;
  return `${head}<label>${field} <input></label>${numbers(500).map(section).join('\n')}`;
}

function tablePage(): string {
  const row = (index: number): string =>
    `<tr><td><a href="#${index}">#${index}</a></td><td>Customer ${index % 97}</td><td>${(index * 17) % 900}.00</td><td>paid</td></tr>`;
  const rows = numbers(5_000).map(row).join('\n');
  return `<!doctype html><title>5,000 orders</title><table><thead><tr><th>Order<th>Customer<th>Amount<th>State</thead><tbody>${rows}</tbody></table>`;
}

/** Each component keeps a state and has a button, and an effect after it was drawn. */
const appPage = `<!doctype html><title>200 components</title><div id="root"></div>
<script type="module">
import { h, render, Component } from '/preact.mjs';
class Item extends Component {
  state = { count: 0, price: '' };
  componentDidMount() { setTimeout(() => this.setState({ price: this.props.id * 3 + ' EUR' }), 20); }
  render({ id, name }, { count, price }) {
    return h('article', null, h('h3', null, name), h('p', null, price), h('p', null, count + ' in the basket'),
      h('label', null, 'Note ', h('input', { name: 'note' + id })),
      h('button', { onClick: () => this.setState({ count: count + 1 }) }, 'Add ' + name));
  }
}
const items = await (await fetch('/items')).json();
render(h('main', null, items.map((item) => h(Item, { key: item.id, ...item }))), document.querySelector('#root'));
</script>`;
