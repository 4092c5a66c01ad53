import type { ChromeApi } from './chromeApi.js';
import { followCall } from './followCall.js';
import { replaceListeners } from './listeners.js';
import { isFunction, replaceMethod, type AnyFunction } from './values.js';
import { print, type Reporter } from './reporter.js';

interface Port {
  readonly name: string;
  readonly sender?: unknown;
  readonly onMessage: { addListener(listener: (message: unknown) => void): void };
  readonly onDisconnect: { addListener(listener: () => void): void };
}

/** Wraps the messaging functions of a context, so that they report messages, ports and replies. */
export function watchMessages({ runtime, tabs }: ChromeApi, reporter: Reporter): void {
  const seenPorts = new WeakSet<Port>();
  watchSending(reporter, runtime, 'runtime.sendMessage');
  watchSending(reporter, tabs, 'tabs.sendMessage');
  watchConnecting(reporter, runtime, 'runtime.connect');
  watchConnecting(reporter, tabs, 'tabs.connect');
  for (const name of ['onMessage', 'onMessageExternal'] as const) {
    replaceListeners(runtime?.[name], (listener) => reportingMessages(reporter, `runtime.${name}`, listener));
  }
  for (const name of ['onConnect', 'onConnectExternal'] as const) {
    replaceListeners(runtime?.[name], (listener) => (port) => {
      if (isPort(port) && !seenPorts.has(port)) {
        seenPorts.add(port);
        reporter.note('receive', `runtime.${name}`, { value: print(port.name), sender: print(port.sender) });
        watchPort(reporter, port);
      }
      return listener(port);
    });
  }
}

function watchSending(reporter: Reporter, owner: object | undefined, api: string): void {
  if (owner === undefined) return;
  replaceMethod(owner, 'sendMessage', (original) => (...args) => {
    const end = reporter.begin('send', api, { value: print(messageAmong(api, args)) });
    return followCall(original, owner, args, end);
  });
}

/** The message among the arguments: after the id of a tab or of another extension. */
function messageAmong(api: string, args: readonly unknown[]): unknown {
  const [first] = args;
  const hasExtensionId = typeof first === 'string' && /^[a-p]{32}$/.test(first) && args.length > 1;
  return api === 'tabs.sendMessage' || hasExtensionId ? args[1] : first;
}

function watchConnecting(reporter: Reporter, owner: object | undefined, api: string): void {
  replaceMethod(owner, 'connect', (original) => (...args) => {
    const port = original.apply(owner, args);
    if (isPort(port)) {
      reporter.note('send', api, { value: print(port.name) });
      watchPort(reporter, port);
    }
    return port;
  });
}

/** Reports what passes a port in both directions. */
function watchPort(reporter: Reporter, port: Port): void {
  const api = `port ${JSON.stringify(port.name)}`;
  replaceMethod(port, 'postMessage', (original) => (...args) => {
    reporter.note('send', api, { value: print(args[0]) });
    return original.apply(port, args);
  });
  port.onMessage.addListener((message) => {
    reporter.note('receive', api, { value: print(message), sender: print(port.sender) });
  });
  port.onDisconnect.addListener(() => {
    reporter.note('receive', `${api} disconnected`, { value: '', sender: print(port.sender) });
  });
}

const isPort = (value: unknown): value is Port =>
  typeof value === 'object' && value !== null && 'onMessage' in value && 'onDisconnect' in value;

function reportingMessages(reporter: Reporter, api: string, listener: AnyFunction): AnyFunction {
  return (message, sender, reply) => {
    const end = reporter.begin('receive', api, { value: print(message), sender: print(sender) });
    const reportingReply = (value: unknown): unknown => {
      end({ value: print(value) });
      return isFunction(reply) ? reply(value) : undefined;
    };
    return listener(message, sender, reportingReply);
  };
}
