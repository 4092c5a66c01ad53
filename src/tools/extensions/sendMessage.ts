import { z } from 'zod';
import { contextKinds } from '../../browser/extensions/contexts.js';
import { findEnabledExtension } from '../../browser/extensions/installedExtensions.js';
import { sendMessage } from '../../browser/extensions/extensionMessage.js';
import { withCdpScope } from '../../browser/cdp/cdpScope.js';
import { ToolError } from '../../errors/errors.js';
import { truncateAnswer } from '../answers.js';
import { defineTool } from '../defineTool.js';
import { extensionId } from '../extensionFields.js';

const optionalPageId = z.int().min(1).optional();

export const sendMessageTool = defineTool({
  name: 'send_extension_message',
  group: 'extension',
  needs: 'extension',
  description: 'Send a message as the extension would; await the reply',
  input: z.strictObject({
    extensionId,
    message: z.unknown(),
    from: z.enum(contextKinds).exclude(['page']).optional().describe('Default: a hidden page'),
    pageId: optionalPageId.describe('Of content_script'),
    toPageId: optionalPageId.describe('Send to this tab'),
    timeoutMs: z.int().min(1).max(25_000).default(5_000),
  }),
  output: z.object({ reply: z.string(), ms: z.number() }),
  annotations: { readOnlyHint: false },
  async handler({ extensionId: id, message, from, pageId: fromId, toPageId, timeoutMs }, { browser, signal }) {
    const page = () => browser.page(fromId);
    const toPage = toPageId === undefined ? undefined : browser.page(toPageId);
    const { name, ...delivery } = await withCdpScope(browser.browser, signal, async (scope) => {
      const extension = await findEnabledExtension(scope, id);
      const sent = await sendMessage(scope, { extension, message, from, page, toPage, timeoutMs });
      return { name: extension.name, ...sent };
    });
    if ('error' in delivery) {
      throw new ToolError(
        `The message to ${toPage === undefined ? `"${name}"` : `page ${toPage.id}`} got no reply: ${delivery.error} ` +
          'get_extension_logs shows what its contexts said, list_extension_contexts which of them are there.',
      );
    }
    const reply = delivery.reply ?? 'undefined';
    const text = truncateAnswer(reply, 'evaluate_in_extension can pick what you need');
    return { text: `Reply after ${delivery.ms} ms: ${text}`, structured: { reply: text, ms: delivery.ms } };
  },
});
