import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { messageOf, ToolError } from '../../errors/errors.js';
import { parseChromeJson, ChromeJsonError } from './chromeJson.js';

/** A parsed manifest, not validated. */
export type ManifestJson = Readonly<Record<string, unknown>>;

/** A manifest as it stands on the disk, which may differ from what Chrome has loaded. */
export interface ParsedManifest {
  /** Undefined if it is not a JSON object. */
  readonly json: ManifestJson | undefined;
  /** Why Chrome refuses the JSON. */
  readonly problem?: string;
  /** The line of a key, as of `background.service_worker`, or of the problem. */
  lineOf(path: string): number;
}

const maxManifestBytes = 1024 ** 2;

/** Parses a manifest as Chrome does. */
export function parseManifest(bytes: Uint8Array): ParsedManifest {
  try {
    const { value, lineOf } = parseChromeJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    if (isJsonObject(value)) return { json: value, lineOf };
    return { json: undefined, problem: 'it is no object', lineOf };
  } catch (error) {
    const line = error instanceof ChromeJsonError ? error.line : 1;
    const problem = error instanceof TypeError ? 'it is not UTF-8' : messageOf(error);
    return { json: undefined, problem, lineOf: () => line };
  }
}

/** The manifest in a folder, read by `parseManifest`. Rejects if there is none, with a ToolError above the size limit. */
export async function readManifestFile(folder: string): Promise<ParsedManifest> {
  const path = join(folder, 'manifest.json');
  const { size } = await stat(path);
  if (size <= maxManifestBytes) return parseManifest(await readFile(path));
  throw new ToolError(`manifest.json has ${size} bytes, and at most ${maxManifestBytes} are read. Shorten it.`);
}

/** A value of another type is as good as none: Chrome has said so when it loaded the extension. */
const text = z.string().optional().catch(undefined);

const manifestSchema = z.object({
  name: text,
  version: text,
  theme: z.looseObject({}).optional().catch(undefined),
  omnibox: z.object({ keyword: text }).optional().catch(undefined),
  commands: z.record(z.string(), z.unknown()).optional().catch(undefined),
  permissions: z.array(z.unknown()).optional().catch(undefined),
  optional_permissions: z.array(z.unknown()).optional().catch(undefined),
  host_permissions: z.array(z.unknown()).optional().catch(undefined),
  optional_host_permissions: z.array(z.unknown()).optional().catch(undefined),
  key: text,
  default_locale: text,
  background: z.object({ service_worker: text }).optional().catch(undefined),
  action: z.object({ default_popup: text }).optional().catch(undefined),
  options_page: text,
  devtools_page: text,
  chrome_url_overrides: z.record(z.string(), text).optional().catch(undefined),
  sandbox: z
    .object({ pages: z.array(text) })
    .optional()
    .catch(undefined),
  options_ui: z.object({ page: text }).optional().catch(undefined),
  side_panel: z.object({ default_path: text }).optional().catch(undefined),
});

/** What the manifest says about the extension's identity and contexts. */
export type Manifest = z.infer<typeof manifestSchema>;

export const manifestOf = ({ json }: Pick<ParsedManifest, 'json'>): Manifest | undefined =>
  manifestSchema.safeParse(json).data;

/** The manifest of an extension. Undefined where its folder is not readable here, as with a browser elsewhere. */
export async function readManifest({ path }: { readonly path: string }): Promise<Manifest | undefined> {
  return manifestOf(await readManifestFile(path).catch(() => ({ json: undefined })));
}

export function isJsonObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The strings among the items of a list. */
export function stringsIn(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

/** The objects among the items of a list. */
export function objectsIn(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}

export const objectAt = (value: unknown, key: string): Record<string, unknown> => {
  const found = isJsonObject(value) ? value[key] : undefined;
  return isJsonObject(found) ? found : {};
};
