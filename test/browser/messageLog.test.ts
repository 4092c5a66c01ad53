import { flowOf } from '../../src/browser/extensions/extensionFlow.js';
import type { ExtensionRecorder } from '../../src/browser/extensions/extensionRecorder.js';
import { MessageLog } from '../../src/browser/extensions/messageLog.js';

const extensionId = 'a'.repeat(32);
const context = (name: string) => ({ extensionId, name, key: name });
const sender = (path: string, more: object = {}): string =>
  JSON.stringify({ id: extensionId, url: `chrome-extension://${extensionId}/${path}`, ...more });

describe('messages of an extension', () => {
  const flow = (messages: MessageLog) => {
    const nothing = { read: () => ({ entries: [] }) };
    const activity = { messages, calls: nothing, requests: nothing, storage: nothing } as unknown as ExtensionRecorder;
    return flowOf(activity, extensionId, 10).map(({ kind, from, to }) => `${kind} ${from} > ${to.join()}`);
  };

  it('a port of a popup, of which Chrome names no document, is from the popup', () => {
    const messages = new MessageLog();
    const opened = { id: 1, phase: 'begin', value: '""' } as const;
    messages.record({ ...opened, kind: 'send', api: 'runtime.connect', at: 10 }, context('/popup.html'));
    const heard = {
      ...opened,
      kind: 'receive',
      api: 'runtime.onConnect',
      sender: sender('popup.html'),
      at: 11,
    } as const;
    messages.record(heard, context('service_worker'));
    expect(flow(messages)).toEqual(['message /popup.html > service_worker']);
  });

  it('what is answered by a context that never reported was not heard by nobody', () => {
    const messages = new MessageLog();
    const sent = { id: 1, kind: 'send', api: 'runtime.sendMessage', at: 10 } as const;
    messages.record({ ...sent, phase: 'begin', value: '"parse"' }, context('service_worker'));
    messages.record({ ...sent, phase: 'end', value: 'null', at: 12 }, context('service_worker'));
    expect(flow(messages)).toEqual([
      'message service_worker > an unseen context',
      'reply an unseen context > service_worker',
    ]);
  });

  it('what a worker sends is from the worker', () => {
    const messages = new MessageLog();
    const heard = { id: 1, phase: 'begin', kind: 'receive', api: 'runtime.onMessage', value: '1', at: 1 } as const;
    messages.record({ ...heard, sender: sender('worker.js') }, context('/popup.html'));
    expect(flow(messages)).toEqual(['message service_worker > /popup.html']);
  });
});
