import type { Work } from './sourceText.js';

export type Severity = 'error' | 'warning' | 'info';

/** What is wrong with an extension, and what mends it. */
export interface Finding {
  /** `error`: Chrome refuses or ignores it. `warning`: it is likely to go wrong. `info`: it could be better. */
  readonly severity: Severity;
  /** The key in the manifest, or file and line. */
  readonly at: string;
  readonly problem: string;
  readonly fix: string;
}

/** The findings of a search that pauses wherever it yields, with a finding or without. */
export type Findings<Result = void> = Generator<Finding | undefined, Result>;

/** What to look for in a text, in linear time and with pauses, and what to say of it. */
export interface Rule {
  /** The index of the first hit, or -1. */
  find(text: string): Work<number>;
  readonly severity: Severity;
  readonly problem: string;
  readonly fix: string;
}

/** `file:line` of what stands at an index. */
export function placeAt(path: string, text: string, index: number): string {
  let line = 1;
  for (let at = text.indexOf('\n'); at !== -1 && at < index; at = text.indexOf('\n', at + 1)) line++;
  return `${path}:${line}`;
}

/** A manifest as it was parsed, nothing of it checked. */
export type ManifestJson = Readonly<Record<string, unknown>>;
