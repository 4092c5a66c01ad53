import { createLogger, format, transports } from 'winston';
import type { Config } from './config.js';

/** Fields of one line. Sessions are named by the first 8 characters of their id: a log must not let anyone in. */
export type Fields = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** What the parts of the program write to. */
export interface Log {
  error(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  debug(message: string, fields?: Fields): void;
}

/** The part of a session's id that may be written down. */
export const shortId = (sessionId: string): string => sessionId.slice(0, 8);

/** Writes nothing. For embedders who do not want our lines, and for tests. */
export const silentLog: Log = { error: ignore, warn: ignore, info: ignore, debug: ignore };

function ignore(): void {
  return;
}

/** One line per record on standard error, so that standard output stays free for protocols and answers. */
export function createLog(config: Pick<Config, 'logLevel' | 'logFormat'>, isTerminal: boolean): Log {
  const pretty = (config.logFormat ?? (isTerminal ? 'pretty' : 'json')) === 'pretty';
  return createLogger({
    level: config.logLevel,
    format: pretty ? prettyFormat(isTerminal) : format.combine(format.timestamp(), jsonLines),
    transports: [new transports.Stream({ stream: process.stderr })],
  });
}

/** When, how bad and what come first, for the eyes that read it all the same. */
const jsonLines = format.printf(({ timestamp, level, message, ...fields }) =>
  JSON.stringify({ timestamp, level, message, ...fields }),
);

/** As long as the longest transition of a session, so that what follows the message is in one column. */
const messageWidth = 'session: tools-registered -> connected'.length;

function prettyFormat(colored: boolean) {
  // A transition's message says from where to where already.
  const lines = format.printf(({ timestamp, level, message, from: _from, to: _to, ...fields }) => {
    const details = Object.entries(fields).filter(([, value]) => value !== undefined && value !== null);
    const tail = details.map(([key, value]) => `${key}=${quoted(String(value))}`).join(' ');
    return `${String(timestamp)} ${level} ${String(message).padEnd(tail === '' ? 0 : messageWidth)} ${tail}`.trimEnd();
  });
  const padded = format((info) => ({ ...info, level: info.level.padEnd(5) }));
  const steps = [padded(), format.timestamp({ format: 'HH:mm:ss.SSS' })];
  return format.combine(...steps, ...(colored ? [colorized()] : []), lines);
}

const tint: Record<string, string> = {
  error: '\u001b[31m',
  warn: '\u001b[33m',
  info: '\u001b[36m',
  debug: '\u001b[2m',
};

const colorized = format((info) => ({ ...info, level: `${tint[info.level.trim()] ?? ''}${info.level}\u001b[0m` }));

function quoted(value: string): string {
  return /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
}
