import type { ChromeStorage, ChromeStorageArea, ChromeStorageChange } from './chromeApi.js';
import type { StorageChangeReport, StorageContent, StorageEdit, StorageItem } from './extensionContract.js';
import { findBinding, toJson } from './values.js';
import { cutText } from '../../text.js';

/** In a document of the extension. Reads the existing ones of `wanted` (null: all), up to `maxTotal` characters. */
export async function readStorage(
  areaName: string,
  wanted: readonly string[] | null,
  maxLength: number,
  maxTotal: number,
): Promise<StorageContent> {
  const area = areaOf(areaName);
  const items = await area.get(null);
  const requested = wanted === null ? Object.keys(items).sort() : wanted.filter((key) => Object.hasOwn(items, key));
  const entries: StorageItem[] = [];
  let room = maxTotal;
  for (const key of requested) {
    const json = JSON.stringify(items[key]);
    const value = cutText(json, maxLength);
    room -= key.length + value.length;
    if (room < 0) break;
    entries.push({ key, value, length: json.length });
  }
  const keys = Object.keys(items).length;
  const bytes = (await area.getBytesInUse?.(null)) ?? null;
  // Chrome does not count the bytes of storage.session.
  return { entries, omitted: requested.length - entries.length, keys, bytes: bytes === 0 && keys > 0 ? null : bytes };
}

/** In a document of the extension. */
export async function editStorage(areaName: string, { clear, remove, set }: StorageEdit): Promise<null> {
  const area = areaOf(areaName);
  if (clear) await area.clear();
  if (remove.length > 0) await area.remove(remove);
  if (Object.keys(set).length > 0) await area.set(set);
  return null;
}

function areaOf(name: string): ChromeStorageArea {
  const area = findStorage()[name];
  if (area === undefined) throw new Error('Chrome has no such area');
  return area;
}

function findStorage(): ChromeStorage {
  const storage = globalThis.chrome?.storage;
  if (storage === undefined) throw new Error('its manifest lacks the permission "storage"');
  return storage;
}

declare global {
  interface Window {
    isListeningToStorage?: true;
  }
}

/**
 * In a document of the extension: calls a binding with every change of its storage from now on, as JSON of a
 * StorageChangeReport. Returns whether it did so before. Throws without the permission "storage".
 */
export function listenToStorage(bindingName: string): boolean {
  if (window.isListeningToStorage === true) return true;
  const storage = findStorage();
  window.isListeningToStorage = true;
  storage.onChanged.addListener((changed, area) => {
    const changes = Object.fromEntries(Object.entries(changed).map(([key, change]) => [key, jsonOf(change)]));
    const report: StorageChangeReport = { area, at: Date.now(), changes };
    findBinding(bindingName)?.(JSON.stringify(report));
  });
  return false;
}

const jsonOf = ({ oldValue, newValue }: ChromeStorageChange): StorageChangeReport['changes'][string] => ({
  oldValue: toJson(oldValue),
  newValue: toJson(newValue),
});
