import type { ChromeApi } from './chromeApi.js';
import { followCall } from './followCall.js';
import { replaceListeners } from './listeners.js';
import { isFunction, replaceMethod, type AnyFunction } from './values.js';
import { print, type ReportEnd, type Reporter } from './reporter.js';

/** A port, as it is listed. */
export interface NamedPort {
  readonly name: string;
}

interface Port extends NamedPort {
  readonly sender?: unknown;
  readonly onMessage: { addListener(listener: (message: unknown) => void): void };
  readonly onDisconnect: { addListener(listener: () => void): void };
}

/** Wraps the messaging functions of a context to report messages, ports and replies. `open` lists the open ports. */
export function watchMessages({ runtime, tabs }: ChromeApi, reporter: Reporter, open: Set<NamedPort>): void {
  const seenPorts = new WeakSet<Port>();
  watchSending(reporter, runtime, 'runtime.sendMessage');
  watchSending(reporter, tabs, 'tabs.sendMessage');
  watchConnecting({ reporter, open }, runtime, 'runtime.connect');
  watchConnecting({ reporter, open }, tabs, 'tabs.connect');
  for (const name of ['onMessage', 'onMessageExternal'] as const) {
    replaceListeners(runtime?.[name], answerWatch(reporter, `runtime.${name}`));
  }
  for (const name of ['onConnect', 'onConnectExternal'] as const) {
    replaceListeners(runtime?.[name], (listener) => (port) => {
      if (isPort(port) && !seenPorts.has(port)) {
        seenPorts.add(port);
        reporter.note('receive', `runtime.${name}`, { value: print(port.name), sender: print(port.sender) });
        watchPort({ reporter, open }, port);
      }
      return listener(port);
    });
  }
}

function watchSending(reporter: Reporter, owner: object | undefined, api: string): void {
  if (owner === undefined) return;
  replaceMethod(owner, 'sendMessage', (original) => (...args) => {
    const value = print(messageAmong(api, args));
    const end = reporter.begin('send', api, { value, place: callingPlace(), target: targetAmong(args) });
    return followCall(original, owner, args, end);
  });
}

const maxFrames = 10;

/** Where the extension's code calls, as `content.js:2`. */
function callingPlace(): string | undefined {
  const stack: unknown = new Error().stack;
  if (typeof stack !== 'string') return undefined;
  for (const line of stack.split('\n', maxFrames)) {
    const [, path, number] = /chrome-extension:\/\/[a-p]{32}\/([^\s?#]+?)(?:[?#]\S*)?:(\d+):\d+\)?$/.exec(line) ?? [];
    if (path !== undefined) return `${path}:${number ?? ''}`;
  }
  return undefined;
}

/** The message among the arguments: after the id of a tab or of an extension. */
function messageAmong(api: string, args: readonly unknown[]): unknown {
  const [first, second] = args;
  return api === 'tabs.sendMessage' || (isExtensionId(first) && args.length > 1) ? second : first;
}

const isExtensionId = (value: unknown): value is string => typeof value === 'string' && /^[a-p]{32}$/.test(value);

/** The other extension that a message or port is for. */
function targetAmong([first, ...others]: readonly unknown[]): string | undefined {
  const isTarget = isExtensionId(first) && others.length > 0 && first !== globalThis.chrome?.runtime?.id;
  return isTarget ? first : undefined;
}

interface PortWatch {
  readonly reporter: Reporter;
  readonly open: Set<NamedPort>;
}

function watchConnecting(watch: PortWatch, owner: object | undefined, api: string): void {
  replaceMethod(owner, 'connect', (original) => (...args) => {
    const port = original.apply(owner, args);
    if (isPort(port)) {
      const details = { value: print(port.name), place: callingPlace(), target: targetAmong([...args, undefined]) };
      watchPort(watch, port, watch.reporter.begin('send', api, details));
    }
    return port;
  });
}

/** Reports what passes a port in both directions, and, to the one that opened it, whether it closed unused. */
function watchPort({ reporter, open }: PortWatch, port: Port, end?: ReportEnd): void {
  const api = `port ${JSON.stringify(port.name)}`;
  let isUsed = false;
  open.add(port);
  replaceMethod(port, 'disconnect', (original) => (...args) => {
    open.delete(port);
    return original.apply(port, args);
  });
  replaceMethod(port, 'postMessage', (original) => (...args) => {
    reporter.note('send', api, { value: print(args[0]) });
    return original.apply(port, args);
  });
  port.onMessage.addListener((message) => {
    isUsed = true;
    reporter.note('receive', api, { value: print(message), sender: print(port.sender) });
  });
  port.onDisconnect.addListener(() => {
    open.delete(port);
    if (!isUsed) end?.({ outcome: 'closed' });
    reporter.note('receive', `${api} disconnected`, { value: '', sender: print(port.sender) });
  });
}

const isPort = (value: unknown): value is Port =>
  typeof value === 'object' && value !== null && 'onMessage' in value && 'onDisconnect' in value;

/** What the listeners of this context did with one message. */
interface Delivery {
  readonly end: ReportEnd;
  /** Whether one of the listeners takes the function that answers: the others only hear the message. */
  takesReply: boolean;
  isKept: boolean;
  isAnswered: boolean;
  hasThrown: boolean;
}

/** Wraps the listeners of an event so that each message is reported once, however many of them receive it. */
function answerWatch(reporter: Reporter, api: string): (listener: AnyFunction) => AnyFunction {
  // Chrome passes the same object to every listener.
  const deliveries = new WeakMap<object, Delivery>();
  const deliveryOf = (message: unknown, sender: unknown): Delivery => {
    const known = isObject(sender) ? deliveries.get(sender) : undefined;
    if (known !== undefined) return known;
    const end = reporter.begin('receive', api, { value: print(message), sender: print(sender) });
    const delivery: Delivery = { end, takesReply: false, isKept: false, isAnswered: false, hasThrown: false };
    if (isObject(sender)) deliveries.set(sender, delivery);
    return delivery;
  };
  return (listener) => (message, sender, reply) => {
    const delivery = deliveryOf(message, sender);
    delivery.takesReply ||= listener.length > 2;
    let isRunning = true;
    const reportingReply = (value: unknown): unknown => {
      const isLate = !isRunning && !delivery.isKept && !delivery.isAnswered;
      delivery.isAnswered ||= !isLate;
      delivery.end({ value: print(value), outcome: isLate ? 'late' : 'answered' });
      return isFunction(reply) ? reply(value) : undefined;
    };
    try {
      const returned = listener(message, sender, reportingReply);
      reportReturn(delivery, returned);
      return returned;
    } catch (error) {
      delivery.hasThrown = true;
      delivery.end({ outcome: 'threw', error: String(error) });
      throw error;
    } finally {
      isRunning = false;
    }
  };
}

function reportReturn(delivery: Delivery, returned: unknown): void {
  if (returned === true || returned instanceof Promise) delivery.isKept = true;
  if (delivery.isAnswered || delivery.hasThrown) return;
  delivery.end({ outcome: delivery.isKept ? 'pending' : delivery.takesReply ? 'silent' : 'heard' });
  if (!(returned instanceof Promise)) return;
  const onValue = (value: unknown): void => {
    if (delivery.isAnswered) return;
    if (value === undefined) delivery.end({ outcome: delivery.takesReply ? 'empty' : 'heard' });
    else delivery.end({ value: print(value), outcome: 'answered' });
  };
  returned.then(onValue, (error: unknown) => delivery.end({ outcome: 'threw', error: String(error) }));
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;
