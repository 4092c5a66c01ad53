import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { bundleApp, withMap, type AppFiles } from '../../support/bundleApp.js';

const script = `console.log = () => {};
const shop = { sold: 0 };
shop.self = shop;
function sell(prices) {
  let sum = 0;
  for (const price of prices) sum += price;
  shop.sold += sum;
  return sum;
}
function fail() { throw new TypeError('no till'); }
function caught() { try { fail(); } catch { return 'caught'; } }
async function ask() { return (await fetch('/stock')).status; }
function statement() { debugger; return 'passed'; }
function manyNames() { ${Array.from({ length: 3_000 }, (_, at) => `let n${at} = ${at};`).join(' ')}
  return eval('n0');
}
`;
const worker = `onmessage = ({ data }) => {
  const twice = data * 2;
  postMessage(twice);
};
`;
const serviceWorker = `addEventListener('message', ({ data, source }) => {
  const twice = data * 2;
  source.postMessage(twice);
});
`;
const files: Readonly<Record<string, string>> = {
  '/shop.js': script,
  '/worker.js': worker,
  '/sw.js': serviceWorker,
  '/inline':
    '<title>Inline</title>\n<script>\nfunction order() {\n  return 1;\n}</script>\n<p>one</p><script>const left = 2; function pay() {\n  return order() + left;\n}</script>',
  '/typed': '<script src="bundle.js"></script>',
  '/': '<title>Shop</title><button onclick="sell([3, 4])">sell</button><ul><li>pen</li></ul><script src="shop.js"></script>',
};

const typed: AppFiles = {
  'src/main.ts': `import { add } from './sum';
import { Basket, unused } from './basket';
const given: number[] = [3, 4];
document.title = String(add(given));
const basket = new Basket();
const clock = { ticks: 0 };
Object.assign(window, { tick: () => (clock.ticks += 1), fill: (price: number) => basket.put(price) });
`,
  'src/basket.ts': `export class Basket {
  prices: number[] = [];
  put(price: number, count = 1) {
    const line = { price, count };
    this.prices.push(line.price * line.count);
    return this.prices.length;
  }
}
export function unused() {
  return document.title;
}
`,
  'src/sum.ts': `export function add(prices: readonly number[]): number {
  let result = 0;
  for (const price of prices) result += price;
  return result;
}
`,
};

/** Pages with code to stop: by itself, in a frame of another process (`/framed`), and bundled with its map (`/typed`). */
export async function serveDebuggedSite(): Promise<{ readonly url: string; close(): void }> {
  const bundle = withMap(await bundleApp(typed, 'src/main.ts'));
  let url = '';
  const server = createServer((request, response) => {
    const path = (request.url ?? '/').split('?')[0] ?? '';
    response.setHeader('content-type', path.endsWith('.js') ? 'text/javascript' : 'text/html');
    if (path === '/bundle.js') {
      response.end(bundle);
      return;
    }
    response.end(
      path === '/framed' ? `<iframe src="${url.replace('127.0.0.1', 'localhost')}/"></iframe>` : files[path],
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
