import { z } from 'zod';
import type { RingBufferEntry } from '../browser/collectors/ringBuffer.js';
import { findExtension } from '../browser/extensions/installedExtensions.js';
import type { ExtensionMessage } from '../browser/extensions/messageLog.js';
import { withCdpScope } from '../browser/cdp/cdpScope.js';
import { defineTool } from './defineTool.js';
import { listingInput, listingOutput, pageOf, oneLine, timeText } from './pagination.js';
import { extensionId } from './extensionFields.js';

const messageChars = 500;

const messageRow = z.object({
  id: z.int(),
  at: z.string(),
  api: z.string(),
  from: z.string(),
  to: z.array(z.string()),
  payload: z.string(),
  reply: z.string().optional(),
  error: z.string().optional(),
  replyMs: z.number().optional(),
});

export const monitorMessagesTool = defineTool({
  name: 'monitor_extension_messages',
  group: 'extension',
  needs: 'extension',
  description: "An extension's messages and ports so far, with replies",
  input: z.strictObject({ extensionId, text: z.string().optional(), ...listingInput }),
  output: z.object({ messages: z.array(messageRow), ...listingOutput }),
  annotations: { readOnlyHint: true },
  async handler({ extensionId: id, text: wanted, ...args }, { browser, signal }) {
    const { name } = await withCdpScope(browser.browser, signal, (scope) => findExtension(scope, id));
    const listing = pageOf(
      browser.activity.messages.read(args.since),
      (message) =>
        message.extensionId === id &&
        (wanted === undefined || `${message.api} ${message.payload} ${message.reply ?? ''}`.includes(wanted)),
      args,
    );
    const lines = listing.entries.map(messageLine);
    if (lines.length === 0) {
      lines.push(
        `No messages of "${name}" ${args.since === undefined ? 'yet' : 'since then'}. They are seen in pages, content scripts, popups and offscreen documents; those that only a service worker could see are not.`,
      );
    }
    return {
      text: [...lines, '', listing.footer].join('\n'),
      structured: { messages: listing.entries.map(structuredMessage), ...listing.fields },
    };
  },
});

function messageLine({ id, value }: RingBufferEntry<ExtensionMessage>): string {
  const { at, api, from, to, payload, reply, error, replyMs } = value;
  const took = replyMs === undefined ? '' : ` (${replyMs} ms)`;
  return [
    `#${id} ${timeText(at)} ${api} ${from}${to.length === 0 ? '' : ` -> ${to.join(', ')}`}: ${oneLine(payload, messageChars)}`,
    ...(reply === undefined ? [] : [`  reply${took}: ${oneLine(reply, messageChars)}`]),
    ...(error === undefined ? [] : [`  failed${took}: ${error}`]),
  ].join('\n');
}

function structuredMessage({ id, value }: RingBufferEntry<ExtensionMessage>): z.input<typeof messageRow> {
  const { at, api, from, to, payload, reply, error, replyMs } = value;
  return {
    ...{ id, at: new Date(at).toISOString(), api, from, to: [...to], payload: oneLine(payload, messageChars) },
    ...(reply === undefined ? {} : { reply: oneLine(reply, messageChars) }),
    ...(error === undefined ? {} : { error }),
    ...(replyMs === undefined ? {} : { replyMs }),
  };
}
