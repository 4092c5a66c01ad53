import type { Work } from './sourceText.js';

export type Severity = 'error' | 'warning' | 'info';

/** A problem of an extension and its fix. */
export interface Finding {
  /** `error`: Chrome refuses or ignores it. `warning`: it is likely to go wrong. `info`: it could be better. */
  readonly severity: Severity;
  /** The key in the manifest, or file and line. */
  readonly at: string;
  readonly problem: string;
  readonly fix: string;
}

/** The findings of a search, which pauses where it yields, with or without a finding. */
export type Findings<Result = void> = Generator<Finding | undefined, Result>;

/** A search in a text, in linear time and with pauses, and its finding. */
export interface Rule {
  /** The index of the first hit, or -1. */
  find(text: string): Work<number>;
  readonly severity: Severity;
  readonly problem: string;
  readonly fix: string;
}

/** `file:line` of an index in a text. */
export function placeAt(path: string, text: string, index: number): string {
  let line = 1;
  for (let at = text.indexOf('\n'); at !== -1 && at < index; at = text.indexOf('\n', at + 1)) line++;
  return `${path}:${line}`;
}

/** A parsed manifest, not validated. */
export type ManifestJson = Readonly<Record<string, unknown>>;
