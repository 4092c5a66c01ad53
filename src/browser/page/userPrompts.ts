import { randomUUID } from 'node:crypto';
import type { CDPSession, Protocol } from 'puppeteer-core';
import { z } from 'zod';
import { parsedJson, shortenText } from '../../text.js';
import { followSessions, unlessGone, type FollowedSessions, type TargetSession } from '../cdp/cdpSessions.js';
import { callExpression, watchUserPrompts } from '../cdp/injectedFunctions.js';
import type { PromptReport } from '../injected/contract.js';

const reportSchema = z.object({
  url: z.string().optional(),
  isPrinted: z.boolean().optional(),
  isColour: z.boolean().optional(),
}) satisfies z.ZodType<PromptReport>;

export interface UserPromptsOptions {
  readonly cdp: CDPSession;
  /** Whether a person uses the browser, who can answer. */
  readonly hasUser: boolean;
}

/** Pages cannot guess it. */
const bindingName = `greenroom_${randomUUID().replaceAll('-', '')}`;
/** Schemes of addresses that a browser opens itself. For all others it asks whether to open another program. */
const ownSchemes = (
  'http https file ftp data blob about javascript filesystem view-source devtools isolated-app ' +
  'chrome chrome-extension chrome-error chrome-search chrome-untrusted'
).split(' ');
const maxAddressChars = 300;
const maxNameChars = 60;
const maxNews = 20;

/** Its user always agrees. Without an authenticator, Chrome's own window would silently take all clicks of the page. */
const authenticator: Protocol.WebAuthn.VirtualAuthenticatorOptions = {
  protocol: 'ctap2',
  transport: 'internal',
  hasResidentKey: true,
  hasUserVerification: true,
  isUserVerified: true,
  automaticPresenceSimulation: true,
};

/**
 * What a page asks its user outside of its document, in windows of the browser: files, accounts, passkeys, other programs
 * for its addresses. Nobody sees these windows here, so they do not open, and tools tell of it. Owned by its page, which
 * disposes it.
 */
export class UserPrompts {
  readonly ready: Promise<void>;
  readonly #hasUser: boolean;
  readonly #followed: FollowedSessions;
  #isPrinting = false;
  /** Not reported yet. */
  #news: string[] = [];
  readonly #choosing = new Set<CDPSession>();

  constructor({ cdp, hasUser }: UserPromptsOptions) {
    this.#hasUser = hasUser;
    const source = `${callExpression(watchUserPrompts, bindingName, ownSchemes)}\n//# sourceURL=greenroom.js`;
    this.#followed = followSessions(cdp, {
      handlers: (target) => (target.kind === 'worker' ? {} : this.#handlers(target)),
      enable: ({ session, kind }) => {
        if (kind === 'worker' || hasUser) return [];
        return [
          unlessGone(session.send('Runtime.addBinding', { name: bindingName, executionContextName: '' })),
          unlessGone(session.send('Page.addScriptToEvaluateOnNewDocument', { source, runImmediately: true })),
          this.#interceptChoosers(session),
          unlessGone(session.send('FedCm.enable', { disableRejectionDelay: true })),
          ...(kind === 'page' ? [unlessGone(addAuthenticator(session))] : []),
        ];
      },
    });
    this.ready = this.#followed.ready;
  }

  /** The requests to the user since the last call, one sentence each. */
  takeNews(): string[] {
    return [...new Set(this.#news.splice(0))];
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

  /** Runs work that prints the page, without reporting it as a request of the page. */
  async printing<T>(work: () => Promise<T>): Promise<T> {
    this.#isPrinting = true;
    return work().finally(() => (this.#isPrinting = false));
  }

  dispose(): void {
    this.#followed.stop();
  }

  #interceptChoosers(session: CDPSession): Promise<unknown> {
    return unlessGone(session.send('Page.setInterceptFileChooserDialog', { enabled: true, cancel: true }));
  }

  #handlers({ session }: TargetSession) {
    return {
      'Runtime.bindingCalled': ({ name, payload }: Protocol.Runtime.BindingCalledEvent) => {
        if (name !== bindingName) return;
        const { success, data } = reportSchema.safeParse(parsedJson(payload));
        if (!success) return;
        if (data.url !== undefined) this.#tell(describeExternal(data.url));
        if (data.isPrinted === true && !this.#isPrinting) this.#tell(printed);
        if (data.isColour === true) this.#tell(refusedColour);
      },
      'FedCm.dialogShown': ({ dialogId, dialogType, accounts }: Protocol.FedCm.DialogShownEvent) => {
        // It signs in by itself, and says so.
        if (dialogType === 'AutoReauthn') return;
        this.#tell(describeSignIn(accounts));
        void unlessGone(session.send('FedCm.dismissDialog', { dialogId }));
        // Otherwise Chrome would refuse the next ones by itself, unseen.
        void unlessGone(session.send('FedCm.resetCooldown'));
      },
      'WebAuthn.credentialAdded': ({ credential }: Protocol.WebAuthn.CredentialAddedEvent) =>
        this.#tell(`It made a passkey${describePasskey(credential)}. The page keeps it until it is closed.`),
      'WebAuthn.credentialAsserted': ({ credential }: Protocol.WebAuthn.CredentialAssertedEvent) =>
        this.#tell(`It signed in with the passkey${describePasskey(credential)}.`),
      'Page.fileChooserOpened': () => {
        if (!this.#hasUser && !this.#choosing.has(session)) this.#tell(cancelledFiles);
      },
    };
  }

  #tell(news: string): void {
    this.#news = [...this.#news, news].slice(-maxNews);
  }
}

/** Whether an address is for another program: mail, telephone, an app. */
export const isExternal = (url: string): boolean =>
  !ownSchemes.includes(url.slice(0, Math.max(0, url.indexOf(':'))).toLowerCase());

const cancelledFiles =
  'It asked the user for files, and nobody is here to answer: it was refused. upload_file with the uid of what opens the ' +
  'chooser gives them.';

const refusedColour =
  'It asked the user to pick a colour from the screen (EyeDropper), and nobody is here to answer: it was refused.';

const printed = 'It asked to be printed: nothing is printed here. save_pdf shows what would be.';

/** One for each page: its passkeys are for no other. */
async function addAuthenticator(session: CDPSession): Promise<void> {
  await Promise.all([
    session.send('WebAuthn.enable'),
    session.send('WebAuthn.addVirtualAuthenticator', { options: authenticator }),
  ]);
}

function describeSignIn([account]: readonly Protocol.FedCm.Account[]): string {
  const url = account?.idpConfigUrl ?? '';
  const from = URL.canParse(url) ? ` of ${shortenText(new URL(url).origin, maxAddressChars)}` : '';
  return `It asked the user to sign in with an account${from} (FedCM), and nobody is here to answer: it was refused.`;
}

function describePasskey({ userName, rpId }: Protocol.WebAuthn.Credential): string {
  const user = userName === undefined ? '' : ` of ${shortenText(userName, maxNameChars)}`;
  return `${user}${rpId === undefined ? '' : ` for ${shortenText(rpId, maxAddressChars)}`}`;
}

function describeExternal(url: string): string {
  const address = shortenText(url, maxAddressChars);
  return `It hands ${address} to another program (mail, telephone, an app). None is started here, and the page stays.`;
}
