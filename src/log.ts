import { createLogger, format, transports } from 'winston';
import { noop } from './async.js';
import type { Config } from './config/config.js';
import { cleanText } from './text.js';

/** Fields of one line. A session is named by the first 8 characters of its id: the whole id is a credential. */
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

type LineLevel = 'error' | 'warn' | 'info' | 'debug';

/** The log interface of every part of the program. */
export interface Log {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  /** Whether lines of this level are written. Absent: all may be. */
  isOn?(level: LineLevel): boolean;
}

/** The part of a session id that may be logged. */
export const shortId = (sessionId: string): string => sessionId.slice(0, 8);

/** Discards every line. For embedders and tests. */
export const silentLog: Log = { error: noop, warn: noop, info: noop, debug: noop };

/** A log that passes its texts through `hide`, which removes what must not be logged. */
export function hidingLog(log: Log, hide: (text: string) => string): Log {
  const shown = (fields: LogFields): LogFields =>
    Object.fromEntries(
      Object.entries(fields).map(([name, value]) => [name, typeof value === 'string' ? hide(value) : value]),
    );
  const at =
    (level: LineLevel): Log['info'] =>
    (message, fields) => {
      if (isWritten(log, level)) log[level](hide(message), ...(fields === undefined ? [] : [shown(fields)]));
    };
  const isOn = (level: LineLevel): boolean => isWritten(log, level);
  return { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug'), isOn };
}

/** Whether a level is written: check it before a line that is expensive to make. */
export const isWritten = (log: Log, level: LineLevel): boolean => log[level] !== noop && log.isOn?.(level) !== false;

/** Whether lines are written for people: by default only on a terminal. */
export const isPretty = ({ logFormat }: Pick<Config, 'logFormat'>, isTerminal: boolean): boolean =>
  (logFormat ?? (isTerminal ? 'pretty' : 'json')) === 'pretty';

/** A log whose level can be changed. */
export interface LevelledLog extends Log {
  level: string;
}

/** Writes one line per record to standard error: standard output carries the stdio transport and command output. */
export function createLog(config: Pick<Config, 'logLevel' | 'logFormat'>, isTerminal: boolean): LevelledLog {
  const pretty = isPretty(config, isTerminal);
  const logger = createLogger({
    level: config.logLevel,
    format: pretty ? prettyFormat(isTerminal) : format.combine(format.timestamp(), jsonFormat),
    transports: [new transports.Stream({ stream: process.stderr })],
  });
  return Object.assign(logger, { isOn: (level: LineLevel) => logger.isLevelEnabled(level) });
}

/** Timestamp, level and message come first, for human readers. */
const jsonFormat = format.printf(({ timestamp, level, message, ...fields }) =>
  cleanText(JSON.stringify({ timestamp, level, message, ...fields })),
);

/** The longest transition message of a session, so that the fields of all lines start in the same column. */
const messageWidth = 'session: tools-registered -> connected'.length;

function prettyFormat(colored: boolean) {
  // The message of a transition already contains `from` and `to`.
  const lines = format.printf(({ timestamp, level, message, from: _from, to: _to, ...fields }) => {
    const details = Object.entries(fields).filter(([, value]) => value !== undefined && value !== null);
    const tail = details.map(([key, value]) => `${key}=${cleanText(quoteIfNeeded(String(value)))}`).join(' ');
    return `${String(timestamp)} ${level} ${cleanText(String(message)).padEnd(tail === '' ? 0 : messageWidth)} ${tail}`.trimEnd();
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
