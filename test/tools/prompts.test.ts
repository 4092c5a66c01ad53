import type { Completer } from '../../src/mcp/definitions.js';
import { allPrompts } from '../../src/mcp/prompts.js';
import {
  sampleExtensionFolder,
  startPageServer,
  type PageServer,
  sampleExtensionId,
} from '../../src/selftest/pageServer.js';
import { extensionTools } from '../../src/tools/allTools.js';
import { navigationTools } from '../../src/tools/navigationTools.js';
import { plainClient, sessionFacts as session } from './support/plainSession.js';
import { startToolHarness, type ToolHarness } from './support/toolHarness.js';

let pages: PageServer;
let harness: ToolHarness;
beforeAll(async () => {
  const tools = [...extensionTools, ...navigationTools];
  [pages, harness] = await Promise.all([startPageServer(), startToolHarness(tools)]);
});
afterAll(async () => {
  await harness.close();
  await pages.close();
});

function completerOf(prompt: string, argument: string): Completer {
  const completer = allPrompts.find(({ name }) => name === prompt)?.complete?.[argument];
  if (!completer) throw new Error(`${prompt} does not complete ${argument}.`);
  return completer;
}

const complete = (prompt: string, argument: string) => {
  const { signal } = new AbortController();
  return completerOf(prompt, argument)(
    { client: plainClient, session, signal, browser: harness.browser },
    { value: '', others: {} },
  );
};

test("[C-OFFER] an extension's id is completed from those that are installed, a url from the pages that are open", async () => {
  expect(await complete('diagnose_extension', 'extensionId')).toEqual([]);
  expect(await complete('profile_page', 'url')).toEqual([]);
  await harness.run('install_extension', { path: sampleExtensionFolder }, { workspace: [sampleExtensionFolder] });
  await harness.run('navigate_page', { url: `${pages.url}/look.html` });
  expect(await complete('diagnose_extension', 'extensionId')).toEqual([sampleExtensionId]);
  expect(await complete('audit_manifest', 'extensionId')).toEqual([sampleExtensionId]);
  expect(await complete('profile_page', 'url')).toEqual([`${pages.url}/look.html`]);
});
