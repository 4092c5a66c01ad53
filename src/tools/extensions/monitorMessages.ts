import { z } from 'zod';
import type { RingEntry } from '../../browser/collectors/ring.js';
import { findExtension } from '../../browser/extensions/extensions.js';
import type { ExtensionMessage } from '../../browser/extensions/messageLog.js';
import { withProtocol } from '../../browser/protocol/protocolScope.js';
import { defineTool } from '../defineTool.js';
import { listingInput, listingOutput, listOf, oneLine, timeText } from '../listing.js';
import { extensionId } from './shared.js';

const rowChars = 500;

const row = z.object({
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
  output: z.object({ messages: z.array(row), ...listingOutput }),
  annotations: { readOnlyHint: true },
  async handler({ extensionId: id, text: wanted, ...args }, { browser, signal }) {
    const { name } = await withProtocol(browser.browser, signal, (scope) => findExtension(scope, id));
    const listing = listOf(
      browser.activity.messages.read(args.since),
      (message) =>
        message.extensionId === id &&
        (wanted === undefined || `${message.api} ${message.payload} ${message.reply ?? ''}`.includes(wanted)),
      args,
    );
    const lines = listing.entries.map(line);
    if (lines.length === 0) {
      lines.push(
        `No messages of "${name}" ${args.since === undefined ? 'yet' : 'since then'}. They are seen in pages, content scripts, popups and offscreen documents; those that only a service worker could see are not.`,
      );
    }
    return {
      text: [...lines, '', listing.closing].join('\n'),
      structured: { messages: listing.entries.map(structuredRow), ...listing.facts },
    };
  },
});

function line({ id, value }: RingEntry<ExtensionMessage>): string {
  const { at, api, from, to, payload, reply, error, replyMs } = value;
  const took = replyMs === undefined ? '' : ` (${replyMs} ms)`;
  return [
    `#${id} ${timeText(at)} ${api} ${from}${to.length === 0 ? '' : ` -> ${to.join(', ')}`}: ${oneLine(payload, rowChars)}`,
    ...(reply === undefined ? [] : [`  reply${took}: ${oneLine(reply, rowChars)}`]),
    ...(error === undefined ? [] : [`  failed${took}: ${error}`]),
  ].join('\n');
}

function structuredRow({ id, value }: RingEntry<ExtensionMessage>): z.input<typeof row> {
  const { at, api, from, to, payload, reply, error, replyMs } = value;
  return {
    ...{ id, at: new Date(at).toISOString(), api, from, to: [...to], payload: oneLine(payload, rowChars) },
    ...(reply === undefined ? {} : { reply: oneLine(reply, rowChars) }),
    ...(error === undefined ? {} : { error }),
    ...(replyMs === undefined ? {} : { replyMs }),
  };
}
