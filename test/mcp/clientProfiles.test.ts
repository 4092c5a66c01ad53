import { clientProfiles, noProfileChoice, parseProfileChoice, profileOf } from '../../src/mcp/clientProfiles.js';

const of = (name: string) => profileOf(name, noProfileChoice, noProfileChoice);

test('an unknown client gets the most tolerant row; a known one its own, by its name in any case', () => {
  expect(of('never heard of')).toMatchObject({ name: 'unknown', structured: false, tolerant: true, schemas: 'common' });
  expect(of('')).toMatchObject({ name: 'unknown' });
  expect(of('Claude-Code')).toMatchObject({ name: 'claude-code', structured: false, picturePixels: 2_000 });
  expect(of('claude-ai (via mcp-remote 0.1.37)')).toMatchObject({ name: 'claude-desktop', pictureBytes: 700_000 });
  expect(of('Visual Studio Code - Insiders')).toMatchObject({ name: 'vscode', tools: 128 });
  expect(of('mcp-inspector')).toMatchObject({ structured: true, tolerant: false });
});

test('a connection chooses before the operator, and both before the table', () => {
  const operator = parseProfileChoice('cursor,structured=1,picturePixels=4000');
  expect(profileOf('claude-code', operator, noProfileChoice)).toMatchObject({ name: 'cursor', picturePixels: 4_000 });
  const connection = parseProfileChoice('claude-desktop,structured=0,tolerant=no');
  const chosen = profileOf('codex-mcp-client', operator, connection);
  expect(chosen).toMatchObject({ name: 'claude-desktop', structured: false, tolerant: false, picturePixels: 4_000 });
});

test.each(['claude', 'structured=maybe', 'pictureBytes=1', 'pictureBytes=x', '__proto__=1', 'sources=1'])(
  'a wrong choice is refused with what exists: %s',
  (text) => {
    expect(() => parseProfileChoice(text)).toThrow(/Unknown client profile ".*claude-code.*structured=1/);
  },
);

test('every row says where its client is reported, and no picture is larger than any provider takes', () => {
  for (const { name, sources, clients, pictureBytes, picturePixels } of clientProfiles) {
    expect([name, sources.length > 0 || name === 'unknown', clients.length > 0]).toEqual([name, true, true]);
    expect(picturePixels).toBeLessThanOrEqual(8_000);
    // 5 MiB in base64.
    expect((pictureBytes * 4) / 3).toBeLessThanOrEqual(5 * 1024 ** 2);
  }
});
