const asyncHooks = require('node:async_hooks');
const { TestEnvironment } = require('jest-environment-node');

/**
 * What jest-circus keeps the running test or hook in. Its tests run one after another, so that a variable does; with an
 * AsyncLocalStorage each promise of a worker costs several times as much before Node 24.
 */
class SequentialStorage {
  #store;

  getStore() {
    return this.#store;
  }

  async run(store, callback) {
    const before = this.#store;
    this.#store = store;
    try {
      return await callback();
    } finally {
      this.#store = before;
    }
  }
}

const { AsyncLocalStorage } = asyncHooks;
/** Node 22 gives it by a getter, for good. */
const isReplaceable = Object.getOwnPropertyDescriptor(asyncHooks, 'AsyncLocalStorage')?.writable === true;

/**
 * Node's environment, with the modules that Node itself has loaded (nativeModules.cjs), and Node's own errors and
 * collections: those that a test makes are of the same types as the program's.
 */
module.exports = class extends TestEnvironment {
  async setup() {
    await super.setup();
    if (isReplaceable) asyncHooks.AsyncLocalStorage = SequentialStorage;
  }

  /** jest-circus emits its first event when it has been loaded. */
  handleTestEvent() {
    if (isReplaceable) asyncHooks.AsyncLocalStorage = AsyncLocalStorage;
  }

  constructor(config, context) {
    super(config, context);
    Object.assign(this.global, {
      importNatively: (url) => import(url),
      requireNatively: require,
      ...{
        Error,
        AggregateError,
        EvalError,
        RangeError,
        ReferenceError,
        SyntaxError,
        TypeError,
        URIError,
        Map,
        Set,
        Date,
      },
    });
  }
};
