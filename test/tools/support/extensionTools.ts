import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { startPageServer, type PageServer } from '../../../src/selftest/pageServer.js';
import { extensionTools } from '../../../src/tools/allTools.js';
import { startToolHarness, type ToolHarness } from './toolHarness.js';

/** The extension tools on a real browser, with the sample pages and a folder to write extensions to. */
export interface ExtensionTools extends ToolHarness {
  readonly pages: PageServer;
  readonly workspace: string;
  /** Writes an extension, or changes the files of one, and answers its folder. */
  write(name: string, manifest: object, files?: Readonly<Record<string, string>>): Promise<string>;
  /** Writes and installs; answers the id. */
  install(name: string, manifest: object, files?: Readonly<Record<string, string>>): Promise<string>;
  evaluate(extensionId: string, expression: string, more?: object): Promise<unknown>;
  /** What `list_extension_contexts` tells. */
  contexts(extensionId: string): Promise<ContextRow[]>;
  /** The first of its contexts that is of this kind. */
  contextOf(extensionId: string, kind: string): Promise<ContextRow>;
  /** Opens one of the sample pages in a new tab; answers its page id. */
  openPage(path: string): Promise<number>;
}

interface ContextRow {
  readonly contextId: string;
  readonly kind: string;
  readonly url: string;
  readonly pageId?: number;
}

/** Closed by the caller. */
export async function startExtensionTools(): Promise<ExtensionTools> {
  const workspace = await mkdtemp(join(tmpdir(), 'greenroom-test-'));
  const [pages, harness] = await Promise.all([startPageServer(), startToolHarness(extensionTools)]);
  const write = (name: string, manifest: object, files: Readonly<Record<string, string>> = {}): Promise<string> =>
    writeExtension(join(workspace, name), { name, ...manifest }, files);
  const contexts = async (extensionId: string): Promise<ContextRow[]> => {
    const { structured } = await harness.run('list_extension_contexts', { extensionId });
    return structured['contexts'] as ContextRow[];
  };
  return {
    ...harness,
    pages,
    workspace,
    write,
    install: async (name, manifest, files) => {
      const path = await write(name, manifest, files);
      const { structured } = await harness.run('install_extension', { path }, { workspace: [workspace] });
      return String(structured['id']);
    },
    evaluate: async (extensionId, expression, more = {}) => {
      const { structured } = await harness.run('evaluate_in_extension', { extensionId, expression, ...more });
      return JSON.parse(String(structured['result']));
    },
    contexts,
    contextOf: async (extensionId, kind) => {
      const found = (await contexts(extensionId)).find((context) => context.kind === kind);
      if (!found) throw new Error(`No ${kind}`);
      return found;
    },
    openPage: async (path) => {
      const { id, page } = await harness.browser.newPage();
      await page.goto(`${pages.url}${path}`);
      return id;
    },
    close: async () => {
      await harness.close();
      await pages.close();
      await rm(workspace, { recursive: true, force: true });
    },
  };
}

async function writeExtension(
  folder: string,
  manifest: object,
  files: Readonly<Record<string, string>>,
): Promise<string> {
  const whole = JSON.stringify({ manifest_version: 3, version: '1.0', ...manifest });
  for (const [name, content] of Object.entries({ 'manifest.json': whole, ...files })) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), content);
  }
  return folder;
}
