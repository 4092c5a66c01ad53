import { jest } from '@jest/globals';
import { createLog, type LogFields, type Log } from '../../src/log.js';

/** What a log writes on standard error, line by line. */
function linesOf(format: 'pretty' | 'json', write: (log: Log) => void): string[] {
  const lines: string[] = [];
  const spy = jest.spyOn(process.stderr, 'write').mockImplementation((line) => lines.push(String(line)) > 0);
  try {
    write(createLog({ logLevel: 'info', logFormat: format }, false));
  } finally {
    spy.mockRestore();
  }
  return lines;
}

const moved = (from: string, to: string): [string, LogFields] => [
  `session: ${from} -> ${to}`,
  { from, to, session: 'abcdefgh' },
];

test('pretty lines have what follows the message in one column, whatever the transition', () => {
  const lines = linesOf('pretty', (log) => {
    log.info(...moved('new', 'created'));
    log.info(...moved('tools-registered', 'connected'));
    log.warn('refused', { session: 'abcdefgh' });
  });
  expect(new Set(lines.map((line) => line.indexOf('session=')))).toEqual(new Set([58]));
});

test('json lines begin with when, how bad and what, and are one line each', () => {
  const [line = '', ...more] = linesOf('json', (log) => log.warn('refused', { error: 'two\nlines', a: undefined }));
  expect(more).toEqual([]);
  expect(line).toMatch(/^{"timestamp":"[^"]+Z","level":"warn","message":"refused","error":"two\\nlines"}\n$/);
});
