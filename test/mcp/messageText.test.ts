import { Refusal } from '../../src/errors/errors.js';
import { parseMessageText, shareResult, textOf } from '../../src/mcp/messageText.js';
import { parseMessage, type JSONRPCMessage } from '../../src/mcp/protocol.js';

const requestOf = (json: string) => parseMessage(parseMessageText(json)) as { id: string | number; method: string };

test.each([
  ['one more than 2^53', '9007199254740993'],
  ['the least of 64 bits', '-9223372036854775808'],
  ['of many digits', '123456789012345678901234567890'],
  ['exact', '9007199254740991'],
  ['zero', '0'],
  ['a text of digits', '"9007199254740993"'],
  ['half a character', String.raw`"\ud800"`],
  ['a text that begins with a control character', String.raw`"\u0000123"`],
])('an id that is %s is echoed as it came, with a result and with an error', (_what, id) => {
  const request = requestOf(`{"params":{"id":1,"text":"\\"id\\":2"},"method":"ping", "id" : ${id},"jsonrpc":"2.0"}`);
  expect(textOf({ jsonrpc: '2.0', id: request.id, result: { id: 3 } })).toBe(
    `{"jsonrpc":"2.0","id":${id},"result":{"id":3}}`,
  );
  expect(textOf(new Refusal('draining').toJsonRpc(request.id))).toMatch(`{"jsonrpc":"2.0","id":${id},"error":`);
  const shared = shareResult({ list: [] });
  const written = [1, 2, 3].map(() => String(textOf({ jsonrpc: '2.0', id: request.id, result: shared })));
  expect(new Set(written)).toEqual(new Set([`{"jsonrpc":"2.0","id":${id},"result":{"list":[]}}`]));
});

test('tokens and cancelled ids of such numbers are the same as those of the request, and arguments stay numbers', () => {
  const long = '9007199254740993';
  const [call, cancellation] = parseMessageText(
    `[{"jsonrpc":"2.0","id":${long},"method":"tools/call","params":{"arguments":{"id":${long}},"_meta":{"progressToken":${long}}}},` +
      `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":${long}}}]`,
  ) as { id: string; params: { arguments: object; requestId: string; _meta: { progressToken: string } } }[];
  expect(cancellation?.params.requestId).toBe(call?.id);
  expect(call?.params.arguments).toEqual({ id: Number(long) });
  const { progressToken } = call?.params._meta ?? { progressToken: '' };
  const progress: JSONRPCMessage = {
    ...{ jsonrpc: '2.0', method: 'notifications/progress' },
    params: { progressToken, progress: 1 },
  };
  expect(textOf(progress)).toContain(`"progressToken":${long},`);
});

test('a message is one line for readers that take more than a line feed for its end', () => {
  const result = { text: 'a\u2028b\u2029c\u0085d\ne' };
  const text = String(textOf({ jsonrpc: '2.0', id: 1, result }));
  expect(text).toMatch(/^[^\n\r\u0085\u2028\u2029]+$/);
  expect(JSON.parse(text)).toMatchObject({ result });
});

test.each([
  ['a byte order mark', '\ufeff{"jsonrpc":"2.0","id":1,"method":"ping"}', { id: 1, method: 'ping' }],
  [
    'null for what a notification has not got',
    '{"jsonrpc":"2.0","id":null,"method":"notifications/initialized","params":null,"result":null,"error":null}',
    { method: 'notifications/initialized' },
  ],
  [
    'null for no error',
    '{"jsonrpc":"2.0","id":1,"method":null,"result":{"a":1},"error":null}',
    { id: 1, result: { a: 1 } },
  ],
  [
    'null for no result',
    '{"jsonrpc":"2.0","id":1,"result":null,"error":{"code":1,"message":"no"}}',
    { error: { code: 1 } },
  ],
  ['null for an empty result', '{"jsonrpc":"2.0","id":1,"result":null}', { id: 1, result: {} }],
  ['a list for no parameters', '{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', { id: 1, method: 'ping' }],
])('%s is taken', (_what, text, expected) => {
  const message = parseMessage(parseMessageText(text));
  expect(message).toMatchObject(expected);
  expect('id' in message).toBe('id' in expected || 'error' in expected);
});
