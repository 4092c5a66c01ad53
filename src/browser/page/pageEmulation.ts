import { ToolError } from '../../errors/errors.js';
import type { KeptPart } from '../collectors/ringBuffer.js';
import type { CDPSession, NetworkConditions, Page } from 'puppeteer-core';

/** Names and values as in DevTools. */
export const networkPresets = ['No emulation', 'Offline', 'Slow 3G', 'Fast 3G', 'Slow 4G', 'Fast 4G'] as const;
export type NetworkPreset = (typeof networkPresets)[number];

export interface EmulatedViewport {
  /** CSS pixels. */
  readonly width: number;
  readonly height: number;
  readonly deviceScaleFactor?: number | undefined;
  readonly mobile?: boolean | undefined;
  readonly touch?: boolean | undefined;
}

/** The settings that can be emulated. Absent ones stay as they are. */
export interface EmulationSettings {
  readonly networkConditions?: NetworkPreset | undefined;
  /** Slowdown factor; 1 for none. */
  readonly cpuThrottlingRate?: number | undefined;
  /** Degrees. */
  readonly geolocation?: { readonly latitude: number; readonly longitude: number } | undefined;
  /** Empty: the browser's own. */
  readonly userAgent?: string | undefined;
  readonly colorScheme?: 'dark' | 'light' | 'auto' | undefined;
  readonly contrast?: 'more' | 'less' | 'auto' | undefined;
  readonly reducedMotion?: boolean | undefined;
  readonly forcedColors?: boolean | undefined;
  readonly viewport?: EmulatedViewport | undefined;
  /** Sent with every request; an empty object removes them. */
  readonly extraHttpHeaders?: Readonly<Record<string, string>> | undefined;
}

const offline: NetworkConditions = { offline: true, download: 0, upload: 0, latency: 0 };

type MutableSettings = { -readonly [Name in keyof EmulationSettings]: EmulationSettings[Name] };

/** The emulation of one page, across navigations and in its frames. Owned by the page, which resets it on disposal. */
export class Emulation {
  readonly #page: Page;
  readonly #cdp: CDPSession;
  #applied: MutableSettings = {};

  readonly #kept: KeptPart | undefined;

  constructor(page: Page, cdp: CDPSession, kept?: KeptPart) {
    this.#page = page;
    this.#cdp = cdp;
    this.#kept = kept;
    kept?.held.add(this);
  }

  /** Of the texts that a client chose. */
  get bytes(): number {
    const { extraHttpHeaders, userAgent = '' } = this.#applied;
    return extraHttpHeaders === undefined ? 2 * userAgent.length : bytesOf(extraHttpHeaders, userAgent);
  }

  /** The settings in effect that differ from the browser's own. */
  get applied(): EmulationSettings {
    return this.#applied;
  }

  /**
   * Applies the settings in order; when one fails, the earlier ones stay applied. A change of `mobile` or `touch`
   * reloads the page.
   */
  async apply(settings: EmulationSettings): Promise<void> {
    const { networkConditions, cpuThrottlingRate, geolocation, userAgent = '', extraHttpHeaders = {} } = settings;
    this.#kept?.checkRoom(bytesOf(extraHttpHeaders, userAgent));
    if (networkConditions !== undefined) await this.#setNetwork(networkConditions);
    if (cpuThrottlingRate !== undefined) await this.#setCpu(cpuThrottlingRate);
    if (geolocation !== undefined) await this.#setGeolocation(geolocation);
    if (settings.userAgent !== undefined) await this.#setUserAgent(userAgent);
    await this.#setMedia(settings);
    if (settings.extraHttpHeaders !== undefined) await this.#setHeaders(extraHttpHeaders);
    if (settings.viewport !== undefined) await this.#setViewport(settings.viewport);
  }

  /** Removes all applied settings. */
  async reset(): Promise<void> {
    const { geolocation, viewport, ...plain } = this.#applied;
    if (geolocation !== undefined) await this.#setGeolocation(undefined);
    if (viewport !== undefined) await this.#setViewport(undefined);
    await this.apply({
      ...(plain.networkConditions !== undefined && { networkConditions: 'No emulation' }),
      ...(plain.cpuThrottlingRate !== undefined && { cpuThrottlingRate: 1 }),
      ...(plain.userAgent !== undefined && { userAgent: '' }),
      ...(plain.colorScheme !== undefined && { colorScheme: 'auto' }),
      ...(plain.contrast !== undefined && { contrast: 'auto' }),
      ...(plain.reducedMotion !== undefined && { reducedMotion: false }),
      ...(plain.forcedColors !== undefined && { forcedColors: false }),
      ...(plain.extraHttpHeaders !== undefined && { extraHttpHeaders: {} }),
    });
  }

  async #setNetwork(preset: NetworkPreset): Promise<void> {
    await this.#page.emulateNetworkConditions(await networkConditionsOf(preset));
    this.#setApplied('networkConditions', preset === 'No emulation' ? undefined : preset);
  }

  async #setCpu(rate: number): Promise<void> {
    await this.#page.emulateCPUThrottling(rate);
    this.#setApplied('cpuThrottlingRate', rate === 1 ? undefined : rate);
  }

  /** CDP Emulation.setGeolocationOverride. The page may still need the permission: see `setPermissions`. */
  async #setGeolocation(coordinates: EmulationSettings['geolocation']): Promise<void> {
    if (coordinates === undefined) await this.#cdp.send('Emulation.clearGeolocationOverride');
    else await this.#cdp.send('Emulation.setGeolocationOverride', { ...coordinates, accuracy: 1 });
    this.#setApplied('geolocation', coordinates);
  }

  async #setUserAgent(userAgent: string): Promise<void> {
    await this.#page.setUserAgent({ userAgent });
    this.#setApplied('userAgent', userAgent === '' ? undefined : userAgent);
  }

  /** CDP Emulation.setEmulatedMedia takes all features at once; those without a value are the browser's own. */
  async #setMedia({ colorScheme, contrast, reducedMotion, forcedColors }: EmulationSettings): Promise<void> {
    if ([colorScheme, contrast, reducedMotion, forcedColors].every((setting) => setting === undefined)) return;
    if (colorScheme !== undefined) this.#setApplied('colorScheme', colorScheme === 'auto' ? undefined : colorScheme);
    if (contrast !== undefined) this.#setApplied('contrast', contrast === 'auto' ? undefined : contrast);
    if (reducedMotion !== undefined) this.#setApplied('reducedMotion', reducedMotion || undefined);
    if (forcedColors !== undefined) this.#setApplied('forcedColors', forcedColors || undefined);
    const applied = this.#applied;
    const features = [
      { name: 'prefers-color-scheme', value: applied.colorScheme ?? '' },
      { name: 'prefers-contrast', value: applied.contrast ?? '' },
      { name: 'prefers-reduced-motion', value: applied.reducedMotion === true ? 'reduce' : '' },
      { name: 'forced-colors', value: applied.forcedColors === true ? 'active' : '' },
    ];
    await this.#cdp.send('Emulation.setEmulatedMedia', { features });
  }

  async #setHeaders(headers: Readonly<Record<string, string>>): Promise<void> {
    await this.#page.setExtraHTTPHeaders({ ...headers });
    this.#setApplied('extraHttpHeaders', Object.keys(headers).length === 0 ? undefined : headers);
  }

  async #setViewport(viewport: EmulatedViewport | undefined): Promise<void> {
    await this.#page.setViewport(viewport === undefined ? null : viewportOf(viewport));
    this.#setApplied('viewport', viewport);
  }

  #setApplied<Name extends keyof MutableSettings>(name: Name, value: MutableSettings[Name]): void {
    const { [name]: _, ...rest } = this.#applied;
    this.#applied = value === undefined ? rest : { ...rest, [name]: value };
  }
}

function viewportOf({ width, height, deviceScaleFactor = 1, mobile = false, touch = mobile }: EmulatedViewport) {
  return { width, height, deviceScaleFactor, isMobile: mobile, hasTouch: touch };
}

async function networkConditionsOf(preset: NetworkPreset): Promise<NetworkConditions | null> {
  if (preset === 'No emulation') return null;
  if (preset === 'Offline') return offline;
  return (await import('puppeteer-core')).PredefinedNetworkConditions[preset];
}

/** What a page's permissions can be: `prompt` is Chrome's own choice, which without a user refuses. */
export const permissionStates = ['granted', 'denied', 'prompt'] as const;

/**
 * Answers the requests of an origin for permissions, in this browser context (CDP Browser.setPermission). Throws a ToolError
 * for a name that Chrome does not know.
 */
export async function setPermissions(
  page: Page,
  origin: string,
  permissions: Readonly<Record<string, (typeof permissionStates)[number]>>,
): Promise<void> {
  for (const [name, state] of Object.entries(permissions)) {
    try {
      await page.browserContext().setPermission(origin, { permission: { name }, state });
    } catch (error) {
      throw new ToolError(
        `Chrome knows no permission ${JSON.stringify(name)}, or cannot set it to ${state}. It has ${permissionNames}.`,
        { cause: error },
      );
    }
  }
}

const permissionNames =
  'notifications, geolocation, camera, microphone, clipboard-read, clipboard-write, midi, push, persistent-storage, ' +
  'idle-detection, window-management, local-fonts, display-capture, storage-access, screen-wake-lock, background-sync';

const bytesOf = (headers: Readonly<Record<string, string>>, text: string): number =>
  2 * Object.entries(headers).reduce((sum, [name, value]) => sum + name.length + value.length, text.length);
