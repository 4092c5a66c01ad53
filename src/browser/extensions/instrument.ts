/**
 * Runs in an extension's context before its first statement, as source text: this program has no types for it, and a
 * compiler that rewrote it would break it. Called with the name of a binding and whether to trace. Wraps the messaging
 * functions, once, so that they report what passes; and, when tracing, every other `chrome.*` function. What the
 * extension sees stays as it was: same replies, and rejections as unhandled as before. Answers false, as the condition
 * of a breakpoint that never stops. Reports wait in the context until the binding is there and `flush` is called.
 */
const instrument = /* javascript */ `(binding, tracing) => {
  const maxChars = 4000;
  const mark = Symbol.for('greenroom.activity');
  const api = globalThis.chrome;
  const runtime = api?.runtime;
  if (runtime?.id === undefined) return false;
  if (globalThis[mark] !== undefined) {
    globalThis[mark].trace(tracing);
    return false;
  }
  const waiting = [];
  let last = 0;
  let traced = false;
  let wrapped = false;

  function print(value) {
    let text;
    try {
      text = JSON.stringify(value) ?? String(value);
    } catch (error) {
      text = String(error);
    }
    return text.length > maxChars ? text.slice(0, maxChars) + '…' : text;
  }

  function report(event) {
    const text = JSON.stringify({ ...event, at: Date.now() });
    if (typeof globalThis[binding] === 'function') globalThis[binding](text);
    else if (waiting.length < 500) waiting.push(text);
  }

  function begin(kind, name, facts) {
    const id = (last += 1);
    report({ id, phase: 'begin', kind, api: name, ...facts });
    return (outcome) => report({ id, phase: 'end', kind, api: name, ...outcome });
  }

  /** Tells how a call ends, whether it answers, promises or calls back. */
  function follow(original, self, args, end) {
    const fail = (error) => end({ error: String(error?.message ?? error) });
    const callback = args.at(-1);
    const passed = [...args];
    if (typeof callback === 'function') {
      // chrome.runtime.lastError is not read here: reading it would silence Chrome's report of an unchecked one.
      passed[args.length - 1] = function (...reply) {
        end({ value: reply.map(print).join(', ') });
        return callback.apply(this, reply);
      };
    }
    try {
      const result = original.apply(self, passed);
      if (result instanceof Promise) {
        return result.then(
          (value) => { end({ value: print(value) }); return value; },
          (error) => { fail(error); throw error; },
        );
      }
      if (typeof callback !== 'function') end({ value: print(result) });
      return result;
    } catch (error) {
      fail(error);
      throw error;
    }
  }

  function replace(owner, name, make) {
    const original = owner?.[name];
    if (typeof original === 'function') Reflect.set(owner, name, make(original));
  }

  /** The message among the arguments: after a tab's or another extension's id. */
  function messageAmong(name, args) {
    const addressed = typeof args[0] === 'string' && /^[a-p]{32}$/.test(args[0]) && args.length > 1;
    return name === 'tabs.sendMessage' || addressed ? args[1] : args[0];
  }

  function watchSending(owner, name) {
    replace(owner, 'sendMessage', (original) => (...args) =>
      follow(original, owner, args, begin('send', name, { value: print(messageAmong(name, args)) })));
  }

  /** Sees what passes a port in both directions. */
  function watchPort(port) {
    const name = 'port ' + JSON.stringify(port.name);
    const note = (value) => begin('receive', name, { value, sender: print(port.sender) })({});
    replace(port, 'postMessage', (original) => (...args) => {
      begin('send', name, { value: print(args[0]) })({});
      return original.apply(port, args);
    });
    port.onMessage.addListener((message) => note(print(message)));
    port.onDisconnect.addListener(() => begin('receive', name + ' disconnected', { value: '', sender: print(port.sender) })({}));
  }

  function watchConnecting(owner, name) {
    replace(owner, 'connect', (original) => (...args) => {
      const port = original.apply(owner, args);
      begin('send', name, { value: print(port.name) })({});
      watchPort(port);
      return port;
    });
  }

  /** Puts a stand-in in the place of each listener, under which it can also be looked for and removed. */
  function watchEvent(event, make) {
    const standIns = new WeakMap();
    const standIn = (listener) => standIns.get(listener) ?? listener;
    replace(event, 'addListener', (original) => (listener, ...rest) => {
      if (typeof listener === 'function' && !standIns.has(listener)) standIns.set(listener, make(listener));
      return original.call(event, standIn(listener), ...rest);
    });
    replace(event, 'removeListener', (original) => (listener) => original.call(event, standIn(listener)));
    replace(event, 'hasListener', (original) => (listener) => original.call(event, standIn(listener)));
  }

  const hearMessage = (name) => (listener) => (message, sender, reply) => {
    const end = begin('receive', name, { value: print(message), sender: print(sender) });
    const answer = (value) => { end({ value: print(value) }); return reply(value); };
    return listener(message, sender, answer);
  };

  const ports = new WeakSet();
  const hearConnection = (name) => (listener) => (port) => {
    if (!ports.has(port)) {
      ports.add(port);
      begin('receive', name, { value: print(port.name), sender: print(port.sender) })({});
      watchPort(port);
    }
    return listener(port);
  };

  /** Some properties throw in some contexts. */
  function read(owner, name) {
    try { return owner[name]; } catch { return undefined; }
  }

  function watchCalls(owner, path) {
    for (const name of Object.getOwnPropertyNames(owner)) {
      const value = read(owner, name);
      if (typeof value === 'object' && value !== null && path.length < 3 && !('addListener' in value)) {
        watchCalls(value, [...path, name]);
      }
      if (typeof value !== 'function' || path.length === 0) continue;
      const fullName = [...path, name].join('.');
      replace(owner, name, (original) => (...args) =>
        traced
          ? follow(original, owner, args, begin('call', fullName, { value: args.map(print).join(', ') }))
          : original.apply(owner, args));
    }
  }

  function trace(on) {
    traced = on;
    if (!on || wrapped) return;
    wrapped = true;
    watchCalls(api, []);
  }

  const flush = () => {
    if (typeof globalThis[binding] === 'function') waiting.splice(0).forEach((text) => globalThis[binding](text));
  };
  Object.defineProperty(globalThis, mark, { value: { trace, flush } });
  watchSending(runtime, 'runtime.sendMessage');
  watchSending(api.tabs, 'tabs.sendMessage');
  watchConnecting(runtime, 'runtime.connect');
  watchConnecting(api.tabs, 'tabs.connect');
  for (const event of ['onMessage', 'onMessageExternal']) watchEvent(runtime[event], hearMessage('runtime.' + event));
  for (const event of ['onConnect', 'onConnectExternal']) watchEvent(runtime[event], hearConnection('runtime.' + event));
  trace(tracing);
  return false;
}`;

/** The name under which a context reports; its own in no page but the extension's worlds. */
export const bindingName = 'greenroomActivity';

/** Instruments the context it runs in, or only sets whether it traces. Breaks nothing where no extension runs. */
export function instrumentation(tracing: boolean): string {
  return `(() => { try { return (${instrument})(${JSON.stringify(bindingName)}, ${tracing}); } catch { return false; } })()`;
}

/** Sends what was reported before the binding was there. */
export const flushing = `globalThis[Symbol.for('greenroom.activity')]?.flush()`;
