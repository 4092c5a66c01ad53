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

test.each(['pretty', 'json'] as const)(
  'a name of a client can neither command a terminal nor reorder a %s line',
  (format) => {
    const client = 'evil\u001b[2J\u009b2J\u202egnp.exe\nfake line \u2028 end';
    const lines = linesOf(format, (log) => log.warn(`refused \u001b]0;title\u0007 ${client.slice(0, 4)}`, { client }));
    expect(lines).toHaveLength(1);
    expect(lines[0]).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u202a-\u202e]|\n./);
    expect(lines[0]).toContain('\\u001b[2J\\u009b2J\\u202egnp.exe\\nfake line \\u2028 end');
    if (format === 'json') expect(JSON.parse(lines[0] ?? '')).toMatchObject({ client });
  },
);

test('json lines begin with when, how bad and what, and are one line each', () => {
  const [line = '', ...more] = linesOf('json', (log) => log.warn('refused', { error: 'two\nlines', a: undefined }));
  expect(more).toEqual([]);
  expect(line).toMatch(/^{"timestamp":"[^"]+Z","level":"warn","message":"refused","error":"two\\nlines"}\n$/);
});
