import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** The pages of a shop, on which the fixed tasks of the token count are done: each as long as such pages are. */

const words = 'order parcel customer refund invoice stock delivery address payment warehouse label return'.split(' ');
const sentence = (seed: number): string =>
  Array.from({ length: 14 }, (_, at) => words[(seed * 7 + at * 5) % words.length]).join(' ');

const links = (names: readonly string[]): string =>
  names.map((name) => `<li><a href="/${name.toLowerCase().replaceAll(' ', '-')}">${name}</a></li>`).join('');

const header = `<header><a href="/">Shop admin</a><nav aria-label="Main"><ul>${links([
  ...['Orders', 'Customers', 'Products', 'Reports', 'Discounts', 'Settings', 'Docs'],
])}</ul></nav><button aria-label="Notifications">3</button></header>`;
const aside = `<aside><h2>Views</h2><ul>${links([
  ...['Open orders', 'Late orders', 'Unpaid', 'To be packed', 'To be sent', 'Returned', 'Archived', 'Drafts'],
])}</ul></aside>`;
const footer = `<footer><ul>${links([
  ...['About', 'Terms', 'Privacy', 'Imprint', 'Status', 'Contact', 'Careers', 'Press'],
])}</ul><p>All prices with tax. Times are in UTC.</p></footer>`;

const page = (title: string, body: string, script = ''): string =>
  `<!doctype html><html lang="en"><title>${title}</title><link rel="icon" href="data:,">${header}<div>${aside}<main><h1>${title}</h1>${body}</main></div>${footer}<script>${script}</script></html>`;

const rows = (from: number, count: number): string =>
  Array.from({ length: count }, (_, index) => {
    const number = from + index;
    const status = ['paid', 'sent', 'returned', 'refused'][(number * 3) % 4];
    return `<tr><td><a href="/orders/${number}">#${number}</a></td><td>Customer ${number % 37}</td><td>${status}</td><td>${(number * 13) % 500}.00</td><td><button aria-label="Refund ${number}">Refund</button></td></tr>`;
  }).join('');

const table = (from: number, count: number): string =>
  `<table><thead><tr><th>Order</th><th>Customer</th><th>Status</th><th>Total</th><th></th></tr></thead><tbody id="rows">${rows(from, count)}</tbody></table>`;

const settingsForm = `<form id="form">${[
  'Shop name',
  'Street',
  'City',
  'Postcode',
  'Contact mail',
  'Phone',
  'Tax number',
]
  .map((label) => `<p><label>${label} <input></label></p>`)
  .join(
    '',
  )}<p><label>Country <select><option>Austria<option>Belgium<option>Denmark<option>Finland</select></label></p><p><label><input type="checkbox"> Send mails</label></p><button>Save settings</button><p role="status" id="said"></p></form>`;

/** By path: the page, and what it does. */
const pages: Readonly<Record<string, string>> = {
  '/login': page(
    'Sign in',
    '<form id="form"><label>User name <input></label><label>Password <input type="password" autocomplete="current-password"></label><button>Sign in</button></form><p role="status" id="said"></p>',
    `form.onsubmit = (event) => { event.preventDefault(); const [name, word] = form.querySelectorAll('input');
      said.textContent = word.value === 'pear' ? 'Good morning, ' + name.value : 'Wrong password'; };`,
  ),
  '/orders': page('Orders', `<label>Filter <input></label>${table(1100, 120)}`),
  '/customers': page(
    'Customers',
    `<div>${table(2000, 25)}<p><span id="at">Page 1 of 9</span> <button id="next">Next page</button></p></div>`,
    `next.onclick = () => { at.textContent = 'Page 2 of 9'; document.querySelector('#rows td').textContent = 'Grace Hopper'; };`,
  ),
  '/settings': page(
    'Settings',
    settingsForm,
    `form.onsubmit = (event) => { event.preventDefault(); const inputs = form.querySelectorAll('input');
      said.textContent = inputs[4].value.includes('@') ? 'Saved for ' + inputs[0].value + ' in ' + form.querySelector('select').value : 'Contact mail needs an @'; };`,
  ),
  '/reports': page(
    'Reports',
    `${table(3000, 20)}<button id="load">Load report</button><button id="sum">Sum up</button><button id="slow">Make report</button><p role="status" id="said"></p>`,
    `load.onclick = async () => { const answer = await fetch('/api/report?year=2025'); said.textContent = answer.ok ? 'Done' : 'Something went wrong'; };
     sum.onclick = () => { const totals = null; said.textContent = totals.map(Number); };
     slow.onclick = () => setTimeout(() => { said.textContent = 'Report 77 is ready'; }, 700);`,
  ),
  '/products': page(
    'Products',
    `<label>Size <select id="size"><option value="10">Small<option value="20">Medium<option value="35">Large</select></label><p>Price: <output id="price">10</output></p>
     <div role="tablist"><button role="tab" id="one" aria-selected="true">Details</button><button role="tab" id="two" aria-selected="false">Stock</button></div><div role="tabpanel" id="panel">Made of oak.</div>
     <div id="menu"><button id="more" aria-haspopup="menu">More</button><ul role="menu" id="items" hidden><li role="menuitem">Duplicate</li><li role="menuitem" id="retire">Retire</li></ul></div>
     <button id="remove">Delete product</button><button id="preview">Preview</button><img src="/missing.png" alt="Front view"><p role="status" id="said"></p>`,
    `size.onchange = () => { price.textContent = size.value; };
     two.onclick = () => { two.ariaSelected = 'true'; one.ariaSelected = 'false'; panel.textContent = '48 pieces in hall B'; };
     menu.onmouseenter = () => { items.hidden = false; }; retire.onclick = () => { said.textContent = 'Retired'; };
     remove.onclick = () => { if (confirm('Delete oak table for ever?')) said.textContent = 'Deleted'; };
     preview.onclick = () => open('/preview');`,
  ),
  '/preview': page('Preview', '<p>Oak table, as a customer sees it: 349 euros.</p>'),
  '/docs': page(
    'Docs',
    `<nav aria-label="Contents"><ol>${Array.from({ length: 40 }, (_, at) => `<li><a href="#s${at}">Chapter ${at}</a></li>`).join('')}</ol></nav>${Array.from(
      { length: 40 },
      (_, at) =>
        `<section id="s${at}"><h2>Chapter ${at}</h2><p>${sentence(at)}</p><p>${sentence(at + 3)}</p>${at === 23 ? '<p>A refund is possible for 45 days.</p>' : ''}</section>`,
    ).join('')}`,
  ),
  '/discounts': page(
    'Discounts',
    `<label>Code <input id="code" role="combobox" aria-expanded="false" aria-controls="found"></label><ul role="listbox" id="found"></ul><button id="apply" disabled title="Pick a code first">Apply</button><p role="status" id="said"></p><p>Press Control+K to search.</p>`,
    `code.oninput = () => { found.innerHTML = ['SPRING10', 'SPRING25', 'SUMMER5'].filter((each) => each.startsWith(code.value)).map((each) => '<li role="option">' + each + '</li>').join(''); };
     found.onclick = ({ target }) => { code.value = target.textContent; found.innerHTML = ''; apply.disabled = false; };
     apply.onclick = () => { said.textContent = 'Applied ' + code.value; };
     onkeydown = (event) => { if (event.ctrlKey && event.key === 'k') { event.preventDefault(); said.textContent = 'Search is open'; } };
     localStorage.setItem('basket', '3 chairs');`,
  ),
};

function answer(request: IncomingMessage, response: ServerResponse): void {
  const { pathname } = new URL(request.url ?? '/', 'http://localhost');
  if (pathname === '/api/report') {
    response.writeHead(500, { 'content-type': 'application/json' });
    response.end('{"error":"No rate for currency CHF on 2025-12-31"}');
    return;
  }
  const text = pages[pathname];
  response.writeHead(text === undefined ? 404 : 200, { 'content-type': 'text/html; charset=utf-8' }).end(text);
}

/** Closed by the caller. */
export async function startShop(): Promise<{ readonly url: string; close(): void }> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = (): void => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${port}`, close };
}
