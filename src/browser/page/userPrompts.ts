import { randomUUID } from 'node:crypto';
import type { CDPSession, Protocol } from 'puppeteer-core';
import { z } from 'zod';
import { parsedJson, shortenText } from '../../text.js';
import { followSessions, unlessGone, type FollowedSessions, type TargetSession } from '../cdp/cdpSessions.js';
import { callExpression, watchUserPrompts } from '../cdp/injectedFunctions.js';
import type { PromptReport } from '../injected/contract.js';

const reportSchema = z.object({ url: z.string() }) satisfies z.ZodType<PromptReport>;

export interface UserPromptsOptions {
  readonly cdp: CDPSession;
  /** Whether a person uses the browser, who can answer. */
  readonly hasUser: boolean;
}

/** Pages cannot guess it. */
const bindingName = `greenroom_${randomUUID().replaceAll('-', '')}`;
/** Schemes of addresses that a browser opens itself. Of all others it asks whether another program is to open them. */
const ownSchemes = (
  'http https file ftp data blob about javascript filesystem view-source devtools isolated-app ' +
  'chrome chrome-extension chrome-error chrome-search chrome-untrusted'
).split(' ');
const maxAddressChars = 300;
const maxNews = 20;

/**
 * What a page asks its user outside of its document, in windows of the browser: files, and other programs for its
 * addresses. Nobody sees these windows here, so they do not open, and tools tell of it. Owned by its page, which disposes it.
 */
export class UserPrompts {
  readonly ready: Promise<void>;
  readonly #hasUser: boolean;
  readonly #followed: FollowedSessions;
  /** Not told yet. */
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
        ];
      },
    });
    this.ready = this.#followed.ready;
  }

  /** What was asked since the last call, a sentence each. */
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
        if (success) this.#tell(describeExternal(data.url));
      },
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

function describeExternal(url: string): string {
  const address = shortenText(url, maxAddressChars);
  return `It hands ${address} to another program (mail, telephone, an app). None is started here, and the page stays.`;
}
