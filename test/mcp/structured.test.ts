import { z } from 'zod';
import type { BrowserLease } from '../../src/browser/pool/browserLease.js';
import { callTool } from '../../src/mcp/callTool.js';
import { compileFeatures } from '../../src/mcp/features.js';
import { noProfileChoice, profileOf } from '../../src/mcp/clientProfiles.js';
import { defineTool } from '../../src/tools/defineTool.js';
import { plainClient } from '../tools/support/plainSession.js';
import { asProgram, fakeMcpSession } from './fakeMcpSession.js';

/** A lease whose session was moved: the next answer says so. */
const lease = {
  current: { takeNotices: () => ['The session moved \ud83d.'] },
} as unknown as BrowserLease;

const link = { uri: 'greenroom://x/trace', name: 'trace', mimeType: 'application/json', bytes: 7 };
const tool = defineTool({
  name: 'show',
  group: 'look',
  needs: 'nothing',
  description: 'A picture and a resource.',
  input: z.strictObject({ message: z.unknown().optional() }),
  output: z.object({ seen: z.string() }),
  annotations: { readOnlyHint: true },
  handler: () =>
    Promise.resolve({
      text: 'seen',
      structured: { seen: 'a\udc00' },
      content: [{ type: 'image', data: Buffer.from('picture').toString('base64'), mimeType: 'image/png' }],
      resources: [link],
    }),
});

const call = (more: object) =>
  callTool(
    {
      ...{ tool, args: { message: '{"a":1}' }, client: () => plainClient, progress: () => undefined },
      ...{ cancelled: new AbortController().signal, ...asProgram },
      ...more,
    },
    fakeMcpSession(lease),
  );

test('nothing stands in the content of a structured answer alone: notices, pictures and links are fields', async () => {
  const { content, structuredContent } = await call({});
  expect(structuredContent).toEqual({
    seen: 'a\ufffd',
    notices: ['The session moved \ufffd.', expect.stringContaining('"message" was taken as text')],
    pictures: [{ mimeType: 'image/png', bytes: 7 }],
    resources: [link],
  });
  expect(content.map(({ type }) => type)).toEqual(['text', 'image', 'resource_link']);
});

test('a model gets the same once, as content', async () => {
  const { content, structuredContent } = await call({ profile: profileOf('', noProfileChoice, noProfileChoice) });
  expect(structuredContent).toBeUndefined();
  expect(content).toHaveLength(3);
  expect(content[0]).toMatchObject({ text: expect.stringMatching(/^Note: The session moved \ufffd\.\n.*\nseen$/) });
});

test('a resource without a scheme is refused with its name', () => {
  const nope = { uri: 'nope', name: 'guide', mimeType: 'text/plain', read: () => '' };
  expect(() => compileFeatures({ isExtensible: false, resources: [nope] })).toThrow(/"guide".*"nope".*docs:\/\/guide/);
});
