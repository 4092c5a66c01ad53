import { z } from 'zod';
import { type Prompt, definePrompt, type Completer } from './definitions.js';
import { listExtensions } from '../browser/extensions/installedExtensions.js';
import { withCdpScope } from '../browser/cdp/cdpScope.js';

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

export function numberedList(steps: readonly string[]): string {
  return steps.map((step, index) => `${index + 1}. ${step}`).join('\n');
}

export const profilePagePrompt = definePrompt({
  name: 'profile_page',
  title: 'Profile a page',
  description: 'Find out what makes a page slow to load or to react',
  arguments: z.strictObject({
    url: z.string().describe('The page'),
    concern: z.string().optional().describe('What feels slow, in a sentence'),
  }),
  tools: [
    'new_page',
    'emulate_cpu',
    'emulate_network',
    'performance_start_trace',
    'performance_analyze_insight',
    'list_network_requests',
    'take_heapsnapshot',
    'compare_heapsnapshots',
  ],
  complete: { url: openPages },
  messages: ({ url, concern }) =>
    [
      `Find out what makes ${url} slow.`,
      ...(concern === undefined ? [] : [`What was noticed: ${concern}`]),
      numberedList([
        `new_page with ${url}; emulate_cpu and emulate_network make this machine as slow as those of its users.`,
        'performance_start_trace, which loads it again: note LCP, INP, CLS and the names of the insights.',
        'performance_analyze_insight for the insights that cost the most.',
        'list_network_requests: what is large, late, or waits for something else?',
        'If it gets slower while it is used: take_heapsnapshot before and after, then compare_heapsnapshots.',
      ]),
      'Answer with the three causes that cost most, each with its number from the trace and the change that removes it.',
      'Trace again after a change, and give both numbers.',
    ].join('\n'),
});

export const diagnoseExtensionPrompt = definePrompt({
  name: 'diagnose_extension',
  title: 'Diagnose an extension',
  description: 'Find out why an extension does not do what it should, and prove it',
  arguments: z.strictObject({
    extensionId: z.string().describe('Id of an installed extension'),
    symptom: z.string().optional().describe('What goes wrong, in a sentence'),
    url: z.string().optional().describe('A page on which it goes wrong'),
  }),
  tools: [
    'get_extension_details',
    'get_extension_runtime_errors',
    'get_service_worker_status',
    'activate_extension_service_worker',
    'check_content_script_injection',
    'clear_extension_errors',
    'new_page',
    'get_extension_logs',
    'monitor_extension_messages',
    'trace_extension_api_calls',
    'evaluate_in_extension',
    'reload_extension',
  ],
  complete: { extensionId: installedExtensions, url: openPages },
  messages({ extensionId, symptom, url }) {
    const where = url === undefined ? 'a page on which it should work' : url;
    const steps = [
      'get_extension_details: is it enabled, which hosts and permissions were granted, which errors does Chrome list?',
      'get_extension_runtime_errors: an uncaught error names file and line. If there is one, read that code first.',
      'get_service_worker_status; if the worker is stopped, activate_extension_service_worker says what it throws as it starts.',
      `check_content_script_injection for ${where}: a script that does not match, or runs old code after a reload, does nothing.`,
      `clear_extension_errors, then make it fail: new_page with ${where}, and do what a user would do.`,
      'get_extension_logs and get_extension_runtime_errors again: what is new belongs to this run.',
      'If nothing failed loudly: monitor_extension_messages for messages without a reply, trace_extension_api_calls for calls that were refused, evaluate_in_extension to look at state.',
    ];
    return [
      `Find out what is wrong with the extension ${extensionId}.`,
      ...(symptom === undefined ? [] : [`What was seen: ${symptom}`]),
      'Work in this order, and stop as soon as one observation proves the cause:',
      numberedList(steps),
      'Answer with the cause (file and line), the observation that proves it, and the smallest change that fixes it.',
      'If you can change the code, do: then reload_extension, make the same thing happen again, and show that it works.',
    ].join('\n');
  },
});

export const auditManifestPrompt = definePrompt({
  name: 'audit_manifest',
  title: 'Audit a manifest',
  description: 'Check manifest, permissions and files of an extension before it is published',
  arguments: z.strictObject({ extensionId: z.string().describe('Id of an installed extension') }),
  tools: ['inspect_extension_manifest', 'get_extension_details', 'trace_extension_api_calls'],
  complete: { extensionId: installedExtensions },
  messages: ({ extensionId }) =>
    [
      `Audit the extension ${extensionId} as a careful reviewer of the Chrome Web Store would.`,
      numberedList([
        'inspect_extension_manifest: every finding, with its fix.',
        'get_extension_details: compare what was asked for with what was granted, and look for warnings of Chrome.',
        'For each permission and host, say what in the code needs it. trace_extension_api_calls while the extension is used shows what it really calls.',
      ]),
      'Answer with a table: what, where (file and line), how serious, and the exact change. Then the manifest as it should be.',
      'Leave out what you could not confirm.',
    ].join('\n'),
});

/** The built-in prompts. */
export const allPrompts: readonly Prompt[] = [diagnoseExtensionPrompt, auditManifestPrompt, profilePagePrompt];

/** Instructions for the model, in the result of `initialize`. */
export const instructions =
  'Debugs Chrome pages and Chrome extensions. Start with new_page or list_pages, look with take_snapshot, act by the ' +
  'uids it prints. Page tools work on the selected page, or on the one that pageId names. For extensions: ' +
  'install_extension, list_extension_contexts, evaluate_in_extension, get_extension_runtime_errors, get_extension_logs.';
