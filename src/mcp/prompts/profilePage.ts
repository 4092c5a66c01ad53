import { z } from 'zod';
import { definePrompt } from '../definePrompt.js';
import { numberedList, openPages } from './shared.js';

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
