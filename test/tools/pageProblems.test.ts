import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { accessibilityTools } from '../../src/tools/accessibilityTools.js';
import { consoleTools } from '../../src/tools/consoleTools.js';
import { lookTools } from '../../src/tools/lookTools.js';
import { navigationTools } from '../../src/tools/navigationTools.js';
import { startToolHarness, type ToolHarness } from './support/toolHarness.js';

let harness: ToolHarness;
let server: Server;
let url: string;

const pages: Record<string, [headers: Record<string, string>, text: string]> = {
  '/audit.html': [
    {},
    `<!doctype html><title>Audit</title><button id=b></button><p style="color:#ccc;background:#fff">pale</p><x-s></x-s>
<iframe title=inner srcdoc="<img src=y.png>"></iframe><div style="height:3000px"></div><script>
document.querySelector('x-s').attachShadow({ mode: 'open' }).innerHTML = '<a href="#"></a>';
onload = () => { scrollTo(0, 500); new MutationObserver(() => { window.changed = true; }).observe(document, { subtree: true, childList: true, attributes: true }); };
onmessage = () => { window.told = true; };</script>`,
  ],
  '/policy.html': [
    { 'content-security-policy': "script-src 'unsafe-inline'; img-src 'self'" },
    `<!doctype html><script>
for (let at = 0; at < 3; at++) try { eval('1') } catch {}
document.cookie = 'tracker=1; SameSite=None';
</script><img src="http://127.0.0.1:9/x.png">`,
  ],
  '/quiet.html': [{ 'content-security-policy': 'sandbox' }, '<!doctype html><title>Quiet</title><h1>Quiet</h1>'],
  '/cors.html': [
    {},
    `<!doctype html><script>fetch('http://localhost:' + location.port + '/data').catch(() => 0);</script>`,
  ],
  '/told-once.html': [
    { 'content-security-policy': "default-src 'self'; script-src 'nonce-a'; require-trusted-types-for 'script'" },
    `<!doctype html><link rel="icon" href="data:,"><script>inline()</script><p style="color:red">x</p>
<img src="http://127.0.0.1:9/x.png"><img src="data:image/gif,x"><iframe src="http://127.0.0.1:9/frame"></iframe>
<script nonce="a">
fetch('http://127.0.0.1:9/data').catch(() => 0);
try { document.body.insertAdjacentHTML('beforeend', 'x') } catch {}
</script>`,
  ],
  '/quirks.html': [{}, `<title>old</title>`],
};

beforeAll(async () => {
  server = createServer((request, response) => {
    const [headers, text] = pages[request.url ?? ''] ?? [{}, 'data'];
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', ...headers }).end(text);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  harness = await startToolHarness([...accessibilityTools, ...consoleTools, ...lookTools, ...navigationTools]);
});

afterAll(async () => {
  await harness.close();
  server.close();
  server.closeAllConnections();
});

test.each<[page: string, issues: (string | RegExp)[]]>([
  [
    'policy',
    [
      /error issue x3: Content security policy: eval or the like was blocked by "script-src"\. Fix: .* \(@\/policy\.html:2:38\)/,
      'error issue: Cookie "tracker" was not set: same site none insecure (@/policy.html). Fix: a cookie with SameSite=None needs Secure, over HTTPS.',
      'error issue: Content security policy: a resource was blocked by "img-src" (http://127.0.0.1:9/x.png). Fix: add its origin to img-src',
    ],
  ],
  [
    'cors',
    [
      /error issue: CORS: the request was blocked, missing allow origin header \(http:\/\/localhost:\d+\/data\)\. Fix: answer with Access-Control-Allow-Origin: @\./,
    ],
  ],
  [
    'quirks',
    ['info issue: The document is laid out in quirks mode. Fix: begin it with <!doctype html>. (@/quirks.html)'],
  ],
])('the issues of DevTools are among the messages of the console: %s', async (page, issues) => {
  await harness.run('navigate_page', { url: `${url}/${page}.html` });
  const read = async () => (await harness.text('list_console_messages', { types: ['issue'] })).replaceAll(url, '@');
  const isIn = (issue: string | RegExp, text: string) =>
    typeof issue === 'string' ? text.includes(issue) : issue.test(text);
  let shown = await read();
  // Those of the browser process come after the page is loaded: each question to the page lets more of them in.
  for (let round = 0; round < 500 && !issues.every((issue) => isIn(issue, shown)); round++) {
    await harness.text('evaluate_script', { function: '() => 1' });
    shown = await read();
  }
  for (const issue of issues) {
    expect(shown).toEqual(typeof issue === 'string' ? expect.stringContaining(issue) : expect.stringMatching(issue));
  }
});

test.each([
  [
    'told-once',
    ['script-src-elem', 'style-src-attr', 'img-src', 'frame-src', 'connect-src', 'Trusted Types', '(data)'],
  ],
  ['cors', ['missing allow origin header']],
])('what is an issue is not told once more in the words of the log: %s', async (page, issues) => {
  await harness.run('navigate_page', { url: `${url}/${page}.html` });
  const read = () => harness.text('list_console_messages');
  let shown = await read();
  for (let round = 0; round < 500 && !issues.every((issue) => shown.includes(issue)); round++) {
    await harness.text('evaluate_script', { function: '() => 1' });
    shown = await read();
  }
  for (const issue of issues) expect(shown).toContain(issue);
  const own = shown.slice(shown.lastIndexOf(`On ${url}/${page}.html:`)).split('\n');
  expect(own.filter((line) => /^#\d+ (error|warning) (?!issue)/.test(line))).toEqual([]);
});

test('a document whose scripts do not run comes to rest', async () => {
  expect(await harness.text('navigate_page', { url: `${url}/quiet.html` })).toBe(`Now at ${url}/quiet.html`);
});

test('an audit finds what axe-core finds, in frames and shadow trees, by uid, and leaves nothing in the page', async () => {
  await harness.run('navigate_page', { url: `${url}/audit.html` });
  const { structured, text } = await harness.run('audit_accessibility');
  const findings = structured['findings'] as {
    rule: string;
    impact: string;
    elements: { uid: string; element: string }[];
  }[];
  expect(findings.map(({ rule, impact, elements }) => [rule, impact, elements[0]?.element])).toEqual([
    ['button-name', 'critical', '<button id="b">'],
    ['image-alt', 'critical', '<img>'],
    ['color-contrast', 'serious', '<p>'],
    ['html-has-lang', 'serious', '<html>'],
    ['link-name', 'serious', '<a>'],
  ]);
  expect(text).toMatch(
    /serious color-contrast × 1: .* \[wcag2aa, wcag143\]\n {2}e\d+ <p>: Element has insufficient color contrast of 1\.6 /,
  );
  const tagOf = async (at: number) =>
    harness.text('evaluate_script', {
      function: '(element) => element.localName',
      args: [{ uid: findings[at]?.elements[0]?.uid }],
    });
  expect([await tagOf(1), await tagOf(4)]).toEqual(['"img"', '"a"']);
  const left = await harness.text('evaluate_script', {
    function: '() => [typeof axe, window.told, window.changed, scrollY].join()',
  });
  expect(left).toBe('"undefined,,,500"');

  const uid = findings[0]?.elements[0]?.uid;
  const part = await harness.text('audit_accessibility', { uid });
  expect(part).toMatch(/^1 failing element of 1 rule:/);
  expect(await harness.refusal('audit_accessibility', { tags: ['wcag9z'] })).toMatch(
    /no tag "wcag9z"\. It has .*wcag2a/,
  );
  expect(await harness.refusal('audit_accessibility', { rule: 'contrast' })).toContain('It has color-contrast');
  // In none of the tags that count otherwise.
  expect(await harness.text('audit_accessibility', { rule: 'region' })).toContain('region');
  const none = await harness.text('audit_accessibility', { rule: 'marquee' });
  expect(none).toContain('No rule fails');
});
