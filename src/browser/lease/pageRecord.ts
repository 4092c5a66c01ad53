import { messageOf } from '../../errors/errors.js';
import { allowGeolocation, type EmulationSettings } from '../page/pageEmulation.js';
import type { SessionPage } from '../page/sessionPage.js';

/** A page to be found or opened again: what a session that moves takes along. In JSON. */
export interface PageRecord {
  readonly id: number;
  /** By which it is found as it is, where it outlived the connection. */
  readonly targetId: string;
  readonly url: string;
  readonly selected: boolean;
  readonly emulated: EmulationSettings;
}

export function pageRecordOf(page: SessionPage, selected: boolean): PageRecord {
  const { id, frames, emulation } = page;
  return { id, targetId: frames.mainId, url: page.url(), selected, emulated: emulation.applied };
}

/** Emulates again on the page what was on record. Resolves with what the client has to be told, if it cannot be done. */
export async function restoreEmulation(page: SessionPage, { id, url, emulated }: PageRecord): Promise<string[]> {
  try {
    await page.emulation.apply(emulated);
    if (emulated.geolocation !== undefined && /^https?:/.test(url))
      await allowGeolocation(page.page, new URL(url).origin);
    return [];
  } catch (error) {
    return [`What page ${id} emulated could not be set again: ${messageOf(error)}`];
  }
}
