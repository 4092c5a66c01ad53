import { randomUUID } from 'node:crypto';
import type { CDPSession, Page, Protocol } from 'puppeteer-core';
import { z } from 'zod';
import { ToolError } from '../../errors/errors.js';
import { shortenText } from '../../text.js';
import { followSessions, unlessGone, type FollowedSessions, type TargetSession } from '../cdp/cdpSessions.js';
import { callExpression, watchUserPrompts } from '../cdp/injectedFunctions.js';
import type { PromptAnswer, PromptReport } from '../injected/contract.js';

type Permission = Protocol.Browser.PermissionDescriptor;

/** What a page asks a user by one call. */
interface Request {
  /** After "asks the user". */
  readonly wants: string;
  /** The permissions that answer it; none where a user would choose something. */
  readonly permissions?: readonly Permission[];
  /** The name of the error that the page gets when the user refuses. */
  readonly refusal: string;
  /** What does it here instead. */
  readonly instead?: string;
}

const permission = (wants: string, ...names: (string | Permission)[]): Request => ({
  wants: `to allow ${wants}`,
  permissions: names.map((name) => (typeof name === 'string' ? { name } : name)),
  refusal: 'NotAllowedError',
});
const choice = (wants: string, refusal = 'AbortError', instead?: string): Request => ({
  wants: `for ${wants}`,
  refusal,
  ...(instead !== undefined && { instead }),
});
const files = choice('files', 'AbortError', 'upload_file with the uid of what opens the chooser gives them.');
const passkey = 'a passkey';

/** By the call that asks. */
const requests: Readonly<Record<string, Request>> = {
  print: choice('a printer', 'AbortError', 'save_pdf makes what would be printed.'),
  'Notification.requestPermission': permission('notifications', 'notifications'),
  'PushManager.prototype.subscribe': permission('notifications', 'notifications'),
  'Geolocation.prototype.getCurrentPosition': permission('its location', 'geolocation'),
  'Geolocation.prototype.watchPosition': permission('its location', 'geolocation'),
  'MediaDevices.prototype.getUserMedia': permission('camera or microphone', 'camera', 'microphone'),
  'MediaDevices.prototype.getDisplayMedia': choice('a screen or window to share', 'NotAllowedError'),
  'Clipboard.prototype.read': permission('reading the clipboard', 'clipboard-read'),
  'Clipboard.prototype.readText': permission('reading the clipboard', 'clipboard-read'),
  'Navigator.prototype.requestMIDIAccess': permission('MIDI devices', { name: 'midi', sysex: true }, 'midi'),
  'Document.prototype.requestStorageAccess': permission('cookies in a frame of another site', 'storage-access'),
  queryLocalFonts: permission('the list of fonts', 'local-fonts'),
  getScreenDetails: permission('the list of screens', 'window-management'),
  'IdleDetector.requestPermission': permission('noticing when the user is away', 'idle-detection'),
  'StorageManager.prototype.persist': permission('storage that is kept', 'persistent-storage'),
  'Bluetooth.prototype.requestDevice': choice('a Bluetooth device', 'NotFoundError'),
  'USB.prototype.requestDevice': choice('a USB device', 'NotFoundError'),
  'Serial.prototype.requestPort': choice('a serial port', 'NotFoundError'),
  'HID.prototype.requestDevice': choice('an input device', 'NotAllowedError'),
  showOpenFilePicker: files,
  showDirectoryPicker: files,
  showSaveFilePicker: choice('a place to save a file'),
  'Navigator.prototype.share': choice('an app to share with'),
  'PaymentRequest.prototype.show': choice('a payment'),
  'CredentialsContainer.prototype.create.publicKey': choice(passkey, 'NotAllowedError'),
  'CredentialsContainer.prototype.get.publicKey': choice(passkey, 'NotAllowedError'),
  'CredentialsContainer.prototype.get.identity': choice('a login at an identity provider', 'NotAllowedError'),
  'EyeDropper.prototype.open': choice('a colour of the screen'),
};

const reportSchema = z.object({
  id: z.int(),
  call: z.string(),
  state: z.enum(['open', 'granted', 'refused']),
  origin: z.string(),
  error: z.string().optional(),
  url: z.string().optional(),
}) satisfies z.ZodType<PromptReport>;

/** Where a call was made. */
interface PromptPlace {
  readonly session: CDPSession;
  readonly contextId: number;
  readonly frameId: string | undefined;
}

const contextSchema = z.object({ frameId: z.string() });

/** What a page asks the user, or has asked. */
interface UserPrompt extends Request, PromptPlace {
  readonly id: number;
  readonly origin: string;
  readonly isOpen: boolean;
}

export interface UserPromptsOptions {
  readonly page: Page;
  readonly cdp: CDPSession;
  /** Whether a person uses the browser, who can answer. */
  readonly hasUser: boolean;
}

/** The methods; what they are called with tells the kinds of a request apart. */
const methods = [...new Set(Object.keys(requests).map((call) => call.replace(/\.(?:publicKey|identity)$/, '')))];

/** Pages cannot guess it. */
const bindingName = `greenroom_${randomUUID().replaceAll('-', '')}`;
/** Addresses that a document can go to. Of all others the browser asks whether another program is to open them. */
const ownSchemes =
  'http https file ftp data blob about javascript filesystem view-source chrome chrome-extension devtools'.split(' ');
const maxPrompts = 20;
const maxAddressChars = 300;
/** What is answered without a user is answered sooner. */
const waitingMs = 1_000;
/** A software authenticator (CDP domain WebAuthn) that a user would confirm. */
const authenticator: Protocol.WebAuthn.VirtualAuthenticatorOptions = {
  protocol: 'ctap2',
  transport: 'internal',
  hasResidentKey: true,
  hasUserVerification: true,
  isUserVerified: true,
  automaticPresenceSimulation: true,
};

/**
 * What a page asks its user outside of its document, in windows of the browser: permissions, devices, files, passkeys,
 * printing, other programs. Nobody sees these windows here, so tools tell of them, and `handle_dialog` answers. Chrome
 * refuses most at once where it has no window. Owned by its page, which disposes it.
 */
export class UserPrompts {
  readonly ready: Promise<void>;
  readonly #page: Page;
  readonly #cdp: CDPSession;
  readonly #hasUser: boolean;
  readonly #followed: FollowedSessions;
  #prompts: UserPrompt[] = [];
  /** Of other programs and choosers, not told yet. */
  #news: string[] = [];
  readonly #told = new WeakSet<UserPrompt>();
  readonly #onAsked = new Set<() => void>();
  readonly #choosing = new Set<CDPSession>();

  constructor({ page, cdp, hasUser }: UserPromptsOptions) {
    this.#page = page;
    this.#cdp = cdp;
    this.#hasUser = hasUser;
    const watch = callExpression(watchUserPrompts, bindingName, methods, hasUser ? [] : ownSchemes);
    const source = `${watch}\n//# sourceURL=greenroom.js`;
    this.#followed = followSessions(cdp, {
      handlers: (source) => (source.kind === 'worker' ? {} : this.#handlers(source)),
      enable: ({ session, kind }) => {
        if (kind === 'worker') return [];
        return [
          unlessGone(session.send('Runtime.addBinding', { name: bindingName, executionContextName: '' })),
          unlessGone(session.send('Page.addScriptToEvaluateOnNewDocument', { source, runImmediately: true })),
          ...(hasUser ? [] : [this.#interceptChoosers(session)]),
          ...(hasUser || kind !== 'page' ? [] : [unlessGone(session.send('WebAuthn.enable', { enableUI: false }))]),
        ];
      },
    });
    this.ready = this.#followed.ready;
  }

  /** What is asked now, in words. */
  get open(): readonly string[] {
    return [...new Set(this.#prompts.filter(({ isOpen }) => isOpen).map(({ wants }) => wants))];
  }

  /** What was asked since the last call, a sentence each, with the tool that answers it. */
  takeNews(): string[] {
    const prompts = this.#prompts.filter((prompt) => !this.#told.has(prompt));
    for (const prompt of prompts) this.#told.add(prompt);
    return [...new Set([...this.#news.splice(0), ...prompts.map(describe)])];
  }

  /** The result of `work`, or undefined once the page has waited a moment for an answer to what it asks meanwhile. */
  async unlessWaiting<T>(work: () => Promise<T>): Promise<T | undefined> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let onAsked = (): void => undefined;
    const waiting = new Promise<undefined>((resolve) => {
      const check = (): void => {
        timer = undefined;
        if (this.open.length > 0) resolve(undefined);
      };
      onAsked = () => void (timer ??= setTimeout(check, waitingMs));
    });
    this.#onAsked.add(onAsked);
    try {
      return await Promise.race([work(), waiting]);
    } finally {
      this.#onAsked.delete(onAsked);
      clearTimeout(timer);
    }
  }

  /** Whether `answer` has something to answer. */
  get isAsked(): boolean {
    return this.#answerable.length > 0;
  }

  /** Answers as a user would. Resolves with what was asked. Throws a ToolError for what cannot be accepted. */
  async answer(accept: boolean): Promise<string> {
    const prompts = this.#answerable;
    const chosen = prompts.find(({ permissions, wants }) => permissions === undefined && wants !== keyed.wants);
    if (accept && chosen !== undefined) {
      const { wants, instead = 'add_init_script can stand in for it.' } = chosen;
      throw new ToolError(`Nobody can choose here: the page asks ${wants}. ${instead} action dismiss refuses.`);
    }
    this.#prompts = this.#prompts.filter((prompt) => prompt.isOpen && !prompts.includes(prompt));
    await Promise.all(prompts.map((prompt) => this.#answerOne(prompt, accept)));
    const isOver = accept && prompts.some(({ isOpen }) => !isOpen);
    const again = isOver ? '. It was refused before: act again' : '';
    return `what the page asked ${[...new Set(prompts.map(({ wants }) => wants))].join(', and ')}${again}`;
  }

  /** Until the returned function is called, choosers of files are not cancelled: a tool gives files. */
  async takeChoosers(session: CDPSession): Promise<() => Promise<void>> {
    this.#choosing.add(session);
    await session.send('Page.setInterceptFileChooserDialog', { enabled: true });
    return async () => {
      this.#choosing.delete(session);
      if (this.#hasUser) await unlessGone(session.send('Page.setInterceptFileChooserDialog', { enabled: false }));
      else await this.#interceptChoosers(session);
    };
  }

  dispose(): void {
    this.#followed.stop();
    this.#prompts = [];
  }

  /** What is open; else the permissions that were refused at once. */
  get #answerable(): readonly UserPrompt[] {
    const open = this.#prompts.filter(({ isOpen }) => isOpen);
    return open.length > 0 ? open : this.#prompts.filter(({ permissions }) => permissions !== undefined);
  }

  #interceptChoosers(session: CDPSession): Promise<unknown> {
    return unlessGone(session.send('Page.setInterceptFileChooserDialog', { enabled: true, cancel: true }));
  }

  #handlers({ session }: TargetSession) {
    const frames = new Map<number, string>();
    const forget = (contextId?: number): void => {
      if (contextId === undefined) frames.clear();
      else frames.delete(contextId);
      const isGone = (prompt: UserPrompt): boolean =>
        prompt.session === session && (contextId === undefined || prompt.contextId === contextId);
      this.#prompts = this.#prompts.filter((prompt) => !isGone(prompt));
    };
    return {
      'Runtime.bindingCalled': ({ name, payload, executionContextId }: Protocol.Runtime.BindingCalledEvent) => {
        if (name !== bindingName) return;
        const { success, data } = reportSchema.safeParse(JSON.parse(payload));
        const place = { session, contextId: executionContextId, frameId: frames.get(executionContextId) };
        if (success) this.#record(data, place);
      },
      'Runtime.executionContextCreated': ({ context }: Protocol.Runtime.ExecutionContextCreatedEvent) => {
        const { success, data } = contextSchema.safeParse(context.auxData);
        if (success) frames.set(context.id, data.frameId);
      },
      // The unique id is the newer name, but calls of bindings still name their context by this one.
      // eslint-disable-next-line @typescript-eslint/no-deprecated
      'Runtime.executionContextDestroyed': ({ executionContextId }: Protocol.Runtime.ExecutionContextDestroyedEvent) =>
        forget(executionContextId),
      'Runtime.executionContextsCleared': () => forget(),
      'Page.fileChooserOpened': ({ backendNodeId }: Protocol.Page.FileChooserOpenedEvent) => {
        // The others are those of calls, which are reported.
        if (backendNodeId !== undefined && !this.#hasUser && !this.#choosing.has(session))
          this.#news.push(refusedText(files));
      },
    };
  }

  #record({ id, call, state, origin, error, url }: PromptReport, place: PromptPlace): void {
    const { session, contextId } = place;
    if (url !== undefined) this.#news.push(describeExternal(url));
    const request = requests[call];
    if (request === undefined) return;
    const isSame = (each: UserPrompt): boolean =>
      each.id === id && each.session === session && each.contextId === contextId;
    const known = this.#prompts.find(isSame);
    this.#prompts = this.#prompts.filter((each) => each !== known);
    // There is no such device, which no permission changes.
    const isMissing = request.permissions !== undefined && error === 'NotFoundError';
    if (state === 'granted' || isMissing || (state === 'refused' && known === undefined)) return;
    const prompt = { ...request, ...place, id, origin, isOpen: state === 'open' };
    if (known !== undefined && this.#told.has(known)) this.#told.add(prompt);
    this.#prompts = [...this.#prompts, prompt].slice(-maxPrompts);
    for (const tell of this.#onAsked) tell();
  }

  async #answerOne(prompt: UserPrompt, accept: boolean): Promise<void> {
    const { id, origin, permissions, refusal, session, frameId, isOpen } = prompt;
    for (const each of permissions ?? []) await this.#decide(each, origin, accept);
    if (!isOpen || frameId === undefined) return;
    if (accept && permissions === undefined) {
      await this.#cdp.send('WebAuthn.addVirtualAuthenticator', { options: authenticator });
      return;
    }
    const detail: PromptAnswer = { id, error: permissions === undefined ? refusal : null };
    const text = JSON.stringify(JSON.stringify(detail));
    const expression = `dispatchEvent(new CustomEvent('${bindingName}', { detail: ${text} }))`;
    // It has ended, or its document is left.
    const world = await unlessGone(session.send('Page.createIsolatedWorld', { frameId, worldName: 'greenroom' }));
    if (world === undefined) return;
    await unlessGone(session.send('Runtime.evaluate', { expression, contextId: world.executionContextId }));
  }

  /** For the page's site, and for the frame in it that asks. */
  async #decide(permission: Permission, embeddedOrigin: string, accept: boolean): Promise<void> {
    const connection = this.#cdp.connection();
    const { id: browserContextId } = this.#page.browserContext();
    const { origin } = new URL(this.#page.url());
    const setting = accept ? 'granted' : 'denied';
    const common = {
      permission,
      setting,
      origin,
      ...(browserContextId !== undefined && { browserContextId }),
    } as const;
    await connection?.send('Browser.setPermission', common);
    if (embeddedOrigin !== origin) await connection?.send('Browser.setPermission', { ...common, embeddedOrigin });
  }
}

const keyed = choice(passkey);

function describe(prompt: UserPrompt): string {
  const { wants, isOpen, permissions } = prompt;
  if (!isOpen) return refusedText(prompt);
  if (wants === keyed.wants)
    return `It asks the user ${wants}. handle_dialog answers: accept makes and uses one in software, dismiss refuses.`;
  const how =
    permissions === undefined
      ? 'Nobody can choose here: handle_dialog with dismiss refuses, as a user would.'
      : 'handle_dialog answers: accept allows it, dismiss refuses.';
  return `It asks the user ${wants}. ${how}`;
}

function refusedText({ wants, permissions, instead }: Request): string {
  const asked = `It asked the user ${wants}, and nobody is here to answer: it was refused.`;
  if (permissions !== undefined) return `${asked} handle_dialog with accept allows it; then act again.`;
  return instead === undefined ? asked : `${asked} ${instead}`;
}

function describeExternal(url: string): string {
  const address = shortenText(url, maxAddressChars);
  return `It hands ${address} to another program (mail, telephone, an app). None is started here, and the page stays.`;
}
