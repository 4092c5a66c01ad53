import fc from 'fast-check';
import { oneLine } from '../src/tools/pagination.js';
import { truncateAnswer } from '../src/tools/answers.js';
import { cleanText, cutText, shortenText, textPart, wellFormedData } from '../src/text.js';

const family = '👨‍👩‍👧';
const flag = '🇩🇪';

test.each([
  ['a pair', '👍👍', 3, '👍'],
  ['a family', `a${family}b`, 5, 'a'],
  ['a flag', `${flag}${flag}`, 6, flag],
  ['a letter with marks', 'xe\u0301\u0323y', 2, 'x'],
  ['a key cap', '12\ufe0f\u20e3', 2, '1'],
  ['jamo', '\u1112\u1161\u11ab', 2, ''],
  ['what fits', family, 20, family],
])('a cut leaves %s whole', (_what, text, max, expected) => {
  expect(cutText(text, max)).toBe(expected);
});

test('a text is read on part by part, each at least one character, none lost', () => {
  const text = `x${family}${flag}e\u0301👍`.repeat(20);
  for (const max of [1, 2, 3, 7, 50]) {
    const parts: string[] = [];
    for (let at = 0; at < text.length;) {
      const part = textPart(text, at, max);
      expect([part.start, part.text.isWellFormed()]).toEqual([at, true]);
      parts.push(part.text);
      at = part.end;
    }
    expect(parts.join('')).toBe(text);
  }
});

test('a character without an end costs no more than any other', () => {
  const endless = `e${'\u0301'.repeat(1e6)}`;
  expect(cutText(endless, 500_000)).toHaveLength(500_000);
  expect(textPart(endless, 10, 1).text).not.toBe('');
});

test('marks that reorder or hide lines are shown, not obeyed', () => {
  expect(cleanText('a\u202eb\u2066c\u001b[2Jd\u0000e\rf\u2028g')).toBe(
    'a\\u202eb\\u2066c\\u001b[2Jd\\u0000e\\u000df\\u2028g',
  );
  const harmless = `\tشكرا ${family} \u200f\n line\r\n`;
  expect(cleanText(harmless)).toBe(harmless);
});

/** Texts as pages make them: half pairs, marks, joiners, emoji, controls, also right at a cut. */
const pageTexts = fc.array(
  fc.oneof(
    fc.string({ unit: 'binary', maxLength: 8 }),
    fc.constantFrom('\ud83d', '\udc4d', family, flag, 'e\u0301', '\u202e', '\u200d', '\u0000', '\r', '\n', 'word '),
  ),
  { maxLength: 12 },
);

/** Each way in which a text of a page comes into an answer. */
const ways: readonly ((text: string, max: number) => string)[] = [
  (text, max) => cleanText(cutText(text, max)),
  (text, max) => cleanText(shortenText(text, max)),
  (text, max) => cleanText(oneLine(text, max)),
  (text, max) => cleanText(truncateAnswer(text, 'read on', max + 8)),
  (text, max) => cleanText(textPart(text, max, 3).text),
];

test('100,000 generated texts, by each way into an answer: none is malformed, none has a mark that reorders lines', () => {
  let malformed = 0;
  let texts = 0;
  const check = (parts: readonly string[], max: number): void => {
    const text = parts.join('');
    const answers = ways.map((way) => way(text, max));
    const data = JSON.stringify(wellFormedData({ [text]: [text.slice(max)] }));
    texts += answers.length + 1;
    const isSafe = (answer: string): boolean => answer.isWellFormed() && !/[\u0000\u202e]|\r(?!\n)/.test(answer);
    if (!answers.every(isSafe) || /\\ud[89a-f]/i.test(data)) malformed += 1;
  };
  fc.assert(fc.property(pageTexts, fc.nat(40), check), { numRuns: 17_000, endOnFailure: true });
  expect(texts).toBeGreaterThan(100_000);
  expect(malformed).toBe(0);
});

test('data that is well-formed is passed on as it is', () => {
  const data = { a: [1, 'x', { b: null }] };
  expect(wellFormedData(data)).toBe(data);
  expect(wellFormedData({ 'a\ud800': ['\udc00', { ok: true }] })).toEqual({ 'a\ufffd': ['\ufffd', { ok: true }] });
});
