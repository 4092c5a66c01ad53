import fc from 'fast-check';
import { urlMatcher, findUrls } from '../../src/browser/patterns/urlPattern.js';
import { matchesAny, matchesGlob, parsePattern } from '../../src/browser/extensions/matchPattern.js';
import { compileGlob } from '../../src/browser/patterns/urlPattern.js';
import { compileRegex } from '../../src/browser/patterns/regex.js';
import { createSlices, inSlices } from '../../src/browser/patterns/slices.js';

/** For work that takes milliseconds in linear time and years, or half a minute at best, in any other. */
const generous = 5_000;

const never = new AbortController().signal;
const hostileUrl = `https://example.com/${'a'.repeat(40)}!`;
const stars = `*${'a*'.repeat(14)}b`;

/** Milliseconds of processor time: other processes of a busy machine do not count. */
function spent(work: () => unknown): number {
  const begun = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(begun);
  return (user + system) / 1_000;
}

describe('patterns of clients run in linear time', () => {
  test.each(['(a+)+$', '(a|a)*$', '(a|aa)+$', '(.*a){20}$', '^(([a-z])+.)+[A-Z]([a-z])+$', '(x+x+)+y'])(
    'the regular expression %s',
    (source) => {
      const texts = [hostileUrl, `${'a'.repeat(100_000)}!`, `${'x'.repeat(100_000)}!`];
      expect(spent(() => texts.map(compileRegex(source, 'i')))).toBeLessThan(generous);
      expect(spent(() => texts.map(urlMatcher(`/${source}/`)))).toBeLessThan(generous);
    },
  );

  test('a glob of many stars', () => {
    const url = `https://example.com/${'a'.repeat(100_000)}!`;
    expect(spent(() => urlMatcher(stars)(url))).toBeLessThan(generous);
    expect(spent(() => urlMatcher('a*'.repeat(1_000))(url))).toBeLessThan(generous);
    expect(spent(() => matchesGlob([stars, `*${'a?*'.repeat(300)}b`], new URL(url)))).toBeLessThan(generous);
    expect(spent(() => matchesAny([`https://example.com/${stars}`], new URL(url)))).toBeLessThan(generous);
    expect(spent(() => parsePattern('*'.repeat(300_000)))).toBeLessThan(generous);
  });

  test('repetitions that would make a program of a million instructions are refused before it is written', () => {
    for (const source of [
      'a{1000}'.repeat(70),
      `(${'ab'.repeat(100)}){1000}`,
      '((a{100}){100}){100}',
      '\\p{L}{9999}',
    ]) {
      expect(() => compileRegex(source, '')).toThrow(/repetitions come to \d+ characters.*at most 300/);
    }
    expect(() => compileRegex('a'.repeat(501), '')).toThrow('a pattern has at most 500');
    expect(() => urlMatcher('a'.repeat(2_001))).toThrow('a pattern has at most 2000');
  });

  test('any pattern of the letters that backtracking fears, on any text of them', () => {
    const part = fc.constantFrom(
      'a',
      'b',
      '.',
      '\\w',
      '[ab]',
      '(a|b)',
      '(a+)+',
      '(a*)*',
      '(?:a|ab)',
      'a?',
      'a{2,9}',
      '$',
      '^',
      '|',
    );
    const patterns = fc.array(part, { minLength: 1, maxLength: 30 }).map((parts) => parts.join(''));
    const texts = fc
      .array(fc.constantFrom('a', 'aaaa', 'b', 'ab', '!'), { maxLength: 2_000 })
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(patterns, texts, (pattern, text) => {
        try {
          expect(spent(() => compileRegex(pattern, 'i')(text))).toBeLessThan(generous);
        } catch (error) {
          expect(String(error)).toMatch(/repetition|missing argument/);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('any string as a pattern is used or refused', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), fc.string(), (pattern, text) => {
        for (const compile of [
          () => compileRegex(pattern, 'i'),
          () => urlMatcher(`/${pattern}/`),
          () => urlMatcher(pattern),
        ]) {
          let matches: (text: string) => boolean;
          try {
            matches = compile();
          } catch (error) {
            expect(error).toMatchObject({ name: 'ToolError' });
            continue;
          }
          expect(typeof matches(text)).toBe('boolean');
        }
      }),
    );
  });
});

describe('a glob means what it did as a regular expression', () => {
  const glob = fc.array(fc.constantFrom('a', 'b', '*', '?', '.'), { maxLength: 8 }).map((parts) => parts.join(''));
  const text = fc.array(fc.constantFrom('a', 'b', '?', '.', '\n'), { maxLength: 10 }).map((parts) => parts.join(''));

  test.each([false, true])('with ? as one character: %s', (questionMark) => {
    fc.assert(
      fc.property(glob, text, (pattern, subject) => {
        const source = pattern.replace(/[.?]/g, '\\$&').replaceAll('*', '[^]*');
        const expected = new RegExp(`^${questionMark ? source.replaceAll('\\?', '[^]') : source}$`).test(subject);
        expect(compileGlob(pattern, { questionMark })(subject)).toBe(expected);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('a regular expression means what it does in JavaScript', () => {
  test.each([
    ['\\/api\\/v\\d+', '', 'https://example.com/api/v12'],
    ['^https:\\/\\/[^/]+\\/a', '', 'https://example.com/a'],
    ['ABC$', 'i', 'xabc'],
    ['^b$', 'm', 'a\nb\nc'],
    ['a.b', 's', 'a\nb'],
    ['\\u05d0|\\x41|\\cJ', '', 'א'],
    ['\\u{1F600}', 'u', '😀'],
    ['[\\]a[]b', '', '[b'],
    ['[^]', '', '\n'],
    ['a\\sb[\\s]c', '', 'a\u00a0b\u2003c'],
    ['\\A\\z\\Q', '', 'AzQ'],
    ['(?<year>\\d{4})-(?<month>\\d{2})', '', '2024-05'],
    ['\\bfoo\\b', 'gy', 'foo'],
  ])('%s with flags "%s"', (source, flags, text) => {
    expect(new RegExp(source, flags).test(text)).toBe(true);
    expect(compileRegex(source, flags)(text)).toBe(true);
    expect(compileRegex(source, flags)('–')).toBe(new RegExp(source, flags).test('–'));
  });

  test.each([
    '\\p{Script=Hebrew}',
    '\\p{sc=Hebrew}',
    '\\p{Hebrew}',
    '\\p{Letter}',
    '\\p{L}',
    '\\p{General_Category=Letter}',
  ])('the property %s', (source) => {
    expect(compileRegex(`^${source}+$`, 'u')('שלום')).toBe(true);
    expect(compileRegex(source, 'u')('123')).toBe(false);
  });

  test.each([
    ['a(?=b)', 'a look-ahead, (?=,'],
    ['a(?!b)', 'a look-ahead, (?!,'],
    ['(?<=a)b', 'a look-behind, (?<=,'],
    ['(?<!a)b', 'a look-behind, (?<!,'],
    ['(a)\\1', 'a back-reference, \\1,'],
    ['(?<n>a)\\k<n>', 'a back-reference, \\k<n>,'],
  ])('%s is refused by the name of what is missing', (source, name) => {
    expect(() => compileRegex(source, '')).toThrow(`it has ${name} which patterns do not have here`);
    expect(() => urlMatcher(`/${source}/`)).toThrow(
      `/${source}/ is not a regular expression that can be used: it has ${name}`,
    );
  });

  test('what is no regular expression is refused by what is wrong with it', () => {
    expect(() => compileRegex('a(', '')).toThrow('missing closing )');
    expect(() => compileRegex('[z-a]', '')).toThrow('invalid character class range');
  });
});

describe('a long search leaves the event loop to others', () => {
  /** A clock by which every step takes 4 ms. */
  const slowClock = (): (() => number) => {
    let at = 0;
    return () => (at += 4);
  };

  function* steps(count: number, taken: string[], name: string): Generator<undefined, string> {
    for (let step = 0; step < count; step++) {
      taken.push(name);
      yield;
    }
    return name;
  }

  test('ten computations together take one slice of a turn', async () => {
    const slices = createSlices(slowClock());
    const taken: string[] = [];
    let turns = 0;
    let mostInOneTurn = 0;
    let before = 0;
    const others = setInterval(() => undefined, 1_000);
    const countTurn = (): void => {
      turns++;
      mostInOneTurn = Math.max(mostInOneTurn, taken.length - before);
      before = taken.length;
      if (taken.length < 100) setImmediate(countTurn);
    };
    setImmediate(countTurn);
    const names = Array.from({ length: 10 }, (_, index) => `computation ${index}`);
    expect(await Promise.all(names.map((name) => slices(steps(10, taken, name))))).toEqual(names);
    clearInterval(others);
    expect(mostInOneTurn).toBeLessThanOrEqual(3);
    expect(turns).toBeGreaterThanOrEqual(33);
    // They took turns: none had ended before all had begun.
    expect(new Set(taken.slice(0, 10)).size).toBe(10);
  });

  test('one that takes too much in all ends with an error, and the others go on', async () => {
    const slices = createSlices(slowClock());
    const [endless, short] = await Promise.allSettled([
      slices(steps(1e9, [], 'endless')),
      slices(steps(9, [], 'short')),
    ]);
    expect(endless).toMatchObject({ status: 'rejected', reason: { name: 'ToolError' } });
    expect(short).toMatchObject({ status: 'fulfilled', value: 'short' });
  });

  test('one that is cancelled ends, and one that throws fails', async () => {
    const stop = new AbortController();
    const searching = inSlices(steps(1e9, [], 'search'), stop.signal);
    stop.abort(new Error('the client has left'));
    await expect(searching).rejects.toThrow('the client has left');
    const failing = (function* () {
      yield;
      throw new Error('broken');
    })();
    await expect(inSlices(failing)).rejects.toThrow('broken');
  });

  test('addresses are searched in slices', async () => {
    const urls = Array.from({ length: 1_000 }, (_, index) => `https://example.com/${index % 500}`);
    const found = await findUrls('/\\/4[0-9]{2}$/', urls, never);
    expect(found.size).toBe(100);
    expect((await findUrls(undefined, urls, never)).size).toBe(500);
    expect((await findUrls('EXAMPLE.com/49', urls, never)).size).toBe(11);
    await expect(findUrls('/(?=a)/', urls, never)).rejects.toThrow('look-ahead');
  });
});
