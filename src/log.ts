import { createLogger, format, transports } from 'winston';
import type { Config } from './config/config.js';

/** Fields of one line. Sessions are named by the first 8 characters of their id: a log must not let anyone in. */
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** What the parts of the program write to. */
export interface Log {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
}

/** The part of a session's id that may be written down. */
export const shortId = (sessionId: string): string => sessionId.slice(0, 8);

/** Writes nothing. For embedders who do not want our lines, and for tests. */
export const silentLog: Log = { error: noop, warn: noop, info: noop, debug: noop };

function noop(): void {
  return;
}

/** One line per record on standard error, so that standard output stays free for protocols and answers. */
export function createLog(config: Pick<Config, 'logLevel' | 'logFormat'>, isTerminal: boolean): Log {
  const pretty = (config.logFormat ?? (isTerminal ? 'pretty' : 'json')) === 'pretty';
  return createLogger({
    level: config.logLevel,
    format: pretty ? prettyFormat(isTerminal) : format.combine(format.timestamp(), jsonFormat),
    transports: [new transports.Stream({ stream: process.stderr })],
  });
}

/** When, how bad and what come first, for the eyes that read it all the same. */
const jsonFormat = format.printf(({ timestamp, level, message, ...fields }) =>
  JSON.stringify({ timestamp, level, message, ...fields }),
);

/** As long as the longest transition of a session, so that what follows the message is in one column. */
const messageWidth = 'session: tools-registered -> connected'.length;

function prettyFormat(colored: boolean) {
  // A transition's message says from where to where already.
  const lines = format.printf(({ timestamp, level, message, from: _from, to: _to, ...fields }) => {
    const details = Object.entries(fields).filter(([, value]) => value !== undefined && value !== null);
    const tail = details.map(([key, value]) => `${key}=${quoteIfNeeded(String(value))}`).join(' ');
    return `${String(timestamp)} ${level} ${String(message).padEnd(tail === '' ? 0 : messageWidth)} ${tail}`.trimEnd();
  });
  const padded = format((info) => ({ ...info, level: info.level.padEnd(5) }));
  const steps = [padded(), format.timestamp({ format: 'HH:mm:ss.SSS' })];
  return format.combine(...steps, ...(colored ? [colorized()] : []), lines);
}

const levelColors: Record<string, string> = {
  error: '\u001b[31m',
  warn: '\u001b[33m',
  info: '\u001b[36m',
  debug: '\u001b[2m',
};

const colorized = format((info) => ({
  ...info,
  level: `${levelColors[info.level.trim()] ?? ''}${info.level}\u001b[0m`,
}));

function quoteIfNeeded(value: string): string {
  return /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
}
