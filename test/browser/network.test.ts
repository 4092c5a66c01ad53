import puppeteer, { type Browser, type Page } from 'puppeteer-core';
import { NetworkCollector } from '../../src/browser/network.js';
import { ConsoleCollector } from '../../src/browser/console.js';
import { startPageServer, type PageServer } from '../../src/selftest/pageServer.js';

let browser: Browser;
let server: PageServer;
beforeAll(async () => {
  server = await startPageServer();
  browser = await puppeteer.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox','--disable-background-networking','--disable-component-update','--disable-sync','--disable-quic','--no-first-run'] });
});
afterAll(async () => { await browser.close(); await server.close(); });

it('tries', async () => {
  const page: Page = await browser.newPage();
  const cdp = await page.createCDPSession();
  const network = new NetworkCollector(cdp);
  const con = new ConsoleCollector(cdp);
  await Promise.all([network.ready, con.ready]);
  await page.goto(server.url + '/echo');
  await page.evaluate(() => fetch('/status?code=404', {method:'POST', body:'hey'}).then((r) => r.text()));
  await page.evaluate(() => { console.log('hi %s', 'you', {a:{b:{c:1}}, d: [1,2,{x:1}]}); console.log('rep'); console.log('rep'); console.error(new Error('x')); console.table([{a:1}]);
   setTimeout(()=>{throw new TypeError('boom')},0); void Promise.reject(new Error('rej')); console.log(new Map([[{a:1},2]]), [1,,3], null, undefined, 12n, Symbol('q'), function foo(){}, document.body, /x/g, new Date(0), NaN, new Set([1]), new Uint8Array(3), window);
   const w = new Worker(URL.createObjectURL(new Blob(['console.log("w", {a:1}); fetch("'+location.origin+'/status?code=200")'])));
   void fetch('http://localhost:1/').catch(()=>0);
   return new Promise(r=>setTimeout(r,700)); });
  for (const e of network.read().entries) console.log(JSON.stringify(e, null, 0));
  for (const e of con.read().entries) console.log(JSON.stringify(e, null, 0));
  network.dispose(); con.dispose();
});
