import { z } from 'zod';
import type { RuleMatch } from '../injected/contract.js';
import { testRequestRules } from '../cdp/injectedFunctions.js';
import type { CdpScope } from '../cdp/cdpScope.js';
import { ExtensionDocument } from './evaluateInTarget.js';
import { listExtensions, type Extension } from './installedExtensions.js';

export interface RequestToTest {
  readonly url: string;
  readonly method: string;
  /** As CDP names it: `Script`, `XHR`. */
  readonly type: string;
  readonly documentUrl: string;
}

/** The names of `declarativeNetRequest.ResourceType` by those of CDP; others are `other`. */
const resourceTypes: Readonly<Record<string, string>> = {
  document: 'main_frame',
  stylesheet: 'stylesheet',
  script: 'script',
  image: 'image',
  font: 'font',
  media: 'media',
  xhr: 'xmlhttprequest',
  fetch: 'xmlhttprequest',
  ping: 'ping',
  websocket: 'websocket',
  cspviolationreport: 'csp_report',
};

const matchesSchema = z.array(z.object({ ruleId: z.number(), rulesetId: z.string() })) satisfies z.ZodType<
  readonly RuleMatch[]
>;

/** The rules of `declarativeNetRequest` that match a request, a line for each extension that has some. */
export async function matchingRules(scope: CdpScope, request: RequestToTest): Promise<string[]> {
  const extensions = (await listExtensions(scope)).filter(({ enabled }) => enabled);
  const lines = await Promise.all(extensions.map((extension) => rulesOf(scope, extension, request)));
  return lines.flat();
}

async function rulesOf(scope: CdpScope, extension: Extension, request: RequestToTest): Promise<string[]> {
  const { url, method, type, documentUrl } = request;
  const question = {
    url,
    method: method.toLowerCase(),
    type: resourceTypes[type.toLowerCase()] ?? 'other',
    ...(/^https?:/.test(documentUrl) &&
      type.toLowerCase() !== 'document' && { initiator: new URL(documentUrl).origin }),
  };
  const document = await ExtensionDocument.open(scope, extension);
  const matches = await document.call(testRequestRules, [question], matchesSchema);
  if (matches.length === 0) return [];
  const rules = matches.map(({ ruleId, rulesetId }) => `rule ${ruleId} of ruleset ${rulesetId}`).join(', ');
  return [`${rules} of extension "${extension.name}" (${extension.id})`];
}
