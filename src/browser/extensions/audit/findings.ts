import { positionIn } from '../chromeJson.js';
import type { ManifestJson, ParsedManifest } from '../manifest.js';

/** The gravest first. */
export const severities = ['refused', 'breaks', 'advice'] as const;
export type Severity = (typeof severities)[number];

/** A problem of an extension and its fix. */
export interface Finding {
  /** `refused`: Chrome or the Web Store does not take it. `breaks`: it fails when it runs. `advice`: it could be better. */
  readonly severity: Severity;
  /** File and line, in a long line the column, too; in the manifest also the key. */
  readonly at: string;
  readonly problem: string;
  readonly fix: string;
}

/** An API that the code uses, and the permission without which it is undefined. */
export interface ApiNeed {
  readonly api: string;
  readonly permission: string;
  /** Its first use. */
  readonly at: string;
}

/** The findings about an extension's folder, the gravest first. */
export interface Audit {
  readonly findings: readonly Finding[];
  /** Findings beyond the limit. */
  readonly more: number;
  readonly needs: readonly ApiNeed[];
  /** As on the disk; null if Chrome cannot parse it. */
  readonly manifest: unknown;
}

/** Lines that are longer need a column. */
const longLine = 200;

/** `file:line` of an index in a text, with the column in a long line. */
export function placeAt(path: string, text: string, index: number): string {
  const { line, column } = positionIn(text, index);
  const end = text.indexOf('\n', index);
  const length = column + (end === -1 ? text.length : end) - index;
  return length > longLine ? `${path}:${line}:${column}` : `${path}:${line}`;
}

/** What a rule looks at. */
export interface Audited {
  readonly manifest: ParsedManifest;
  readonly json: ManifestJson;
  readonly paths: ReadonlySet<string>;
}

export type Findings = Iterable<Finding>;

/** A finding about a key of the manifest. */
export function atKey(
  { manifest }: Pick<Audited, 'manifest'>,
  key: string,
  [severity, problem, fix]: readonly [Severity, string, string],
): Finding {
  return { severity, at: `manifest.json:${manifest.lineOf(key)} ${key}`, problem, fix };
}
