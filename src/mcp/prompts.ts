import { z } from 'zod';
import { type Prompt, definePrompt, type Completer } from './definitions.js';
import { listExtensions } from '../browser/extensions/installedExtensions.js';
import { withCdpScope } from '../browser/cdp/cdpScope.js';
import { skillNamed } from './skills.js';

/** Ids of the extensions in the session's browser; none without an own process, which extensions need. */
export const installedExtensions: Completer = async ({ browser, signal }) => {
  if (browser === undefined || browser.isolation === 'context') return [];
  const extensions = await withCdpScope(browser.browser, signal, listExtensions);
  return extensions.map(({ id }) => id);
};

/** The http(s) URLs of the session's pages. */
export const openPages: Completer = ({ browser }) => {
  const urls = (browser?.pages() ?? []).map((page) => page.url());
  return [...new Set(urls)].filter((url) => url.startsWith('http'));
};

const extensionId = z.string().describe('Id of an installed extension');
const symptom = z.string().optional().describe('What goes wrong, in a sentence');

interface GuideOptions<Shape extends z.ZodRawShape> {
  readonly name: string;
  readonly description: string;
  /** The skill whose text it gives. */
  readonly skill: string;
  readonly arguments: z.ZodObject<Shape>;
  readonly complete?: Readonly<Record<string, Completer>>;
}

/** What an argument is called in the text of a guide, and before it. */
const placeholders: Readonly<Record<string, string>> = {
  url: 'PAGE',
  extensionId: 'EXTENSION_ID',
  request: 'REQUEST_URL',
};
const introductions: Readonly<Record<string, string>> = {
  url: 'The page',
  extensionId: 'The extension',
  request: 'The request',
  symptom: 'What was seen',
  concern: 'What was noticed',
  action: 'The suspected action',
};

/** A prompt with the text of a skill, and the arguments in it and before it. */
function guidePrompt<Shape extends z.ZodRawShape>({ skill, ...about }: GuideOptions<Shape>): Prompt {
  const { body, title, tools } = skillNamed(skill);
  return definePrompt({
    ...about,
    title,
    tools,
    messages(args) {
      const given = Object.entries(args).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
      const facts = given.map(([name, value]) => `${introductions[name] ?? name}: ${value}`);
      const filled = given.reduce((text, [name, value]) => {
        const placeholder = placeholders[name];
        return placeholder === undefined ? text : text.replaceAll(`"${placeholder}"`, () => JSON.stringify(value));
      }, body);
      return [...facts, '', filled.trim()].join('\n');
    },
  });
}

const diagnoseExtensionPrompt = guidePrompt({
  name: 'diagnose_extension',
  description: 'Find out why an extension does not do what it should, and prove it',
  skill: 'debug-extension',
  arguments: z.strictObject({
    extensionId,
    symptom,
    url: z.string().optional().describe('A page on which it goes wrong'),
  }),
  complete: { extensionId: installedExtensions, url: openPages },
});

const auditManifestPrompt = guidePrompt({
  name: 'audit_manifest',
  description: 'Check manifest, permissions and files of an extension before it is published',
  skill: 'audit-extension',
  arguments: z.strictObject({ extensionId }),
  complete: { extensionId: installedExtensions },
});

const profilePagePrompt = guidePrompt({
  name: 'profile_page',
  description: 'Find out what makes a page slow to load or to react',
  skill: 'debug-slow-load',
  arguments: z.strictObject({
    url: z.string().describe('The page'),
    concern: z.string().optional().describe('What feels slow, in a sentence'),
  }),
  complete: { url: openPages },
});

const debugPagePrompt = guidePrompt({
  name: 'debug_page',
  description: 'Find out why a page does not do what it should, and prove it',
  skill: 'debug-page',
  arguments: z.strictObject({ url: z.string().describe('The page'), symptom }),
  complete: { url: openPages },
});

const diagnoseWorkerPrompt = guidePrompt({
  name: 'diagnose_worker',
  description: 'Find out what the service worker of an extension forgets when Chrome stops it',
  skill: 'debug-sleeping-worker',
  arguments: z.strictObject({ extensionId, symptom }),
  complete: { extensionId: installedExtensions },
});

const findLeakPrompt = guidePrompt({
  name: 'find_leak',
  description: 'Find what a page keeps in memory, and what keeps it',
  skill: 'find-memory-leak',
  arguments: z.strictObject({
    url: z.string().describe('The page'),
    action: z.string().optional().describe('What to do again and again, such as opening and closing a dialog'),
  }),
  complete: { url: openPages },
});

const diagnoseRequestPrompt = guidePrompt({
  name: 'diagnose_request',
  description: 'Find out why a request of a page fails, and on which side',
  skill: 'debug-failing-request',
  arguments: z.strictObject({
    url: z.string().describe('The page that sends it'),
    request: z.string().optional().describe('Its address, or a part of it'),
  }),
  complete: { url: openPages },
});

/** The built-in prompts. */
export const allPrompts: readonly Prompt[] = [
  diagnoseExtensionPrompt,
  auditManifestPrompt,
  profilePagePrompt,
  debugPagePrompt,
  diagnoseWorkerPrompt,
  findLeakPrompt,
  diagnoseRequestPrompt,
];

/** Instructions for the model, in the result of `initialize`. */
export const instructions =
  'Debugs Chrome pages and Chrome extensions. Start with new_page or list_pages, look with take_snapshot, act by the ' +
  'uids it prints. Page tools work on the selected page, or on the one that pageId names. For extensions: ' +
  'install_extension, list_extension_contexts, evaluate_in_extension, get_extension_runtime_errors, get_extension_logs.';
