import { redact } from '../../src/inspector/redact.js';

const planted = 'planted-S3cret';

const call = (name: string, args: unknown) => ({
  jsonrpc: '2.0',
  id: 7,
  method: 'tools/call',
  params: { name, arguments: args },
});

test.each([
  ['a form value', call('fill', { uid: 'e1', value: planted })],
  ['form values', call('fill_form', { elements: [{ uid: 'e1', value: planted }] })],
  ['keys that are pressed', call('press_key', { key: planted })],
  ['the source of a script', call('evaluate_script', { function: planted, args: [planted, { x: planted }] })],
  [
    'a script result',
    { result: { content: [{ type: 'text', text: planted }], structuredContent: { result: planted } } },
  ],
  ['a nested script result', { result: { structuredContent: { value: { deep: [planted] } } } }],
  ['the text of a page', { result: { structuredContent: { snapshot: planted, title: planted, text: planted } } }],
  ['an image', { result: { content: [{ type: 'image', data: planted, mimeType: 'image/png' }] } }],
  ['storage', call('set_page_storage', { items: { [planted]: planted } })],
  ['headers', { result: { structuredContent: { requestHeaders: { authorization: planted } } } }],
  [
    'headers that are sent with every request',
    call('emulate', { extraHttpHeaders: { 'x-key': `https://a.example/${planted}` } }),
  ],
  [
    'the storage of an extension',
    call('set_extension_storage', { set: { key: { url: `https://a.example/${planted}` } } }),
  ],
  ['a cookie', call('set_cookie', { name: planted, value: planted, domain: planted })],
  ['a token', { params: { accessToken: planted, api_key: planted, password: planted, clientSecret: { a: planted } } }],
  [
    'a query, a user, a fragment',
    call('navigate', { url: `https://${planted}:${planted}@a.example/x?key=${planted}#${planted}` }),
  ],
  ['a long part of a path', call('navigate', { url: `https://a.example/reset/${planted.repeat(3)}` })],
  ['a data address', call('navigate', { url: `data:text/html,${planted}` })],
  ['a short text that nobody knows', call('any_tool', { nickname: planted })],
  ['the name of a field', { params: { [planted]: 1 } }],
  ['an error', { error: { code: -32000, message: planted, data: { detail: planted } } }],
  ['a log message', { method: 'notifications/message', params: { level: 'info', data: planted } }],
  ['what lies too deep', { a: JSON.parse(`${'['.repeat(50)}"${planted}"${']'.repeat(50)}`) as unknown }],
])('[C-INSPECTOR] %s is not shown', (_what, message) => {
  expect(JSON.stringify(redact(message))).not.toContain(planted);
});

test('[C-INSPECTOR] what it was called, numbers and addresses are shown, the rest by type and length', () => {
  const args = {
    url: 'https://a.example/shop/cart?item=4',
    timeoutMs: 500,
    force: true,
    value: 'hunter2',
    mode: 'wait',
  };
  expect(redact(call('navigate_page', args))).toEqual({
    jsonrpc: '2.0',
    id: 7,
    method: 'tools/call',
    params: {
      name: 'navigate_page',
      arguments: {
        url: 'https://a.example/shop/cart?…',
        timeoutMs: 500,
        force: true,
        value: '‹text, 7 characters›',
        mode: 'wait',
      },
    },
  });
});

test('[S10] what is shown is small, however large the message', () => {
  const wide = Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`f${'x'.repeat(index % 20)}`, index]));
  const message = { params: { many: Array.from({ length: 9_000 }, () => wide), text: 'x'.repeat(1e6) } };
  expect(JSON.stringify(redact(message)).length).toBeLessThan(20_000);
});
