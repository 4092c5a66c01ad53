import { readFileSync, statSync } from 'node:fs';
import { messageOf } from '../errors/errors.js';
import { ConfigError } from './config.js';

const nameForm = /^[A-Za-z_]\w{0,63}$/;
const maxSecrets = 200;
const maxBytes = 1024 ** 2;
/** Shorter values occur in texts by chance. */
const minValueLength = 6;

/**
 * Reads `--secrets`: lines `NAME=value` as in an environment file (comments with `#`, quotes allowed), or a JSON object.
 * Throws a `ConfigError` that names the file and the line, and no value. `mayWait`: nobody is served yet, so that the file
 * may be a pipe.
 */
export function readSecrets(file: string | undefined, { mayWait = true } = {}): ReadonlyMap<string, string> {
  if (file === undefined) return new Map();
  const text = readText(file, mayWait);
  const entries = text.trimStart().startsWith('{') ? jsonEntries(text, file) : lineEntries(text, file);
  for (const [name, value] of entries) {
    if (!nameForm.test(name))
      throw wrong(file, `${JSON.stringify(name.slice(0, 40))} is no name: use letters, digits and _`);
    if (value.length < minValueLength) throw wrong(file, `${name} has fewer than ${minValueLength} characters`);
  }
  if (entries.length > maxSecrets) throw wrong(file, `it has more than ${maxSecrets} secrets`);
  return new Map(entries);
}

function readText(file: string, mayWait: boolean): string {
  try {
    const found = statSync(file);
    if (!found.isFile() && !(mayWait && found.isFIFO())) throw wrong(file, 'it is no file that can be read again');
    if (found.size > maxBytes) throw wrong(file, `it has more than ${maxBytes} bytes`);
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw error instanceof ConfigError ? error : wrong(file, messageOf(error));
  }
}

function jsonEntries(text: string, file: string): [string, string][] {
  try {
    const parsed: unknown = JSON.parse(text);
    const entries = Object.entries(parsed as Record<string, unknown>);
    if (entries.every((entry): entry is [string, string] => typeof entry[1] === 'string')) return entries;
  } catch {
    // The message of JSON.parse would quote the text.
  }
  throw wrong(file, 'it is not a JSON object of texts');
}

function lineEntries(text: string, file: string): [string, string][] {
  return text.split(/\r?\n/).flatMap((line, index): [string, string][] => {
    if (line.trim() === '' || line.trimStart().startsWith('#')) return [];
    const at = line.indexOf('=');
    if (at === -1) throw wrong(file, `line ${index + 1} is not NAME=value`);
    const name = line
      .slice(0, at)
      .trim()
      .replace(/^export /, '');
    const value = line.slice(at + 1).trim();
    const isQuoted = value.length > 1 && /^["']/.test(value) && value.endsWith(value.charAt(0));
    return [[name, isQuoted ? value.slice(1, -1) : value]];
  });
}

const wrong = (file: string, problem: string): ConfigError =>
  new ConfigError(`--secrets: ${JSON.stringify(file)} is not allowed: ${problem}. Allowed: lines NAME=value, or JSON.`);
