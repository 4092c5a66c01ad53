import { z } from 'zod';
import { definePrompt } from '../definePrompt.js';
import { installedExtensions, numberedList, openPages } from './shared.js';

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
    'get_extension_service_worker_status',
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
      'get_extension_service_worker_status; if the worker is stopped, activate_extension_service_worker says what it throws as it starts.',
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
      'Answer with the cause (file and line), the observation that proves it, and the smallest change that mends it.',
      'If you can change the code, do: then reload_extension, make the same thing happen again, and show that it works.',
    ].join('\n');
  },
});
