import { matchesAny, matchesGlob, parsePattern } from '../../src/browser/extensions/matchPattern.js';

const matches = (pattern: string, url: string): boolean => matchesAny([pattern], new URL(url));

test.each([
  ['<all_urls>', 'https://a.example/x', true],
  ['<all_urls>', 'chrome://settings/', false],
  ['*://*/*', 'http://a/', true],
  ['*://*/*', 'file:///x', false],
  ['https://example.com/*', 'https://example.com/a?b=c', true],
  ['https://example.com/*', 'https://www.example.com/', false],
  ['https://*.example.com/*', 'https://example.com/', true],
  ['https://*.example.com/*', 'https://a.b.example.com/', true],
  ['https://*.example.com/*', 'https://badexample.com/', false],
  ['http://localhost/*', 'http://localhost:8080/', true],
  ['http://localhost:8080/*', 'http://localhost:9090/', false],
  ['https://example.com:443/*', 'https://example.com/', true],
  ['https://example.com/a.b', 'https://example.com/aXb', false],
  ['https://example.com/', 'https://example.com/more', false],
  ['file:///tmp/*', 'file:///tmp/a.html', true],
])('%s on %s: %s', (pattern, url, expected) => {
  expect(matches(pattern, url)).toBe(expected);
});

test.each([
  ['https://example.com', 'the path is missing'],
  ['example.com/*', 'it is not scheme://host/path'],
  ['https://*example.com/*', '* may stand only at the start'],
  ['https://a.*.com/*', '* may stand only at the start'],
  ['gopher://a/*', 'the scheme gopher'],
  ['https:///x', 'the host is missing'],
])('%s is no pattern: %s', (pattern, why) => {
  expect(parsePattern(pattern)).toContain(why);
});

test('globs take * and ? over the whole address', () => {
  const url = new URL('https://example.com/page1');
  expect(matchesGlob(['*example.com/page?'], url)).toBe(true);
  expect(matchesGlob(['*page'], url)).toBe(false);
});
