import { expect, jest, test } from '@jest/globals';
import {
  correctInstallDetails,
  editStorage,
  listenToStorage,
  readActionState,
  readRegisteredScripts,
  readStorage,
  sendFromExtension,
} from '../../src/browser/cdp/injectedFunctions.js';
import { fakeEvent, openContext } from './support/injectedContext.js';

test.each([
  ['the extension', null, ['runtime', 'hello']],
  ['a tab', { windowId: 1, index: 2 }, ['tabs', 7, 'hello']],
])('a message is sent to %s, and the reply comes back as JSON', async (_, tab, sent) => {
  const heard: unknown[] = [];
  const tabs = {
    query: (query: object) => Promise.resolve(JSON.stringify(query) === JSON.stringify(tab) ? [{ id: 7 }] : []),
    sendMessage: async (...args: unknown[]) => (heard.push('tabs', ...args), { fine: true }),
  };
  const runtime = {
    id: 'a',
    sendMessage: async (...args: unknown[]) => (heard.push('runtime', ...args), { fine: true }),
  };
  const { call } = openContext({ chrome: { runtime, tabs } });
  expect(await call(sendFromExtension, 'hello', tab, 10_000)).toMatchObject({ reply: '{"fine":true}' });
  expect(heard).toEqual(sent);
});

test.each([
  ['is cut off', { runtime: {} }, 'Its sender is cut off'],
  ['gets no reply', { runtime: { id: 'a', sendMessage: () => new Promise(() => undefined) } }, 'No reply within 1 ms.'],
  [
    'is refused',
    { runtime: { id: 'a', sendMessage: () => Promise.reject(new Error('No listener.')) } },
    'No listener.',
  ],
])('a sender that %s answers with an error', async (_, chrome, error) => {
  const { call } = openContext({ chrome, Error });
  expect(await call(sendFromExtension, 'hello', null, 1)).toEqual({ error: expect.stringContaining(error) });
});

/** An area of `chrome.storage` in memory. */
function fakeArea(items: Record<string, unknown>) {
  return {
    get: () => Promise.resolve({ ...items }),
    set: (more: object) => Promise.resolve(void Object.assign(items, more)),
    remove: async (keys: readonly string[]) => {
      for (const key of keys) Reflect.deleteProperty(items, key);
    },
    clear: async () => {
      for (const key of Object.keys(items)) Reflect.deleteProperty(items, key);
    },
  };
}

test('storage is read in the order of its keys, cut where values are long and where there are too many', async () => {
  const local = fakeArea({ b: 'x'.repeat(20), a: 1, c: [1, 2] });
  const { call } = openContext({ chrome: { storage: { local } } });
  expect(await call(readStorage, 'local', null, 5, 100)).toEqual({
    entries: [
      { key: 'a', value: '1', length: 1 },
      { key: 'b', value: '"xxxx', length: 22 },
      { key: 'c', value: '[1,2]', length: 5 },
    ],
    omitted: 0,
    keys: 3,
    bytes: null,
  });
  expect(await call(readStorage, 'local', ['b', 'toString', 'a'], 5, 7)).toMatchObject({
    entries: [{ key: 'b' }],
    omitted: 1,
    keys: 3,
  });
});

test('storage is cleared, then removed, then set', async () => {
  const items = { old: 1 };
  const { call } = openContext({ chrome: { storage: { local: fakeArea(items) } } });
  await call(editStorage, 'local', { clear: true, remove: ['new'], set: { new: 2 } });
  expect(items).toEqual({ new: 2 });
  await call(editStorage, 'local', { clear: false, remove: ['new'], set: {} });
  expect(items).toEqual({});
});

test('changes of storage are reported once, however often somebody begins to listen', () => {
  const onChanged = fakeEvent();
  const reports: unknown[] = [];
  const { call } = openContext({
    chrome: { storage: { onChanged } },
    record: (text: string) => void reports.push(JSON.parse(text)),
  });
  expect(call(listenToStorage, 'record')).toBe(false);
  expect(call(listenToStorage, 'record')).toBe(true);
  onChanged.fire({ word: { newValue: 'plum' }, gone: { oldValue: [1] } }, 'local');
  expect(reports).toEqual([
    {
      area: 'local',
      at: expect.any(Number),
      changes: { word: { newValue: '"plum"' }, gone: { oldValue: '[1]' } },
    },
  ]);
});

test('without the permission "storage" reading, writing and listening say so', async () => {
  const { call } = openContext({ chrome: {} });
  await expect(call(readStorage, 'local', null, 1, 1)).rejects.toThrow('lacks the permission "storage"');
  await expect(call(editStorage, 'local', { clear: true, remove: [], set: {} })).rejects.toThrow(
    'lacks the permission',
  );
  expect(() => call(listenToStorage, 'record')).toThrow('lacks the permission');
  // A second try is no success.
  expect(() => call(listenToStorage, 'record')).toThrow('lacks the permission');
});

test('the action is told for the active tab, and is null without one in the manifest', async () => {
  const tabs = { query: () => Promise.resolve([{ id: 7 }]) };
  const action = {
    getPopup: ({ tabId }: { tabId?: number }) => Promise.resolve(`popup ${tabId ?? 'none'}`),
    isEnabled: (tabId?: number) => Promise.resolve(tabId === 7),
  };
  const state = (chrome: object) => openContext({ chrome }).call(readActionState);
  expect(await state({ tabs, action })).toEqual({ popup: 'popup 7', enabled: true, opensPanel: false });
  expect(await state({ tabs: { query: () => Promise.resolve([]) }, action })).toEqual({
    popup: 'popup none',
    enabled: false,
    opensPanel: false,
  });
  expect(await state({ tabs })).toBeNull();
});

test('registered content scripts are none without the permission "scripting"', async () => {
  const scripting = { getRegisteredContentScripts: () => Promise.resolve([{ id: 'one' }]) };
  expect(await openContext({ chrome: { scripting } }).call(readRegisteredScripts)).toEqual([{ id: 'one' }]);
  expect(await openContext({ chrome: {} }).call(readRegisteredScripts)).toEqual([]);
});

test('a worker hears of its first install as one, and of an update as it was', () => {
  const onInstalled = fakeEvent();
  const { call } = openContext({ chrome: { runtime: { onInstalled } } });
  for (const _ of [1, 2]) expect(call(correctInstallDetails, '0.0.0.65535')).toBe(false);
  const listener = jest.fn();
  onInstalled.addListener(listener);
  expect(onInstalled.hasListener(listener)).toBe(true);
  onInstalled.fire({ reason: 'update', previousVersion: '0.0.0.65535' });
  onInstalled.fire({ reason: 'update', previousVersion: '1.0' });
  onInstalled.removeListener(listener);
  onInstalled.fire({ reason: 'chrome_update' });
  expect(listener.mock.calls).toEqual([[{ reason: 'install' }], [{ reason: 'update', previousVersion: '1.0' }]]);
});
